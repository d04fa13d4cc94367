"""The processes that a host's init starts, and its duty as pid 1 to reap every orphan."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

STOP_TIMEOUT = 20.0
"""Seconds that a service may take to end in order before it is killed, as Windows does at shutdown."""


class ProcessTable:
    """Children of this process by pid. SIGCHLD must lead to `reap`."""

    def __init__(self) -> None:
        """Begin with no children."""
        self._ends: dict[int, asyncio.Future[int]] = {}

    def start(self, arguments: list[str], log: Path) -> Process:
        """Start a program; standard output and error are appended to ``log``, standard input is empty.

        Its end is noted on this process's standard output under the log's name.

        Raises:
            OSError: there is no such program.
        """
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        pid = os.posix_spawn(arguments[0], arguments, os.environ, file_actions=actions, setpgroup=0)
        end = self._ends[pid] = asyncio.get_running_loop().create_future()
        end.add_done_callback(lambda ended: _note(f"{log.stem} ({pid}) ended with status {ended.result()}"))
        return Process(pid, end)

    def reap(self) -> None:
        """Collect every child that has ended, own ones and orphans handed down."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (end := self._ends.pop(pid, None)) is not None:
                end.set_result(os.waitstatus_to_exitcode(status))


def _note(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Process:
    """One running child."""

    def __init__(self, pid: int, end: asyncio.Future[int]) -> None:
        """Wrap a child; ``end`` gets its exit status."""
        self.pid = pid
        self._end = end

    @property
    def ended(self) -> int | None:
        """Exit status (negative: the signal that ended it), None while it runs."""
        return self._end.result() if self._end.done() else None

    async def stop(self) -> int:
        """End it in order with SIGTERM, after `STOP_TIMEOUT` seconds by SIGKILL; returns the exit status."""
        self._send(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                return await asyncio.shield(self._end)
        except TimeoutError:
            self._send(signal.SIGKILL)
            return await self._end

    def _send(self, number: signal.Signals) -> None:
        if not self._end.done():
            os.kill(self.pid, number)
