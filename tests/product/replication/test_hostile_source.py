"""A peer that speaks the protocol and means ill: nothing outside the roots changes, and the target serves on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.peers import credential_of, pin
from tests.product.replication.site import WEB, Site, running, until

from bodydouble.replication.protocol import (
    PROTOCOL,
    VERSION,
    Batch,
    Begin,
    Fragment,
    Hello,
    Item,
    ListRequest,
    Message,
    Refused,
    RemoveTree,
    Welcome,
    Wire,
)
from bodydouble.security.tls import client_context
from bodydouble.vocabulary.operations import CreateFile, MakeDirectory, Metadata, RemoveFile, Rename, Write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

HELLO = Hello(VERSION, "EVIL", WEB, "replicate", "", True)


@asynccontextmanager
async def session(target: Site, hello: Message = HELLO) -> AsyncIterator[Wire]:
    """A paired source's connection, which says what it likes."""
    await pin(target.trust, "EVIL")
    context = client_context(credential_of("EVIL"), [PROTOCOL], [target.trust.credential.certificate])
    port = target.service.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="")
    wire = Wire(reader, writer, 5.0, target.trust.peers()[0])
    await wire.send(hello)
    try:
        yield wire
    finally:
        await wire.close()


async def forever(part: Callable[[], Awaitable[Any]]) -> None:
    while True:
        await part()


async def ends(wire: Wire) -> None:
    with pytest.raises(ConnectionError):
        await forever(wire.receive)


def victim() -> Site:
    target = Site("WEB2")
    target.mkdir("/web")
    target.mkdir("/etc")
    target.put("/etc/passwd", b"root")
    return target


@pytest.mark.parametrize(
    "body",
    [
        Write("/etc/passwd", 0, b"evil", 0),
        Write("/web/../etc/passwd", 0, b"evil", 0),
        Rename("/web/a", "/etc/b"),
        Rename("/etc/passwd", "/web/b"),
        RemoveTree("/etc"),
        RemoveTree("/"),
        RemoveFile("etc/passwd"),
        ListRequest("/etc", itself=False, after="", digests=True),
        Write("/web/a", -1, b"x", 0),
        CreateFile("/web/\x00", Metadata(), 0),
        MakeDirectory("/webs", Metadata()),
        Write("/state/run.json", 0, b"x", 0),
    ],
)
def test_paths_outside_the_roots_end_the_session_unapplied(body: Any) -> None:
    async def scenario() -> None:
        target = victim()
        before = target.volume.picture("/etc")
        async with running(target), session(target) as wire:
            assert isinstance(await wire.receive(), Welcome)
            await wire.send(Begin("evil/1", 0))
            await wire.send(Batch([Item(1, body)]))
            await ends(wire)
            assert target.volume.picture("/etc") == before
            assert target.volume.applied == []

    asyncio.run(scenario())


@pytest.mark.parametrize("sequences", [[2], [1, 1], [1, 3], [0]])
def test_gaps_and_repetitions_end_the_session(sequences: list[int]) -> None:
    async def scenario() -> None:
        target = victim()
        async with running(target), session(target) as wire:
            await wire.receive()
            await wire.send(Begin("evil/1", 0))
            await wire.send(Batch([Item(n, MakeDirectory(f"/web/{i}", Metadata())) for i, n in enumerate(sequences)]))
            await ends(wire)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "hello",
    [
        Hello(99, "EVIL", WEB, "replicate", "", True),
        Hello(VERSION, "", WEB, "replicate", "", True),
        Hello(VERSION, "WEB1", WEB, "replicate", "", True),
    ],
)
def test_other_versions_and_names_that_are_not_its_own_are_refused(hello: Hello) -> None:
    async def scenario() -> None:
        target = victim()
        async with running(target), session(target, hello) as wire:
            assert isinstance(await wire.receive(), Refused)
            await ends(wire)
            assert target.service.target_connections() == []

    asyncio.run(scenario())


def test_raw_garbage_and_giant_frames_leave_the_target_serving() -> None:
    async def scenario() -> None:
        target = victim()
        async with running(target):
            for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\xff" * 100, b"\0\0\0\x01\xc1", b""):
                reader, writer = await asyncio.open_connection("127.0.0.1", target.service.port)
                writer.write(garbage)
                writer.write_eof()
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
                writer.close()
                await writer.wait_closed()
            async with session(target) as wire:
                assert isinstance(await wire.receive(), Welcome)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "order", [[Begin("evil/1", 7)], [Batch([])], [Begin("x", 0), HELLO], [Begin("x", 0), Begin("x", 0)]]
)
def test_messages_out_of_place_end_the_session(order: list[Message]) -> None:
    async def scenario() -> None:
        target = victim()
        async with running(target), session(target) as wire:
            await wire.receive()
            for message in order:
                await wire.send(message)
            await ends(wire)

    asyncio.run(scenario())


def test_endless_fragments_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bodydouble.replication.target.MAX_OPERATION_BYTES", 1_000_000)

    async def scenario() -> None:
        target = victim()
        async with running(target), session(target) as wire:
            await wire.receive()
            await wire.send(Begin("evil/1", 0))
            with pytest.raises(ConnectionError):
                await forever(lambda: wire.send(Fragment(b"x" * 250_000)))
            await until(lambda: not target.service.target_connections()[0].connected)

    asyncio.run(scenario())


def test_acknowledgement_comes_only_after_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    from bodydouble.replication.journal.journal import Journal  # noqa: PLC0415 - the seams under test
    from bodydouble.replication.target import TargetSession  # noqa: PLC0415

    order: list[str] = []
    for owner, name in ((Journal, "append"), (TargetSession, "_acknowledge")):
        original = getattr(owner, name)

        async def noted(self: Any, what: Any, *, _name: str = name, _original: Any = original) -> None:
            if _name == "_acknowledge":
                order.append(_name)
            await _original(self, what)
            if _name == "append":
                order.append(_name)

        monkeypatch.setattr(owner, name, noted)

    async def scenario() -> None:
        target = victim()
        async with running(target), session(target) as wire:
            await wire.receive()
            await wire.send(Begin("evil/1", 0))
            await wire.send(Batch([Item(1, MakeDirectory("/web/a", Metadata()))]))
            await until(lambda: len(order) == 2)

    asyncio.run(scenario())
    assert order == ["append", "_acknowledge"]
