"""TLS 1.3 over connections, servers, sockets and upgrades of them."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.certificates import Authority
from tests.conformance.networking.arms import Recorder, listen, serve, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.conformance.networking.arms import Net

HOSTS = ("127.0.0.1", "10.0.0.2")


@pytest.fixture(autouse=True)
def _leaks_show_in_their_own_test() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def talking(
    net: Net, context: ssl.SSLContext, client: ssl.SSLContext
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    server, port = await serve(net, echo, ssl=context)
    reader, writer = await asyncio.open_connection(net.host, port, ssl=client)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()
        server.close()
        await asyncio.sleep(net.pause)


async def test_what_is_written_comes_back(net: Net, authority: Authority) -> None:
    async with talking(net, authority.server(*HOSTS), authority.client()) as (reader, writer):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"


async def test_long_data_comes_back_whole(net: Net, authority: Authority) -> None:
    data = bytes(range(256)) * 8000
    async with talking(net, authority.server(*HOSTS), authority.client()) as (reader, writer):
        reading = asyncio.create_task(reader.readexactly(len(data)))
        writer.write(data)
        await writer.drain()
        assert await reading == data


async def test_the_transport_tells_what_was_agreed(net: Net, authority: Authority) -> None:
    async with talking(net, authority.server(*HOSTS), authority.client()) as (_, writer):
        shown = writer.get_extra_info("ssl_object")
        assert shown.version() == "TLSv1.3"
        assert writer.get_extra_info("cipher")[1] == "TLSv1.3"
        assert writer.get_extra_info("peercert")["subject"] == ((("commonName", "server"),),)
        assert writer.get_extra_info("peername")[0] == net.host
        assert writer.get_extra_info("sslcontext").verify_mode == ssl.CERT_REQUIRED
        assert not writer.can_write_eof()


async def test_both_sides_see_each_others_certificates(net: Net, authority: Authority) -> None:
    far = Recorder()
    server, port = await listen(net, lambda: far, ssl=authority.server(*HOSTS, mutual=True))
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(
        Recorder, net.host, port, ssl=authority.client(certificate=True), server_hostname=net.host
    )
    await until(lambda: far.transport)
    assert far.transport.get_extra_info("peercert")["subject"] == ((("commonName", "client"),),)
    transport.close()
    await until(lambda: "lost" in far.calls)
    server.close()


async def test_a_protocol_is_told_of_a_connection_once_it_is_secured(net: Net, authority: Authority) -> None:
    near, far = Recorder(), Recorder()
    server, port = await listen(net, lambda: far, ssl=authority.server(*HOSTS))
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(lambda: near, net.host, port, ssl=authority.client())
    assert near.calls == ["made"]
    transport.write(b"hello")
    await until(lambda: far.data == b"hello")
    transport.close()
    await until(lambda: "lost" in far.calls and "lost" in near.calls)
    assert near.calls == ["made", "eof", "lost"]
    assert far.calls == ["made", "data", "eof", "lost"]
    server.close()


async def test_a_certificate_of_a_stranger_is_refused(net: Net, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger")
    far = Recorder()
    server, port = await listen(net, lambda: far, ssl=authority.server(*HOSTS))
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection(net.host, port, ssl=stranger.client())
    await asyncio.sleep(net.pause)
    assert far.calls == []
    server.close()


async def test_a_certificate_for_another_name_is_refused(net: Net, authority: Authority) -> None:
    server, port = await listen(net, Recorder, ssl=authority.server("elsewhere.example"))
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        await asyncio.open_connection(net.host, port, ssl=authority.client())
    server.close()
    await asyncio.sleep(net.pause)


async def test_a_client_without_a_certificate_does_not_reach_the_server(net: Net, authority: Authority) -> None:
    far = Recorder()
    server, port = await listen(net, lambda: far, ssl=authority.server(*HOSTS, mutual=True))
    reader, writer = await asyncio.open_connection(net.host, port, ssl=authority.client())
    assert await reader.read() == b""  # TLS 1.3: the client learns of it after its part of the handshake
    writer.close()
    await asyncio.sleep(net.pause)
    assert far.calls == []
    server.close()


async def test_a_peer_without_tls_fails_the_handshake(net: Net, authority: Authority) -> None:
    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"220 ready\r\n")
        writer.close()

    server, port = await serve(net, chat)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(net.host, port, ssl=authority.client())
    server.close()
    await asyncio.sleep(net.pause)


async def test_a_silent_peer_ends_the_handshake_in_time(net: Net, authority: Authority) -> None:
    far = Recorder()
    server, port = await listen(net, lambda: far)
    with pytest.raises(ConnectionAbortedError, match="handshake"):
        await asyncio.open_connection(net.host, port, ssl=authority.client(), ssl_handshake_timeout=net.pause)
    server.close()
    await until(lambda: "lost" in far.calls)


async def test_a_connection_can_be_upgraded_on_both_sides(net: Net, authority: Authority) -> None:
    context = authority.server(*HOSTS)

    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"OK\n")
        await writer.start_tls(context)
        await echo(reader, writer)

    server, port = await serve(net, upgrade)
    reader, writer = await asyncio.open_connection(net.host, port)
    writer.write(b"STARTTLS\n")
    assert await reader.readline() == b"OK\n"
    await writer.start_tls(authority.client(), server_hostname=net.host)
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
    writer.write(b"secret\n")
    assert await reader.readline() == b"secret\n"
    writer.close()
    await writer.wait_closed()
    server.close()
    await asyncio.sleep(net.pause)


async def test_an_upgrade_needs_a_context_and_a_transport(net: Net, authority: Authority) -> None:
    del net
    loop: Any = asyncio.get_running_loop()
    with pytest.raises(TypeError, match="SSLContext"):
        await loop.start_tls(object(), asyncio.Protocol(), None)
    with pytest.raises(TypeError, match="not supported"):
        await loop.start_tls(object(), asyncio.Protocol(), authority.client())


async def test_tls_goes_over_a_connected_socket(net: Net, authority: Authority) -> None:
    loop = asyncio.get_running_loop()
    server, port = await serve(net, echo, ssl=authority.server(*HOSTS))
    sock = socket.socket()
    sock.setblocking(False)
    await loop.sock_connect(sock, (net.host, port))
    with pytest.raises(ValueError, match="server_hostname"):
        await asyncio.open_connection(sock=sock, ssl=authority.client())
    reader, writer = await asyncio.open_connection(sock=sock, ssl=authority.client(), server_hostname=net.host)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    writer.close()
    await writer.wait_closed()
    server.close()
    await asyncio.sleep(net.pause)


async def test_a_file_goes_over_tls(net: Net, authority: Authority, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4000
    (tmp_path / "file").write_bytes(data)
    loop = asyncio.get_running_loop()
    far = Recorder()
    server, port = await listen(net, lambda: far, ssl=authority.server(*HOSTS))
    transport, _ = await loop.create_connection(Recorder, net.host, port, ssl=authority.client())
    with (tmp_path / "file").open("rb") as file:
        assert await loop.sendfile(transport, file) == len(data)
    transport.close()
    await until(lambda: "lost" in far.calls)
    assert far.data == data
    server.close()


async def test_a_slow_reader_stops_a_writer(net: Net, authority: Authority) -> None:
    near, far = Recorder(), Recorder()
    server, port = await listen(net, lambda: far, ssl=authority.server(*HOSTS))
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(lambda: near, net.host, port, ssl=authority.client())
    await until(lambda: far.transport)
    far.transport.pause_reading()
    transport.write(bytes(20_000_000))  # goes down to TCP at once, which then takes no more
    transport.write(bytes(1_000_000))
    await until(lambda: near.calls == ["made", "pause"])
    await asyncio.sleep(net.pause)
    assert near.calls == ["made", "pause"]
    far.transport.resume_reading()
    await until(lambda: "resume" in near.calls)
    transport.abort()
    await until(lambda: "lost" in far.calls and "lost" in near.calls)
    server.close()


@pytest.mark.parametrize("option", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
async def test_time_outs_of_tls_without_tls_are_an_error(net: Net, option: str) -> None:
    loop: Any = asyncio.get_running_loop()
    for call in (loop.create_connection, loop.create_server):
        with pytest.raises(ValueError, match="only meaningful with ssl"):
            await call(asyncio.Protocol, net.host, 9, **{option: 5})


async def test_a_server_needs_a_context(net: Net) -> None:
    loop: Any = asyncio.get_running_loop()
    with pytest.raises(TypeError, match="SSLContext"):
        await loop.create_server(asyncio.Protocol, net.host, 0, ssl=True)
