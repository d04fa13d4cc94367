from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble.errors import BodydoubleError, FileSystemError
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    Write,
)

if TYPE_CHECKING:
    from tests.conformance.conftest import Body

    from bodydouble.ports import FileSystem, Host
    from bodydouble.vocabulary.operations import AnyOperation

SECOND = 1_000_000_000
T1, T2, T3 = (year * 365 * 86400 * SECOND for year in (33, 34, 35))
NOTHING = Metadata()


@pytest.fixture
def body(files_body: Body) -> Body:
    """Every body, and the product's decorators over two of them."""
    return files_body


async def code_of(file_system: FileSystem, *operations: object) -> str:
    with pytest.raises(FileSystemError) as caught:
        await file_system.apply(operations)  # type: ignore[arg-type]
    return caught.value.code


def test_written_bytes_read_back_with_the_operations_time(body: Body) -> None:
    async def case(host: Host) -> None:
        path = f"{body.root}/a.htm"
        await host.file_system.apply(
            [CreateFile(path, NOTHING, T1), Write(path, 0, b"hello", T2), Write(path, 5, b" world", T3)]
        )
        assert await host.file_system.read(path, 0, 100) == b"hello world"
        assert await host.file_system.read(path, 6, 3) == b"wor"
        assert await host.file_system.read(path, 100, 10) == b""
        entry = await host.file_system.stat(path)
        assert entry is not None
        assert (entry.path, entry.directory, entry.size, entry.mtime_ns) == (path, False, 11, T3)

    body.run(case)


def test_gap_before_a_write_and_a_longer_length_read_as_zeros(body: Body) -> None:
    async def case(host: Host) -> None:
        path = f"{body.root}/gap"
        await host.file_system.apply([CreateFile(path, NOTHING, T1), Write(path, 3, b"x", T1), Truncate(path, 6, T2)])
        assert await host.file_system.read(path, 0, 100) == b"\0\0\0x\0\0"
        await host.file_system.apply([Truncate(path, 4, T3)])
        assert await host.file_system.read(path, 0, 100) == b"\0\0\0x"

    body.run(case)


def test_creating_an_existing_file_keeps_its_bytes(body: Body) -> None:
    async def case(host: Host) -> None:
        path = f"{body.root}/kept"
        await host.file_system.apply([CreateFile(path, NOTHING, T1), Write(path, 0, b"kept", T1)])
        await host.file_system.apply([CreateFile(path, NOTHING, T2)])
        assert await host.file_system.read(path, 0, 100) == b"kept"

    body.run(case)


def test_making_an_existing_directory_changes_nothing_inside(body: Body) -> None:
    async def case(host: Host) -> None:
        directory = f"{body.root}/d"
        await host.file_system.apply(
            [
                MakeDirectory(directory, NOTHING),
                CreateFile(f"{directory}/f", NOTHING, T1),
                MakeDirectory(directory, NOTHING),
            ]
        )
        assert [entry.path for entry in await host.file_system.list_directory(directory)] == [f"{directory}/f"]

    body.run(case)


def test_listing_is_sorted_and_only_one_level_deep(body: Body) -> None:
    async def case(host: Host) -> None:
        root = body.root
        operations: list[AnyOperation] = [
            MakeDirectory(f"{root}/m", NOTHING),
            CreateFile(f"{root}/m/inner", NOTHING, T1),
        ]
        await host.file_system.apply(
            [CreateFile(f"{root}/z", NOTHING, T1), *operations, CreateFile(f"{root}/a", NOTHING, T1)]
        )
        entries = await host.file_system.list_directory(root)
        assert [(entry.path, entry.directory) for entry in entries] == [
            (f"{root}/a", False),
            (f"{root}/m", True),
            (f"{root}/z", False),
        ]

    body.run(case)


def test_listing_a_file_or_nothing_is_not_found(body: Body) -> None:
    async def case(host: Host) -> None:
        await host.file_system.apply([CreateFile(f"{body.root}/f", NOTHING, T1)])
        for path in (f"{body.root}/f", f"{body.root}/missing"):
            with pytest.raises(FileSystemError) as caught:
                await host.file_system.list_directory(path)
            assert (caught.value.code, caught.value.path) == ("not_found", path)

    body.run(case)


def test_nothing_at_a_path_is_none(body: Body) -> None:
    async def case(host: Host) -> None:
        await host.file_system.apply([CreateFile(f"{body.root}/f", NOTHING, T1)])
        assert await host.file_system.stat(f"{body.root}/missing") is None
        assert await host.file_system.stat(f"{body.root}/missing/deeper") is None
        assert await host.file_system.stat(f"{body.root}/f/deeper") is None
        entry = await host.file_system.stat(body.root)
        assert entry is not None
        assert entry.directory

    body.run(case)


def test_rename_replaces_a_file(body: Body) -> None:
    async def case(host: Host) -> None:
        old, new = f"{body.root}/old", f"{body.root}/new"
        await host.file_system.apply(
            [
                CreateFile(old, NOTHING, T1),
                Write(old, 0, b"old", T1),
                CreateFile(new, NOTHING, T2),
                Write(new, 0, b"newer", T2),
                Rename(old, new),
            ]
        )
        assert await host.file_system.read(new, 0, 100) == b"old"
        assert await host.file_system.stat(old) is None
        entry = await host.file_system.stat(new)
        assert entry is not None
        assert entry.mtime_ns == T1

    body.run(case)


def test_name_that_a_rename_freed_is_a_new_file(body: Body) -> None:
    async def case(host: Host) -> None:
        log, old = f"{body.root}/log", f"{body.root}/log.1"
        await host.file_system.apply(
            [
                CreateFile(log, NOTHING, T1),
                Write(log, 0, b"first", T1),
                Rename(log, old),
                CreateFile(log, NOTHING, T2),
                Write(log, 0, b"second", T2),
                Write(old, 5, b"!", T3),
            ]
        )
        assert await host.file_system.read(log, 0, 100) == b"second"
        assert await host.file_system.read(old, 0, 100) == b"first!"
        times = [entry.mtime_ns for entry in await host.file_system.list_directory(body.root)]
        assert times == [T2, T3]

    body.run(case)


def test_renamed_directory_takes_its_files_along(body: Body) -> None:
    async def case(host: Host) -> None:
        old, new = f"{body.root}/old", f"{body.root}/new"
        await host.file_system.apply(
            [
                MakeDirectory(old, NOTHING),
                CreateFile(f"{old}/f", NOTHING, T1),
                Write(f"{old}/f", 0, b"1", T1),
                Rename(old, new),
                Write(f"{new}/f", 1, b"2", T2),
                MakeDirectory(old, NOTHING),
                CreateFile(f"{old}/g", NOTHING, T3),
            ]
        )
        assert await host.file_system.read(f"{new}/f", 0, 10) == b"12"
        assert [entry.path for entry in await host.file_system.list_directory(old)] == [f"{old}/g"]

    body.run(case)


def test_removed_names_are_gone(body: Body) -> None:
    async def case(host: Host) -> None:
        root = body.root
        await host.file_system.apply(
            [
                MakeDirectory(f"{root}/d", NOTHING),
                CreateFile(f"{root}/d/f", NOTHING, T1),
                Write(f"{root}/d/f", 0, b"x", T1),
                RemoveFile(f"{root}/d/f"),
                RemoveDirectory(f"{root}/d"),
            ]
        )
        assert await host.file_system.list_directory(root) == []

    body.run(case)


def test_times_and_metadata_are_set(body: Body) -> None:
    async def case(host: Host) -> None:
        path, directory = f"{body.root}/f", f"{body.root}/d"
        await host.file_system.apply([CreateFile(path, NOTHING, T1), MakeDirectory(directory, NOTHING)])
        entry = await host.file_system.stat(path)
        assert entry is not None
        await host.file_system.apply([SetMetadata(path, entry.metadata), SetTimes(path, T2), SetTimes(directory, T3)])
        after, changed = await host.file_system.stat(path), await host.file_system.stat(directory)
        assert after is not None
        assert changed is not None
        assert (after.metadata, after.mtime_ns, changed.mtime_ns) == (entry.metadata, T2, T3)

    body.run(case)


def test_failures_carry_their_code(body: Body) -> None:
    async def case(host: Host) -> None:
        root, files = body.root, host.file_system
        await files.apply([MakeDirectory(f"{root}/d", NOTHING), CreateFile(f"{root}/d/f", NOTHING, T1)])
        assert await code_of(files, Write(f"{root}/missing", 0, b"x", T1)) == "not_found"
        assert await code_of(files, CreateFile(f"{root}/missing/f", NOTHING, T1)) == "not_found"
        assert await code_of(files, Rename(f"{root}/missing", f"{root}/x")) == "not_found"
        assert await code_of(files, RemoveFile(f"{root}/missing")) == "not_found"
        assert await code_of(files, RemoveDirectory(f"{root}/d")) == "not_empty"
        assert await code_of(files, CreateFile(f"{root}/d", NOTHING, T1)) == "exists"
        assert await code_of(files, MakeDirectory(f"{root}/d/f", NOTHING)) == "exists"

    body.run(case)


def test_operations_before_a_failing_one_stay_and_later_ones_do_not_begin(body: Body) -> None:
    async def case(host: Host) -> None:
        root, files = body.root, host.file_system
        with pytest.raises(FileSystemError) as caught:
            await files.apply(
                [
                    CreateFile(f"{root}/before", NOTHING, T1),
                    RemoveFile(f"{root}/missing"),
                    CreateFile(f"{root}/after", NOTHING, T1),
                ]
            )
        assert caught.value.path == f"{root}/missing"
        assert caught.value.done == 1
        assert [(entry.path, entry.mtime_ns) for entry in await files.list_directory(root)] == [(f"{root}/before", T1)]

    body.run(case)


def test_large_batch_over_many_files_is_carried_out(body: Body) -> None:
    async def case(host: Host) -> None:
        names = [f"{body.root}/f{number:03}" for number in range(150)]
        creates = [CreateFile(name, NOTHING, T1) for name in names]
        writes = [Write(name, 0, name.encode(), T2) for name in names]
        await host.file_system.apply([*creates, *writes])
        entries = await host.file_system.list_directory(body.root)
        assert [(entry.path, entry.mtime_ns) for entry in entries] == [(name, T2) for name in names]
        assert await host.file_system.read(names[-1], 0, 999) == names[-1].encode()

    body.run(case)


def test_reading_what_is_not_there_is_not_found(body: Body) -> None:
    async def case(host: Host) -> None:
        with pytest.raises(FileSystemError) as caught:
            await host.file_system.read(f"{body.root}/missing", 0, 1)
        assert caught.value.code == "not_found"

    body.run(case)


def test_dot_dot_never_leaves_the_directory(body: Body) -> None:
    async def case(host: Host) -> None:
        with pytest.raises(BodydoubleError):
            await host.file_system.apply([CreateFile(f"{body.root}/../escaped", NOTHING, T1)])
        assert await host.file_system.stat(f"{body.root.rpartition('/')[0]}/escaped") is None

    body.run(case)


def test_flush_is_possible_for_what_is_there_and_for_a_path_to_come(body: Body) -> None:
    async def case(host: Host) -> None:
        path = f"{body.root}/flushed"
        await host.file_system.apply([CreateFile(path, NOTHING, T1), Write(path, 0, b"x", T1)], durable=False)
        await host.file_system.flush(path)
        await host.file_system.flush(f"{body.root}/to/come")
        assert await host.file_system.read(path, 0, 9) == b"x"

    body.run(case)


def test_free_space_is_known_also_for_a_path_to_come(body: Body) -> None:
    async def case(host: Host) -> None:
        assert await host.file_system.free_space(f"{body.root}/to/come") > 0

    body.run(case)


def test_case_sensitivity_is_as_stated(body: Body) -> None:
    async def case(host: Host) -> None:
        await host.file_system.apply([CreateFile(f"{body.root}/Name", NOTHING, T1)])
        other = await host.file_system.stat(f"{body.root}/NAME")
        assert (other is None) == host.file_system.case_sensitive

    body.run(case)
