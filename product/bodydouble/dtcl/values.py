"""Values of a running script: what variables hold, how they are compared, and what a command may read out of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.dtcl.words import CHOICES, spelled
from bodydouble.errors import BodydoubleError, InputError, PathError
from bodydouble.vocabulary.paths import normalise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bodydouble.dtcl.syntax import Command, Place

_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?", re.IGNORECASE)
_SPANS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kmg]i?b|b)?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_MAX_SECONDS = 10 * 365.25 * 86_400
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class UnfitValueError(BodydoubleError):
    """A value is not what a command needs.

    Attributes:
        place: where it is written.
    """

    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(reason)
        self.place = place


def text_of(data: object) -> str:
    """A value as text: what JSON has for true, false and numbers, nothing for none, a list's length for a list."""
    if data is None:
        return ""
    if isinstance(data, bool):
        return "true" if data else "false"
    if isinstance(data, float):
        return f"{data:g}"
    if isinstance(data, list):
        return str(len(data))
    return str(data)


def is_true(data: object) -> bool:
    """A value as a condition."""
    return text_of(data).lower() not in ("", "0", "false", "none")


def compare(left: object, sign: str, right: object) -> bool:
    """Two values: as numbers where both are some, else as texts, in which case counts."""
    here, there = text_of(left), text_of(right)
    if _NUMBER.fullmatch(here) and _NUMBER.fullmatch(there):
        order = (float(here) > float(there)) - (float(here) < float(there))
    else:
        order = (here > there) - (here < there)
    holds = {"==": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}
    return holds[sign]


def field_of(data: object, fields: Sequence[str], place: Place) -> object:
    """A field, its field, and so on; a number picks one of a list, ``count`` says how many it has.

    Raises:
        UnfitValueError: there is none of that name; says which there are.
    """
    for name in fields:
        if isinstance(data, list):
            data = _item(data, name, place)
        elif isinstance(data, dict) and name in data:
            data = data[name]
        else:
            has = f"; it has {', '.join(data)}" if isinstance(data, dict) else ", it is a single value"
            raise UnfitValueError(place, f"no field {name!r}{has}")
    return data


def _item(data: list[object], name: str, place: Place) -> object:
    if name == "count":
        return len(data)
    if name.isdecimal() and int(name) < len(data):
        return data[int(name)]
    last = f"0 to {len(data) - 1}, or " if data else ""
    raise UnfitValueError(place, f"no item {name!r}: expected {last}count")


@dataclass(frozen=True, slots=True)
class Given:
    """A value and where it is written."""

    data: object
    place: Place

    def text(self) -> str:
        """As text.

        Raises:
            UnfitValueError: it is a record or nothing.
        """
        text = "" if isinstance(self.data, dict | list) else text_of(self.data)
        if not text:
            raise UnfitValueError(self.place, "expected a text, found a record, a list or nothing")
        return text

    def seconds(self) -> float:
        """As a time: seconds, or a number with ms, s, m, h or d.

        Raises:
            UnfitValueError: it is none.
        """
        found = _SPAN.fullmatch(self.text())
        seconds = -1.0 if found is None else float(found[1]) * _SPANS[(found[2] or "").lower()]
        if not 0 <= seconds <= _MAX_SECONDS:
            raise UnfitValueError(self.place, f"{self.text()!r} is no time: expected a number and s, m, h or d, as 30s")
        return seconds

    def size(self) -> int:
        """As a size: bytes, or a number with kB, MB, GB, KiB, MiB or GiB.

        Raises:
            UnfitValueError: it is none.
        """
        found = _SIZE.fullmatch(self.text())
        if found is None:
            raise UnfitValueError(
                self.place, f"{self.text()!r} is no size: expected a number and kB, MB or GB, as 10MB"
            )
        return int(float(found[1]) * _UNITS[(found[2] or "").lower()])

    def number(self, least: int = 0, most: int = 2**53) -> int:
        """As a whole number.

        Raises:
            UnfitValueError: it is none, or out of range.
        """
        text = self.text()
        if not text.isdecimal() or not text.isascii() or not least <= int(text) <= most:
            raise UnfitValueError(self.place, f"{text!r} does not fit: expected a number from {least} to {most}")
        return int(text)

    def path(self) -> str:
        """As an absolute path of either platform, in product form.

        Raises:
            UnfitValueError: it is none.
        """
        try:
            return normalise(self.text())
        except PathError as error:
            raise UnfitValueError(self.place, str(error)) from error


@dataclass(frozen=True, slots=True)
class Call:
    """A command whose values are known."""

    command: Command
    values: Sequence[Given]
    options: Mapping[str, Sequence[Sequence[Given]]]

    def value(self, position: int = 0) -> Given | None:
        """One of its own values, None when it is not said."""
        return self.values[position] if position < len(self.values) else None

    def needed(self, position: int = 0) -> Given:
        """One that the grammar requires."""
        return self.values[position]

    def option(self, name: str) -> Given | None:
        """The first value of an option, None when it is not said."""
        found = self.options.get(name)
        return found[0][0] if found else None

    def has(self, name: str) -> bool:
        """Whether an option is said."""
        return name in self.options

    def choice(self, option: str, default: str = "") -> str:
        """A word that is one of several; ``option`` empty: the command's first value.

        Raises:
            UnfitValueError: it is none of them.
        """
        given = self.option(option) if option else self.needed()
        if given is None:
            return default
        known, word = CHOICES[self.command.name, option], given.text().lower()
        if word not in known:
            raise UnfitValueError(given.place, f"{word!r} does not fit: expected {', '.join(known)}")
        return word

    def of_this(self, given: Given | None, known: str, what: str) -> str:
        """What is named, or else what is in use.

        Raises:
            InputError: neither.
        """
        if given is not None:
            return given.text()
        if not known:
            raise InputError(f"no {what} is in use: name one after {spelled(self.command.name)!r}")
        return known
