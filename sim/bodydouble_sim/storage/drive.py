"""What is asked for when a machine is built with a drive, and making the volume of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bodydouble.errors import InputError
from bodydouble_sim.storage.disk import DEFAULT_CAPACITY, Disk
from bodydouble_sim.storage.fat import FatVolume
from bodydouble_sim.storage.ntfs import NtfsVolume
from bodydouble_sim.storage.unformatted import UnformattedVolume

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bodydouble_sim.storage.ntfs import Release
    from bodydouble_sim.storage.volume import Volume

FileSystemName = Literal["ntfs", "fat32", "fat16"]

_MIB, _GIB = 1024**2, 1024**3
_CLUSTERS: dict[FileSystemName, tuple[tuple[int, int], ...]] = {
    "ntfs": ((512 * _MIB, 512), (_GIB, 1024), (2 * _GIB, 2048), (1 << 62, 4096)),
    "fat32": ((8 * _GIB, 4096), (16 * _GIB, 8192), (32 * _GIB, 16384)),
    "fat16": (
        (128 * _MIB, 2048),
        (256 * _MIB, 4096),
        (512 * _MIB, 8192),
        (_GIB, 16384),
        (2 * _GIB, 32768),
        (4 * _GIB, 65536),
    ),
}
"""Cluster sizes that format chooses, by the volume's size up to and including. Source: KB 140365, KB 192322."""

LABEL = {"ntfs": 32, "fat32": 11, "fat16": 11}
"""Characters of a volume's label."""


@dataclass(frozen=True, slots=True)
class Drive:
    """A drive of a machine that is to be built.

    Attributes:
        capacity: size in bytes; 8 GiB when None, 2 GiB for FAT16.
        file_system: what it is formatted with; None leaves it unformatted.
        label: the volume's name.
        release: the NTFS that formatted it; the machine's own when None.
    """

    capacity: int | None = None
    file_system: FileSystemName | None = "ntfs"
    label: str = ""
    release: Release | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        if self.capacity is not None:
            return self.capacity
        return 2 * _GIB if self.file_system == "fat16" else DEFAULT_CAPACITY


def formatted(
    letter: str,
    clock: Callable[[], int],
    disk: Disk,
    file_system: FileSystemName,
    *,
    label: str = "",
    release: Release = 5,
) -> Volume:
    """An empty volume on a disk; whatever was on it is gone.

    Raises:
        InputError: the disk is too large for the file system, or the label too long.
    """
    cluster = next((size for most, size in _CLUSTERS[file_system] if disk.capacity <= most), None)
    if cluster is None:
        raise InputError(f"The volume is too big for {file_system.upper()}.")
    if len(label) > LABEL[file_system]:
        raise InputError(f"The volume label is not valid: {label}")
    for content in list(disk.contents.values()):
        disk.vacate(content)
    if file_system == "ntfs":
        return NtfsVolume(letter, clock, disk, release=release, cluster=cluster, label=label)
    return FatVolume(letter, clock, disk, kind=file_system, cluster=cluster, label=label)


def built(letter: str, clock: Callable[[], int], drive: Drive, release: Release) -> Volume:
    """The volume of a drive; `UnformattedVolume` when it has no file system.

    Raises:
        InputError: see `formatted`.
    """
    disk = Disk(drive.size)
    if drive.file_system is None:
        return UnformattedVolume(letter, clock, disk)
    release = drive.release or release
    return formatted(letter, clock, disk, drive.file_system, label=drive.label, release=release)


def mounted(
    volume: Volume, clock: Callable[[], int], known: Sequence[str], release: Release, *, reads_newer: bool = False
) -> Volume:
    """What a Windows makes of a volume that it finds at its start.

    Source: reference/windows-iis.md, "File systems": NT 4.0 cannot mount FAT32 (KB 214404), Windows 2000 upgrades
    NTFS 4. KB 184299: NT 4.0 needs Service Pack 4 for NTFS 5.

    Args:
        volume: what is on the disk.
        clock: nanoseconds since 1970 UTC.
        known: the file systems that this Windows knows.
        release: the NTFS that it makes.
        reads_newer: it mounts the next release of NTFS, too.
    """
    if isinstance(volume, UnformattedVolume):
        if volume.hidden is None:
            return volume
        volume = volume.hidden
    if isinstance(volume, NtfsVolume):
        if volume.release < release:
            volume.upgrade()
        recognised = volume.release <= release or reads_newer
    else:
        recognised = volume.file_system in known
    return volume if recognised else UnformattedVolume(volume.root[0], clock, volume.disk, hidden=volume)
