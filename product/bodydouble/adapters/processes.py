"""Running a command to its end: its output bounded, its whole process group killed at the time-out."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Most output that is kept, in bytes.
MOST_OUTPUT = 64 * 1024
#: How long to wait for the pipe's end after the command ended: a background child may hold it open for ever.
_DRAIN_SECONDS = 0.5
_TIMED_OUT = -1


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended; a negative ``exit_code`` is the signal that ended it."""

    exit_code: int
    output: str
    timed_out: bool


class _Output(asyncio.Protocol):
    """Keeps the first bytes and lets the rest go by, so that a chatty command is neither blocked nor kept whole."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.kept += data[: MOST_OUTPUT - len(self.kept)]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.ended.done():
            self.ended.set_result(None)


async def run(
    command: Sequence[str],
    *,
    timeout: float,  # noqa: ASYNC109 - a time-out is a result here
    environment: Mapping[str, str] | None = None,
) -> Completed:
    """Run a command in a session of its own, standard input empty, working directory ``/``.

    Children that it leaves running when it ends by itself are left alone: starting servers is what such commands do.
    """
    reading, writing = os.pipe()
    loop = asyncio.get_running_loop()
    pipe, output = await loop.connect_read_pipe(_Output, os.fdopen(reading, "rb", 0))
    try:
        try:
            process = await _start(command, writing, environment)
        finally:
            os.close(writing)
        timed_out = await _until_ended(process, timeout)
        await asyncio.wait({output.ended}, timeout=_DRAIN_SECONDS)
    finally:
        pipe.close()
    code = process.returncode if process.returncode is not None else _TIMED_OUT
    return Completed(code, bytes(output.kept).decode(errors="replace"), timed_out)


async def _start(
    command: Sequence[str], output: int, environment: Mapping[str, str] | None
) -> asyncio.subprocess.Process:
    # Through /bin/sh, which lies outside every filtered root: the fork holds this thread until the child's exec, and
    # an exec of a program beneath the filter would wait for this very thread to serve it.
    return await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        'exec "$@"',
        "sh",
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={**os.environ, **(environment or {})},
        cwd="/",
        start_new_session=True,
    )


async def _until_ended(process: asyncio.subprocess.Process, seconds: float) -> bool:
    """Wait for the end, killing the process group after ``seconds`` or on cancellation; whether it timed out."""
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        _kill_group(process)
        await process.wait()
        return True
    except asyncio.CancelledError:
        _kill_group(process)
        await process.wait()
        raise
    return False


def _kill_group(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
