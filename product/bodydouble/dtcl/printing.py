"""From a syntax tree back to a text that means the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble.dtcl.parsing import key_words
from bodydouble.dtcl.syntax import (
    REDACTED,
    All,
    Any,
    Assignment,
    Command,
    Comparison,
    If,
    Not,
    Secret,
    Substitution,
    Succeeds,
    Text,
    Truth,
    Variable,
)
from bodydouble.dtcl.words import spelled

if TYPE_CHECKING:
    from bodydouble.dtcl.syntax import Block, Condition, Option, Statement, Value

_PLAIN = re.compile(r"[A-Za-z0-9_:\\/*?-][A-Za-z0-9_:\\/.*?@%+-]*")


def printed(block: Block, indent: str = "", *, secrets: bool = False) -> str:
    """A block, a statement a line; tokens only with ``secrets``."""
    return "".join(_Printer(secrets).statement(each, indent) for each in block)


def words_of(command: Command) -> str:
    """One command as it is written, without tokens."""
    return _Printer(secrets=False).command(command)


class _Printer:
    """Prints.

    Args:
        secrets: tokens too.
    """

    def __init__(self, secrets: bool) -> None:
        self._secrets = secrets

    def statement(self, item: Statement, indent: str) -> str:
        if isinstance(item, Command):
            return f"{indent}{self.command(item)};\n"
        if isinstance(item, Assignment):
            return f"{indent}${item.name} = {self._value(item.value)};\n"
        if isinstance(item, If):
            branches = [f"if {self._condition(test)} {self._block(body, indent)}" for test, body in item.branches]
            if item.otherwise is not None:
                branches.append(self._block(item.otherwise, indent))
            return f"{indent}{' else '.join(branches)}\n"
        within = "" if item.within is None else f" within {self._value(item.within)}"
        return f"{indent}while {self._condition(item.condition)}{within} {self._block(item.block, indent)}\n"

    def command(self, command: Command) -> str:
        if command.name == "help":
            return " ".join(["help", *(each.text for each in command.values if isinstance(each, Text))])
        parts = [spelled(command.name), *(self._value(each) for each in command.values)]
        return " ".join([*parts, *(self._option(each) for each in command.options)])

    def _block(self, block: Block, indent: str) -> str:
        inside = "".join(self.statement(each, indent + "    ") for each in block)
        return f"{{\n{inside}{indent}}}"

    def _option(self, option: Option) -> str:
        return " ".join([spelled(option.name), *(self._value(each) for each in option.values)])

    def _value(self, value: Value) -> str:
        if isinstance(value, Text):
            return _quoted(value.text)
        if isinstance(value, Secret):
            return _quoted(value.text) if self._secrets else f'"{REDACTED}"'
        if isinstance(value, Variable):
            return ".".join([f"${value.name}", *value.fields])
        assert isinstance(value, Substitution), "there are no other values"
        return ".".join([f"[{self.command(value.command)}]", *value.fields])

    def _condition(self, condition: Condition) -> str:
        if isinstance(condition, Comparison):
            return f"{self._value(condition.left)} {condition.operator} {self._value(condition.right)}"
        if isinstance(condition, Truth):
            return self._value(condition.value)
        if isinstance(condition, Succeeds):
            return f"ok [{self.command(condition.command)}]"
        if isinstance(condition, Not):
            return f"not {self._inside(condition.condition)}"
        word = " or " if isinstance(condition, Any) else " and "
        return word.join(self._inside(each) for each in condition.conditions)

    def _inside(self, condition: Condition) -> str:
        text = self._condition(condition)
        return f"({text})" if isinstance(condition, Any | All | Not) else text


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in key_words():
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
