"""Pid 1 of a host: mounts, hostname, network, services; then orders from the lab until the power goes or a shutdown.

Started by ``unshare`` in fresh network, UTS, mount and pid namespaces with its `HostPlan` and the number of the
inherited end of the lab's line as arguments. SIGTERM is an orderly shutdown. When the lab's end of the line closes,
init leaves at once (``unshare --kill-child`` does the same for a lab that is killed while init is busy).
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

import msgspec

from bodydouble.errors import BodydoubleError
from bodydouble_labs.providers.netns import kernel, media
from bodydouble_labs.providers.netns.plan import HOST_DIRECTORY, HOSTS_DIRECTORY, HostPlan, Order, Report
from bodydouble_labs.providers.netns.services import HostServices
from bodydouble_labs.providers.netns.wire import HOST_INTERFACE, prepare_network_namespace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

POWER_LOST: Final = 9


class Init:
    """One boot of a host."""

    def __init__(self, plan: HostPlan, line: socket.socket) -> None:
        """Take the plan and this side's end of the line."""
        self._plan = plan
        self._line = line
        self._services = HostServices(plan)
        self._sense: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Boot and serve the lab; returns after an orderly shutdown."""
        loop = asyncio.get_running_loop()
        shutdown = asyncio.Event()
        loop.add_signal_handler(signal.SIGCHLD, self._services.reap)
        loop.add_signal_handler(signal.SIGTERM, shutdown.set)
        serve = loop.create_task(self._serve(), name="serve the lab")
        stop = loop.create_task(shutdown.wait(), name="await shutdown")
        await asyncio.wait({serve, stop}, return_when=asyncio.FIRST_COMPLETED)
        if serve.done():
            serve.result()
        serve.cancel()
        await self._services.shut_down()

    async def _serve(self) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=self._line)
        _tell(writer, Report("ready"))
        await _next_order(reader)
        await _answer(writer, self._boot)
        while True:
            await _next_order(reader)
            await _answer(writer, self._services.install_product)

    async def _boot(self) -> None:
        await media.bring_up(HOST_INTERFACE, self._plan.address)
        self._sense = asyncio.create_task(media.MediaSense(HOST_INTERFACE).run(), name="media sense")
        await self._services.boot()


async def _next_order(reader: asyncio.StreamReader) -> Order:
    line = await reader.readline()
    if not line:
        os._exit(POWER_LOST)
    return msgspec.json.decode(line, type=Order)


async def _answer(writer: asyncio.StreamWriter, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except (OSError, BodydoubleError) as error:
        _tell(writer, Report("failed", str(error)))
    else:
        _tell(writer, Report("up"))


def _tell(writer: asyncio.StreamWriter, report: Report) -> None:
    writer.write(msgspec.json.encode(report) + b"\n")


def prepare(plan: HostPlan) -> None:
    """Make this process's namespaces the host's: its name, its own directory, no sight of the other hosts'."""
    socket.sethostname(plan.computer_name)
    kernel.mount(f"{HOSTS_DIRECTORY}/{plan.name}", HOST_DIRECTORY, flags=kernel.MS_BIND | kernel.MS_REC)
    kernel.mount("tmpfs", HOSTS_DIRECTORY, "tmpfs", options="size=4k,mode=0555")
    prepare_network_namespace()


def main() -> None:
    """Entry point: ``python -m bodydouble_labs.providers.netns.init PLAN LINE``."""
    plan = msgspec.json.decode(sys.argv[1], type=HostPlan)
    prepare(plan)
    asyncio.run(Init(plan, socket.socket(fileno=int(sys.argv[2]))).run())


if __name__ == "__main__":
    main()
