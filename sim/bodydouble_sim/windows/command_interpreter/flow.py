"""Commands that move the batch file itself: ``goto``, ``exit``, ``shift``, ``setlocal``, ``endlocal``, ``start``.

Source: their help texts as Windows 2000 prints them. ``goto :EOF`` and ``call :label`` are command extensions of NT 4.0
(TechRepublic, "Scripting in Windows NT, part 1"); ``exit /b`` and delayed expansion came with 2000, so on NT 4.0
``exit`` always ends the interpreter and an unknown argument of ``setlocal`` is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble_sim.windows.command_interpreter.limits import (
    SYNTAX_ERROR,
    SYNTAX_TEXT,
    BatchEnd,
    InterpreterEnd,
    Jump,
)
from bodydouble_sim.windows.command_interpreter.streams import Input, NulSink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble_sim.windows.command_interpreter.frames import Frame
    from bodydouble_sim.windows.command_interpreter.interpreter import Interpreter

_LOWEST, _HIGHEST = -(1 << 31), (1 << 31) - 1


async def run_batch(interpreter: Interpreter, frame: Frame, *, called: bool) -> int:
    """Run a batch file: one that is not called takes the place of the one that runs.

    Raises:
        BatchEnd: it has taken its place, and is done.
    """
    if called or not interpreter.frames:
        return await interpreter.run_frame(frame)
    if interpreter.shell.handles is interpreter.shell.base:
        raise interpreter.replaced(frame)
    await interpreter.run_frame(frame)
    raise BatchEnd


async def _goto(interpreter: Interpreter, rest: str) -> int:
    if not interpreter.frames:
        return 0
    match = re.match(r"[\s,;=]*(:?)\s*([^\s:+,;=|&<>]*)", rest)
    colon, label = (match[1], match[2]) if match else ("", "")
    shell = interpreter.shell
    if colon and label.upper() == "EOF" and shell.extensions:
        raise BatchEnd
    if not label:
        shell.error("No batch label specified to GOTO command.")
    elif interpreter.frames[-1].go_to(label):
        raise Jump
    else:
        shell.error(f"The system cannot find the batch label specified - {label}")
    shell.errorlevel = 1
    raise BatchEnd


async def _exit(interpreter: Interpreter, rest: str) -> int:
    if interpreter.shell.system.version.is_nt4:
        raise InterpreterEnd
    match = re.match(r"\s*(/b)?\s*(-?\d{1,11})?", rest, re.IGNORECASE)
    if match and match[2]:
        interpreter.shell.errorlevel = max(_LOWEST, min(int(match[2]), _HIGHEST))
    if match and match[1] and interpreter.frames:
        raise BatchEnd
    raise InterpreterEnd


async def _shift(interpreter: Interpreter, rest: str) -> int:
    match = re.fullmatch(r"\s*(?:/([0-8]))?\s*", rest)
    if match is None:
        interpreter.shell.error("Invalid parameter to SHIFT command")
        interpreter.shell.errorlevel = 1
        return 1
    if interpreter.frames:
        interpreter.frames[-1].shift(int(match[1] or 0))
    return 0


async def _setlocal(interpreter: Interpreter, rest: str) -> int:
    shell = interpreter.shell
    if not interpreter.frames:
        return 0
    if not shell.save():
        shell.error("Maximum setlocal recursion level reached.")
        shell.errorlevel = 1
        return 1
    words = rest.lower().split()
    known = {"enableextensions", "disableextensions"}
    if not shell.system.version.is_nt4:
        known |= {"enabledelayedexpansion", "disabledelayedexpansion"}
    for word in words:
        if word.endswith("extensions") and word in known:
            shell.extensions = word.startswith("enable")
        elif word in known:
            shell.delayed = word.startswith("enable")
    unknown = [word for word in words if word not in known]
    if words:
        shell.errorlevel = 1 if unknown else 0
    return 1 if unknown else 0


async def _endlocal(interpreter: Interpreter, _rest: str) -> int:
    if interpreter.frames and interpreter.shell.saved > interpreter.saved_before:
        interpreter.shell.restore()
    return 0


async def _start(interpreter: Interpreter, rest: str) -> int:
    """``start ["title"] [/wait] [/b] ... command``: a window of its own, whose output nobody here sees."""
    line, wait, beside = _start_options(rest)
    shell = interpreter.shell
    if line is None:
        shell.error(SYNTAX_TEXT)
        shell.errorlevel = SYNTAX_ERROR
        return SYNTAX_ERROR
    child = shell.child(shell.handles if beside else (Input(), NulSink(), NulSink()))
    child.echo = False
    if wait or beside:
        shell.errorlevel = status = await interpreter.inner(child, line)
        return status
    if line:
        shell.system.spawn(interpreter.unseen(child, line), "start")
    return 0


def _start_options(rest: str) -> tuple[str | None, bool, bool]:
    match = re.match(r'\s*(?:"[^"]*"\s*)?', rest)
    rest = rest[match.end() :] if match else rest
    wait = beside = False
    while (option := re.match(r"/(\w+)(?:\s+|$)", rest)) is not None:
        word = option[1].lower()
        if word not in ("wait", "w", "b", "min", "max", "i", "low", "normal", "high", "realtime", "separate", "shared"):
            return None, False, False
        wait, beside = wait or word in ("wait", "w"), beside or word == "b"
        rest = rest[option.end() :]
    return rest.strip(), wait, beside


FLOW: dict[str, Callable[[Interpreter, str], Awaitable[int]]] = {
    "call": _goto,  # its place in the table of names; `dispatch` runs it
    "endlocal": _endlocal,
    "exit": _exit,
    "goto": _goto,
    "setlocal": _setlocal,
    "shift": _shift,
    "start": _start,
}
