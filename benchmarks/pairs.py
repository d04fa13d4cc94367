"""Two machines on a wire, one of which answers what the other asks."""

from __future__ import annotations

import asyncio
from typing import Any

from bodydouble_sim.machine import Machine
from bodydouble_sim.world import World

PORT = 7


def machines(*, capture: bool = False) -> tuple[World, Machine, Machine]:
    world = World(1, capture=capture)
    made = Machine(world, "A"), Machine(world, "B")
    for number, machine in enumerate(made, 1):
        machine.plug(world.network.segment("lan"), f"10.0.0.{number}/24")
        machine.power_on()
    world.run(asyncio.sleep(5))
    return world, *made


class EchoProtocol(asyncio.Protocol):
    """Answers every request with itself."""

    transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Asker(EchoProtocol):
    """Asks again as soon as it has its answer, so many times."""

    def __init__(self, times: int, done: asyncio.Future[None]) -> None:
        self._left = times
        self._done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(b"request")

    def data_received(self, data: bytes) -> None:
        self._left -= 1
        if self._left:
            self.transport.write(data)
        else:
            self.transport.close()
            self._done.set_result(None)


async def serve() -> None:
    await asyncio.get_running_loop().create_server(EchoProtocol, "0.0.0.0", PORT)
