"""The drives of a simulated machine: mounted and checked at its start, formatted, labelled, and replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError, InputError
from bodydouble_sim.errors import MachineStateError
from bodydouble_sim.storage.disk import Disk
from bodydouble_sim.storage.drive import LABEL, built, formatted, mounted
from bodydouble_sim.storage.unformatted import UnformattedVolume

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from bodydouble_sim.machine import Machine
    from bodydouble_sim.storage.drive import Drive, FileSystemName
    from bodydouble_sim.storage.ntfs import Release
    from bodydouble_sim.storage.volume import Volume
    from bodydouble_sim.windows.version import WindowsVersion

NTFS_5_SERVICE_PACK = 4
"""The service pack from which on NT 4.0 mounts NTFS 5 (KB 184299)."""
_SYSTEM = "C"


class MachineDrives:
    """Volumes by drive letter, and what can be done to a whole drive (``format``, ``chkdsk`` and ``label``).

    Args:
        machine: whose they are.
        clock: nanoseconds since 1970 UTC.
        version: its release of Windows.
        service_pack: its service pack.
        drives: what it is built with; there must be a C.

    Attributes:
        volumes: `bodydouble_sim.storage.unformatted.UnformattedVolume` where there is no file system that this Windows
            knows.
        hooks: called with the drive letter when another volume is behind it.

    Raises:
        InputError: a drive is too large for its file system.
    """

    def __init__(
        self,
        machine: Machine,
        clock: Callable[[], int],
        version: WindowsVersion,
        service_pack: int,
        drives: Mapping[str, Drive],
    ) -> None:
        self.hooks: list[Callable[[str], None]] = []
        self._machine = machine
        self._clock = clock
        self._version = version
        self._release: Release = 4 if version.is_nt4 else 5
        self._reads_newer = version.is_nt4 and service_pack >= NTFS_5_SERVICE_PACK
        self.volumes: dict[str, Volume] = {
            letter.upper(): built(letter.upper(), clock, drive, self._release) for letter, drive in drives.items()
        }

    # --- start and end of a run of the machine ----------------------------------------------------------------------

    def mount(self) -> dict[str, tuple[str, ...]]:
        """What Windows finds on the disks at its start; what it repaired there, line by line, by drive letter."""
        repaired: dict[str, tuple[str, ...]] = {}
        for letter, volume in list(self.volumes.items()):
            known = self._version.file_systems
            found = mounted(volume, self._clock, known, self._release, reads_newer=self._reads_newer)
            if found is not volume:
                self._put(letter, found)
            if not found.disk.failing and (lines := found.check()):
                repaired[letter] = lines
        return repaired

    def flush(self) -> None:
        """Everything in the caches of disks that answer is durable."""
        for volume in self.volumes.values():
            if not volume.disk.failing:
                volume.flush()

    def went_down_in_good_order(self) -> None:
        """The power went off after a `flush`: there is nothing to check where the disk could be trusted."""
        for volume in self.volumes.values():
            volume.needs_check = volume.disk.failing or volume.disk.lying
            volume.filter_memory = None

    def lose_power(self, stream: random.Random) -> int:
        """The power went; the number of sectors whose un-flushed bytes did not survive."""
        return sum(volume.power_loss(stream) for volume in self.volumes.values())

    def _put(self, letter: str, volume: Volume) -> None:
        self.volumes[letter] = volume
        for hook in self.hooks:
            hook(letter)

    # --- what an operator does to a drive -------------------------------------------------------------------------

    def replace(self, letter: str, capacity: int | None = None) -> None:
        """Put a new, unformatted disk in the place of a drive's.

        Args:
            letter: the drive.
            capacity: bytes of the new disk; as many as the old one has when None.

        Raises:
            MachineStateError: there is no such drive, the power is on, or it is the system's own: a machine without
                Windows is not modelled.
        """
        volume = self._volume(letter)
        if letter.upper() == _SYSTEM:
            raise MachineStateError(
                f"{self._machine.name}: Windows is on drive C:, and setting it up anew is not modelled"
            )
        if self._machine.powered:
            raise MachineStateError(f"{self._machine.name}: turn the power off before a disk is replaced")
        disk = Disk(volume.capacity if capacity is None else capacity)
        self._put(letter.upper(), UnformattedVolume(letter.upper(), self._clock, disk))

    def format(self, letter: str, file_system: FileSystemName = "ntfs", label: str = "") -> None:
        """Make an empty volume of a drive, as ``format D: /fs:ntfs /v:label`` does.

        Raises:
            MachineStateError: there is no such drive, or it is the one that Windows runs from.
            InputError: this Windows does not know the file system, or it does not fit the disk or the label.
            FileSystemError: ``io``: the disk does not answer.
        """
        volume = self._volume(letter)
        if letter.upper() == _SYSTEM:
            raise MachineStateError(f"{self._machine.name}: Windows runs from drive C:")
        if file_system not in self._version.file_systems:
            raise InputError(f"The type of the file system is not known: {file_system.upper()}.")
        if volume.disk.failing:
            raise FileSystemError("io", f"{letter.upper()}:", "the disk does not answer")
        made = formatted(letter.upper(), self._clock, volume.disk, file_system, label=label, release=self._release)
        self._put(letter.upper(), made)

    def check(self, letter: str) -> tuple[str, ...]:
        """Repair a drive's file system, as ``chkdsk /f`` does; what was done, line by line.

        Raises:
            MachineStateError: there is no such drive.
            FileSystemError: ``io``: the disk does not answer.
        """
        volume = self._volume(letter)
        if volume.disk.failing:
            raise FileSystemError("io", f"{letter.upper()}:", "the disk does not answer")
        return volume.check()

    def set_label(self, letter: str, label: str) -> None:
        """Name a volume.

        Raises:
            MachineStateError: there is no such drive.
            InputError: the name is too long for the file system.
        """
        volume = self._volume(letter)
        if len(label) > LABEL.get(volume.file_system or "", 0):
            raise InputError(f"The volume label is not valid: {label}")
        volume.label = label

    def _volume(self, letter: str) -> Volume:
        volume = self.volumes.get(letter.upper())
        if volume is None:
            raise MachineStateError(f"{self._machine.name} has no drive {letter.upper()}:")
        return volume
