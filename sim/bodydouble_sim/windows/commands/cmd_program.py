"""``cmd``: an interpreter started by a command.

Source: the help text of ``cmd``: ``/c`` runs a line and ends, ``/v:on`` switches delayed expansion on (2000),
``/e:off`` and ``/y`` switch extensions off.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble_sim.windows.command_interpreter.interpreter import Interpreter
from bodydouble_sim.windows.command_interpreter.limits import EXECUTION_DEPTH, RECURSION_TEXT, InterpreterEnd

if TYPE_CHECKING:
    from bodydouble_sim.windows.shell import Shell


async def cmd(shell: Shell, arguments: list[str]) -> int:
    """``cmd [/q] [/v:on] [/e:off] [/c | /k line]``; without a line it runs what standard input holds."""
    child = shell.child()
    if child.nesting > EXECUTION_DEPTH:
        raise InterpreterEnd(RECURSION_TEXT, 1)
    words = list(arguments)
    run = False
    while words and (match := re.match(r"/(\w)(?::(\w+))?", words[0])) is not None:
        letter, value = match[1].lower(), (match[2] or "").lower()
        rest = words.pop(0)[match.end() :]
        if letter == "v" and not shell.system.version.is_nt4:
            child.delayed = value == "on"
        elif letter in "ey":
            child.extensions = letter == "e" and value != "off"
        elif letter in "ckr":
            words[:0] = [rest] if rest else []
            run = True
            break
    if run and words:
        line = (
            words[0] if len(words) == 1 else " ".join(f'"{word}"' if re.search(r"\s", word) else word for word in words)
        )
        return await Interpreter(child, f"cmd /c {line}").run_line(line)
    status = 0
    while (typed := child.handles[0].line()) is not None:
        status = await Interpreter(child).run_line(typed)
    return status
