"""What the product reaches on a simulated volume: names, and nothing that only looks like one."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from tests.sim.storage.volumes import Clock, new_volume

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeHardLink,
    Metadata,
    RemoveFile,
    Rename,
    SetMetadata,
    Truncate,
    Write,
)
from bodydouble_sim.ports.file_system import SimFileSystem

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble_sim.storage.volume import Volume

STATE = "C:/Program Files/Bodydouble/State"
KEY = f"{STATE}/credential.json"
ALIASES = [
    "C:/PROGRA~1/Bodydouble/State/credential.json",
    "C:/Program Files/BODYDO~1/State/credential.json",
    "c:/progra~1/bodydo~1/state/CREDEN~1.JSO",
    f"{STATE}/CREDEN~1.JSO",
    f"{KEY}:stream",
    f"{KEY}::$DATA",
]


@pytest.fixture
def volume() -> Volume:
    made = new_volume("ntfs 5", Clock())
    for path in ("C:/Program Files", "C:/Program Files/Bodydouble", STATE):
        made.mkdir(path)
    made.create(KEY)
    made.write(KEY, 0, b"the key")
    return made


def refused(volume: Volume, operation: AnyOperation) -> bool:
    files = SimFileSystem({"C": volume}, random.Random(1))
    try:
        asyncio.run(files.apply([operation]))
    except FileSystemError:
        return True
    return False


def operations(path: str) -> list[AnyOperation]:
    plain = Metadata()
    return [
        Write(path, 0, b"evil", 0),
        Truncate(path, 0, 0),
        CreateFile(path, Metadata(2), 0),
        SetMetadata(path, Metadata(2)),
        RemoveFile(path),
        Rename(path, "C:/mine"),
        Rename("C:/other", path),
        MakeHardLink("C:/mine", path),
        CreateFile(f"{path.rpartition('/')[0]}/new", plain, 0),
    ]


@pytest.mark.parametrize("path", ALIASES)
def test_an_alias_or_a_stream_reaches_nothing(volume: Volume, path: str) -> None:
    volume.create("C:/other")
    before = volume.stat(KEY)
    assert volume.stat("C:" + path[2:].partition(":")[0]) is not None, "programs reach it so"
    for operation in operations(path):
        if isinstance(operation, CreateFile) and operation.path.startswith(STATE) and "~" not in operation.path:
            continue  # the last of them has nothing of an alias any more
        assert refused(volume, operation), operation
    assert (volume.stat(KEY), volume.read(KEY)) == (before, b"the key")

    async def looks() -> None:
        files = SimFileSystem({"C": volume}, random.Random(1))
        assert await files.stat(path) is None
        with pytest.raises(FileSystemError, match="not_found"):
            await files.read(path, 0, 10)
        if "~" in (directory := path.rpartition("/")[0]):
            with pytest.raises(FileSystemError, match="not_found"):
                await files.list_directory(directory)

    asyncio.run(looks())


def test_a_port_that_takes_aliases_for_names_lets_them_through(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail."""
    monkeypatch.setattr(SimFileSystem, "_exact", lambda _self, path: path)
    assert not refused(volume, Write(ALIASES[0], 0, b"evil", 0))
    assert volume.read(KEY).startswith(b"evil")


@pytest.mark.parametrize("path", ["C:/a~1.txt", "C:/Program Files/~x", "C:/PROGRA~2", f"{STATE}/x~y.json"])
def test_names_that_only_look_like_aliases_are_names(volume: Volume, path: str) -> None:
    assert not refused(volume, CreateFile(path, Metadata(), 0))
    assert not refused(volume, Write(path, 0, b"x", 0))
    assert volume.read(path) == b"x"
