"""Several segments, routers between them, and what ICMP says when a packet cannot arrive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble_sim.machine import Machine
from bodydouble_sim.network.capture import render
from bodydouble_sim.network.frames import (
    HOST_UNREACHABLE,
    NET_UNREACHABLE,
    TIME_EXCEEDED,
    UNREACHABLE,
    time_to_live,
)
from bodydouble_sim.network.router import Router, RouterStack

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble_sim.world import World

LAN = "Local Area Connection"
A, B, C = "10.0.0.10", "10.1.0.20", "10.2.0.30"


class Bare(Machine):
    async def boot(self) -> None:
        pass


class Site:
    """a -- lan -- R1 -- backbone (b) -- R2 -- branch -- c."""

    def __init__(self, world: World) -> None:
        network = world.network
        lan, backbone = network.segment("lan"), network.segment("backbone", "10.1.0.0/24")
        branch = network.segment("branch", "10.2.0.0/24")
        self.a, self.b, self.c = (Bare(world, name) for name in "ABC")
        self.r1, self.r2 = Router(world, "R1"), Router(world, "R2")
        self.a.plug(lan, f"{A}/24", gateway="10.0.0.1")
        self.b.plug(backbone, f"{B}/24", gateway="10.1.0.1")
        self.c.plug("branch", f"{C}/24", gateway="10.2.0.1")
        self.r1.plug(lan, "10.0.0.1/24")
        self.r1.plug(backbone, "10.1.0.1/24")
        self.r2.plug(backbone, "10.1.0.2/24")
        self.r2.plug(branch, "10.2.0.1/24", name="branch")
        self.r1.routes["10.2.0.0/16"] = "10.1.0.2"
        self.r2.routes["10.0.0.0/24"] = "10.1.0.1"

    async def up(self) -> None:
        for machine in (self.a, self.b, self.c, self.r1, self.r2):
            machine.power_on()
        await asyncio.sleep(2)


@pytest.fixture
def site(world: World) -> Site:
    return Site(world)


async def on(machine: Machine, work: Coroutine[Any, Any, Any]) -> Any:
    return await machine.spawn(work, name="work")


def test_hosts_of_different_subnets_reach_each_other_through_their_gateways(world: World, site: Site) -> None:
    async def main() -> None:
        await site.up()
        for machine, address in ((site.a, B), (site.a, C), (site.c, A), (site.b, A)):
            assert await machine.stack.ping(address, 1) is not None
        assert B not in site.a.nics[0].arp.entries(), "a router answers ARP for nobody but itself"
        assert "10.0.0.1" in site.a.nics[0].arp.entries()

    world.run(main())


def test_each_router_takes_one_off_the_time_to_live(world: World, site: Site) -> None:
    async def main() -> None:
        await site.up()
        assert await site.a.stack.ping(C, 1) is not None

    world.run(main())
    hops = [
        [time_to_live(frame) for _, frame in world.network.segments[name].capture if frame[0] == "icmp"]
        for name in ("lan", "backbone", "branch")
    ]
    assert hops == [[128, 126], [127, 127], [126, 128]]


def test_a_used_up_time_to_live_is_told_by_the_router_where_it_ended(world: World, site: Site) -> None:
    async def main() -> list[tuple[str, int, int, str]]:
        await site.up()
        before = world.loop.time()
        for ttl in (1, 2):
            assert await site.a.stack.echo.ping(C, 5, ttl=ttl) is None
        assert world.loop.time() - before < 1, "the error ends the wait"
        assert await site.a.stack.echo.ping(C, 5, ttl=3) is not None
        return list(site.a.stack.echo.errors)

    assert world.run(main()) == [("10.0.0.1", TIME_EXCEEDED, 0, C), ("10.1.0.2", TIME_EXCEEDED, 0, C)]


def test_a_router_says_which_network_and_which_host_it_cannot_reach(world: World, site: Site) -> None:
    async def main() -> list[tuple[str, int, int, str]]:
        await site.up()
        assert await site.a.stack.ping("172.16.0.1", 5) is None
        assert await site.a.stack.ping("10.2.0.99", 5) is None
        return list(site.a.stack.echo.errors)

    assert world.run(main()) == [
        ("10.0.0.1", UNREACHABLE, NET_UNREACHABLE, "172.16.0.1"),
        ("10.1.0.2", UNREACHABLE, HOST_UNREACHABLE, "10.2.0.99"),
    ]


def test_packets_that_circle_between_routers_die(world: World, site: Site) -> None:
    site.r1.routes["192.168.0.0/16"] = "10.1.0.2"
    site.r2.routes["192.168.0.0/16"] = "10.1.0.1"

    async def main() -> None:
        await site.up()
        assert await site.a.stack.ping("192.168.0.1", 5) is None

    world.run(main())
    assert site.a.stack.echo.errors[0].kind == TIME_EXCEEDED
    stacks = [router.stack for router in (site.r1, site.r2)]
    passed = sum(stack.forwarded for stack in stacks if isinstance(stack, RouterStack))
    assert 127 <= passed <= 130


def test_tcp_and_udp_work_across_routers_and_broadcasts_stay_where_they_are(world: World, site: Site) -> None:
    heard: list[str] = []

    class Ear(asyncio.DatagramProtocol):
        def __init__(self, name: str) -> None:
            self.name = name

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            heard.append(f"{self.name} {data.decode()} {addr[0]}")

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()

    async def serve(name: str) -> None:
        await asyncio.start_server(echo, None, 80)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: Ear(name), ("0.0.0.0", 9))

    async def client() -> None:
        reader, writer = await asyncio.open_connection(C, 80)
        writer.write(bytes(300_000))
        writer.write_eof()
        assert len(await reader.read()) == 300_000
        writer.close()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, ("0.0.0.0", 0), allow_broadcast=True
        )
        transport.sendto(b"one", (C, 9))
        transport.sendto(b"all", ("255.255.255.255", 9))
        transport.sendto(b"directed", ("10.2.0.255", 9))
        await asyncio.sleep(1)
        transport.close()

    async def main() -> None:
        await site.up()
        for machine in (site.b, site.c, site.r1):
            await on(machine, serve(machine.name))
        await on(site.a, client())

    world.run(main())
    assert sorted(heard) == [f"C one {A}", f"R1 all {A}"]


def test_without_a_gateway_another_subnet_has_no_route(world: World) -> None:
    host = Bare(world, "A")
    host.plug(world.network.segment("lan"), f"{A}/24")
    host.power_on()

    async def main() -> None:
        with pytest.raises(OSError, match="no route"):
            await on(host, asyncio.open_connection(B, 80))

    world.run(main())


def test_an_adapter_with_several_addresses_answers_for_each(world: World) -> None:
    a, b = Bare(world, "A"), Bare(world, "B")
    a.plug(world.network.segment("lan"), ["10.0.0.10/24", "10.0.0.11/24", "10.0.0.12/24"])
    b.plug("lan", "10.0.0.20/24")
    a.power_on()
    b.power_on()

    async def main() -> None:
        for last in (10, 11, 12):
            assert await b.stack.ping(f"10.0.0.{last}", 1) is not None

    world.run(main())


def test_captures_show_the_time_to_live_and_what_an_error_quotes(world: World, site: Site) -> None:
    scapy = pytest.importorskip("scapy.all")

    async def main() -> None:
        await site.up()
        assert await site.a.stack.echo.ping(C, 5, ttl=2) is None

    world.run(main())
    frames = [frame for _, frame in world.network.segments["lan"].capture if frame[0] == "icmp"]
    question, error = (scapy.Ether(render(frame)) for frame in frames)
    assert (question.ttl, error.ttl) == (2, 127)
    assert (error[scapy.ICMP].type, error[scapy.IPerror].dst, error[scapy.IPerror].src) == (11, C, A)
    assert error[scapy.ICMPerror].seq == question[scapy.ICMP].seq
