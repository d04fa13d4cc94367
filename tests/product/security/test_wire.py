"""Frames inside TLS: who is slow holds the other side back, and no end of a connection is taken for more than that."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.peers import credential_of
from tests.product.replication.site import Relay

from bodydouble.replication.protocol import FRAGMENT_BYTES, PROTOCOL, Fragment, Ping, Wire
from bodydouble.security.tls import client_context, server_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

HERE, THERE = credential_of("HERE"), credential_of("THERE")
NOBODY: Any = None


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


@asynccontextmanager
async def wires() -> AsyncIterator[tuple[Wire, Wire, Relay]]:
    """Both ends of one connection, and the relay between them."""
    accepted: asyncio.Future[Wire] = asyncio.get_running_loop().create_future()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result(Wire(reader, writer, 5.0, NOBODY))

    context = server_context(THERE, [PROTOCOL], [HERE.certificate], anonymous=False)
    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    async with server, Relay(lambda: server.sockets[0].getsockname()[1]) as relay:
        calling = client_context(HERE, [PROTOCOL], [THERE.certificate])
        streams = await asyncio.open_connection("127.0.0.1", relay.port, ssl=calling, server_hostname="")
        here, there = Wire(*streams, 5.0, NOBODY), await accepted
        yield here, there, relay
        here.transport.abort()
        there.transport.abort()


def test_a_sender_waits_for_a_receiver_that_does_not_read() -> None:
    async def scenario() -> None:
        async with wires() as (here, there, _):
            sent = 0

            async def send() -> None:
                nonlocal sent
                while True:
                    await here.send(Fragment(bytes(FRAGMENT_BYTES), 0))
                    sent += 1

            sending = asyncio.create_task(send())
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.2)  # long enough for many more, if nothing held it back
            assert before * FRAGMENT_BYTES < 32 * 1024 * 1024, "buffers of two kernels, a relay and TLS, and no more"
            assert here.transport.get_write_buffer_size() < 2 * 1024 * 1024
            for _ in range(before):
                await there.receive()
            while sent == before:  # noqa: ASYNC110 - the sender is a plain loop
                await asyncio.sleep(0.001)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    run(scenario())


@pytest.mark.parametrize("how", ["with close_notify", "half closed", "cut off"])
def test_the_end_of_a_connection_is_a_lost_connection_however_it_came(how: str) -> None:
    async def scenario() -> None:
        async with wires() as (here, there, relay):
            await here.send(Ping())
            assert isinstance(await there.receive(), Ping)
            if how == "with close_notify":
                await here.close()
            elif how == "half closed":
                relay._writers[1].write_eof()  # TCP's end of one direction, of which TLS says nothing
            else:
                relay.cut()
            with pytest.raises(ConnectionError):
                await there.receive()

    run(scenario())


def test_half_of_a_frame_is_no_message() -> None:
    async def scenario() -> None:
        async with wires() as (here, there, _):
            here._writer.write((1000).to_bytes(4, "big") + b"x" * 500)
            await here.close()
            with pytest.raises(ConnectionError, match="closed"):
                await there.receive()

    run(scenario())


def test_a_peer_that_never_says_farewell_does_not_hold_a_closing_side() -> None:
    async def scenario() -> None:
        async with wires() as (here, there, _):
            there.transport.pause_reading()  # type: ignore[attr-defined]
            loop = asyncio.get_running_loop()
            began = loop.time()
            await here.close()
            assert loop.time() - began < 3.0
            assert here.transport.is_closing()

    run(scenario())


def test_one_changed_byte_ends_the_connection() -> None:
    async def scenario() -> None:
        async with wires() as (here, there, relay):
            await here.send(Ping())
            await there.receive()
            towards = relay._writers[1]
            towards.write(b"\x17\x03\x03\x00\x20" + bytes(32))  # a record that nobody sealed
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await there.receive()

    run(scenario())
