"""One command of a remote shell: its output as it comes, its input, its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble_sim.windows.command_interpreter.interpreter import Interpreter
from bodydouble_sim.windows.command_interpreter.streams import Input, lines_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.shell import Shell
    from bodydouble_sim.windows.system import WindowsSystem

INPUT_LIMIT = 64 * 1024
INPUT_GRACE = 1.0
"""Seconds for which a command waits for input before it begins, unless its output is asked for first.

The interpreter reads what has been prepared and never waits at a prompt, so input has to be there when it begins.
"""
CONTROL_C_EXIT = 0xC000013A
NO_POWERSHELL = "The lab's door: {} {} has no PowerShell. Run a command (run_cmd), not a script (run_ps).\r\n"
_POWERSHELL = ("powershell", "powershell.exe", "pwsh", "pwsh.exe")


@dataclass(frozen=True, slots=True)
class Output:
    """What one Receive gets: pieces of output by handle (1 or 2), and the exit code once there is nothing more."""

    pieces: list[tuple[int, bytes]]
    exit_code: int | None


class RunningCommand:
    """A command line in an interpreter of its own.

    Args:
        system: the machine.
        shell: the interpreter, in its directory and with its variables.
        line: what to run, as ``cmd /c`` gets it.
        encoding: of the console's code page.
        ended: called when it has ended.
    """

    def __init__(
        self, system: WindowsSystem, shell: Shell, line: str, encoding: str, ended: Callable[[], None]
    ) -> None:
        self._system = system
        self._shell = shell
        self._line = line
        self._encoding = encoding
        self._ended = ended
        self._input = ""
        self._pending: list[tuple[int, bytes]] = []
        self._exit_code: int | None = None
        self._begin = asyncio.Event()
        self._news = asyncio.Event()
        shell.console.listener = self._wrote
        self._task = system.spawn(self._run(), "winrm command")
        self._task.add_done_callback(self._finished)

    # --- its run ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        await self._await_input()
        self._exit_code = await self._interpret()

    def _finished(self, _task: asyncio.Task[None]) -> None:
        """It has ended, or was ended, perhaps before it began."""
        if self._exit_code is None:
            self._exit_code = CONTROL_C_EXIT
        self._news.set()
        self._ended()

    async def _await_input(self) -> None:
        try:
            async with asyncio.timeout(INPUT_GRACE):
                await self._begin.wait()
        except TimeoutError:
            self._begin.set()
        answers = Input(lines_of(self._input), interactive=True)
        self._shell.handles = (answers, *self._shell.handles[1:])

    async def _interpret(self) -> int:
        word = self._line.split(maxsplit=1)[0].lower() if self._line.strip() else ""
        if word in _POWERSHELL:
            code = await Interpreter(self._shell).run_line(word)  # cmd.exe's own words for a program that is not there
            version = self._system.version
            self._wrote(2, NO_POWERSHELL.format(version.title, version.number))
            return code
        return await Interpreter(self._shell, f"cmd /c {self._line}").run_line(self._line)

    def _wrote(self, handle: int, text: str) -> None:
        self._pending.append((handle, text.encode(self._encoding, "replace")))
        self._news.set()

    # --- its client -------------------------------------------------------------------------------------------------

    def send(self, data: bytes, *, end: bool) -> bool:
        """Take input; False when the command has begun, its input has ended, or it is too much."""
        if self._begin.is_set() or len(self._input) + len(data) > INPUT_LIMIT:
            return False
        self._input += data.decode(self._encoding, "replace")
        if end:
            self._begin.set()
        return True

    async def receive(self, limit: int, wait: float) -> Output | None:
        """The next output, at most ``limit`` bytes of it; None when none has come after ``wait`` seconds."""
        self._begin.set()
        if not self._pending and not self._task.done():
            self._news.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                return None
        pieces = self._take(limit)
        return Output(pieces, None if self._pending or not self._task.done() else self._exit_code)

    def _take(self, limit: int) -> list[tuple[int, bytes]]:
        taken: list[tuple[int, bytes]] = []
        while self._pending and limit > 0:
            handle, data = self._pending.pop(0)
            if len(data) > limit:
                self._pending.insert(0, (handle, data[limit:]))
            if taken and taken[-1][0] == handle:
                taken[-1] = (handle, taken[-1][1] + data[:limit])
            else:
                taken.append((handle, data[:limit]))
            limit -= len(data[:limit])
        return taken

    def interrupt(self) -> None:
        """End it, as Control-C does; what it has written can still be received."""
        self._task.cancel()
