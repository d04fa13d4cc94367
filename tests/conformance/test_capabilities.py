"""Volumes keep what they say that they keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    PunchHole,
    SetTimes,
    Write,
)

if TYPE_CHECKING:
    from tests.conformance.conftest import Body

    from bodydouble.ports import FileSystem, Host
    from bodydouble.vocabulary.operations import AnyOperation, Entry

SECOND = 1_000_000_000
NOTHING = Metadata()
EXTENDED = ("user.note", "trusted.note", "security.capability")


@pytest.fixture
def body(any_volume: Body) -> Body:
    """Every body, the product's decorators over two of them, and a FAT volume."""
    return any_volume


async def done(files: FileSystem, *operations: AnyOperation) -> bool:
    try:
        await files.apply(operations)
    except FileSystemError:
        return False
    return True


async def entry_at(files: FileSystem, path: str) -> Entry:
    entry = await files.stat(path)
    assert entry is not None
    return entry


def test_they_are_the_same_for_a_path_to_come(body: Body) -> None:
    async def case(host: Host) -> None:
        files = host.file_system
        assert await files.capabilities(body.root) == await files.capabilities(f"{body.root}/to/come")

    body.run(case)


def test_links_are_made_where_they_are_kept_and_refused_elsewhere(body: Body) -> None:
    async def case(host: Host) -> None:
        root, files = body.root, host.file_system
        kept = await files.capabilities(root)
        await files.apply([CreateFile(f"{root}/f", NOTHING, SECOND)])
        assert await done(files, MakeHardLink(f"{root}/second", f"{root}/f")) == kept.hard_links
        assert await done(files, MakeSymbolicLink(f"{root}/link", "f", NOTHING, SECOND)) == kept.symbolic_links
        junction = MakeSymbolicLink(f"{root}/junction", root, NOTHING, SECOND, junction=True)
        assert await done(files, junction) == kept.junctions

    body.run(case)


def test_holes_are_kept_where_they_say_so(body: Body) -> None:
    async def case(host: Host) -> None:
        path, files = f"{body.root}/f", host.file_system
        await files.apply([CreateFile(path, NOTHING, SECOND), Write(path, 0, b"x" * 300_000, SECOND)])
        await files.apply([PunchHole(path, 0, 200_000, SECOND)])
        assert (await entry_at(files, path)).sparse == (await files.capabilities(path)).holes
        assert await files.read(path, 0, 300_000) == bytes(200_000) + b"x" * 100_000

    body.run(case)


def test_times_are_kept_to_their_grain(body: Body) -> None:
    async def case(host: Host) -> None:
        path, files = f"{body.root}/f", host.file_system
        grain = (await files.capabilities(path)).time_grain_ns
        await files.apply([CreateFile(path, NOTHING, SECOND)])
        for time in (1_000_000_001 * SECOND + 123_456_789, 1_000_000_002 * SECOND + 1):
            await files.apply([SetTimes(path, time)])
            assert abs((await entry_at(files, path)).mtime_ns - time) < grain

    body.run(case)


def test_metadata_are_kept_as_far_as_they_say(body: Body) -> None:
    async def case(host: Host) -> None:
        root, files = body.root, host.file_system
        kept = await files.capabilities(root)
        await files.apply([CreateFile(f"{root}/f", NOTHING, SECOND), MakeDirectory(f"{root}/d", NOTHING)])
        security = (await entry_at(files, f"{root}/f")).metadata.security
        assert bool(security) == kept.security
        value = bytes.fromhex("0100000200200000000000000000000000000000")  # a file capability, as the kernel checks it
        extended = tuple((name, value) for name in sorted(EXTENDED) if kept.keeps_extended(name))
        metadata = Metadata(1 & kept.attributes, security, extended)
        await files.apply([CreateFile(f"{root}/g", metadata, SECOND)])
        found = (await entry_at(files, f"{root}/g")).metadata
        assert (found.security, found.extended) == (security, extended)
        assert found.attributes == metadata.attributes

    body.run(case)


def test_creation_times_are_kept_where_they_say_so(body: Body) -> None:
    async def case(host: Host) -> None:
        root, files = body.root, host.file_system
        grain, time = (await files.capabilities(root)).created_grain_ns, 900_000_000 * SECOND + 123_456_789
        file, directory = f"{root}/f", f"{root}/d"
        await files.apply([CreateFile(file, NOTHING, 2 * SECOND, time), MakeDirectory(directory, NOTHING, time)])
        for path in (file, directory):
            created = (await entry_at(files, path)).created_ns
            assert abs(created - time) < grain if grain else not created
            await files.apply([SetTimes(path, 4 * SECOND)])
            assert (await entry_at(files, path)).created_ns == created
            await files.apply([SetTimes(path, 4 * SECOND, 2 * time)])
            assert not grain or abs((await entry_at(files, path)).created_ns - 2 * time) < grain

    body.run(case)
