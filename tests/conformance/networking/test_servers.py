"""Servers: their ports, their beginning and their end."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

import pytest
from tests.conformance.networking.arms import Recorder, listen, until

if TYPE_CHECKING:
    from tests.conformance.networking.arms import Net


async def test_a_server_serves_from_the_start_and_shows_its_port(net: Net) -> None:
    server, port = await listen(net, Recorder)
    assert server.is_serving()
    assert server.get_loop() is asyncio.get_running_loop()
    assert server.sockets[0].getsockname() == (net.host, port)
    assert port > 0
    server.close()
    assert not server.is_serving()
    assert server.sockets == ()
    server.close()


async def test_a_closed_server_refuses_and_its_connections_go_on(net: Net) -> None:
    near, far = Recorder(), Recorder()
    server, port = await listen(net, lambda: far)
    await asyncio.get_running_loop().create_connection(lambda: near, net.host, port)
    await until(lambda: far.transport)
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(net.host, port)
    near.transport.write(b"still here")
    await until(lambda: far.data == b"still here")
    near.transport.close()
    await until(lambda: "lost" in far.calls)


async def test_a_server_told_to_wait_has_its_port_and_refuses_until_it_starts(net: Net) -> None:
    far = Recorder()
    server, port = await listen(net, lambda: far, start_serving=False)
    assert not server.is_serving()
    assert port > 0
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(net.host, port)
    await net.at_server(server.start_serving())
    await net.at_server(server.start_serving())
    _, writer = await asyncio.open_connection(net.host, port)
    writer.close()
    await until(lambda: "lost" in far.calls)
    server.close()


async def test_a_port_in_use_is_an_error(net: Net) -> None:
    server, port = await listen(net, Recorder)
    loop = asyncio.get_running_loop()
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked below
        await net.at_server(loop.create_server(Recorder, net.host, port))
    assert caught.value.errno == errno.EADDRINUSE
    server.close()


async def test_a_foreign_address_cannot_be_listened_on(net: Net) -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked below
        await net.at_server(loop.create_server(Recorder, "203.0.113.1", 0))
    assert caught.value.errno == errno.EADDRNOTAVAIL


async def test_a_port_can_be_taken_again_at_once(net: Net) -> None:
    port = 0
    for _ in range(3):
        far = Recorder()
        server = await net.at_server(asyncio.get_running_loop().create_server(lambda: far, net.host, port))  # noqa: B023
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(net.host, port)
        await until(lambda: far.transport)  # noqa: B023
        server.close()
        far.transport.close()
        await until(lambda: "lost" in far.calls)  # noqa: B023
        writer.close()


async def test_two_servers_get_two_ports(net: Net) -> None:
    first, port = await listen(net, Recorder)
    second, other = await listen(net, Recorder)
    assert port != other
    first.close()
    second.close()


async def test_a_server_on_every_address_is_reached_by_each(net: Net) -> None:
    far = Recorder()
    server = await net.at_server(asyncio.get_running_loop().create_server(lambda: far, "0.0.0.0", 0))
    address, port = server.sockets[0].getsockname()
    assert address == "0.0.0.0"
    _, writer = await asyncio.open_connection(net.host, port)
    writer.close()
    await until(lambda: "lost" in far.calls)
    server.close()


async def test_leaving_the_context_closes_the_server(net: Net) -> None:
    server, port = await listen(net, Recorder)
    async with server:
        assert server.is_serving()
    assert not server.is_serving()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(net.host, port)


async def test_serving_for_ever_ends_with_its_cancellation_and_closes(net: Net) -> None:
    server, port = await listen(net, Recorder, start_serving=False)
    forever = net.at_server(server.serve_forever())
    await until(server.is_serving)
    with pytest.raises(RuntimeError):
        await server.serve_forever()
    forever.cancel()
    with pytest.raises(asyncio.CancelledError):
        await forever
    assert not server.is_serving()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(net.host, port)
    with pytest.raises(RuntimeError, match="closed"):
        await server.serve_forever()


async def test_closing_ends_serving_for_ever(net: Net) -> None:
    server, _ = await listen(net, Recorder)
    forever = net.at_server(server.serve_forever())
    await asyncio.sleep(0.01)
    server.close()
    with pytest.raises(asyncio.CancelledError):
        await forever


async def test_who_waits_for_the_end_before_it_waits_for_the_connections_too(net: Net) -> None:
    far = Recorder()
    server, port = await listen(net, lambda: far)
    waiting = asyncio.create_task(server.wait_closed())
    _, writer = await asyncio.open_connection(net.host, port)
    await until(lambda: far.transport)
    server.close()
    await asyncio.sleep(net.pause)
    assert not waiting.done()
    writer.close()
    await waiting
    assert far.calls[-1] == "lost"
