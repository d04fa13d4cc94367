"""``chkdsk``, ``format`` and ``label``.

Source: their help texts on Windows 2000. They work on drives that the machine can check, format and name: a simulated
one; the live body's drives are directories of another system, which has no such thing, so there they refuse.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from bodydouble_sim.windows.commands import volumes

if TYPE_CHECKING:
    from bodydouble_sim.storage.drive import FileSystemName
    from bodydouble_sim.windows.shell import Shell

_NAMES = {"ntfs": "NTFS", "fat32": "FAT32", "fat16": "FAT"}
_LABEL = re.compile(r"[^*?/\\|.,;:+=\[\]()&^<>\"]{0,32}")
_NOT_READ_WRITE = 3
_FILE_SYSTEMS: dict[str, FileSystemName] = {"ntfs": "ntfs", "fat": "fat16", "fat32": "fat32"}


class Disks(Protocol):
    """What the machine can do to a whole drive (``system.disks``, where there is such)."""

    def check(self, letter: str) -> tuple[str, ...]:
        """Repair the file system; what was done, line by line."""

    def format(self, letter: str, file_system: FileSystemName, label: str) -> None:
        """Make a new, empty file system; all contents are gone."""

    def set_label(self, letter: str, label: str) -> None:
        """Name the volume."""


def _disks(shell: Shell) -> Disks | None:
    return shell.system.disks


def _drive(shell: Shell, arguments: list[str]) -> str:
    for word in arguments:
        if re.fullmatch(r"[A-Za-z]:", word):
            return word[0].upper()
    return shell.directory[0] if not [word for word in arguments if not word.startswith("/")] else ""


async def chkdsk(shell: Shell, arguments: list[str]) -> int:
    """``chkdsk [drive:] [/f] [/r]``: without ``/f`` it only reads."""
    letter = _drive(shell, arguments)
    if not letter or letter not in shell.system.files.drives():
        shell.error("The drive, the path, or the file name is not valid.")
        return _NOT_READ_WRITE
    volume = volumes.information(shell, letter)
    if volume.file_system is None:
        shell.error("The type of the file system is RAW.\r\nCHKDSK is not available for RAW drives.")
        return _NOT_READ_WRITE
    switches = {word.lower() for word in arguments if word.startswith("/")}
    shell.line(f"The type of the file system is {_NAMES[volume.file_system]}.")
    disks = _disks(shell)
    fixing = bool(switches & {"/f", "/r"})
    if fixing and letter == "C":
        return _at_next_boot(shell)
    if not fixing:
        shell.line("\r\nWARNING!  F parameter not specified.\r\nRunning CHKDSK in read-only mode.\r\n")
    elif disks is None:
        shell.error("Cannot open volume for direct access.")
        return _NOT_READ_WRITE
    else:
        for line in disks.check(letter):
            shell.line(line)
    shell.line(f"{volume.capacity // 1024:10d} KB total disk space.")
    shell.line(f"{volume.free // 1024:10d} KB available on disk.")
    return 0


def _at_next_boot(shell: Shell) -> int:
    shell.line("Cannot lock current drive.\r\n")
    shell.line("Chkdsk cannot run because the volume is in use by another")
    answer = shell.ask(
        "process.  Would you like to schedule this volume to be\r\nchecked the next time the system restarts? (Y/N) "
    )
    if (answer or "n").strip()[:1].lower() == "y":
        shell.line("This volume will be checked the next time the system restarts.")
        return 0
    return _NOT_READ_WRITE


async def format_drive(shell: Shell, arguments: list[str]) -> int:
    """``format drive: [/fs:ntfs|fat|fat32] [/v:label] [/q] [/y]``."""
    letter = _drive(shell, arguments[:1]) if arguments else ""
    if not letter:
        shell.error("Required parameter missing -")
        return 1
    options = {word[1:].partition(":")[0].lower(): word.partition(":")[2] for word in arguments if word.startswith("/")}
    kind = _FILE_SYSTEMS.get(options.get("fs", "fat").lower())
    if letter not in shell.system.files.drives():
        shell.error("The specified drive does not exist.")
        return 1
    if kind is None or kind not in shell.system.version.file_systems:
        shell.error("The specified file system is not supported." if kind is None else "Invalid file system.")
        return 1
    disks = _disks(shell)
    if letter == "C" or disks is None:
        shell.error("Format cannot run because the volume is in use by another process.\r\nCannot lock the drive.")
        return 4
    shell.line(
        f"The type of the file system is {_NAMES.get(volumes.information(shell, letter).file_system or '', 'RAW')}."
    )
    if "y" not in options:
        shell.line("\r\nWARNING, ALL DATA ON NON-REMOVABLE DISK")
        answer = shell.ask(f"DRIVE {letter}: WILL BE LOST!\r\nProceed with Format (Y/N)? ")
        if (answer or "n").strip()[:1].lower() != "y":
            return 5
    disks.format(letter, kind, options.get("v", ""))
    shell.line("Format complete.")
    shell.line(f"{volumes.information(shell, letter).capacity // 1024:10d} KB total disk space.")
    return 0


async def label(shell: Shell, arguments: list[str]) -> int:
    """``label [drive:][label]``."""
    text = " ".join(arguments)
    match = re.match(r"([A-Za-z]):\s*", text)
    letter = match[1].upper() if match else shell.directory[0]
    name = text[match.end() :] if match else text
    if letter not in shell.system.files.drives():
        shell.error("The specified drive does not exist.")
        return 1
    disks = _disks(shell)
    if not name:
        volumes.show_label(shell, letter)
        name = shell.ask("Volume label (32 characters, ENTER for none)? ") or ""
        if not name:
            return 0
    if not _LABEL.fullmatch(name):
        shell.error("Invalid characters in volume label")
        return 1
    if disks is None:
        shell.error("Access denied. You do not have sufficient privileges.")
        return 1
    disks.set_label(letter, name)
    return 0
