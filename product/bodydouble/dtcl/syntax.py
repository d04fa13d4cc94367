"""The syntax tree of DTCL: frozen, equal when it means the same, wherever it was written.

Every command has one shape: its name, its own values in order, and its options. What each may have is the grammar's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

REDACTED = "***"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something begins in a text; both count from 1, 0 is nowhere."""

    line: int = 0
    column: int = 0


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Text:
    """A word or a text in quotes."""

    text: str
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Secret:
    """A token in the text itself: no representation shows it."""

    text: str = field(repr=False)
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Variable:
    """``$name``, or a field of what it holds: ``$name.field``."""

    name: str
    fields: tuple[str, ...] = ()
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Substitution:
    """``[command]``: what the command answers, or a field of it."""

    command: Command
    fields: tuple[str, ...] = ()
    place: Place = field(default=NOWHERE, compare=False)


Value = Text | Secret | Variable | Substitution


@dataclass(frozen=True, slots=True)
class Option:
    """What follows a command's own values: a word, and values of its own."""

    name: str
    values: tuple[Value, ...] = ()
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Command:
    """One command; ``name`` is the grammar's."""

    name: str
    values: tuple[Value, ...] = ()
    options: tuple[Option, ...] = ()
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Assignment:
    """``$name = value``."""

    name: str
    value: Value
    place: Place = field(default=NOWHERE, compare=False)


# --- conditions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left operator right``: as numbers where both are some, else as texts."""

    left: Value
    operator: str
    right: Value
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Truth:
    """A value by itself: false if it is empty, 0, false or none."""

    value: Value


@dataclass(frozen=True, slots=True)
class Succeeds:
    """``ok [command]``: whether it does not fail; why it failed is in ``$error`` then."""

    command: Command


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class All:
    """``and``, from left to right, no further than needed."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """``or``, from left to right, no further than needed."""

    conditions: tuple[Condition, ...]


Condition = Comparison | Truth | Succeeds | Not | All | Any


# --- blocks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class If:
    """The first branch whose condition holds, or else the last block."""

    branches: tuple[tuple[Condition, Block], ...]
    otherwise: Block | None = None
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class While:
    """The block again and again while the condition holds; ``within`` a time, or the script fails."""

    condition: Condition
    block: Block
    within: Value | None = None
    place: Place = field(default=NOWHERE, compare=False)


Statement = Command | Assignment | If | While
Block = tuple[Statement, ...]
