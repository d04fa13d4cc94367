"""A peer that speaks the protocol and means ill: nothing outside the roots changes, and the target serves on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.peers import credential_of, pin
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import WEB, Site, running, until

from bodydouble.replication.packing import Packer
from bodydouble.replication.protocol import (
    PROTOCOL,
    VERSION,
    Batch,
    Begin,
    BlocksRequest,
    Fragment,
    Hello,
    ListRequest,
    Message,
    Placement,
    Refused,
    RemoveTree,
    Welcome,
    Wire,
)
from bodydouble.replication.rules import Selection
from bodydouble.security.tls import client_context
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    Write,
)
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

HELLO = Hello(VERSION, "EVIL", WEB, "replicate", "", True)


def batch(*items: tuple[int, Any]) -> Batch:
    return Packer().batch(items)


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
        MakeHardLink("/web/a", "/etc/passwd"),
        MakeHardLink("/etc/b", "/web/a"),
        MakeSymbolicLink("/etc/a", "x", Metadata(), 0),
        MakeSymbolicLink("/web/a", "", Metadata(), 0),
        MakeSymbolicLink("/web/a", "x\0", Metadata(), 0),
        MakeSymbolicLink("/web/a", "x" * 4097, Metadata(), 0),
        MakeSymbolicLink("/web/a", "x", Metadata(), 0, created_ns=2**63),
        Write("/web/a", 2**62 + 1, b"x", 0),
        Truncate("/web/a", 2**62 + 1, 0),
        Write("/web/a", 0, b"x", 2**63),
        SetTimes("/web/a", -(2**63)),
        SetMetadata("/web/a", Metadata(attributes=-1)),
        SetMetadata("/web/a", Metadata(attributes=2**32)),
        SetMetadata("/web/a", Metadata(security=b"x" * 70_000)),
        SetMetadata("/web/a", Metadata(extended=(("user.a\0b", b""),))),
        SetMetadata("/web/a", Metadata(extended=(("", b""),))),
        SetMetadata("/web/a", Metadata(extended=(("user.a", b"x" * 300_000),))),
        BlocksRequest("/web/a", 2**50),
        RemoveDirectory("/web//a"),
        CreateFile("/web/" + "a/" * 2100, Metadata(), 0),
    ],
)
def test_paths_outside_the_roots_end_the_session_unapplied(body: Any) -> None:
    async def scenario() -> None:
        target = victim()
        before = target.volume.picture("/etc")
        async with running(target), session(target) as wire:
            assert isinstance(await wire.receive(), Welcome)
            await wire.send(Begin("evil/1", 0))
            await wire.send(batch((1, body)))
            await ends(wire)
            assert target.volume.picture("/etc") == before
            assert target.volume.applied == []

    asyncio.run(scenario())


NOT_ON_A_DRIVE = [
    "CON", "nul", "NUL.txt", "com1", "Lpt9.log.old", "CONIN$", "COM¹", "aux .txt",
    "a:b", "a::$DATA", "a:$I30:$INDEX_ALLOCATION", "a.", "a ", "a. .", "a?", "a*b", "a<b", "a|b", 'a"b', "a\\b",
]  # fmt: skip


@pytest.mark.parametrize("name", NOT_ON_A_DRIVE)
def test_what_windows_takes_for_something_else_ends_the_session(name: str) -> None:
    async def scenario() -> None:
        target = Site("WEB2", MemoryVolume(case_sensitive=False))
        drive = ReplicationSet(name="w", rules=[Rule(path="C:/w")])
        on_drive = msgspec.structs.replace(HELLO, replication_set=drive, placement=Placement(base="/replicas"))
        for path in (f"C:/w/{name}", f"C:/w/{name}/x"):
            async with running(target), session(target, on_drive) as wire:
                assert isinstance(await wire.receive(), Welcome)
                await wire.send(Begin("evil/1", 0))
                await wire.send(batch((1, CreateFile(path, Metadata(), 0))))
                await ends(wire)
                assert target.volume.applied == []

    asyncio.run(scenario())


@pytest.mark.parametrize("name", NOT_ON_A_DRIVE)
def test_a_source_leaves_out_what_a_target_would_refuse(name: str) -> None:
    everything = ReplicationSet(name="w", rules=[Rule(path="C:/w")])
    selection = Selection(everything, case_sensitive=False, protected=[])
    assert not selection.replicates(f"C:/w/{name}")
    assert not selection.replicates(f"C:/w/{name}/x")
    assert selection.replicates("C:/w/console.txt")
    elsewhere = ReplicationSet(name="w", rules=[Rule(path="/w")])
    assert Selection(elsewhere, case_sensitive=True, protected=[]).replicates(f"/w/{name}")


def test_a_rule_of_a_peer_cannot_make_matching_take_for_ever() -> None:
    """Some thirty wildcards in a name of 255 characters: what looks back does not come to an end."""
    rule = Rule(path="/w/" + "*a" * 30 + "*b")
    selection = Selection(ReplicationSet(name="w", rules=[rule]), case_sensitive=True, protected=[])
    assert not selection.selects("/w/" + "a" * 255)
    assert selection.selects("/w/" + "a" * 254 + "b")


@given(
    st.text("ab*?", min_size=1, max_size=8).filter(lambda text: "*" in text or "?" in text),
    st.text("ab", min_size=1, max_size=8),
)
def test_wildcards_mean_what_they_always_meant(pattern: str, name: str) -> None:
    selection = Selection(
        ReplicationSet(name="w", rules=[Rule(path=f"/w/{pattern}")]), case_sensitive=True, protected=[]
    )
    assert selection.selects(f"/w/{name}") == fnmatchcase(name, pattern)


@pytest.mark.parametrize("purpose", ["replicate", "restore"])
def test_one_peer_cannot_have_a_target_keep_more_and_more(purpose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bodydouble.replication.admission.MAX_REPLICAS_OF_ONE", 3)

    async def scenario() -> None:
        target = victim()
        answers = []
        async with running(target):
            for number in range(5):
                named = ReplicationSet(name=str(number), rules=WEB.rules)
                hello = msgspec.structs.replace(HELLO, replication_set=named, purpose=purpose)
                async with session(target, hello) as wire:
                    answers.append(type(await wire.receive()))
            assert answers == [Welcome] * 3 + [Refused] * 2

    asyncio.run(scenario())


def test_a_stream_with_an_endless_name_is_refused() -> None:
    async def scenario() -> None:
        target = victim()
        async with running(target), session(target) as wire:
            await wire.receive()
            await wire.send(Begin("x" * 10_000, 0))
            await ends(wire)
        async with running(target), session(target, msgspec.structs.replace(HELLO, stream="x" * 10_000)) as wire:
            assert isinstance(await wire.receive(), Refused)

    asyncio.run(scenario())


@pytest.mark.parametrize("sequences", [[2], [1, 1], [1, 3], [0]])
def test_gaps_and_repetitions_end_the_session(sequences: list[int]) -> None:
    async def scenario() -> None:
        target = victim()
        async with running(target), session(target) as wire:
            await wire.receive()
            await wire.send(Begin("evil/1", 0))
            for at, number in enumerate(sequences):
                await wire.send(batch((number, MakeDirectory(f"/web/{at}", Metadata()))))
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
    "order",
    [
        [Begin("evil/1", 7)],
        [msgspec.structs.replace(batch((1, RemoveTree("/web/a"))), meta=b"\x90")],
        [Begin("x", 0), HELLO],
        [Begin("x", 0), Begin("x", 0)],
    ],
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
    monkeypatch.setattr("bodydouble.replication.intake.MAX_OPERATION_BYTES", 1_000_000)

    async def scenario() -> None:
        target = victim()
        async with running(target), session(target) as wire:
            await wire.receive()
            await wire.send(Begin("evil/1", 0))
            with pytest.raises(ConnectionError):
                await forever(lambda: wire.send(Fragment(b"x" * 250_000, 0)))
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
            await wire.send(batch((1, MakeDirectory("/web/a", Metadata()))))
            await until(lambda: len(order) == 2)

    asyncio.run(scenario())
    assert order == ["append", "_acknowledge"]
