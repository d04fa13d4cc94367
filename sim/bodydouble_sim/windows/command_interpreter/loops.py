"""What a ``for`` goes through: files, directories, trees, numbers, and the lines of files, texts and commands.

Source: the help text of ``for`` as Windows 2000 prints it (``usebackq`` came with it; the rest is in NT 4.0's:
Tim Hill, "Windows NT Shell Scripting").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.windows.command_interpreter.arguments import batch_arguments
from bodydouble_sim.windows.command_interpreter.limits import LINE_LIMIT, READ_LIMIT, BatchSyntaxError
from bodydouble_sim.windows.command_interpreter.parser import unexpected
from bodydouble_sim.windows.command_interpreter.streams import decoded, lines_of
from bodydouble_sim.windows.commands.matching import has_wildcard, matches, name_of, tree
from bodydouble_sim.windows.shell import windows_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bodydouble_sim.windows.shell import Shell

Bindings = dict[str, str]
_OPTION = re.compile(r"(eol)=(.?)|(skip)=(\d+)|(usebackq)|(tokens)=([\d,*x-]+)|(delims)=(.*)", re.IGNORECASE)
_MOST_TOKENS = 32


def files(shell: Shell, items: str, variable: str, *, directories: bool) -> Iterator[Bindings]:
    """The words of a list; a word with a wildcard stands for the files (``/d``: directories) that it names."""
    for word in batch_arguments(items):
        if not has_wildcard(word):
            yield {variable: word}
            continue
        plain = word.replace('"', "")
        place = plain[: max(plain.rfind("\\"), plain.rfind("/"), plain.rfind(":")) + 1]
        for entry in matches(shell, plain):
            if entry.directory == directories:
                yield {variable: place + name_of(entry)}


def below(shell: Shell, root: str, items: str, variable: str) -> Iterator[Bindings]:
    """``/r``: the list once in each directory of a tree."""
    start = shell.path(root.replace('"', "") or ".")
    for directory in tree(shell, start):
        for word in batch_arguments(items):
            plain = word.replace('"', "")
            shown = windows_path(directory).rstrip("\\")
            if not has_wildcard(plain):
                yield {variable: f"{shown}\\{plain}"}
                continue
            for entry in matches(shell, f"{directory}/{plain}"):
                if not entry.directory:
                    yield {variable: f"{shown}\\{name_of(entry)}"}


def numbers(items: str, variable: str) -> Iterator[Bindings]:
    """``/l``: from the first number by the second to the third; a step of 0 never ends."""
    values = [_integer(word) for word in batch_arguments(items)]
    start, step, end = (*values, 0, 0, 0)[:3]
    value = start
    while value <= end if step >= 0 else value >= end:
        yield {variable: str(value)}
        value += step


def _integer(text: str) -> int:
    match = re.match(r"\s*([-+]?\d{1,9})", text)
    return int(match[1]) if match else 0


@dataclass(frozen=True, slots=True)
class LineOptions:
    """How ``/f`` cuts lines into tokens."""

    skip: int = 0
    end_of_line: str = ";"
    delimiters: str = " \t"
    tokens: tuple[int, ...] = (1,)
    rest: bool = False
    backquotes: bool = False


def line_options(text: str, *, windows_2000: bool) -> LineOptions:
    """Read ``"eol=; skip=1 tokens=1,2* delims=,"``.

    Raises:
        BatchSyntaxError: there is no such option (``usebackq`` on NT 4.0).
    """
    text = text.strip('"')
    values: dict[str, str] = {}
    at = 0
    while text[at:].strip():
        match = _OPTION.match(text, at)
        if match is None or (match[5] and not windows_2000):
            if text[at] in " \t,;":
                at += 1
                continue
            raise unexpected(f'"{text[at:].strip()}"')
        found = [group for group in match.groups() if group is not None]
        values[found[0].lower()] = found[1] if len(found) > 1 else ""
        at = match.end()
    tokens, rest = _token_list(values.get("tokens", "1"))
    return LineOptions(
        int(values.get("skip", "0")[:9]),
        values.get("eol", ";"),
        values.get("delims", " \t"),
        tokens,
        rest,
        "usebackq" in values,
    )


def _token_list(text: str) -> tuple[tuple[int, ...], bool]:
    chosen: list[int] = []
    rest = text.endswith("*")
    for part in text.rstrip("*").split(","):
        match = re.fullmatch(r"(\d{1,2})(?:-(\d{1,2}))?", part)
        if match is None:
            if part:
                raise unexpected(f'"tokens={text}"')
            continue
        chosen.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    if any(not 1 <= number <= _MOST_TOKENS - 1 for number in chosen):
        raise unexpected(f'"tokens={text}"')
    return tuple(dict.fromkeys(sorted(chosen))), rest


def source_of(items: str, options: LineOptions) -> tuple[str, str]:
    """What the lines come from: ``file``, ``text`` or ``command``, and its text."""
    quotes = {"'": "text", "`": "command"} if options.backquotes else {'"': "text", "'": "command"}
    first = items[:1]
    if first in quotes and len(items) > 1 and items.endswith(first):
        return quotes[first], items[1:-1]
    return "file", items


def lines_of_files(shell: Shell, items: str) -> list[str]:
    """All lines of the files of a set.

    Raises:
        FileSystemError: one of them cannot be read.
    """
    found: list[str] = []
    for word in batch_arguments(items):
        path = shell.path(word)
        entry = shell.system.files.stat(path)
        if entry is None or entry.directory:
            raise FileSystemError("not_found", word.replace('"', ""))
        found.extend(lines_of(decoded(shell.system.files.read(entry.path, 0, READ_LIMIT))))
    return found


def bound(lines: list[str], options: LineOptions, variable: str) -> Iterator[Bindings]:
    """The variables of each line that is neither empty nor a comment."""
    for line in lines[options.skip :]:
        text = line[:LINE_LIMIT]
        if not text.strip("\r") or (options.end_of_line and text.startswith(options.end_of_line)):
            continue
        values = _tokens(text, options)
        if values is not None:
            names = [chr(ord(variable) + index) for index in range(len(values))]
            yield dict(zip(names, values, strict=True))


def _tokens(line: str, options: LineOptions) -> list[str] | None:
    highest = options.tokens[-1] if options.tokens else 0
    found: list[str] = []
    at = 0
    while len(found) < highest:
        at = _skipped(line, at, options.delimiters)
        end = at
        while end < len(line) and line[end] not in options.delimiters:
            end += 1
        found.append(line[at:end])
        at = end
    values = [found[number - 1] for number in options.tokens]
    if options.rest:
        values.append(line[_skipped(line, at, options.delimiters) :])
    return values if any(values) else None


def _skipped(line: str, at: int, delimiters: str) -> int:
    while at < len(line) and line[at] in delimiters:
        at += 1
    return at


def merged(outer: Mapping[str, str], inner: Bindings) -> dict[str, str]:
    """The variables inside a loop: its own hide those of the loops around it."""
    return {**outer, **inner}


def missing_file(error: FileSystemError) -> str:
    """What ``for /f`` says about a file that is not there."""
    return f"The system cannot find the file {error.path}."


__all__ = [
    "BatchSyntaxError",
    "Bindings",
    "below",
    "bound",
    "files",
    "line_options",
    "lines_of_files",
    "merged",
    "missing_file",
    "numbers",
    "source_of",
]
