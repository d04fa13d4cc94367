"""Patterns for newsgroups (RFC 2980, 3.3; RFC 3977, 4): ``comp.*,!comp.test`` - the last part that fits decides."""

from __future__ import annotations

from fnmatch import fnmatchcase

_MOST_PARTS = 32


def matches(name: str, pattern: str) -> bool:
    """Whether a group's name fits a pattern of ``*``, ``?``, commas and ``!``; both in lower case."""
    fits = False
    for part in pattern.split(",")[:_MOST_PARTS]:
        if _fits(name, part.removeprefix("!")):
            fits = not part.startswith("!")
    return fits


def _fits(name: str, part: str) -> bool:
    while "**" in part:
        part = part.replace("**", "*")
    return fnmatchcase(name, part.replace("[", "[[]"))
