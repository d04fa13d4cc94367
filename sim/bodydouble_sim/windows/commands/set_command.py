"""``set``: showing, setting, computing and asking for variables.

Source: its help text on Windows 2000; ``/p`` came with 2000 (this model's reading: NT 4.0's help text lists ``/a``
alone), where NT 4.0 takes ``/p NAME`` for a variable's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows.command_interpreter.arithmetic import ArithmeticFailure, evaluate, missing_operand
from bodydouble_sim.windows.command_interpreter.limits import LINE_LIMIT, SYNTAX_TEXT

if TYPE_CHECKING:
    from bodydouble_sim.windows.shell import Shell

_LONGEST_ANSWER = 1021


def set_variable(shell: Shell, rest: str) -> int:
    """The ``set`` command."""
    text = rest.lstrip(" \t,;=")
    switch = text[:2].lower()
    if switch == "/a":
        return _compute(shell, text[2:])
    if switch == "/p" and not shell.system.version.is_nt4:
        return _prompt(shell, text[2:].lstrip())
    text = _unquoted(text)
    name, equals, value = text.partition("=")
    if not equals:
        return _show(shell, text.strip())
    if not name:
        shell.error(SYNTAX_TEXT)
        return 1
    _assign(shell, name, value)
    return 0


def _unquoted(text: str) -> str:
    """``set "name=value"``: the last quote ends the value."""
    if text.startswith('"'):
        last = text.rfind('"')
        return text[1:last] if last > 0 else text[1:]
    return text


def _assign(shell: Shell, name: str, value: str) -> None:
    if value:
        shell.environment[name] = value[:LINE_LIMIT]
    else:
        shell.environment.pop(name, None)


def _show(shell: Shell, prefix: str) -> int:
    found = shell.environment.listing(prefix)
    for line in found:
        shell.line(line)
    if found or not prefix:
        return 0
    shell.error(f"Environment variable {prefix} not defined")
    return 1


def _compute(shell: Shell, text: str) -> int:
    try:
        if not text.strip():
            raise missing_operand()
        value = evaluate(text, shell.environment)
    except ArithmeticFailure as failure:
        shell.error(str(failure))
        return failure.number
    if shell.base is None:
        shell.write(str(value))  # in a batch file it says nothing
    return 0


def _prompt(shell: Shell, text: str) -> int:
    name, equals, question = _unquoted(text).partition("=")
    if not equals or not name:
        shell.error(SYNTAX_TEXT)
        return 1
    answer = shell.ask(_unquoted(question.lstrip()) if question.lstrip().startswith('"') else question)
    if not answer:
        return 1
    _assign(shell, name, answer[:_LONGEST_ANSWER])
    return 0
