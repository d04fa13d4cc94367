"""Names found by hosts file, DNS, WINS and broadcast, in the machine's order."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble_sim.errors import ConfigurationError, DuplicateName
from bodydouble_sim.machine import Machine
from bodydouble_sim.network import dns
from bodydouble_sim.network.router import Router
from bodydouble_sim.network.wins import WinsServer

if TYPE_CHECKING:
    from bodydouble_sim.world import World

LAN = "Local Area Connection"


class Silent(Machine):
    async def boot(self) -> None:
        pass


class DnsMachine(Machine):
    served: dns.DnsServer

    async def boot(self) -> None:
        self.served = dns.DnsServer({"www.example.test": "10.0.0.80", "Source.example.test.": "10.0.0.81"})
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self.served, ("0.0.0.0", dns.PORT))


async def resolve(machine: Machine, name: str) -> Any:
    async def ask() -> str:
        found = await asyncio.get_running_loop().getaddrinfo(name, 80)
        return str(found[0][4][0])

    return await machine.spawn(ask(), name="ask")


def up(*machines: Machine) -> None:
    for machine in machines:
        machine.power_on()


def frames(world: World, port: int) -> int:
    captured = world.network.segment("lan").capture
    return sum(1 for _, frame in captured if frame[0] == "udp" and port in frame[5:7])


@pytest.fixture
def site(world: World) -> tuple[Machine, DnsMachine]:
    client, server = Silent(world, "CLIENT"), DnsMachine(world, "NS")
    world.network.segment("lan")
    client.plug("lan", "10.0.0.10/24")
    server.plug("lan", "10.0.0.53/24")
    client.dns.servers.append("10.0.0.53")
    client.dns.suffixes.append("example.test")
    return client, server


def test_dns_answers_whole_names_and_names_with_a_suffix(world: World, site: tuple[Machine, DnsMachine]) -> None:
    client, server = site

    async def main() -> None:
        up(client, server)
        assert await resolve(client, "www.example.test") == "10.0.0.80"
        assert await resolve(client, "WWW.Example.Test.") == "10.0.0.80"
        assert await resolve(client, "SOURCE") == "10.0.0.81"
        with pytest.raises(socket.gaierror):
            await resolve(client, "nobody.example.test")

    world.run(main())


def test_dns_answers_are_kept_for_their_time_to_live_and_refusals_for_five_minutes(
    world: World, site: tuple[Machine, DnsMachine]
) -> None:
    client, server = site

    async def main() -> None:
        up(client, server)
        assert await resolve(client, "www.example.test") == "10.0.0.80"
        with pytest.raises(socket.gaierror):
            await resolve(client, "new.example.test")
        server.served.zone |= {"www.example.test": "10.0.0.99", "new.example.test": "10.0.0.98"}
        asked = frames(world, dns.PORT)
        assert await resolve(client, "www.example.test") == "10.0.0.80"
        with pytest.raises(socket.gaierror):
            await resolve(client, "new.example.test")
        assert frames(world, dns.PORT) == asked
        await asyncio.sleep(301)
        assert await resolve(client, "new.example.test") == "10.0.0.98"
        client.dns.reset()
        assert await resolve(client, "www.example.test") == "10.0.0.99"

    world.run(main())


def test_a_silent_dns_server_is_asked_again_and_the_next_one_too(
    world: World, site: tuple[Machine, DnsMachine]
) -> None:
    client, server = site
    client.dns.servers.insert(0, "10.0.0.54")

    async def main() -> None:
        up(client, server)
        await asyncio.sleep(2)
        began = world.loop.time()
        assert await resolve(client, "www.example.test") == "10.0.0.80"
        assert 3 <= world.loop.time() - began < 3.1
        server.power_off()
        began = world.loop.time()
        with pytest.raises(socket.gaierror):
            await resolve(client, "other.example.test")
        assert 32 <= world.loop.time() - began < 40

    world.run(main())


def test_a_machine_asks_in_its_own_order(world: World, site: tuple[Machine, DnsMachine]) -> None:
    client, server = site
    other = Machine(world, "SOURCE")
    other.plug("lan", "10.0.0.30/24")

    async def main() -> None:
        up(client, server, other)
        await asyncio.sleep(3)
        assert await resolve(client, "source") == "10.0.0.81"
        client.name_order = ("broadcast", "dns")
        assert await resolve(client, "source") == "10.0.0.30"
        client.hosts["source"] = "10.0.0.77"
        assert await resolve(client, "source") == "10.0.0.30"
        client.name_order = ("hosts", "dns")
        assert await resolve(client, "source") == "10.0.0.77"
        client.name_order = ("hosts", "yellow pages")
        with pytest.raises(ConfigurationError, match="'yellow pages'"):
            await resolve(client, "source")

    world.run(main())


def test_dns_messages_are_read_and_damaged_ones_are_not() -> None:
    asked = dns.parse(dns.question(7, "www.example.test"))
    assert asked == (7, False, 0, "www.example.test", dns.ADDRESS, "0.0.0.0", 0)
    assert asked is not None
    said = dns.parse(dns.answer(asked, "10.0.0.80"))
    assert said == (7, True, 0, "www.example.test", dns.ADDRESS, "10.0.0.80", dns.TIME_TO_LIVE)
    whole = dns.answer(asked, "10.0.0.80")
    for length in range(len(whole)):
        dns.parse(whole[:length])
    assert dns.parse(b"") is None
    assert dns.parse(whole[:20]) is None
    assert not dns.is_domain_name("a" * 64)
    assert not dns.is_domain_name("a..b")


# --- WINS -----------------------------------------------------------------------------------------------------------


class Branches:
    """Two subnets, a router, the WINS server in the first."""

    def __init__(self, world: World) -> None:
        lan, branch = world.network.segment("lan"), world.network.segment("branch", "10.1.0.0/24")
        self.server, self.near, self.far = (Machine(world, name) for name in ("WINS", "NEAR", "FAR"))
        self.router = Router(world, "R")
        self.router.plug(lan, "10.0.0.1/24")
        self.router.plug(branch, "10.1.0.1/24")
        self.server.plug(lan, "10.0.0.5/24", gateway="10.0.0.1")
        self.near.plug(lan, "10.0.0.10/24", gateway="10.0.0.1")
        self.far.plug(branch, "10.1.0.10/24", gateway="10.1.0.1")
        self.wins = WinsServer(self.server)
        for machine in (self.server, self.near, self.far):
            machine.netbios.wins = "10.0.0.5"

    async def up(self) -> None:
        up(self.router, self.server)
        await asyncio.sleep(8)
        up(self.near, self.far)
        await asyncio.sleep(8)


def test_wins_finds_names_across_subnets_where_broadcast_does_not(world: World) -> None:
    site = Branches(world)

    async def main() -> None:
        await site.up()
        assert site.wins.names == {"WINS": "10.0.0.5", "NEAR": "10.0.0.10", "FAR": "10.1.0.10"}
        assert await resolve(site.near, "far") == "10.1.0.10"
        assert await resolve(site.far, "near") == "10.0.0.10"
        site.near.netbios.flush_cache()
        site.near.netbios.wins = None
        with pytest.raises(socket.gaierror):
            await resolve(site.near, "far")

    world.run(main())


def test_a_name_that_its_owner_defends_is_refused_by_wins(world: World) -> None:
    site = Branches(world)

    async def main() -> None:
        await site.up()
        with pytest.raises(DuplicateName, match=r"10\.1\.0\.10"):
            await site.near.netbios.register("FAR")
        assert site.near.netbios.names() == ["NEAR"]
        assert site.wins.names["FAR"] == "10.1.0.10"

    world.run(main())


def test_a_name_whose_owner_is_silent_goes_to_who_asks_for_it(world: World) -> None:
    site = Branches(world)

    async def main() -> None:
        await site.up()
        site.far.power_off()
        began = world.loop.time()
        await site.near.netbios.register("FAR")
        assert 1.4 < world.loop.time() - began < 4
        assert site.wins.names["FAR"] == "10.0.0.10"

    world.run(main())


def test_a_released_name_is_gone_from_wins_and_only_its_owner_can_release_it(world: World) -> None:
    site = Branches(world)

    async def main() -> None:
        await site.up()
        await site.far.netbios.release("FAR")
        await asyncio.sleep(1)
        assert "FAR" not in site.wins.names
        with pytest.raises(socket.gaierror):
            await resolve(site.near, "far")
        await site.near.netbios.register("FAR")
        assert await resolve(site.far, "far") == "10.1.0.10", "its own name, before all others"

    world.run(main())


def test_without_its_wins_server_a_machine_broadcasts(world: World) -> None:
    site = Branches(world)
    twin = Machine(world, "TWIN")
    twin.plug("lan", "10.0.0.11/24")
    twin.netbios.wins = "10.0.0.5"

    async def main() -> None:
        await site.up()
        site.server.power_off()
        twin.power_on()
        await asyncio.sleep(10)
        assert twin.netbios.names() == ["TWIN"]
        assert await resolve(site.near, "twin") == "10.0.0.11"
        with pytest.raises(DuplicateName):
            await twin.netbios.register("NEAR")

    world.run(main())
