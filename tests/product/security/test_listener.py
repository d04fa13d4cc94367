"""The replication port and those who are not paired: what they learn, and what they cannot take away from others."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.peers import credential_of, pin
from tests.product.replication.site import WEB, Site, mirrored, protect, running, until

from bodydouble.replication.protocol import PROTOCOL, VERSION, Hello, Welcome, Wire, encode
from bodydouble.security.attempts import WaitingRoom
from bodydouble.security.tls import PAIRING_PROTOCOL, client_context
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import MakeDirectory, Metadata
from bodydouble.vocabulary.records import OfferRequest

if TYPE_CHECKING:
    from collections.abc import Coroutine

HELLO = Hello(VERSION, "WEB1", WEB, "replicate", "", True)


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


async def target(**settings: Any) -> Site:
    """A target that is paired with WEB1 and nobody else; not started."""
    return Site("WEB2", **settings)


def calling(site: Site, name: str | None, protocol: str = PROTOCOL) -> ssl.SSLContext:
    own = None if name is None else credential_of(name)
    return client_context(own, [protocol], [site.trust.credential.certificate])


async def told(site: Site, context: ssl.SSLContext | None, say: bytes = encode(HELLO)) -> bytes:
    """Everything that a connection is told after its handshake until it ends."""
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", site.service.port, ssl=context, server_hostname=None if context is None else ""
        )
    except (ssl.SSLError, ConnectionError):
        return b""
    heard = bytearray()
    with suppress(OSError):
        writer.write(say)
        while data := await reader.read(1000):
            heard += data
    writer.transport.abort()
    return bytes(heard)


def attempts(site: Site) -> list[str]:
    return [event.text for event in site.events.after(0) if event.code == EventCode.UNPAIRED_ATTEMPT]


@pytest.mark.parametrize("offer", [False, True], ids=["", "while pairing is offered"])
@pytest.mark.parametrize(
    ("name", "protocol"),
    [("EVIL", PROTOCOL), (None, PROTOCOL), ("WEB1", "bodydouble-replication/2"), ("WEB1", "http/1.1")],
    ids=["not pinned", "no certificate", "another version", "another protocol"],
)
def test_who_is_not_paired_hears_nothing(name: str | None, protocol: str, offer: bool) -> None:
    async def scenario() -> None:
        site = await target()
        async with running(site):
            await pin(site.trust, "WEB1")
            if offer:
                site.pairing.offer(OfferRequest())
            assert await told(site, calling(site, name, protocol)) == b""
            await until(lambda: attempts(site))
            assert attempts(site)[0].startswith("127.0.0.1 connected and is not paired")
            assert site.service.target_connections() == []

    run(scenario())


def test_pairing_is_not_spoken_of_while_none_is_offered() -> None:
    async def scenario() -> None:
        site = await target()
        async with running(site):
            assert await told(site, calling(site, None, PAIRING_PROTOCOL)) == b""
            await until(lambda: attempts(site))

    run(scenario())


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.0\r\n\r\n", encode(HELLO), b"\x16\x03\x01\xff\xff" + bytes(70_000), bytes(100_000), b"\x80" * 4000],
    ids=["HTTP", "a Hello in clear", "a record that is too long", "zeros", "an old hello"],
)
def test_what_is_no_tls_hears_nothing(garbage: bytes) -> None:
    async def scenario() -> None:
        site = await target()
        async with running(site):
            assert b"bodydouble" not in (heard := await told(site, None, garbage)).lower()
            assert len(heard) <= 7, "a TLS alert at most"

    run(scenario())


def test_an_endless_handshake_is_cut_off_by_its_bytes() -> None:
    """A handshake message that announces 16 MB is not collected."""

    async def scenario() -> None:
        site = await target(handshake_timeout=60.0)
        async with running(site):
            _, writer = await asyncio.open_connection("127.0.0.1", site.service.port)
            message = b"\x01\xff\xff\xff" + bytes(16_000)
            record = b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message
            sent = 0
            with suppress(ConnectionError):
                while sent < 64 * 1024 * 1024:
                    writer.write(record)
                    await writer.drain()
                    sent += len(record)
            assert sent < 8 * 1024 * 1024, "what the kernel's buffers hold"
            writer.transport.abort()

    run(scenario())


def test_a_handshake_that_does_not_end_is_cut_off_by_its_time() -> None:
    async def scenario() -> None:
        site = await target(handshake_timeout=0.05)
        async with running(site):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.service.port)
            writer.write(b"\x16\x03\x01\x01\x00")
            with suppress(ConnectionError):
                assert await reader.read() == b""
            await until(lambda: attempts(site))
            assert "no handshake came in time" in attempts(site)[0]
            writer.transport.abort()

    run(scenario())


async def held_open(site: Site, count: int, stack: AsyncExitStack) -> None:
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", site.service.port)
        stack.callback(_abort, writer)


def _abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def test_silent_connections_do_not_keep_paired_machines_out() -> None:
    """Sixty-four of them held all places for ten seconds once."""

    async def scenario() -> None:
        source, site = Site("WEB1"), await target()
        source.volume.change(MakeDirectory("/web", Metadata()))
        async with running(source, site), AsyncExitStack() as stack:
            await held_open(site, 200, stack)
            began = asyncio.get_running_loop().time()
            await protect(source, site.service.port)
            await mirrored(source, site)
            assert asyncio.get_running_loop().time() - began < site.settings.handshake_timeout
            assert len(site.service._listener._room) <= site.settings.max_handshakes
            assert len(attempts(site)) == 1, "one event for all of them"

    run(scenario())


def test_places_that_nobody_has_to_leave_keep_paired_machines_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: the newcomer leaves instead of the one that has waited longest."""

    def first_come(self: WaitingRoom[Any], newcomer: Any, address: str) -> Any:
        if len(self._waiting) >= self._places:
            return newcomer
        self._waiting[newcomer] = address
        return None

    monkeypatch.setattr(WaitingRoom, "enter", first_come)

    async def scenario() -> None:
        source, site = Site("WEB1"), await target()
        source.volume.change(MakeDirectory("/web", Metadata()))
        async with running(source, site), AsyncExitStack() as stack:
            await held_open(site, 200, stack)
            await until(lambda: len(site.service._listener._room) == site.settings.max_handshakes)
            await protect(source, site.service.port)
            await until(lambda: source.service.connections()[0].state == "retrying")

    run(scenario())


def test_a_connection_that_is_cancelled_before_its_first_step_is_closed() -> None:
    """As when the service stops at the moment at which it accepts: nobody else would close it."""

    async def scenario() -> None:
        site = await target()
        async with running(site):
            spawn = site.service.spawn

            def spawn_cancelled(part: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
                task = spawn(part, name)
                task.cancel()
                return task

            site.service._listener._spawn = spawn_cancelled
            reader, writer = await asyncio.open_connection("127.0.0.1", site.service.port)
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            assert len(site.service._listener._room) == 0
            writer.transport.abort()

    run(scenario())


def test_a_machine_that_is_removed_loses_its_session_at_once() -> None:
    async def scenario() -> None:
        site = await target()
        async with running(site):
            await pin(site.trust, "WEB1")
            peer = site.trust.peers()[0]
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", site.service.port, ssl=calling(site, "WEB1"), server_hostname=""
            )
            wire = Wire(reader, writer, 5.0, peer)
            await wire.send(HELLO)
            assert isinstance(await wire.receive(), Welcome)
            await site.trust.remove("WEB1")
            with suppress(ConnectionError):
                while True:
                    await wire.receive()
            await wire.close()
            assert await told(site, calling(site, "WEB1")) == b""

    run(scenario())


def test_a_machine_that_paired_late_is_let_in_without_a_restart() -> None:
    async def scenario() -> None:
        site = await target()
        async with running(site):
            assert await told(site, calling(site, "WEB1")) == b""
            await pin(site.trust, "WEB1")
            assert b"welcome" in await _answer(site)

    async def _answer(site: Site) -> bytes:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", site.service.port, ssl=calling(site, "WEB1"), server_hostname=""
        )
        writer.write(encode(HELLO))
        answer = await reader.read(1000)
        writer.transport.abort()
        return answer

    run(scenario())
