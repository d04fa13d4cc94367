"""On which line of a TOML file a key stands: tomllib reads values only."""

from __future__ import annotations

import re

Key = tuple[str | int, ...]
"""The way to a value: names of tables and keys, and numbers (from 0) in arrays."""

_PART = r"(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')"
_NAME = rf"({_PART}(?:\s*\.\s*{_PART})*)"
_HEADER = re.compile(rf"\s*(\[\[?)\s*{_NAME}\s*\]")
_ASSIGNMENT = re.compile(rf"\s*{_NAME}\s*=")


def line_of(text: str, key: Key) -> int:
    """The line, from 1, of a key in a valid TOML text; of what it is or would be in, if it has no line of its own."""
    lines = _lines(text)
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 1)


def _lines(text: str) -> dict[Key, int]:
    """The line of each key and table; one that is given on several lines counts where it is first."""
    found: dict[Key, int] = {}
    table: Key = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _parts(header[2])
            if header[1] == "[[":
                found.setdefault(table, number)
                table = (*table, sum(each[:-1] == table and isinstance(each[-1], int) for each in found if each))
            found.setdefault(table, number)
        elif assignment := _ASSIGNMENT.match(line):
            found.setdefault((*table, *_parts(assignment[1])), number)
    return found


def _parts(name: str) -> Key:
    return tuple(part.strip("\"'") for part in re.findall(_PART, name))
