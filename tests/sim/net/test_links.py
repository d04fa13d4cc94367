"""Switches that learn, and cables with a speed."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble_sim.machine import Machine
from bodydouble_sim.network.link import Links
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

A, B, C = "10.0.0.10", "10.0.0.20", "10.0.0.30"


class Bare(Machine):
    async def boot(self) -> None:
        pass


def hosts(world: World, links: Links | None = None, latency: float = 0.0002) -> list[Machine]:
    segment = world.network.segment("lan", latency=latency, links=links)
    machines: list[Machine] = [Bare(world, name) for name in "ABC"]
    for machine, address in zip(machines, (A, B, C), strict=True):
        machine.plug(segment, f"{address}/24")
        machine.power_on()
    return machines


async def on(machine: Machine, work: Coroutine[Any, Any, Any]) -> Any:
    return await machine.spawn(work, name="work")


async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1 << 16):
        pass
    writer.close()


async def transfer(world: World, sender: Machine, receiver: Machine, size: int) -> float:
    """Seconds from connecting until the receiver had everything and closed."""
    address = receiver.stack.first_address()
    done = asyncio.Event()

    async def serve() -> None:
        await asyncio.start_server(swallow, None, 80)

    async def client() -> float:
        reader, writer = await asyncio.open_connection(address, 80)
        began = world.loop.time()
        writer.write(bytes(size))
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        done.set()
        return world.loop.time() - began

    await on(receiver, serve())
    took: float = await on(sender, client())
    return took


class Ear(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: list[int] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        self.heard.append(int.from_bytes(data[:4], "big"))


async def datagrams(sender: Machine, receiver: Machine, count: int, size: int = 1400) -> list[int]:
    ear = Ear()

    async def listen() -> None:
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: ear, ("0.0.0.0", 9))

    async def send() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("0.0.0.0", 0))
        for number in range(count):
            transport.sendto(number.to_bytes(4, "big").ljust(size, b"."), (receiver.stack.first_address(), 9))
        await asyncio.sleep(10)
        transport.close()

    await on(receiver, listen())
    await sender.stack.ping(str(receiver.stack.first_address()), 1)
    await on(sender, send())
    return ear.heard


def test_a_switch_learns_from_who_speaks_and_forgets_with_the_link(world: World) -> None:
    a, b, _ = hosts(world)
    segment = world.network.segments["lan"]

    async def main() -> None:
        await asyncio.sleep(2)
        assert sorted(segment.learned().values()) == ["A", "B", "C"]
        assert await a.stack.ping(B, 1) is not None
        assert segment.flooded == 0
        b.nics[0].disconnect()
        assert sorted(segment.learned().values()) == ["A", "C"]
        assert await a.stack.ping(B, 1) is None
        assert segment.flooded == 1

    world.run(main())


@pytest.mark.parametrize(("silence", "flooded"), [(299, 0), (301, 1)])
def test_a_switch_forgets_who_was_silent_for_five_minutes(world: World, silence: float, flooded: int) -> None:
    a, b, _ = hosts(world)
    segment = world.network.segments["lan"]

    async def main() -> None:
        await asyncio.sleep(2)
        assert await a.stack.ping(B, 1) is not None
        await asyncio.sleep(silence)
        assert ("B" in segment.learned().values()) == (not flooded)
        before = len(segment.frames())
        a.nics[0].send(("icmp", a.nics[0].mac, b.nics[0].mac, A, B, 8, 0, 0, 0, b""))
        await asyncio.sleep(1)
        assert segment.flooded == flooded
        assert len(segment.frames()) > before + 1  # it arrived all the same, and was answered
        assert "B" in segment.learned().values()

    world.run(main())


def test_a_mac_that_speaks_elsewhere_moves_to_that_port(world: World) -> None:
    a, b, c = hosts(world)
    segment = world.network.segments["lan"]

    async def main() -> None:
        await asyncio.sleep(2)
        assert await a.stack.ping(B, 1) is not None
        stolen = b.nics[0].mac
        c.nics[0].send(("icmp", stolen, a.nics[0].mac, C, A, 0, 0, 0, 0, b""))
        await asyncio.sleep(0.1)
        assert segment.learned()[stolen] == "C"
        assert await a.stack.ping(B, 1) is None, "frames for B go out of C's port, and C does not take them"
        assert await b.stack.ping(A, 1) is not None
        assert await a.stack.ping(B, 1) is not None

    world.run(main())


@pytest.mark.parametrize(("bandwidth", "least", "most"), [(10_000_000, 0.8, 1.2), (100_000_000, 0.08, 0.16)])
def test_a_transfer_takes_as_long_as_the_bandwidth_says(
    world: World, bandwidth: float, least: float, most: float
) -> None:
    a, b, _ = hosts(world, Links(bandwidth=bandwidth))

    async def main() -> None:
        await asyncio.sleep(2)
        assert least < await transfer(world, a, b, 1_000_000) < most

    world.run(main())


def test_without_links_cables_carry_everything_at_once(world: World) -> None:
    a, b, _ = hosts(world)

    async def main() -> None:
        await asyncio.sleep(2)
        assert len(await datagrams(a, b, 1000)) == 1000

    world.run(main())


def test_a_full_queue_drops_the_last_comers_and_counts_them(world: World) -> None:
    a, b, _ = hosts(world, Links(bandwidth=1_000_000, queue=20_000))

    async def main() -> None:
        await asyncio.sleep(2)
        heard = await datagrams(a, b, 50)
        assert heard == list(range(len(heard)))
        assert 10 <= len(heard) <= 16
        assert a.nics[0].dropped == 50 - len(heard)

    world.run(main())
    assert sum(" queue " in line for line in world.trace.lines) == a.nics[0].dropped


def test_two_senders_meet_in_the_queue_of_the_receiver_s_port(world: World) -> None:
    a, b, c = hosts(world, Links(bandwidth=10_000_000, queue=20_000))

    async def main() -> None:
        await asyncio.sleep(2)
        took = await asyncio.gather(datagrams(a, c, 13), _again(b, c, 13))
        assert c.nics[0].dropped > 0
        assert a.nics[0].dropped == b.nics[0].dropped == 0
        assert len(took[0]) == 26 - c.nics[0].dropped

    async def _again(sender: Machine, receiver: Machine, count: int) -> None:
        await asyncio.sleep(0.0007)

        async def send() -> None:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("0.0.0.0", 0))
            for number in range(100, 100 + count):
                transport.sendto(number.to_bytes(4, "big").ljust(1400, b"."), (receiver.stack.first_address(), 9))
            await asyncio.sleep(1)
            transport.close()

        await on(sender, send())

    world.run(main())


@pytest.fixture
def other_world() -> Iterator[World]:
    made = World(2)
    yield made
    made.close()


def test_jitter_is_seeded_and_overtakes_nobody(world: World, other_world: World) -> None:
    def arrivals(which: World) -> list[int]:
        a, b, _ = hosts(which, Links(bandwidth=0, jitter=0.005, dice=which.random("jitter:lan")))

        async def main() -> list[int]:
            await asyncio.sleep(2)
            return await datagrams(a, b, 200)

        return which.run(main())

    def trips(which: World) -> list[float | None]:
        a = which.machines["A"]

        async def main() -> list[float | None]:
            return [await a.stack.ping(B, 1) for _ in range(20)]

        return which.run(main())

    assert arrivals(world) == list(range(200))
    assert arrivals(other_world) == list(range(200))
    first, second = trips(world), trips(other_world)
    assert len(set(first)) == 20
    assert first != second
    assert all(one != two for one, two in pairwise(first))
    again = World(1)
    assert arrivals(again) == list(range(200))
    assert trips(again) == first
    again.close()
