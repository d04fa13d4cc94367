"""Names of files: which are allowed, and which are the same.

Source: Microsoft's "Naming Files, Paths, and Namespaces" (characters, reserved device names, trailing dots and spaces,
MAX_PATH); reference/windows-iis.md, "File systems" (255 UTF-16 units, case kept and ignored).
"""

from __future__ import annotations

import re

MAX_NAME = 255
MAX_PATH = 260
"""Characters of a Win32 path, the terminating NUL among them."""
MAX_DIRECTORY = 248
"""The same for a directory that is made: an 8.3 name must still fit into it."""

DEVICES = frozenset(
    ["CON", "PRN", "AUX", "NUL", *(f"COM{n}" for n in range(1, 10)), *(f"LPT{n}" for n in range(1, 10))]
)

_BAD = re.compile(r'[\x00-\x1f<>:"\\|?*]')


def fold(name: str) -> str:
    """The form under which names are compared: each UTF-16 unit by itself in upper case, as NTFS's ``$UpCase`` has it.

    Letters whose upper case is longer than one unit (the German sharp s) stay as they are.
    """
    if name.isascii():
        return name.upper()
    return "".join(up if len(up := letter.upper()) == 1 else letter for letter in name)


def problem(name: str) -> str:
    """What is wrong with a component as a file system sees it, empty when nothing is.

    Trailing dots and spaces are no problem here: it is Win32 that drops them.
    """
    if not name or name in (".", ".."):
        return "no name"
    if _BAD.search(name):
        return "a character that names may not have"
    if units(name) > MAX_NAME:
        return f"longer than {MAX_NAME} characters"
    return ""


def units(name: str) -> int:
    """Length in UTF-16 units, which is what limits count."""
    return len(name) if name.isascii() else len(name.encode("utf-16-le", "surrogatepass")) // 2


def device(name: str) -> str:
    """The device that Win32 opens for a component (``nul.txt`` is ``NUL``), empty for an ordinary name."""
    stem = name.partition(".")[0].partition(":")[0].rstrip(" ").upper()
    return stem if stem in DEVICES else ""


def win32(path: str) -> str:
    """A product form path as Win32 hands it to the file system: trailing dots and spaces of components are dropped."""
    if ". " not in path and "./" not in path and " /" not in path and not path.endswith((".", " ")):
        return path
    head, *parts = path.split("/")
    return "/".join([head, *(part.rstrip(". ") if part.strip(".") else part for part in parts)])


def too_long(path: str, *, directory: bool = False) -> bool:
    """Whether a path is too long for Win32 (``directory``: to make a directory there)."""
    return units(path) >= (MAX_DIRECTORY if directory else MAX_PATH)
