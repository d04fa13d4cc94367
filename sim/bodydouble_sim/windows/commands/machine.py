"""What commands ask of the machine beside files' bytes: attributes, short names, volumes, the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.windows.files import HostFiles
    from bodydouble_sim.windows.system import WindowsSystem

READ_ONLY, HIDDEN, SYSTEM, ARCHIVE = 1, 2, 4, 32
_REPARSE_POINT = 0x400


def attributes(files: HostFiles, entry: Entry) -> int:
    """The attribute bits of a file or directory."""
    return files.attributes(entry.path)


def attribute_letters(files: HostFiles, entry: Entry) -> str:
    """``%~a``: nine places, ``d`` for a directory, ``r``, ``a``, ``h``, ``s``."""
    bits = attributes(files, entry)
    letters = ["d" if entry.directory else "-"]
    letters += [letter if bits & bit else "-" for letter, bit in zip("rahs", (1, 32, 2, 4), strict=True)]
    return "".join(letters) + "----"


def set_attributes(files: HostFiles, path: str, bits: int) -> None:
    """Change the attribute bits that commands may change.

    Raises:
        FileSystemError: ``not_found``.
    """
    files.set_attributes(path, bits & (READ_ONLY | HIDDEN | SYSTEM | ARCHIVE))


def set_times(files: HostFiles, path: str, mtime_ns: int) -> None:
    """Set the time of the last write.

    Raises:
        FileSystemError: ``not_found``.
    """
    files.set_times(path, mtime_ns)


def short_name(files: HostFiles, path: str) -> str:
    """The 8.3 alias of the last component; the name itself where it is one."""
    return files.short_name(path)


def short_path(files: HostFiles, path: str) -> str:
    """A path (product form) with every component's 8.3 alias, in Windows form."""
    parts = path.split("/")
    shown = [parts[0]]
    shown += [short_name(files, "/".join(parts[: index + 1])) for index in range(1, len(parts))]
    return "\\".join(shown) if len(shown) > 1 else parts[0] + "\\"


def is_link(files: HostFiles, path: str) -> bool:
    """Whether a directory is a junction: loops and deletions do not follow it."""
    return bool(files.attributes(path) & _REPARSE_POINT)


def moment(system: WindowsSystem, time_ns: int) -> datetime:
    """A time in the machine's zone."""
    zone = system.local_time().tzinfo or UTC
    return datetime.fromtimestamp(time_ns // 10**9, zone).replace(microsecond=time_ns % 10**9 // 1000)


def local_time(system: WindowsSystem) -> datetime:
    """Now, in the machine's zone."""
    return system.local_time()
