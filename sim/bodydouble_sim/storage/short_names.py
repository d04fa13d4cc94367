"""8.3 aliases: the second name that a file with a long one gets.

Source: KB 142982 (invalid characters and spaces go, only the last dot stays, six characters and ``~1``, an extension of
three, upper case). From the fifth clash on, two characters and a checksum of the long name, as T. Galvin measured and
published it ("Windows 8.3 file names", 2015: ``SomeStuff.aspx`` is ``SOBC84~1.ASP``); NT 4.0's checksum is not
published, so that both versions use this one here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

_SHORT = re.compile(r"[A-Za-z0-9!#$%&'()\-@^_`{}~\x80-\xff]{1,8}(\.[A-Za-z0-9!#$%&'()\-@^_`{}~\x80-\xff]{1,3})?\Z")
_REPLACED = re.compile(r"[+,;=\[\]]")
_DROPPED = re.compile(r"[^A-Z0-9!#$%&'()\-@^_`{}~]")
_PLAIN = 4
"""Aliases that only count up, before the checksum is used."""


@lru_cache(maxsize=4096)
def is_short(name: str) -> bool:
    """Whether a name is its own alias; case does not matter to NTFS and FAT here, which keep it."""
    return _SHORT.match(name) is not None


def alias(name: str, taken: Container[str]) -> str:
    """The alias of a long name in a directory.

    Args:
        name: the long name.
        taken: names and aliases of the directory, in upper case.
    """
    stem, extension = _parts(name)
    for number in range(1, _PLAIN + 1):
        if (found := f"{stem[:6]}~{number}{extension}") not in taken:
            return found
    hashed = f"{stem[:2]}{checksum(name):04X}"
    number = 1
    while (found := f"{hashed[: 7 - len(str(number))]}~{number}{extension}") in taken:
        number += 1
    return found


@lru_cache(maxsize=4096)
def _parts(name: str) -> tuple[str, str]:
    name = name.rstrip(". ").lstrip(".")
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = name, ""
    stem, extension = (_DROPPED.sub("", _REPLACED.sub("_", part.upper())) for part in (stem, extension))
    return stem, f".{extension[:3]}" if extension else ""


def checksum(name: str) -> int:
    """Sixteen bits of a long name."""
    total = 0
    for letter in name:
        total = (total * 0x25 + ord(letter)) & 0xFFFF
    signed = total * 314159269 & 0xFFFFFFFF
    value = min(signed, (1 << 32) - signed)
    value = value - (value * 1152921497 >> 60) * 1000000007 & 0xFFFF
    nibbles = [value >> shift & 0xF for shift in (0, 4, 8, 12)]
    return nibbles[0] << 12 | nibbles[1] << 8 | nibbles[2] << 4 | nibbles[3]
