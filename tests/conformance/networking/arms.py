"""Two arms for one suite: asyncio in the simulator, and a real selector loop over this machine's loopback."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from bodydouble_sim.machine import Machine
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

LONGEST = 10.0
ARMS = ["simulated", "simulated-loopback", "selector"]


class Bare(Machine):
    async def boot(self) -> None:
        pass


class Net(Protocol):
    """Where a case runs: its own code is the client; ``at_server`` runs code where the servers are.

    ``host`` is the servers' address, ``own`` the client's; ``pause`` is how long "nothing happened" is watched for.
    """

    host: str
    own: str
    pause: float
    unhandled: list[dict[str, Any]]

    def run(self, case: Coroutine[Any, Any, None]) -> None: ...
    def at_server(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]: ...


class SelectorNet:
    host = own = "127.0.0.1"
    pause = 0.05

    def __init__(self) -> None:
        self.unhandled: list[dict[str, Any]] = []

    def run(self, case: Coroutine[Any, Any, None]) -> None:
        async def bounded() -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: self.unhandled.append(context))
            async with asyncio.timeout(LONGEST):
                await case

        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(bounded())

    def at_server(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return asyncio.create_task(work, name="server")


class SimulatedNet:
    pause = 1.0

    def __init__(self, *, machines: int) -> None:
        self.world = World(1)
        self.unhandled = self.world.loop.unhandled
        segment = self.world.network.segment("lan")
        self._machines = [Bare(self.world, f"M{number}") for number in range(machines)]
        for number, machine in enumerate(self._machines, 1):
            machine.plug(segment, f"10.0.0.{number}/24")
        self.own = "10.0.0.1" if machines > 1 else "127.0.0.1"
        self.host = f"10.0.0.{machines}" if machines > 1 else "127.0.0.1"

    def run(self, case: Coroutine[Any, Any, None]) -> None:
        async def bounded() -> None:
            for machine in self._machines:
                machine.power_on()
            async with asyncio.timeout(20 * LONGEST):
                await self._machines[0].spawn(case, name="client")

        try:
            self.world.run(bounded())
        finally:
            self.world.close()

    def at_server(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self._machines[-1].spawn(work, name="server")


def net_of(arm: str) -> Net:
    if arm == "selector":
        return SelectorNet()
    return SimulatedNet(machines=2 if arm == "simulated" else 1)


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; the arm's own bound ends a wait for what never comes."""
    while not condition():  # noqa: ASYNC110 - protocols have no event to wait on
        await asyncio.sleep(0.001)


class Recorder(asyncio.Protocol):
    """Writes down what the transport calls, in order."""

    def __init__(self, *, keep_open: bool = False) -> None:
        self.calls: list[str] = []
        self.data = bytearray()
        self.transport: Any = None
        self.lost: Any = None
        self._keep_open = keep_open

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.calls[-1] != "data":
            self.calls.append("data")

    def eof_received(self) -> bool:
        self.calls.append("eof")
        return self._keep_open

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc
        self.calls.append("lost")


async def listen(net: Net, factory: Callable[[], Any], **options: Any) -> tuple[asyncio.Server, int]:
    """`create_server` where the servers are, on a port that is free."""
    server = await net.at_server(asyncio.get_running_loop().create_server(factory, net.host, 0, **options))
    return server, server.sockets[0].getsockname()[1]


async def serve(
    net: Net, handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], **options: Any
) -> tuple[asyncio.Server, int]:
    """`start_server` where the servers are, on a port that is free."""
    server = await net.at_server(asyncio.start_server(handler, net.host, 0, **options))
    return server, server.sockets[0].getsockname()[1]


@asynccontextmanager
async def protocols(net: Net, near: Any, far: Any) -> AsyncIterator[None]:
    """Two protocols joined by a connection; both ends are closed behind the case."""
    server, port = await listen(net, lambda: far)
    try:
        await asyncio.get_running_loop().create_connection(lambda: near, net.host, port)
        await until(lambda: far.transport)
        yield
    finally:
        server.close()
        for protocol in (near, far):
            if protocol.transport is not None and not protocol.transport.is_closing():
                protocol.transport.abort()
        await asyncio.sleep(net.pause)


@dataclass
class Streams:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    far_reader: asyncio.StreamReader
    far_writer: asyncio.StreamWriter


@asynccontextmanager
async def streams(net: Net, **options: Any) -> AsyncIterator[Streams]:
    """Two pairs of streams joined by a connection."""
    accepted: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    accepted = asyncio.get_running_loop().create_future()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result((reader, writer))

    server, port = await serve(net, handler, **options)
    reader, writer = await asyncio.open_connection(net.host, port, **options)
    far_reader, far_writer = await accepted
    try:
        yield Streams(reader, writer, far_reader, far_writer)
    finally:
        server.close()
        for one in (writer, far_writer):
            if not one.is_closing():
                one.transport.abort()
        await asyncio.sleep(net.pause)


def reset(transport: Any) -> None:
    """Close by RST: SO_LINGER with zero seconds, on any stack."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
