"""Commands inside cmd.exe: files and the screen. Each takes the rest of its line and returns its errorlevel."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from bodydouble_sim.windows.command_line import split_program_arguments
from bodydouble_sim.windows.shell import windows_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.errors import FileSystemError
    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.windows.shell import Shell

NOT_FOUND = "The system cannot find the file specified."
_MESSAGES = {
    "not_found": NOT_FOUND,
    "exists": "A duplicate file name exists, or the file cannot be found.",
    "not_empty": "The directory is not empty.",
    "no_space": "There is not enough space on the disk.",
    "denied": "Access is denied.",
    "io": "The request could not be performed because of an I/O device error.",
}


def message(error: FileSystemError) -> str:
    """What cmd.exe prints for a failed file call."""
    return _MESSAGES.get(error.code, str(error))


def matches(shell: Shell, pattern: str) -> list[Entry]:
    """Entries that a path with ``*`` and ``?`` in its last component names, sorted by name."""
    path = shell.path(pattern)
    directory, _, name = path.rpartition("/")
    if not re.search(r"[*?]", name):
        entry = shell.system.files.stat(path)
        return [entry] if entry else []
    name = "*" if name == "*.*" else name
    entry = shell.system.files.stat(directory)
    listed = shell.system.files.list(directory) if entry and entry.directory else []
    return [found for found in listed if fnmatchcase(found.path.rpartition("/")[2].upper(), name.upper())]


def arguments_of(rest: str) -> list[str]:
    """Arguments without the switches."""
    return [argument for argument in split_program_arguments(rest) if not re.fullmatch(r"/-?[A-Za-z]+", argument)]


def _echo(shell: Shell, rest: str) -> int:
    text = rest[1:] if rest[:1] in (" ", ".", "(", "\t") else rest
    if text.strip().lower() in ("on", "off") and not rest.startswith("."):
        shell.echo = text.strip().lower() == "on"
    elif not text.strip() and not rest.startswith((".", "(")):
        shell.line(f"ECHO is {'on' if shell.echo else 'off'}.")
    else:
        shell.line(text)
    return shell.errorlevel


def _set(shell: Shell, rest: str) -> int:
    name, equals, value = rest.strip().strip('"').partition("=")
    if not equals:
        found = [f"{key}={text}" for key, text in sorted(shell.environment.items()) if key.startswith(name.upper())]
        for line in found:
            shell.line(line)
        if not found:
            shell.line(f"Environment variable {name} not defined")
        return 0 if found else 1
    if value:
        shell.environment[name.upper()] = value
    else:
        shell.environment.pop(name.upper(), None)
    return shell.errorlevel


def _cd(shell: Shell, rest: str) -> int:
    names = arguments_of(rest)
    if not names:
        shell.line(windows_path(shell.directory))
        return 0
    path = shell.path(" ".join(names))
    entry = shell.system.files.stat(path)
    if entry is None or not entry.directory:
        shell.line("The system cannot find the path specified.")
        return 1
    shell.directory = entry.path
    return 0


def _md(shell: Shell, rest: str) -> int:
    for name in arguments_of(rest):
        path = shell.path(name)
        if shell.system.files.stat(path):
            shell.line(f"A subdirectory or file {name} already exists.")
            return 1
        shell.system.make_directories(path)
    return 0


def _rd(shell: Shell, rest: str) -> int:
    for name in arguments_of(rest):
        shell.system.files.rmdir(shell.path(name))
    return 0


def _del(shell: Shell, rest: str) -> int:
    for name in arguments_of(rest):
        found = [entry for entry in matches(shell, name) if not entry.directory]
        if not found:
            shell.line(f"Could Not Find {windows_path(shell.path(name))}")
        for entry in found:
            shell.system.files.remove(entry.path)
    return 0


def _copy(shell: Shell, rest: str) -> int:
    names = arguments_of(rest)
    found = [entry for entry in matches(shell, names[0]) if not entry.directory] if names else []
    if not found:
        shell.line(NOT_FOUND)
        return 1
    target = shell.path(names[1]) if len(names) > 1 else shell.directory
    into = shell.system.files.stat(target)
    for entry in found:
        name = entry.path.rpartition("/")[2]
        shell.system.write_file(
            f"{target}/{name}" if into and into.directory else target, shell.system.files.read(entry.path)
        )
    shell.line(f"{len(found):9d} file(s) copied.")
    return 0


def _ren(shell: Shell, rest: str) -> int:
    names = arguments_of(rest)
    if len(names) != 2 or "\\" in names[1] or "/" in names[1]:  # noqa: PLR2004 - old and new name
        shell.line("The syntax of the command is incorrect.")
        return 1
    path = shell.path(names[0])
    new = f"{path.rpartition('/')[0]}/{names[1]}"
    if shell.system.files.stat(new) and new.upper() != path.upper():
        shell.line("A duplicate file name exists, or the file cannot be found.")
        return 1
    shell.system.files.rename(path, new)
    return 0


def _type(shell: Shell, rest: str) -> int:
    for name in arguments_of(rest):
        entry = shell.system.files.stat(shell.path(name))
        if entry is None or entry.directory:
            shell.line(NOT_FOUND if entry is None else "Access is denied.")
            return 1
        shell.write(shell.system.files.read(entry.path).decode("utf-8", "replace"))
    return 0


def _dir(shell: Shell, rest: str) -> int:
    names = arguments_of(rest) or ["."]
    entry = shell.system.files.stat(shell.path(names[0]))
    found = matches(shell, f"{names[0]}\\*") if entry and entry.directory else matches(shell, names[0])
    if not found and not (entry and entry.directory):
        shell.line("File Not Found")
        return 1
    bare = "/b" in rest.lower().split()
    for item in found:
        name = item.path.rpartition("/")[2]
        shell.line(name if bare else _dir_line(item, name))
    if not bare:
        files = [item for item in found if not item.directory]
        shell.line(f"{len(files):16d} File(s) {sum(item.size for item in files):14,d} bytes")
    return 0


def _dir_line(entry: Entry, name: str) -> str:
    written = datetime.fromtimestamp(entry.mtime_ns // 10**9, UTC)
    what = "<DIR>         " if entry.directory else f"{entry.size:14,d}"
    return f"{written:%m/%d/%Y  %I:%M%p}    {what} {name}"


def _ver(shell: Shell, _rest: str) -> int:
    shell.line()
    shell.line("Microsoft Windows 2000 [Version 5.00.2195]")
    return 0


def _nothing(shell: Shell, _rest: str) -> int:
    return shell.errorlevel


INTERNAL: dict[str, Callable[[Shell, str], int]] = {
    "cd": _cd,
    "chdir": _cd,
    "cls": _nothing,
    "copy": _copy,
    "del": _del,
    "dir": _dir,
    "echo": _echo,
    "erase": _del,
    "md": _md,
    "mkdir": _md,
    "rd": _rd,
    "rem": _nothing,
    "ren": _ren,
    "rename": _ren,
    "rmdir": _rd,
    "set": _set,
    "title": _nothing,
    "type": _type,
    "ver": _ver,
}
