"""Holes: ranges that read as zeros and, where the volume can, take no space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import CreateFile, Metadata, PunchHole, Truncate, Write

if TYPE_CHECKING:
    from tests.conformance.conftest import Body

    from bodydouble.ports import FileSystem, Host

UNIT = 64 * 1024
NOTHING = Metadata()


@pytest.fixture
def body(files_body: Body) -> Body:
    """Every body, and the product's decorators over two of them."""
    return files_body


async def runs(files: FileSystem, path: str) -> list[tuple[int, int]]:
    found, offset = [], 0
    while (run := await files.find_data(path, offset)) is not None:
        found.append(run)
        offset = run[1]
    return found


def test_a_hole_reads_as_zeros_and_the_length_stays(body: Body) -> None:
    async def case(host: Host) -> None:
        path = f"{body.root}/f"
        await host.file_system.apply(
            [CreateFile(path, NOTHING, 1000), Write(path, 0, b"x" * 20, 2000), PunchHole(path, 5, 4, 3_000_000_000)]
        )
        assert await host.file_system.read(path, 0, 100) == b"x" * 5 + bytes(4) + b"x" * 11
        entry = await host.file_system.stat(path)
        assert entry is not None
        assert (entry.size, entry.mtime_ns) == (20, 3_000_000_000)

    body.run(case)


def test_a_hole_beyond_the_end_changes_no_byte(body: Body) -> None:
    async def case(host: Host) -> None:
        path = f"{body.root}/f"
        await host.file_system.apply([CreateFile(path, NOTHING, 1000), Write(path, 0, b"abc", 2000)])
        for offset, size in ((3, 10), (100, 10), (2**40, 2**61), (0, 0)):
            await host.file_system.apply([PunchHole(path, offset, size, 3000)])
        assert await host.file_system.read(path, 0, 100) == b"abc"
        await host.file_system.apply([PunchHole(path, 1, 2**62, 3000)])
        assert await host.file_system.read(path, 0, 100) == b"a\0\0"

    body.run(case)


def test_data_are_found_between_holes_and_all_of_them(body: Body) -> None:
    async def case(host: Host) -> None:
        path, files = f"{body.root}/f", host.file_system
        await files.apply(
            [
                CreateFile(path, NOTHING, 1000),
                Write(path, 0, b"x" * 6 * UNIT, 2000),
                PunchHole(path, UNIT, 2 * UNIT, 2000),
                PunchHole(path, 4 * UNIT, 2 * UNIT, 2000),
            ]
        )
        assert await runs(files, path) == [(0, UNIT), (3 * UNIT, 4 * UNIT)]
        assert await files.find_data(path, 7) == (7, UNIT)
        assert await files.find_data(path, UNIT + 7) == (3 * UNIT, 4 * UNIT)
        assert await files.find_data(path, 9 * UNIT) is None
        entry = await files.stat(path)
        assert entry is not None
        assert (entry.sparse, entry.size) == (True, 6 * UNIT)
        assert [each.sparse for each in await files.list_directory(body.root)] == [True]

    body.run(case)


def test_what_is_written_into_a_hole_is_data_again(body: Body) -> None:
    async def case(host: Host) -> None:
        path, files = f"{body.root}/f", host.file_system
        await files.apply([CreateFile(path, NOTHING, 1000), Truncate(path, 8 * UNIT, 1000), PunchHole(path, 0, 1, 1)])
        await files.apply([Write(path, 5 * UNIT + 5, b"here", 2000)])
        found = await runs(files, path)
        assert [begin <= 5 * UNIT + 5 and end >= 5 * UNIT + 9 for begin, end in found].count(True) == 1
        assert sum(end - begin for begin, end in found) <= 2 * UNIT
        assert await files.read(path, 5 * UNIT, 20) == bytes(5) + b"here" + bytes(11)

    body.run(case)


def test_a_file_without_holes_is_one_run_and_an_empty_one_none(body: Body) -> None:
    async def case(host: Host) -> None:
        path, empty = f"{body.root}/f", f"{body.root}/e"
        await host.file_system.apply(
            [CreateFile(path, NOTHING, 1000), Write(path, 0, b"abc", 2000), CreateFile(empty, NOTHING, 1)]
        )
        assert await runs(host.file_system, path) == [(0, 3)]
        assert await runs(host.file_system, empty) == []

    body.run(case)


def test_looking_for_data_where_no_file_is_is_not_found(body: Body) -> None:
    async def case(host: Host) -> None:
        with pytest.raises(FileSystemError) as caught:
            await host.file_system.find_data(f"{body.root}/missing", 0)
        assert caught.value.code == "not_found"
        with pytest.raises(FileSystemError) as caught:
            await host.file_system.apply([PunchHole(f"{body.root}/missing", 0, 5, 0)])
        assert (caught.value.code, caught.value.path) == ("not_found", f"{body.root}/missing")

    body.run(case)
