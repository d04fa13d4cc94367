"""What runs on a host: the product (when installed) and the body of the system it protects, in the right order.

At boot the product comes first, because its FUSE filter lies over drive C: and must be there before IIS opens a file;
shutdown is the reverse. Installing the product on a running host therefore stops the body, starts the product and
starts the body again, as a filter driver asks for an idle volume. The hostname, which is the active computer name,
outlives that; the lab puts the services back as they were.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

from bodydouble.errors import BodydoubleError
from bodydouble.security.tls import HTTP_PROTOCOL, client_context
from bodydouble_labs.providers.netns import kernel
from bodydouble_labs.providers.netns.plan import INSIDE
from bodydouble_labs.providers.netns.processes import Process, ProcessTable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble_labs.providers.netns.plan import HostPlan

START_TIMEOUT: Final = 30.0
"""Seconds within which a service must be ready; on two busy cores both need about two."""
DAEMON: Final = "from bodydouble.cli.main import main; main()"
"""The ``bodydouble`` command under this interpreter, wherever its script is installed."""
_POLL: Final = 0.02


class StartError(BodydoubleError):
    """A service of the host did not become ready; the message names its log."""


class HostServices:
    """The host's two long-running programs."""

    def __init__(self, plan: HostPlan) -> None:
        """Take the place where the product's control API must answer, and what the body models, from the plan."""
        self._control = (plan.address.partition("/")[0], plan.control_port)
        self._system = ["--version", plan.operating_system, "--service-pack", str(plan.service_pack)]
        self._table = ProcessTable()
        self._product: Process | None = None
        self._body: Process | None = None

    def reap(self) -> None:
        """To be called at SIGCHLD: collect every child that has ended."""
        self._table.reap()

    async def boot(self) -> None:
        """Start what is installed.

        Raises:
            StartError: a program ended, or was not ready in time.
        """
        if INSIDE.config.exists():
            await self._start_product()
        await self._start_body()

    async def install_product(self) -> None:
        """Start the product beneath the running system.

        Raises:
            StartError: a program ended, or was not ready in time.
        """
        if self._body is not None:
            await self._body.stop()
        await self._start_product()
        await self._start_body()

    async def shut_down(self) -> None:
        """Stop everything in order: first the system's body, then the product, which flushes and unmounts."""
        for process in (self._body, self._product):
            if process is not None:
                await process.stop()

    async def _start_product(self) -> None:
        command = [sys.executable, "-c", DAEMON, "daemon", "--config", str(INSIDE.config)]
        self._product = self._table.start(command, INSIDE.logs / "daemon.log")
        await _until(self._product_ready, self._product, "daemon.log")

    async def _start_body(self) -> None:
        INSIDE.door.unlink(missing_ok=True)
        command = [sys.executable, "-m", "bodydouble_sim.live", "serve", "--uts", *self._system]
        places = {"--drives": INSIDE.drives, "--state": INSIDE.windows_state, "--socket": INSIDE.door}
        for option, place in places.items():
            command += [option, str(place)]
        self._body = self._table.start(command, INSIDE.logs / "windows.log")
        await _until(_body_ready, self._body, "windows.log")

    async def _product_ready(self) -> bool:
        if not kernel.is_mounted(str(INSIDE.drives / "C"), "fuse"):
            return False
        anybody = client_context(None, [HTTP_PROTOCOL], [])  # nothing secret is asked for
        reader, writer = await asyncio.open_connection(*self._control, ssl=anybody, server_hostname="")
        writer.write(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answered = (await reader.read(5)) == b"HTTP/"
        writer.close()
        return answered


async def _body_ready() -> bool:
    _, writer = await asyncio.open_unix_connection(INSIDE.door)
    writer.close()
    return True


async def _until(ready: Callable[[], Awaitable[bool]], process: Process, log: str) -> None:
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while not await _holds(ready):
                if process.ended is not None:
                    raise StartError(f"ended with status {process.ended} while starting, see {log}")
                await asyncio.sleep(_POLL)
    except TimeoutError:
        raise StartError(f"not ready after {START_TIMEOUT:.0f} s, see {log}") from None


async def _holds(ready: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await ready()
    except OSError:
        return False
