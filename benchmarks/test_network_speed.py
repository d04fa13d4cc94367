"""How fast machines talk: request-response pairs over TCP, and a month of heartbeats."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.pairs import PORT, Asker, machines, serve

if TYPE_CHECKING:
    from bodydouble_sim.machine import Machine
    from bodydouble_sim.world import World

pytestmark = pytest.mark.benchmark(timer=time.process_time)  # seconds of one core, whoever else uses the machine

PAIRS = 30_000
CONNECTIONS = 10
HEARTBEAT = 5.0
MONTH = 30 * 24 * 3600.0


def talk(world: World, a: Machine, b: Machine) -> None:
    async def ask() -> None:
        loop = asyncio.get_running_loop()
        ends = [loop.create_future() for _ in range(CONNECTIONS)]
        for end in ends:
            await loop.create_connection(partial(Asker, PAIRS // CONNECTIONS, end), "10.0.0.2", PORT)
        await asyncio.gather(*ends)

    async def main() -> None:
        await b.spawn(serve(), name="server")
        await a.spawn(ask(), name="client")

    world.run(main())
    world.close()


def test_request_response_pairs(benchmark: Any) -> None:
    benchmark.pedantic(talk, setup=lambda: (machines(), {}), rounds=5, warmup_rounds=1)
    benchmark.extra_info["pairs_per_second"] = round(PAIRS / benchmark.stats.stats.min)


def test_request_response_pairs_by_streams(benchmark: Any) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("10.0.0.2", PORT)
        for _ in range(PAIRS):
            writer.write(b"request")
            await reader.read(100)
        writer.close()

    def talk_by_streams(world: World, a: Machine, b: Machine) -> None:
        async def main() -> None:
            await b.spawn(asyncio.start_server(answer, "0.0.0.0", PORT), name="server")
            await a.spawn(ask(), name="client")

        world.run(main())
        world.close()

    benchmark.pedantic(talk_by_streams, setup=lambda: (machines(), {}), rounds=3, warmup_rounds=1)
    benchmark.extra_info["pairs_per_second"] = round(PAIRS / benchmark.stats.stats.min)


def test_a_month_of_heartbeats(benchmark: Any) -> None:
    """One datagram every five seconds, and somebody who takes it."""
    taken: list[int] = []

    class Taker(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            del data, addr
            taken[-1] += 1

    async def beat() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("10.0.0.2", PORT))
        while True:
            await asyncio.sleep(HEARTBEAT)
            transport.sendto(b"alive")

    async def take() -> None:
        await asyncio.get_running_loop().create_datagram_endpoint(Taker, local_addr=("10.0.0.2", PORT))

    def month(world: World, a: Machine, b: Machine) -> None:
        taken.append(0)
        b.spawn(take(), name="listener")
        a.spawn(beat(), name="heart")
        world.run(asyncio.sleep(MONTH))
        world.close()
        assert taken[-1] >= MONTH / HEARTBEAT - 1

    benchmark.pedantic(month, setup=lambda: (machines(), {}), rounds=3)
    benchmark.extra_info["virtual_days"] = 30


def test_a_month_of_echo_requests(benchmark: Any) -> None:
    """As the product's monitor asks: an ICMP echo request every five seconds, answered and timed."""

    def month(world: World, a: Machine, b: Machine) -> None:
        async def beat() -> None:
            while True:
                await asyncio.sleep(HEARTBEAT)
                assert await a.stack.ping("10.0.0.2", 1.0) is not None

        del b
        a.spawn(beat(), name="heart")
        world.run(asyncio.sleep(MONTH))
        world.close()

    benchmark.pedantic(month, setup=lambda: (machines(), {}), rounds=3)
    benchmark.extra_info["virtual_days"] = 30
