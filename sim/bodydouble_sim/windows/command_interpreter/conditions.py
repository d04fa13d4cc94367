"""Judging an ``if``.

Source: the help text of ``if`` as Windows 2000 prints it; numbers are compared as numbers when both sides
are all digits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble_sim.windows.command_interpreter.parser import unexpected
from bodydouble_sim.windows.commands.matching import exists

if TYPE_CHECKING:
    from bodydouble_sim.windows.command_interpreter.syntax import Test
    from bodydouble_sim.windows.shell import Shell

_NUMBER = re.compile(r"[-+]?(0[xX][0-9A-Fa-f]+|\d+)")


def extension_version(shell: Shell) -> int:
    """What ``cmdextversion`` compares with: 1 came with NT 4.0, 2 with Windows 2000; 0 without extensions."""
    return 0 if not shell.extensions else 1 if shell.system.version.is_nt4 else 2


def judge(shell: Shell, test: Test, defined: bool) -> bool:
    """Whether a test holds; ``defined`` says whether its left side names a variable.

    Raises:
        BatchSyntaxError: ``errorlevel`` and ``cmdextversion`` need a number.
    """
    if test.kind == "exist":
        holds = exists(shell, test.left)
    elif test.kind == "defined":
        holds = defined
    elif test.kind in ("errorlevel", "cmdextversion"):
        if not re.fullmatch(r"[-+]?\d+", test.left):
            raise unexpected(test.left)
        actual = shell.errorlevel if test.kind == "errorlevel" else extension_version(shell)
        holds = actual >= int(test.left[:12])
    else:
        holds = _compare(test)
    return holds != test.negated


def _compare(test: Test) -> bool:
    left, right = test.left, test.right
    if test.ignore_case:
        left, right = left.upper(), right.upper()
    if test.kind == "==":
        return left == right
    sign = _sign(left, right)
    return {
        "equ": sign == 0,
        "neq": sign != 0,
        "lss": sign < 0,
        "leq": sign <= 0,
        "gtr": sign > 0,
        "geq": sign >= 0,
    }[test.kind]


def _sign(left: str, right: str) -> int:
    if _NUMBER.fullmatch(left) and _NUMBER.fullmatch(right):
        first, second = _value(left), _value(right)
        return (first > second) - (first < second)
    return (left > right) - (left < right)


def _value(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")[:20]
    base = 16 if digits[:2].lower() == "0x" else 8 if digits.startswith("0") and re.fullmatch("[0-7]+", digits) else 10
    return sign * int(digits, base)
