"""A long run keeps no more than a short one; benchmarks/test_memory.py asks the same of ten million events."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble_sim import world as world_module
from bodydouble_sim.machine import Machine
from bodydouble_sim.network.ports import TIME_WAIT
from bodydouble_sim.network.transport import TcpTransport
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PORT = 7
PAIRS = 20
SLICE = 50.0  # virtual seconds: most connections outlive the slice that they were made in
SETTLED = 2 * TIME_WAIT / 1_000_000_000
EVENTS = 100_000
NOISE = 0.05


class Answerer(asyncio.Protocol):
    """Answers every request with itself."""

    transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


@pytest.fixture
def talking() -> Iterator[Callable[[list[Any] | None], World]]:
    """Makes a world where one machine connects to another every few seconds, and counts what it keeps."""
    worlds: list[World] = []

    def make(kept: list[Any] | None) -> World:
        world = World(1, capture=False)
        worlds.append(world)
        server, client = Machine(world, "SERVER"), Machine(world, "CLIENT")
        for number, machine in enumerate((server, client), 1):
            machine.plug(world.network.segment("lan"), f"10.0.0.{number}/24")
            machine.power_on()

        async def serve() -> None:
            await asyncio.get_running_loop().create_server(Answerer, "10.0.0.1", PORT)

        async def ask() -> None:
            while True:
                reader, writer = await asyncio.open_connection("10.0.0.1", PORT)
                if kept is not None:
                    kept.append(writer)
                for _ in range(PAIRS):
                    writer.write(b"request")
                    await reader.read(100)
                writer.close()
                await writer.wait_closed()
                await client.stack.ping("10.0.0.1", 1.0)
                await asyncio.sleep(2.0)

        server.spawn(serve(), name="server")
        world.run(asyncio.sleep(2.0))
        client.spawn(ask(), name="client")
        return world

    yield make
    for world in worlds:
        world.close()
        assert world.loop.unhandled == []


def live_objects(world: World) -> int:
    world.trace.flush()
    gc.collect()
    return len(gc.get_objects())


def growth(world: World, events: int) -> float:
    """By how much of what it had the world's live objects grow over so many events, once it has settled."""
    before = live_objects(world)
    world.run(asyncio.sleep(SETTLED))
    settled, since = live_objects(world), world.loop.ticks
    while world.loop.ticks - since < events:
        world.run(asyncio.sleep(SLICE))
    return (live_objects(world) - settled) / (settled - before)


def test_live_objects_do_not_grow_with_the_length_of_a_run(
    talking: Callable[[list[Any] | None], World],
) -> None:
    assert abs(growth(talking(None), EVENTS)) < NOISE


def test_connections_that_somebody_keeps_show_as_growth(talking: Callable[[list[Any] | None], World]) -> None:
    assert growth(talking([]), EVENTS // 10) > NOISE


def uncollected_connections(world: World) -> int:
    """Connections in memory, garbage included, after many short runs of a world."""
    for _ in range(20):
        world.run(asyncio.sleep(SLICE))
    return sum(isinstance(thing, TcpTransport) for thing in gc.get_objects())


def test_a_world_run_in_slices_lets_go_of_what_ended_in_a_later_slice(
    talking: Callable[[list[Any] | None], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world_module, "_THAW_EVERY", 1 << 62)
    always_frozen = uncollected_connections(talking(None))
    gc.collect()
    monkeypatch.setattr(world_module, "_THAW_EVERY", 1 << 10)
    assert uncollected_connections(talking(None)) < always_frozen / 2
