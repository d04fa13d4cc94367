"""``set /a``: 32-bit integers, C's operators, variables by bare name.

Source: the help text of ``set`` as Windows 2000 prints it: ``()``, ``! ~ -``, ``* / %``, ``+ -``, ``<< >>``, ``&``,
``^``, ``|``, assignments and ``,`` in falling precedence; decimal, ``0x`` and octal numbers; a name that is not set
counts 0.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble_sim.windows.command_interpreter.limits import NESTING

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

_TOKEN = re.compile(r"\s*(0[xX][0-9A-Fa-f]+|\d\w*|[A-Za-z_@$#][\w@$#.]*|<<=|>>=|<<|>>|[-+*/%&^|]=|[-+*/%&^|~!()=,])")
_ASSIGNMENTS = {"=", "*=", "/=", "%=", "+=", "-=", "&=", "^=", "|=", "<<=", ">>="}
_LEVELS = (("|",), ("^",), ("&",), ("<<", ">>"), ("+", "-"), ("*", "/", "%"))
_BITS = 32


class ArithmeticFailure(Exception):  # noqa: N818 - its text is what cmd.exe prints
    """An expression that cannot be computed.

    Attributes:
        number: what the command leaves as errorlevel.
    """

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)
        self.number = number


def missing_operand() -> ArithmeticFailure:
    """The failure for an operator that lacks its operand."""
    return ArithmeticFailure("Missing operand.", 1073750988)


def evaluate(text: str, variables: MutableMapping[str, str]) -> int:
    """The value of the last of the comma-separated expressions; assignments change ``variables``.

    Raises:
        ArithmeticFailure: cmd.exe would refuse it.
    """
    return _Expression(text.replace('"', ""), variables).value()


def wrapped(value: int) -> int:
    """``value`` as a signed 32-bit integer."""
    value &= (1 << _BITS) - 1
    return value - (1 << _BITS) if value >> (_BITS - 1) else value


class _Expression:
    def __init__(self, text: str, variables: MutableMapping[str, str]) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._variables = variables
        self._depth = 0

    def value(self) -> int:
        value = self._assignment()
        while self._peek() == ",":
            self._at += 1
            value = self._assignment()
        if self._peek():
            raise ArithmeticFailure("Missing operator.", 1073750989)
        return value

    def _peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else ""

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > NESTING:
            raise ArithmeticFailure("Unbalanced parenthesis.", 1073750990)

    def _assignment(self) -> int:
        name = self._peek()
        operator = self._peek(1)
        if not _is_name(name) or operator not in _ASSIGNMENTS:
            return self._binary(0)
        self._deeper()
        self._at += 2
        value = self._assignment()
        self._depth -= 1
        if operator != "=":
            value = _computed(operator[:-1], self._variable(name), value)
        self._variables[name] = str(value)
        return value

    def _binary(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._unary()
        value = self._binary(level + 1)
        while self._peek() in _LEVELS[level]:
            operator = self._peek()
            self._at += 1
            value = _computed(operator, value, self._binary(level + 1))
        return value

    def _unary(self) -> int:
        token = self._peek()
        self._at += 1
        if token in ("-", "+", "~", "!"):
            self._deeper()
            value = self._unary()
            self._depth -= 1
            return wrapped({"-": -value, "+": value, "~": ~value, "!": int(not value)}[token])
        if token == "(":  # noqa: S105 - a parenthesis
            return self._parenthesised()
        if token[:1].isdigit():
            return _number(token)
        if _is_name(token):
            return self._variable(token)
        raise missing_operand()

    def _parenthesised(self) -> int:
        self._deeper()
        value = self._assignment()
        self._depth -= 1
        if self._peek() != ")":
            raise ArithmeticFailure("Unbalanced parenthesis.", 1073750990)
        self._at += 1
        return value

    def _variable(self, name: str) -> int:
        match = re.match(r"\s*([-+]?(?:0[xX][0-9A-Fa-f]+|\d+))", self._variables.get(name, ""))
        if match is None:
            return 0
        sign = -1 if match[1].startswith("-") else 1
        try:
            return wrapped(sign * _number(match[1].lstrip("+-")))
        except ArithmeticFailure:
            return 0


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ArithmeticFailure("Missing operator.", 1073750989)
        tokens.append(match[1])
        at = match.end()
    return tokens


def _is_name(token: str) -> bool:
    return bool(re.match(r"[A-Za-z_@$#]", token))


def _number(token: str) -> int:
    base = 16 if token[:2].lower() == "0x" else 8 if token.startswith("0") and len(token) > 1 else 10
    try:
        value = int(token, base)
    except ValueError:
        text = "Invalid number.  Numeric constants are either decimal (17),\r\nhexadecimal (0x11), or octal (021)."
        raise ArithmeticFailure(text, 1073750991) from None
    if value >= 1 << _BITS:
        raise ArithmeticFailure("Invalid number.  Numbers are limited to 32-bits of precision.", 1073750992)
    return wrapped(value)


def _computed(operator: str, left: int, right: int) -> int:
    if operator in ("/", "%"):
        if right == 0:
            raise ArithmeticFailure("Divide by zero error.", 1073750993)
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return wrapped(quotient if operator == "/" else left - right * quotient)
    if operator in ("<<", ">>"):
        return _shifted(operator, left, right)
    return wrapped(_PLAIN[operator](left, right))


def _shifted(operator: str, left: int, right: int) -> int:
    if not 0 <= right < _BITS:
        return 0 if operator == "<<" or left >= 0 else -1
    return wrapped(left << right if operator == "<<" else left >> right)


_PLAIN: dict[str, Callable[[int, int], int]] = {
    "*": lambda left, right: left * right,
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "&": lambda left, right: left & right,
    "^": lambda left, right: left ^ right,
    "|": lambda left, right: left | right,
}
