from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from bodydouble.adapters.linux import IdentitySettings, LinuxHostSettings, open_host
from bodydouble.adapters.network import arp
from bodydouble.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.e2e.linux.conftest import Namespaces

    from bodydouble.ports import Host

pytestmark = [pytest.mark.root, pytest.mark.program("ip")]


def run(namespaces: Namespaces, case: Callable[[Host], Awaitable[None]], *, netbios: bool = True) -> None:
    async def on_host() -> None:
        async with open_host(LinuxHostSettings(identity=IdentitySettings(netbios=netbios))) as host:
            await case(host)

    with namespaces.inside(namespaces.first):
        asyncio.run(on_host())


async def looked_up(namespaces: Namespaces, name: str) -> str:
    command = ("nmblookup", "-s", "/dev/null", "-B", "10.78.0.255", name)
    return await asyncio.to_thread(namespaces.command, namespaces.second, *command)


@pytest.mark.program("nmblookup")
def test_nmblookup_finds_the_hosts_own_name(namespaces: Namespaces) -> None:
    async def case(_host: Host) -> None:
        assert "10.78.0.2 " in await looked_up(namespaces, socket.gethostname()[:15])

    run(namespaces, case)


@pytest.mark.program("nmblookup")
def test_nmblookup_finds_an_added_name_at_the_added_address_and_not_after_its_removal(namespaces: Namespaces) -> None:
    async def case(host: Host) -> None:
        assert "failed" in await looked_up(namespaces, "SOURCE")
        await host.identity.add_address(namespaces.interface, "10.78.0.10/24")
        await host.identity.add_name("SOURCE")
        assert "10.78.0.10 SOURCE<00>" in await looked_up(namespaces, "SOURCE")
        assert "10.78.0.10 SOURCE<20>" in await looked_up(namespaces, "SOURCE#20")
        assert "10.78.0.2 " in await looked_up(namespaces, socket.gethostname()[:15])
        await host.identity.remove_name("SOURCE")
        assert "failed" in await looked_up(namespaces, "SOURCE")

    run(namespaces, case)


@pytest.mark.program("nmblookup")
def test_nmblookup_finds_each_of_several_names_at_its_own_address(namespaces: Namespaces) -> None:
    async def case(host: Host) -> None:
        for name, address in (("SOURCE1", "10.78.0.10"), ("SOURCE2", "10.78.0.11")):
            await host.identity.add_address(namespaces.interface, f"{address}/24")
            await host.identity.add_name(name, [address])
        assert "10.78.0.10 SOURCE1<00>" in await looked_up(namespaces, "SOURCE1")
        assert "10.78.0.11 SOURCE2<00>" in await looked_up(namespaces, "SOURCE2")

    run(namespaces, case)


@pytest.mark.program("nmblookup")
def test_added_name_without_an_added_address_lives_at_the_hosts_own(namespaces: Namespaces) -> None:
    async def case(host: Host) -> None:
        await host.identity.add_name("SOURCE")
        assert "10.78.0.2 SOURCE<00>" in await looked_up(namespaces, "SOURCE")

    run(namespaces, case)


def test_names_cannot_be_added_when_switched_off(namespaces: Namespaces) -> None:
    async def case(host: Host) -> None:
        with pytest.raises(IdentityError, match="netbios = true"):
            await host.identity.add_name("SOURCE")
        await host.identity.remove_name("SOURCE")

    run(namespaces, case, netbios=False)


def test_taken_port_is_a_clear_error(namespaces: Namespaces) -> None:
    async def case(_host: Host) -> None:
        raise AssertionError("opened")

    with namespaces.inside(namespaces.first), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 137))
        with pytest.raises(IdentityError, match="UDP port 137"):
            run(namespaces, case)


def test_announcement_is_one_gratuitous_arp_with_the_hosts_mac(namespaces: Namespaces) -> None:
    async def case(host: Host) -> None:
        with namespaces.inside(namespaces.second):
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
        with wire:
            wire.setblocking(False)
            await host.identity.announce(namespaces.interface, "10.78.0.2/24")
            frame = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(wire, 2048), 5)
        seen = arp.parse(frame)
        assert seen is not None
        assert (seen.operation, seen.sender, seen.target) == (1, "10.78.0.2", "10.78.0.2")
        assert frame[:6] == b"\xff" * 6
        assert frame[6:12] == seen.sender_mac
        with pytest.raises(IdentityError, match="nothing to announce"):
            await host.identity.announce(namespaces.interface, "10.78.0.99")

    run(namespaces, case, netbios=False)


def test_connections_of_a_removed_address_die_and_others_live(namespaces: Namespaces) -> None:
    async def case(host: Host) -> None:
        await host.identity.add_address(namespaces.interface, "10.78.0.10/24")
        loop = asyncio.get_running_loop()
        accepted: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(lambda _reader, writer: accepted.append(writer), "0.0.0.0", 8080)
        with namespaces.inside(namespaces.second):
            clients = [socket.socket() for _ in range(2)]
        for client, address in zip(clients, ("10.78.0.10", "10.78.0.2"), strict=True):
            client.setblocking(False)
            await asyncio.wait_for(loop.sock_connect(client, (address, 8080)), 5)
        await host.identity.remove_address(namespaces.interface, "10.78.0.10/24")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(loop.sock_recv(clients[0], 1), 5)
        await loop.sock_sendall(clients[1], b"still here")
        for client in clients:
            client.close()
        for writer in accepted:
            writer.close()
        server.close()
        await server.wait_closed()

    run(namespaces, case, netbios=False)


def test_nothing_is_said_of_an_address_on_an_interface_without_carrier(namespaces: Namespaces) -> None:
    """Else a target whose own cable was pulled would add the address of a source that still serves."""

    async def case(host: Host) -> None:
        down = ("ip", "link", "set", namespaces.interface, "down")
        for machine in (namespaces.second, namespaces.first):
            await asyncio.to_thread(namespaces.command, machine, *down)
            with pytest.raises(IdentityError, match=namespaces.interface):
                await host.identity.in_use(namespaces.interface, "10.78.0.10/24")
        with pytest.raises(IdentityError, match=namespaces.interface):
            await host.identity.announce(namespaces.interface, "10.78.0.2/24")

    run(namespaces, case, netbios=False)
