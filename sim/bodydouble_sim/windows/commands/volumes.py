"""What commands show of a drive: its label, its serial number, what is free.

Source: the two lines above every listing of ``dir`` and ``vol``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.windows.files import VolumeInformation

if TYPE_CHECKING:
    from bodydouble_sim.windows.shell import Shell

UNRECOGNISED = (
    "The volume does not contain a recognized file system.\r\n"
    "Please make sure that all required file system drivers are loaded and that the\r\n"
    "volume is not corrupted."
)


def serial_text(serial: int) -> str:
    """``1A2B-3C4D``."""
    return f"{serial >> 16 & 0xFFFF:04X}-{serial & 0xFFFF:04X}"


def information(shell: Shell, letter: str) -> VolumeInformation:
    """What a drive is; nothing is free on one that cannot be asked."""
    try:
        return shell.system.files.volume(f"{letter}:")
    except FileSystemError:
        return VolumeInformation(None, "", 0, 0, 0)


def show_label(shell: Shell, letter: str) -> int:
    """Print a drive's label and serial number; 1, with the reason, when it has no file system."""
    try:
        volume = shell.system.files.volume(f"{letter}:")
    except FileSystemError as error:
        missing = error.code == "not_found"
        shell.error("The system cannot find the path specified." if missing else "The device is not ready.")
        return 1
    if volume.file_system is None:
        shell.error(UNRECOGNISED)
        return 1
    named = f"is {volume.label}" if volume.label else "has no label."
    shell.line(f" Volume in drive {letter.upper()} {named}")
    shell.line(f" Volume Serial Number is {serial_text(volume.serial)}")
    return 0
