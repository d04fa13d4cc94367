"""``find``, ``findstr``, ``sort``, ``more`` and ``fc``: what stands behind a pipe.

Source: their help texts on Windows 2000. ``find`` and ``findstr`` return 1 when nothing was found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.windows.command_interpreter.limits import READ_LIMIT
from bodydouble_sim.windows.command_interpreter.streams import decoded, lines_of
from bodydouble_sim.windows.commands.findstr_pattern import Pattern
from bodydouble_sim.windows.commands.matching import matches, name_of
from bodydouble_sim.windows.shell import windows_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.shell import Shell

_SYNTAX = 2


def _lines(shell: Shell, path: str) -> list[str]:
    return lines_of(decoded(shell.system.files.read(path, 0, READ_LIMIT)))


def _words(arguments: list[str]) -> tuple[list[str], list[str]]:
    switches = [word.lower() for word in arguments if word.startswith("/") and len(word) > 1]
    return [word for word in arguments if not (word.startswith("/") and len(word) > 1)], switches


async def find(shell: Shell, arguments: list[str]) -> int:
    """``find [/v] [/c] [/n] [/i] "string" [file ...]``."""
    words, switches = _words(arguments)
    if not words:
        shell.error("FIND: Parameter format not correct")
        return _SYNTAX
    text, names = words[0], words[1:]
    fold: Callable[[str], str] = str.upper if "/i" in switches else str
    total = 0
    for title, lines in _sources(shell, names):
        if title:
            shell.write(f"\r\n---------- {title}" + ("" if "/c" in switches else "\r\n"))
        found = [
            (number, line)
            for number, line in enumerate(lines, 1)
            if (bool(text) and fold(text) in fold(line)) != ("/v" in switches)
        ]
        total += len(found)
        if "/c" in switches:
            shell.line(f": {len(found)}" if title else str(len(found)))
            continue
        for number, line in found:
            shell.line(f"[{number}]{line}" if "/n" in switches else line)
    return 0 if total else 1


def _sources(shell: Shell, names: list[str]) -> list[tuple[str, list[str]]]:
    if not names:
        return [("", shell.handles[0].rest())]
    found: list[tuple[str, list[str]]] = []
    for name in names:
        entries = [entry for entry in matches(shell, name) if not entry.directory]
        if not entries:
            shell.error(f"File not found - {name.upper()}")
        found.extend((name.upper(), _lines(shell, entry.path)) for entry in entries)
    return found


async def findstr(shell: Shell, arguments: list[str]) -> int:
    """``findstr [/b] [/e] [/l] [/r] [/s] [/i] [/x] [/v] [/n] [/m] [/c:string] strings [file ...]``."""
    patterns = [word[3:] for word in arguments if word.lower().startswith("/c:")]
    words, switches = _words([word for word in arguments if not word.lower().startswith("/c:")])
    letters = set("".join(switch[1:] for switch in switches))
    if not patterns:
        if not words:
            shell.error("FINDSTR: Bad command line")
            return _SYNTAX
        patterns = words.pop(0).split()
        literal = "l" in letters
    else:
        literal = "r" not in letters
    rules = [_rule(pattern, letters, literal=literal) for pattern in patterns]
    status = 1
    for title, lines in _findstr_sources(shell, words):
        for number, line in enumerate(lines, 1):
            if any(rule.search(line) for rule in rules) == ("v" in letters):
                continue
            status = 0
            if "m" in letters:
                shell.line(title)
                break
            shell.line((f"{title}:" if title else "") + (f"{number}:" if "n" in letters else "") + line)
    return status


def _findstr_sources(shell: Shell, names: list[str]) -> list[tuple[str, list[str]]]:
    if not names:
        return [("", shell.handles[0].rest())]
    found: list[tuple[str, list[str]]] = []
    many = len(names) > 1 or any(re.search(r"[*?]", name) for name in names)
    for name in names:
        entries = [entry for entry in matches(shell, name) if not entry.directory]
        if not entries:
            shell.error(f"FINDSTR: Cannot open {name}")
        found.extend((name_of(entry) if many else "", _lines(shell, entry.path)) for entry in entries)
    return found


def _rule(pattern: str, letters: set[str], *, literal: bool) -> Pattern:
    begins, ends = bool(letters & {"b", "x"}), bool(letters & {"e", "x"})
    return Pattern(pattern, ignore_case="i" in letters, literal=literal, begins=begins, ends=ends)


async def sort(shell: Shell, arguments: list[str]) -> int:
    """``sort [/r] [/+n] [file]``: case does not count."""
    words, switches = _words(arguments)
    if words:
        entry = shell.system.files.stat(shell.path(words[0]))
        if entry is None or entry.directory:
            shell.error("The system cannot find the file specified.")
            return 1
        lines = _lines(shell, entry.path)
    else:
        lines = shell.handles[0].rest()
    column = next((int(found[1]) - 1 for switch in switches if (found := re.fullmatch(r"/\+(\d{1,5})", switch))), 0)
    for line in sorted(lines, key=lambda line: line[max(column, 0) :].upper(), reverse="/r" in switches):
        shell.line(line)
    return 0


async def more(shell: Shell, arguments: list[str]) -> int:
    """``more [file ...]``: where there is no screen it does not wait."""
    words, _ = _words(arguments)
    if not words:
        for line in shell.handles[0].rest():
            shell.line(line)
        return 0
    for word in words:
        entry = shell.system.files.stat(shell.path(word))
        if entry is None or entry.directory:
            shell.error(f"Cannot access file {windows_path(shell.path(word))}")
            return 1
        for line in _lines(shell, entry.path):
            shell.line(line)
    return 0


async def fc(shell: Shell, arguments: list[str]) -> int:
    """``fc first second``: 1 when the files differ, 2 when one cannot be read; it says that they differ, not where."""
    words, switches = _words(arguments)
    if len(words) != 2:  # noqa: PLR2004 - two files
        shell.error("FC: Insufficient number of file specifications")
        return 2
    first, second = (windows_path(shell.path(word)) for word in words)
    shell.line(f"Comparing files {first} and {second}")
    contents = []
    for word in words:
        try:
            contents.append(shell.system.files.read(shell.path(word)))
        except FileSystemError:
            shell.error(f"FC: cannot open {windows_path(shell.path(word))} - No such file or folder")
            return 2
    if "/b" not in switches:
        contents = [data.replace(b"\r\n", b"\n") for data in contents]
    if contents[0] == contents[1]:
        shell.line("FC: no differences encountered\r\n")
        return 0
    shell.line("FC: the files differ\r\n")
    return 1
