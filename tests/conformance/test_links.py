"""Hard links and symbolic links on every body: a symbolic link is a junction where the host has nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetTimes,
    Truncate,
    Write,
)

if TYPE_CHECKING:
    from tests.conformance.conftest import Body

    from bodydouble.ports import Host
    from bodydouble.vocabulary.operations import AnyOperation

SECOND = 1_000_000_000
T1, T2, T3 = (year * 365 * 86400 * SECOND for year in (33, 34, 35))
NOTHING = Metadata()


def one_file_twice(root: str) -> list[AnyOperation]:
    return [
        CreateFile(f"{root}/a", NOTHING, T1),
        Write(f"{root}/a", 0, b"one", T1),
        MakeDirectory(f"{root}/d", NOTHING),
        MakeHardLink(f"{root}/d/b", f"{root}/a"),
    ]


def test_names_of_one_file_share_bytes_times_and_identity(body: Body) -> None:
    async def case(host: Host) -> None:
        files, first, second = host.file_system, f"{body.root}/a", f"{body.root}/d/b"
        await files.apply([*one_file_twice(body.root), Write(second, 0, b"two", T2), Write(first, 3, b"!", T3)])
        assert await files.read(first, 0, 10) == await files.read(second, 0, 10) == b"two!"
        one, other = await files.stat(first), await files.stat(second)
        assert one is not None
        assert other is not None
        assert (one.identity, one.links, one.mtime_ns) == (other.identity, 2, T3)
        assert one.identity
        assert other.mtime_ns == T3

    body.run(case)


def test_the_last_of_interleaved_writes_through_two_names_decides_the_time(body: Body) -> None:
    async def case(host: Host) -> None:
        files, first, second = host.file_system, f"{body.root}/a", f"{body.root}/d/b"
        await files.apply(
            [
                *one_file_twice(body.root),
                Write(first, 0, b"1", T3),
                Write(second, 0, b"2", T1),
                Write(first, 0, b"3", T2),
            ]
        )
        entry = await files.stat(second)
        assert entry is not None
        assert entry.mtime_ns == T2

    body.run(case)


def test_a_file_lives_until_its_last_name_is_removed(body: Body) -> None:
    async def case(host: Host) -> None:
        files, first, second = host.file_system, f"{body.root}/a", f"{body.root}/d/b"
        await files.apply([*one_file_twice(body.root), Write(first, 0, b"last", T2), RemoveFile(first)])
        assert await files.read(second, 0, 10) == b"last"
        entry = await files.stat(second)
        assert entry is not None
        assert (entry.identity, entry.links, entry.mtime_ns) == ("", 1, T2)

    body.run(case)


def test_making_the_same_link_again_changes_nothing_and_another_file_gives_way(body: Body) -> None:
    async def case(host: Host) -> None:
        files, root = host.file_system, body.root
        link = MakeHardLink(f"{root}/d/b", f"{root}/a")
        await files.apply([*one_file_twice(root), link])
        await files.apply([CreateFile(f"{root}/c", NOTHING, T1), Write(f"{root}/c", 0, b"other", T1)])
        await files.apply([MakeHardLink(f"{root}/d/b", f"{root}/c")])
        assert await files.read(f"{root}/d/b", 0, 10) == b"other"
        assert await files.read(f"{root}/a", 0, 10) == b"one"

    body.run(case)


def test_a_name_is_gone_after_it_was_renamed_over_another_name_of_its_file(body: Body) -> None:
    async def case(host: Host) -> None:
        files, root = host.file_system, body.root
        await files.apply([*one_file_twice(root), Rename(f"{root}/a", f"{root}/d/b")])
        assert await files.stat(f"{root}/a") is None
        assert await files.read(f"{root}/d/b", 0, 10) == b"one"

    body.run(case)


def test_a_link_to_nothing_or_to_a_directory_is_refused(body: Body) -> None:
    async def case(host: Host) -> None:
        root = body.root
        await host.file_system.apply([MakeDirectory(f"{root}/d", NOTHING)])
        for existing in ("missing", "d"):
            with pytest.raises(FileSystemError) as caught:
                await host.file_system.apply([MakeHardLink(f"{root}/new", f"{root}/{existing}")])
            assert caught.value.code == "not_found"

    body.run(case)


def test_a_symbolic_link_is_seen_as_such_and_never_followed(body: Body) -> None:
    async def case(host: Host) -> None:
        files, link = host.file_system, f"{body.root}/link"
        junction = not files.case_sensitive
        await files.apply(
            [
                MakeDirectory(f"{body.root}/real", NOTHING),
                CreateFile(f"{body.root}/real/f", NOTHING, T1),
                MakeSymbolicLink(link, f"{body.root}/real", NOTHING, T2, junction=junction),
                MakeSymbolicLink(link, f"{body.root}/real", NOTHING, T2, junction=junction),
            ]
        )
        entry = await files.stat(link)
        assert entry is not None
        assert (entry.kind, entry.target, entry.size, entry.mtime_ns) == ("link", f"{body.root}/real", 0, T2)
        assert await files.stat(f"{link}/f") is None
        with pytest.raises(FileSystemError):
            await files.apply([Write(f"{link}/f", 0, b"through", T3)])
        await files.apply([SetTimes(link, T3), Rename(link, f"{body.root}/moved")])
        moved = await files.stat(f"{body.root}/moved")
        assert moved is not None
        assert (moved.kind, moved.mtime_ns) == ("link", T3)
        gone = RemoveDirectory(moved.path) if junction else RemoveFile(moved.path)
        await files.apply([gone])
        assert [each.path for each in await files.list_directory(f"{body.root}/real")] == [f"{body.root}/real/f"]

    body.run(case)


def test_nothing_is_made_in_a_symbolic_link_nor_a_directory_in_its_place(body: Body) -> None:
    async def case(host: Host) -> None:
        files, link = host.file_system, f"{body.root}/link"
        make = MakeSymbolicLink(link, f"{body.root}/real", NOTHING, T1, junction=not files.case_sensitive)
        await files.apply([MakeDirectory(f"{body.root}/real", NOTHING), make])
        await files.apply([CreateFile(f"{body.root}/f", NOTHING, T1)])
        refused: list[AnyOperation] = [
            MakeDirectory(link, NOTHING),
            MakeDirectory(f"{link}/d", NOTHING),
            CreateFile(f"{link}/f", NOTHING, T1),
            MakeHardLink(f"{link}/f", f"{body.root}/f"),
            Rename(f"{body.root}/f", f"{link}/f"),
        ]
        for operation in refused:
            with pytest.raises(FileSystemError):
                await files.apply([operation])
        entry = await files.stat(link)
        assert entry is not None
        assert entry.kind == "link"
        with pytest.raises(FileSystemError):
            await files.list_directory(link)
        assert await files.list_directory(f"{body.root}/real") == []

    body.run(case)


def test_a_junction_takes_the_place_of_an_empty_directory_and_is_removed_like_one(body: Body) -> None:
    async def case(host: Host) -> None:
        files, path = host.file_system, f"{body.root}/d"
        make = MakeSymbolicLink(path, f"{body.root}/real", NOTHING, T1, junction=True)
        await files.apply([MakeDirectory(path, NOTHING), make])
        entry = await files.stat(path)
        assert entry is not None
        assert entry.kind == "link"
        await files.apply([RemoveDirectory(path)])
        assert await files.stat(path) is None

    body.run(case)


def test_links_of_applications_are_reported_and_replaying_them_makes_the_same(filtered: Body) -> None:
    async def case(host: Host) -> None:
        seen: list[AnyOperation] = []
        await host.file_filter.attach(filtered.root, seen.append)
        application, root, files = filtered.application, filtered.root, host.file_system
        await application.create(f"{root}/a")
        await application.write(f"{root}/a", 0, b"one")
        await application.hard_link(f"{root}/a", f"{root}/b")
        await application.write(f"{root}/b", 0, b"two")
        await application.remove(f"{root}/a")
        await application.lead(f"{root}/link", "C:/elsewhere")
        await host.file_filter.settled()
        links = [each for each in seen if isinstance(each, MakeHardLink | MakeSymbolicLink)]
        assert [each.path for each in links] == [f"{root}/b", f"{root}/link"]
        writes = [each.path for each in seen if isinstance(each, Write | Truncate)]
        assert writes == [f"{root}/a", f"{root}/a", f"{root}/b"]
        await files.apply([rebased(operation, root, filtered.outside) for operation in seen])
        theirs, ours = await files.list_directory(root), await files.list_directory(filtered.outside)
        assert [(each.path.rpartition("/")[2], each.kind, each.target, each.links) for each in ours] == [
            ("b", "file", None, 1),
            ("link", "link", "C:/elsewhere", 1),
        ]
        assert [(each.mtime_ns, each.metadata) for each in ours] == [(each.mtime_ns, each.metadata) for each in theirs]

    filtered.run(case)


def rebased(operation: AnyOperation, root: str, elsewhere: str) -> AnyOperation:
    names = {"path": operation.path, "new_path": getattr(operation, "new_path", None)}
    names["existing"] = getattr(operation, "existing", None)
    moved = {name: elsewhere + path.removeprefix(root) for name, path in names.items() if path is not None}
    return msgspec.structs.replace(operation, **moved)
