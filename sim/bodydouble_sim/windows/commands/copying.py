"""``copy``, ``move`` and ``ren``.

Source: their help texts on Windows 2000. ``copy`` asks before it overwrites, but not in a batch file; on NT 4.0, whose
help text has no ``/y``, it never asks. A copy keeps the time of its original and gets the archive attribute.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.windows.command_interpreter.arguments import names_and_switches
from bodydouble_sim.windows.command_interpreter.limits import SYNTAX_TEXT
from bodydouble_sim.windows.command_interpreter.redirecting import is_device
from bodydouble_sim.windows.command_interpreter.streams import encoded
from bodydouble_sim.windows.commands import machine
from bodydouble_sim.windows.commands.matching import NOT_FOUND, has_wildcard, matches, message, name_of
from bodydouble_sim.windows.shell import windows_path

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.windows.shell import Shell

ONTO_ITSELF = "The file cannot be copied onto itself."


def copy_file(shell: Shell, source: Entry, target: str) -> None:
    """Copy bytes, time and attributes.

    Raises:
        FileSystemError: a volume refused.
    """
    files = shell.system.files
    data = files.read(source.path)
    files.create(target)
    if data:
        files.write(target, 0, data)
    machine.set_attributes(files, target, machine.attributes(files, source) & ~machine.READ_ONLY | machine.ARCHIVE)
    machine.set_times(files, target, source.mtime_ns)
    if machine.attributes(files, source) & machine.READ_ONLY:
        machine.set_attributes(files, target, machine.attributes(files, source) | machine.ARCHIVE)


class Overwriting:
    """Whether files may be overwritten: asked once a file, until the answer is All."""

    def __init__(self, shell: Shell, switches: list[str]) -> None:
        asks = shell.base is None and not shell.system.version.is_nt4
        if "/y" in switches or "/y" in shell.environment.get("COPYCMD", "").lower():
            asks = False
        self._asks = asks or "/-y" in switches
        self._shell = shell

    def allowed(self, path: str) -> bool:
        """Ask when there is a file at ``path``; the end of input is no."""
        if not self._asks or self._shell.system.files.stat(path) is None:
            return True
        answer = (self._shell.ask(f"Overwrite {windows_path(path)}? (Yes/No/All): ") or "n").strip()[:1].lower()
        self._asks = answer != "a"
        return answer in ("a", "y")


def copy(shell: Shell, rest: str) -> int:
    """``copy source[+source...] [target]``."""
    joined = re.sub(r"\s*\+\s*", "+", rest)
    names, switches = names_and_switches(joined)
    if not names or len(names) > 2:  # noqa: PLR2004 - source and target
        shell.error(SYNTAX_TEXT)
        return 1
    target = names[1] if len(names) > 1 else "."
    if "+" in names[0]:
        return _joined(shell, names[0].split("+"), names[1] if len(names) > 1 else names[0].split("+")[0])
    if is_device(names[0]):
        return _from_console(shell, names[0], target)
    return _copy(shell, names[0], target, Overwriting(shell, switches))


def _copied(shell: Shell, count: int) -> int:
    shell.line(f"        {count} file(s) copied.")
    return 0 if count else 1


def _from_console(shell: Shell, device: str, target: str) -> int:
    lines: list[str] = []
    while device.upper() == "CON" and (line := shell.handles[0].line()) is not None and "\x1a" not in line:
        lines.append(line)
    if not is_device(target):
        shell.system.write_file(shell.path(target), encoded("".join(f"{line}\r\n" for line in lines)))
    return _copied(shell, 1)


def _joined(shell: Shell, names: list[str], target: str) -> int:
    data = b""
    count = 0
    for name in names:
        for source in matches(shell, name):
            if not source.directory:
                shell.line(name_of(source))
                data += shell.system.files.read(source.path)
                shell.budget.spend(len(data))
                count += 1
    if not count:
        shell.error(NOT_FOUND)
        return _copied(shell, 0)
    path = shell.path(target)
    entry = shell.system.files.stat(path)
    if entry is not None and entry.directory:
        path = f"{entry.path}/{names[0].replace('/', chr(92)).rpartition(chr(92))[2]}"
    shell.system.write_file(path, data)
    return _copied(shell, 1)


def _copy(shell: Shell, name: str, target: str, overwriting: Overwriting) -> int:
    entry = shell.system.files.stat(shell.path(name))
    many = has_wildcard(name) or (entry is not None and entry.directory)
    pattern = f"{name}\\*" if entry is not None and entry.directory else name
    found = [each for each in matches(shell, pattern) if not each.directory]
    if not found:
        if many:
            shell.line(pattern)
        shell.error(NOT_FOUND)
        return _copied(shell, 0) if many else 1
    count = 0
    for source in found:
        if many:
            shell.line(name_of(source))
        try:
            count += _copy_one(shell, source, target, overwriting)
        except FileSystemError as error:
            shell.error(message(error, shell))
    return _copied(shell, count)


def _copy_one(shell: Shell, source: Entry, target: str, overwriting: Overwriting) -> int:
    if is_device(target):
        if target.upper() == "CON":
            shell.write(shell.system.files.read(source.path).decode("utf-8", "replace"))
        return 1
    path = destination(shell, source, target)
    if path.upper() == source.path.upper():
        shell.error(ONTO_ITSELF)
        return 0
    if not overwriting.allowed(path):
        return 0
    copy_file(shell, source, path)
    return 1


def destination(shell: Shell, source: Entry, target: str) -> str:
    """Where a file goes: into a directory under its own name, or to the name that a pattern makes of it."""
    entry = shell.system.files.stat(shell.path(target))
    if entry is not None and entry.directory:
        return f"{entry.path}/{name_of(source)}"
    path = shell.path(target)
    directory, _, pattern = path.rpartition("/")
    return f"{directory}/{renamed(name_of(source), pattern)}"


def renamed(name: str, pattern: str) -> str:
    """A name after a pattern: ``*`` keeps what is left of stem or suffix, ``?`` one character."""
    if not has_wildcard(pattern):
        return pattern
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    left, pattern_dot, right = pattern.rpartition(".")
    if not pattern_dot:
        return _filled(name, pattern)
    shown = _filled(suffix, right)
    return _filled(stem, left) + (f".{shown}" if shown else "")


def _filled(text: str, pattern: str) -> str:
    made = ""
    for character in pattern:
        if character == "*":
            return made + text[len(made) :]
        made += text[len(made) : len(made) + 1] if character == "?" else character
    return made


def move(shell: Shell, rest: str) -> int:
    """``move [/y] source [target]``."""
    names, switches = names_and_switches(rest)
    if not names or len(names) > 2:  # noqa: PLR2004 - source and target
        shell.error(SYNTAX_TEXT)
        return 1
    target = names[1] if len(names) > 1 else "."
    found = matches(shell, names[0])
    if not found:
        shell.error(NOT_FOUND)
        return 1
    overwriting = Overwriting(shell, switches)
    kinds = {entry.directory for entry in found}
    count = sum(_move_one(shell, entry, target, overwriting) for entry in found)
    shell.line(f"        {count} {'dir' if kinds == {True} else 'file'}(s) moved.")
    return 0 if count == len(found) else 1


def _move_one(shell: Shell, source: Entry, target: str, overwriting: Overwriting) -> int:
    path = destination(shell, source, target)
    try:
        if not overwriting.allowed(path):
            return 0
        if path[:1] == source.path[:1]:
            shell.system.files.rename(source.path, path)
        elif source.directory:
            raise FileSystemError("denied", path)  # noqa: TRY301 - said as any refusal is
        else:
            copy_file(shell, source, path)
            shell.system.files.remove(source.path)
    except FileSystemError as error:
        shell.error(message(error, shell))
        return 0
    return 1


def ren(shell: Shell, rest: str) -> int:
    """``ren name newname``: the new name has no path; patterns rename many."""
    names, _ = names_and_switches(rest)
    if len(names) != 2 or re.search(r"[\\/:]", names[1]):  # noqa: PLR2004 - old and new name
        shell.error(SYNTAX_TEXT)
        return 1
    found = matches(shell, names[0])
    if not found:
        shell.error(NOT_FOUND)
        return 1
    status = 0
    for entry in found:
        new = f"{entry.path.rpartition('/')[0]}/{renamed(name_of(entry), names[1])}"
        there = shell.system.files.stat(new)
        if there is not None and there.path.upper() != entry.path.upper():
            shell.error("A duplicate file name exists, or the file")
            shell.error("cannot be found.")
            status = 1
            continue
        shell.system.files.rename(entry.path, new)
    return status
