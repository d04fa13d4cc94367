"""An outage as somebody sees it who knows nothing of the product: curl asks for a page, tcpdump hears the wire."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

EVERY = 0.1
"""Seconds from one request to the next, whether or not that was answered: how exactly an outage's end is seen."""
PATIENCE = 1.0
"""Seconds after which curl gives a request up."""
_HEARD = re.compile(
    r"^(?P<at>[0-9.]+) .*(who-has (?P<asked>\S+) (\(\S+\) )?tell (?P<asker>[^\s,]+)|Reply (?P<told>\S+) is-at)"
)


class OutageError(Exception):
    """No answer came at all."""


async def until_served(url: str, body: bytes, limit: float) -> float:
    """Wait until curl gets exactly ``body`` from ``url``; the instant at which it had it, on `time.monotonic`.

    Raises:
        OutageError: not within ``limit`` seconds.
    """
    served: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def ask() -> None:
        command = ("curl", "--silent", "--fail", "--max-time", str(PATIENCE), url)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        answer, _ = await process.communicate()
        if process.returncode == 0 and answer == body and not served.done():
            served.set_result(time.monotonic())

    asking: set[asyncio.Task[None]] = set()
    try:
        async with asyncio.timeout(limit):
            while not served.done():
                task = asyncio.create_task(ask())
                asking.add(task)
                task.add_done_callback(asking.discard)
                await asyncio.wait([served], timeout=EVERY)
            return served.result()
    except TimeoutError:
        raise OutageError(f"{url} was not served within {limit:g} s") from None
    finally:
        await asyncio.gather(*asking)


class Announcements:
    """The gratuitous ARPs for one address that tcpdump hears on an interface while this is entered."""

    def __init__(self, interface: str, address: str) -> None:
        self._command = ("tcpdump", "-l", "-n", "-tt", "-i", interface, "arp", "and", "host", address)
        self._address = address
        self._heard: list[float] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*self._command, stdout=pipe, stderr=pipe)
        assert self._process.stderr is not None
        while b"listening on" not in (line := await self._process.stderr.readline()):
            if not line:
                raise OutageError("tcpdump ended before it listened")
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.terminate()
        await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := (await self._process.stdout.readline()).decode("ascii", "replace"):
            at = gratuitous(line, self._address)
            if at is not None:
                self._heard.append(at)

    def since(self, instant: float) -> list[float]:
        """When they were heard, on `time.time`, from ``instant`` on."""
        return [at for at in self._heard if at >= instant]


def gratuitous(line: str, address: str) -> float | None:
    """When a line of tcpdump says that somebody announced ``address`` as its own; None for every other line."""
    found = _HEARD.match(line)
    if found is None:
        return None
    own = found["asked"] == found["asker"] == address or found["told"] == address
    return float(found["at"]) if own else None
