"""Named streams: of files and directories, where a volume has them, and refused where it has not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeStream,
    Metadata,
    RemoveStream,
    Rename,
    Truncate,
    TruncateStream,
    Write,
    WriteStream,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from tests.conformance.conftest import Body

    from bodydouble.ports import FileSystem, Host

T = 2_000_000_000
NOTHING = Metadata()


@pytest.fixture
def body(any_volume: Body) -> Body:
    """Every body, the product's decorators over two of them, and a FAT volume."""
    return any_volume


async def streams(files: FileSystem, path: str) -> tuple[tuple[str, int], ...]:
    entry = await files.stat(path)
    assert entry is not None
    return entry.streams


def on_streams(body: Body, case: Callable[[FileSystem, str], Coroutine[Any, Any, None]]) -> None:
    """Run a case with a file and a directory, where there are streams; elsewhere nothing of it may happen."""

    async def run(host: Host) -> None:
        files, file, directory = host.file_system, f"{body.root}/f", f"{body.root}/d"
        await files.apply(
            [CreateFile(file, NOTHING, T), Write(file, 0, b"bytes", T), MakeDirectory(directory, NOTHING)]
        )
        for path in (file, directory):
            if (await files.capabilities(body.root)).streams:
                await case(files, path)
                continue
            with pytest.raises(FileSystemError) as caught:
                await files.apply([MakeStream(path, "s")])
            assert (caught.value.code, caught.value.path) == ("denied", path)
            assert await streams(files, path) == ()
        assert await files.read(file, 0, 10) == b"bytes"

    body.run(run)


def test_a_stream_has_bytes_of_its_own(body: Body) -> None:
    async def case(files: FileSystem, path: str) -> None:
        await files.apply([MakeStream(path, "Summary"), WriteStream(path, "Summary", 2, b"hello")])
        assert await files.read(path, 0, 100, "Summary") == b"\0\0hello"
        assert await files.read(path, 3, 2, "Summary") == b"el"
        assert await streams(files, path) == (("Summary", 7),)
        await files.apply([TruncateStream(path, "Summary", 4), TruncateStream(path, "Summary", 6)])
        assert await files.read(path, 0, 100, "Summary") == b"\0\0he\0\0"
        await files.apply([MakeStream(path, "another"), MakeStream(path, "Summary")])
        assert await streams(files, path) == (("Summary", 0), ("another", 0))
        listed = {entry.path: entry.streams for entry in await files.list_directory(path.rpartition("/")[0])}
        assert listed[path] == await streams(files, path)

    on_streams(body, case)


def test_streams_are_removed_one_by_one_or_all_and_removing_none_is_no_failure(body: Body) -> None:
    async def case(files: FileSystem, path: str) -> None:
        await files.apply(
            [MakeStream(path, "a"), MakeStream(path, "b"), MakeStream(path, "c"), RemoveStream(path, "b")]
        )
        assert await streams(files, path) == (("a", 0), ("c", 0))
        await files.apply([RemoveStream(path, "b"), RemoveStream(path, "")])
        assert await streams(files, path) == ()
        await files.apply([RemoveStream(path, ""), RemoveStream(path, "a")])

    on_streams(body, case)


def test_a_missing_stream_is_not_found(body: Body) -> None:
    async def case(files: FileSystem, path: str) -> None:
        for attempt in (WriteStream(path, "none", 0, b"x"), TruncateStream(path, "none", 5)):
            with pytest.raises(FileSystemError) as caught:
                await files.apply([attempt])
            assert caught.value.code == "not_found"
        with pytest.raises(FileSystemError) as caught:
            await files.read(path, 0, 1, "none")
        assert caught.value.code == "not_found"
        with pytest.raises(FileSystemError) as caught:
            await files.apply([MakeStream(f"{path}-missing", "s")])
        assert caught.value.code == "not_found"

    on_streams(body, case)


def test_streams_go_along_with_every_name_of_their_file(body: Body) -> None:
    async def case(files: FileSystem, path: str) -> None:
        new = f"{path}-renamed"
        await files.apply([MakeStream(path, "s"), WriteStream(path, "s", 0, b"along"), Rename(path, new)])
        assert await files.read(new, 0, 10, "s") == b"along"
        if path.endswith("/f"):
            await files.apply([MakeHardLink(path, new), WriteStream(path, "s", 0, b"A"), Truncate(path, 5, T)])
            assert await files.read(new, 0, 10, "s") == b"Along"
        else:
            await files.apply([Rename(new, path)])

    on_streams(body, case)
