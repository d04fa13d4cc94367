"""What a parsed line is: commands, and what combines them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Operator = Literal["&", "&&", "||", "|"]
Comparison = Literal["==", "equ", "neq", "lss", "leq", "gtr", "geq"]


@dataclass(frozen=True, slots=True)
class Redirection:
    """``handle`` reads from or writes to ``target`` (a path, or ``&n``: where handle n goes)."""

    handle: int
    kind: Literal["<", ">", ">>"]
    target: str


@dataclass(frozen=True, slots=True)
class Simple:
    """A command with its arguments as written, escapes already taken away."""

    text: str
    redirections: tuple[Redirection, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Commands in parentheses."""

    body: tuple[Node, ...]
    redirections: tuple[Redirection, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """Two commands and the operator between them."""

    operator: Operator
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Test:
    """What an ``if`` asks: ``errorlevel``, ``exist``, ``defined``, ``cmdextversion``, or a comparison."""

    __test__ = False  # not a test case, whatever its name suggests to pytest

    kind: str
    left: str
    right: str = ""
    negated: bool = False
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class If:
    """A condition and its two branches."""

    test: Test
    then: Node
    otherwise: Node | None = None


@dataclass(frozen=True, slots=True)
class For:
    """A loop: ``kind`` is the switch (``""``, ``d``, ``r``, ``l``, ``f``), ``option`` what stands after it."""

    kind: str
    option: str
    variable: str
    items: str
    body: Node
    source: str


@dataclass(frozen=True, slots=True)
class Quiet:
    """A command that is not shown before it runs."""

    body: Node


Node = Simple | Block | Chain | If | For | Quiet
