"""getaddrinfo and getnameinfo."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conformance.networking.arms import Net


async def look_up(host: Any, port: Any, **options: Any) -> list[Any]:
    return await asyncio.get_running_loop().getaddrinfo(host, port, **options)


async def test_an_address_resolves_to_itself(net: Net) -> None:
    rows = await look_up(net.host, 80, type=socket.SOCK_STREAM)
    assert rows == [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (net.host, 80))]


async def test_the_kind_asked_for_is_the_kind_given(net: Net) -> None:
    for kind, protocol in ((socket.SOCK_STREAM, socket.IPPROTO_TCP), (socket.SOCK_DGRAM, socket.IPPROTO_UDP)):
        for options in ({"type": kind}, {"proto": protocol, "type": kind}):
            assert {row[1:3] for row in await look_up(net.host, 80, **options)} == {(kind, protocol)}
    assert len(await look_up(net.host, 80)) >= 2


async def test_nobody_is_this_machine(net: Net) -> None:
    del net
    options = {"family": socket.AF_INET, "type": socket.SOCK_STREAM}
    assert (await look_up(None, 80, **options))[0][4] == ("127.0.0.1", 80)
    assert (await look_up(None, 80, flags=socket.AI_PASSIVE, **options))[0][4] == ("0.0.0.0", 80)


async def test_localhost_is_this_machine(net: Net) -> None:
    del net
    rows = await look_up("localhost", 80, family=socket.AF_INET, type=socket.SOCK_STREAM)
    assert rows[0][4] == ("127.0.0.1", 80)


async def test_ports_may_be_numbers_digits_or_services(net: Net) -> None:
    for port in (80, "80", b"80", "http"):
        assert (await look_up(net.host, port, type=socket.SOCK_STREAM))[0][4][1] == 80


async def test_hosts_may_be_bytes(net: Net) -> None:
    assert (await look_up(net.host.encode(), 80, type=socket.SOCK_STREAM))[0][4] == (net.host, 80)


async def test_an_unknown_service_is_an_error(net: Net) -> None:
    with pytest.raises(socket.gaierror):
        await look_up(net.host, "no-such-service", type=socket.SOCK_STREAM)


async def test_a_name_where_only_an_address_is_wanted_is_an_error(net: Net) -> None:
    del net
    with pytest.raises(socket.gaierror) as caught:
        await look_up("nobody", 80, flags=socket.AI_NUMERICHOST)
    assert caught.value.errno == socket.EAI_NONAME


async def test_an_address_of_the_wrong_family_is_an_error(net: Net) -> None:
    with pytest.raises(socket.gaierror):
        await look_up(net.host, 80, family=socket.AF_INET6, flags=socket.AI_NUMERICHOST)


async def test_neither_host_nor_port_is_an_error(net: Net) -> None:
    del net
    with pytest.raises(socket.gaierror) as caught:
        await look_up(None, None)
    assert caught.value.errno == socket.EAI_NONAME


async def test_an_address_has_a_numeric_name(net: Net) -> None:
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    assert await asyncio.get_running_loop().getnameinfo((net.host, 80), flags) == (net.host, "80")
