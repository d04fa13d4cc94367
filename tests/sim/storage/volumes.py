"""What the tests of volumes share: a clock, one volume of each kind, an error's code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble.errors import FileSystemError
from bodydouble_sim.storage.disk import Disk
from bodydouble_sim.storage.fat import FatVolume
from bodydouble_sim.storage.ntfs import NtfsVolume

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.storage.volume import Volume

START_NS = 1_038_819_600_000_000_000
KINDS = ("ntfs 4", "ntfs 5", "fat32", "fat16")
CAPACITY = 1024**3


class Clock:
    """A calendar that tests turn by hand; a nanosecond passes at each look."""

    def __init__(self) -> None:
        self.now = START_NS

    def __call__(self) -> int:
        self.now += 1
        return self.now


def new_volume(kind: str, clock: Callable[[], int], capacity: int = CAPACITY) -> Volume:
    """An empty volume C: of a kind."""
    disk = Disk(capacity)
    if kind == "fat32":
        return FatVolume("C", clock, disk, kind="fat32")
    if kind == "fat16":
        return FatVolume("C", clock, disk, kind="fat16")
    return NtfsVolume("C", clock, disk, release=5 if kind == "ntfs 5" else 4)


def fails(code: str, call: Callable[[], object]) -> None:
    with pytest.raises(FileSystemError) as caught:
        call()
    assert caught.value.code == code


def put(volume: Volume, path: str, data: bytes) -> None:
    volume.create(path)
    volume.write(path, 0, data)
