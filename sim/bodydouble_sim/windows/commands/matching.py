"""Finding files by name and wildcard, and what is said when that or anything else with files fails."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.windows.commands import machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.windows.shell import Shell

NOT_FOUND = "The system cannot find the file specified."
PATH_NOT_FOUND = "The system cannot find the path specified."
SHARING = "The process cannot access the file because it is being used by another process."
_TEXTS = {
    "not_found": NOT_FOUND,
    "exists": "A duplicate file name exists, or the file cannot be found.",
    "not_empty": "The directory is not empty.",
    "no_space": "There is not enough space on the disk.",
    "denied": "Access is denied.",
    "sharing": SHARING,
    "io": "The request could not be performed because of an I/O device error.",
}
_DEEPEST = 64


def message(error: FileSystemError, shell: Shell | None = None) -> str:
    """What cmd.exe prints for a failed file call; with a shell it tells a missing file from a missing directory.

    Source: the texts of the Win32 errors 2, 3, 5, 32, 52, 112, 145 and 1117 (``net helpmsg``).
    """
    if error.code == "not_found" and shell is not None and error.path[1:2] == ":":
        parent = error.path.rpartition("/")[0]
        if parent and shell.system.files.stat(parent) is None:
            return PATH_NOT_FOUND
    return _TEXTS.get(error.code, str(error))


def name_of(entry: Entry) -> str:
    """The last component of an entry's path."""
    return entry.path.rpartition("/")[2]


def has_wildcard(text: str) -> bool:
    """Whether the last component names more than one file."""
    return bool(re.search(r"[*?]", text))


def wildcard(pattern: str) -> re.Pattern[str]:
    """The names that ``*`` and ``?`` stand for: ``*.*`` is every name, ``*.`` one without suffix.

    Source: ``?`` also stands for no character at the end of name or suffix, as on every FAT and NTFS volume.
    """
    if pattern in ("*.*", ""):
        pattern = "*"
    text = ""
    for at, character in enumerate(pattern):
        if character == "*":
            text += "" if text.endswith(".*") else ".*"
        elif character == "?":
            text += "[^.]?" if not pattern[at:].strip("?") or pattern[at:].lstrip("?").startswith(".") else "."
        else:
            text += re.escape(character)
    if pattern.endswith("*.") and pattern.count(".") == 1:
        text = text.removesuffix(r"\.").replace(".*", "[^.]*")
    return re.compile(text.removesuffix(r"\..*") + r"(\..*)?" if text.endswith(r"\..*") else text, re.IGNORECASE)


def matches(shell: Shell, pattern: str) -> list[Entry]:
    """Entries that a path with ``*`` and ``?`` in its last component names, sorted by name; 8.3 aliases count."""
    path = shell.path(pattern)
    if path.startswith("//"):
        return []
    directory, _, name = path.rpartition("/")
    files = shell.system.files
    if not has_wildcard(name):
        entry = files.stat(path)
        return [entry] if entry else []
    entry = files.stat(directory)
    if entry is None or not entry.directory:
        return []
    rule = wildcard(name)
    return [found for found in files.list(directory) if _fits(shell, rule, found)]


def _fits(shell: Shell, rule: re.Pattern[str], entry: Entry) -> bool:
    if rule.fullmatch(name_of(entry)):
        return True
    short = machine.short_name(shell.system.files, entry.path)
    return short != name_of(entry) and bool(rule.fullmatch(short))


def exists(shell: Shell, pattern: str) -> bool:
    r"""``if exist``: files and directories, wildcards, and ``directory\nul`` for a directory."""
    text = pattern.replace('"', "")
    head, _, last = text.replace("/", "\\").rpartition("\\")
    if last.upper() == "NUL":
        entry = shell.system.files.stat(shell.path(head)) if head else None
        return not head or (entry is not None and entry.directory)
    try:
        if text.endswith(("\\", "/")):
            entry = shell.system.files.stat(shell.path(text))
            return entry is not None and entry.directory
        return bool(text) and bool(matches(shell, text))
    except FileSystemError:
        return False


def tree(shell: Shell, root: str, depth: int = 0) -> Iterator[str]:
    """A directory and all beneath it, parents first."""
    entry = shell.system.files.stat(root)
    if entry is None or not entry.directory or depth > _DEEPEST:
        return
    yield entry.path
    for found in shell.system.files.list(entry.path):
        if found.directory and not machine.is_link(shell.system.files, found.path):
            yield from tree(shell, found.path, depth + 1)


def below(directory: str, name: str) -> str:
    """The path of ``name`` in a directory (``C:`` is the root)."""
    return f"{directory}/{name}"
