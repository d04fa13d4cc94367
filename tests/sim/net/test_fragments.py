"""What is longer than a segment's MTU: fragments of UDP and ICMP, and TCP that fits its segments to the way."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble_sim.errors import ConfigurationError
from bodydouble_sim.machine import Machine
from bodydouble_sim.network.capture import write_pcapng
from bodydouble_sim.network.faults import Fault, Match
from bodydouble_sim.network.fragments import Fragments, packed, pieces, unpacked
from bodydouble_sim.network.frames import FRAGMENT, ICMP, TIME_EXCEEDED, UDP, UNREACHABLE, ip_length
from bodydouble_sim.network.router import Router
from bodydouble_sim.network.troubles import BlackHole, Reordering

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from bodydouble_sim.network.faults import Deliveries
    from bodydouble_sim.network.frames import Frame
    from bodydouble_sim.world import World

A, B = "10.0.0.10", "10.1.0.20"
TSHARK = shutil.which("tshark")


class Bare(Machine):
    async def boot(self) -> None:
        pass


class Site:
    """a -- lan -- ROUTER -- narrow (b)."""

    def __init__(self, world: World, mtu: int) -> None:
        self.lan = world.network.segment("lan")
        self.narrow = world.network.segment("narrow", "10.1.0.0/24", mtu=mtu)
        self.a, self.b = Bare(world, "A"), Bare(world, "B")
        self.router = Router(world, "ROUTER")
        self.a.plug(self.lan, f"{A}/24", gateway="10.0.0.1")
        self.b.plug(self.narrow, f"{B}/24", gateway="10.1.0.1")
        self.router.plug(self.lan, "10.0.0.1/24")
        self.router.plug(self.narrow, "10.1.0.1/24")

    async def up(self) -> None:
        for machine in (self.a, self.b, self.router):
            machine.power_on()
        await asyncio.sleep(2)
        assert await self.a.stack.ping(B, 1.0) is not None  # every MAC is known: ARP holds but a few packets


@pytest.fixture(params=[1500, 576, 68])
def site(world: World, request: pytest.FixtureRequest) -> Site:
    return Site(world, request.param)


@pytest.fixture
def narrow(world: World) -> Site:
    return Site(world, 576)


async def on(machine: Machine, work: Coroutine[Any, Any, Any]) -> Any:
    return await machine.spawn(work, name="work")


class Mailbox(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got: list[bytes] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        self.got.append(data)


async def mailbox() -> Mailbox:
    _, box = await asyncio.get_running_loop().create_datagram_endpoint(Mailbox, ("0.0.0.0", 9))
    return box


async def post(*letters: bytes) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(B, 9))
    for letter in letters:
        transport.sendto(letter)
        await asyncio.sleep(0.1)
    transport.close()


class LoseOne(Fault):
    """The one fragment at an offset."""

    def __init__(self, world: World, when: Any) -> None:
        super().__init__(world, "lose-one", Match(protocol="udp", when=lambda frame: frame[0] == FRAGMENT))
        self._when = when

    def decide(self, frame: Frame) -> tuple[str, Deliveries]:
        if self._when(frame):
            return "dropped", []
        return "", [(0, frame)]


def test_a_long_datagram_crosses_a_router_to_a_segment_with_a_smaller_mtu(world: World, site: Site) -> None:
    letter = world.random("test").randbytes(60_000)

    async def main() -> None:
        await site.up()
        box = await on(site.b, mailbox())
        await on(site.a, post(letter, b"short", letter[:1472]))
        await asyncio.sleep(1)
        assert box.got == [letter, b"short", letter[:1472]]

    world.run(main())
    for segment in (site.lan, site.narrow):
        assert max(ip_length(frame) for _, frame in segment.frames() if frame[0] != "arp") <= segment.mtu


def test_a_long_echo_is_answered_in_fragments_too(world: World, site: Site) -> None:
    async def main() -> None:
        await site.up()
        trip = await on(site.a, site.a.stack.echo.ping(B, 1.0, payload=bytes(20_000)))
        assert trip is not None

    world.run(main())
    assert {frame[5] for _, frame in site.lan.frames() if frame[0] == FRAGMENT} == {ICMP}


def test_fragments_may_arrive_in_any_order(world: World, narrow: Site) -> None:
    letter = world.random("test").randbytes(30_000)

    async def main() -> None:
        await narrow.up()
        box = await on(narrow.b, mailbox())
        Reordering(world, 0.5).start()
        await on(narrow.a, post(letter))
        await asyncio.sleep(1)
        assert box.got == [letter]

    world.run(main())


@pytest.mark.parametrize("offset", [0, 552, 1104])
def test_one_lost_fragment_loses_the_datagram_and_nothing_else(world: World, narrow: Site, offset: int) -> None:
    async def main() -> None:
        await narrow.up()
        box = await on(narrow.b, mailbox())
        fault = LoseOne(world, lambda frame: frame[7] == offset and frame[4] == B and len(frame[-1]) <= 552)
        fault.start()
        await on(narrow.a, post(bytes(1400)))
        fault.heal()
        assert fault.touched == 1
        await on(narrow.a, post(b"next" * 350))
        await asyncio.sleep(100)
        assert box.got == [b"next" * 350]
        assert narrow.b.stack.fragments.lost == 1
        said = [(error.by, error.kind, error.code) for error in narrow.a.stack.echo.errors]
        assert said == ([(B, TIME_EXCEEDED, 1)] if offset else [])  # without its beginning nobody can be told

    world.run(main())


def test_what_never_becomes_whole_is_bounded(world: World, narrow: Site) -> None:
    async def main() -> None:
        await narrow.up()
        LoseOne(world, lambda frame: not frame[8]).start()
        await on(narrow.a, post(*[bytes(1400)] * 100))
        assert len(narrow.b.stack.fragments._incomplete) == 64
        assert narrow.b.stack.fragments.lost == 36
        await asyncio.sleep(61)
        assert not narrow.b.stack.fragments._incomplete

    world.run(main())


def test_fragments_that_contradict_each_other_lose_the_packet(narrow: Site) -> None:
    stack = narrow.b.stack
    fragments = Fragments(stack)

    def fragment(offset: int, data: bytes, *, more: bool = True) -> Frame:
        return FRAGMENT, "", "", A, B, UDP, 7, offset, more, data

    fragments.receive(None, fragment(0, bytes(16)))
    fragments.receive(None, fragment(0, bytes(16)))  # a duplicate is nothing
    assert fragments.lost == 0
    fragments.receive(None, fragment(8, b"x" * 16))  # an overlap is
    assert fragments.lost == 1
    fragments.receive(None, fragment(65528, bytes(16)))  # longer than a packet can be
    assert fragments.lost == 2
    fragments.receive(None, fragment(0, b"\0\1\0\2\0\20\1\1"))
    fragments.receive(None, fragment(8, b"12345678", more=False))  # a wrong checksum
    assert fragments.lost == 3


@pytest.mark.parametrize("kind", [UDP, ICMP])
@pytest.mark.parametrize("size", [0, 1, 1000, 1001])
def test_packing_is_undone_by_unpacking_and_damage_is_seen(world: World, kind: str, size: int) -> None:
    payload = world.random("test").randbytes(size)
    rest = (7, 9, payload) if kind == UDP else (8, 0, 512, 3, payload)
    data = packed(kind, A, B, rest)
    assert unpacked(kind, A, B, data) == rest
    assert unpacked(kind, A, B, data[:2] + bytes([data[2] ^ 1]) + data[3:]) is None
    assert unpacked(kind, A, B, data[:7]) is None
    assert b"".join(piece for _, _, piece in pieces(data, 68)) == data


def test_a_segment_refuses_an_mtu_that_no_ethernet_has(world: World) -> None:
    for mtu in (67, 1501):
        with pytest.raises(ConfigurationError, match="MTU"):
            world.network.segment(f"of-{mtu}", f"10.{mtu % 256}.0.0/24", mtu=mtu)


# --- TCP ------------------------------------------------------------------------------------------------------------


async def fetch(size: int) -> bytes:
    reader, writer = await asyncio.open_connection(B, 80)
    writer.write(bytes(size))
    writer.write_eof()
    got = await reader.read()
    writer.close()
    return got


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())
    writer.close()


def test_tcp_learns_the_mtu_of_the_way_and_loses_nothing(world: World, site: Site) -> None:
    async def main() -> float:
        await site.up()
        await on(site.b, asyncio.start_server(echo, port=80))
        began = world.loop.time()
        assert await on(site.a, fetch(300_000)) == bytes(300_000)
        return world.loop.time() - began

    assert world.run(main()) < 10
    assert max(ip_length(frame) for _, frame in site.narrow.frames() if frame[0] == "tcp") == site.narrow.mtu
    needed = [frame for _, frame in site.lan.frames() if frame[0] == ICMP and frame[5:7] == (UNREACHABLE, 4)]
    assert bool(needed) == (site.narrow.mtu < 1500)
    assert {frame[8] for frame in needed} <= {site.narrow.mtu}


def test_a_black_hole_that_swallows_what_the_router_says_stops_tcp(world: World, narrow: Site) -> None:
    """RFC 2923, 2.1: the sender never learns why its full segments vanish."""

    async def main() -> None:
        await narrow.up()
        await on(narrow.b, asyncio.start_server(echo, port=80))
        BlackHole(world, 576, Match(protocol="tcp")).start()
        with pytest.raises(TimeoutError):
            await on(narrow.a, fetch(10_000))

    world.run(main())


# --- an outside judge -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")
def test_tshark_puts_the_fragments_together_and_warns_of_nothing(world: World, narrow: Site, tmp_path: Path) -> None:
    pytest.importorskip("scapy", reason="scapy (extra: labs) renders captures")
    assert TSHARK is not None

    async def main() -> None:
        await narrow.up()
        box = await on(narrow.b, mailbox())
        await on(narrow.a, post(world.random("test").randbytes(60_000)))
        await on(narrow.a, narrow.a.stack.echo.ping(B, 1.0, payload=bytes(5000)))
        await on(narrow.b, asyncio.start_server(echo, port=80))
        await on(narrow.a, fetch(3000))
        assert len(box.got) == 1

    world.run(main())
    checks = [f"{name}.check_checksum:TRUE" for name in ("ip", "udp", "tcp")]
    options = [part for check in [*checks, "ip.defragment:TRUE"] for part in ("-o", check)]
    for segment in (narrow.lan, narrow.narrow):
        path = tmp_path / f"{segment.name}.pcapng"
        write_pcapng(segment.frames(), path)

        def lines(*arguments: str, path: Path = path) -> list[str]:
            command = [TSHARK, "-n", "-r", str(path), *options, *arguments]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

        wrong = "_ws.malformed || udp.checksum.status == 0 || icmp.checksum.status == 0 || ip.checksum.status == 0"
        assert lines("-Y", wrong) == []
        assert lines("-Y", "_ws.expert.severity >= warning && !tcp") == []
        assert lines("-Y", "ip.reassembled.length == 60008", "-T", "fields", "-e", "udp.length") == ["60008"]
        assert lines("-Y", "icmp && ip.reassembled.length == 5008", "-T", "fields", "-e", "icmp.type") == ["8", "0"]
        assert lines("-Y", "tcp && !icmp && ip.flags.df == 0") == []
        said = lines("-Y", "icmp.code == 4", "-T", "fields", "-e", "icmp.mtu")
        assert set(said) == ({"576"} if segment is narrow.lan else set())
