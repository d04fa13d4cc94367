"""Named streams: mirrored and replicated, whatever applications do to them meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import ROOT, Site, mirrored, protect, running, same, until

from bodydouble.errors import ProtocolError
from bodydouble.replication.bounds import check_values
from bodydouble.replication.protocol import BLOCK_BYTES
from bodydouble.replication.streams import StreamSender
from bodydouble.replication.translate import translate
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    MakeDirectory,
    MakeStream,
    Metadata,
    RemoveStream,
    SetTimes,
    StreamOperation,
    TruncateStream,
    Write,
    WriteStream,
)
from bodydouble.vocabulary.verification import VerificationOptions

A, D = f"{ROOT}/a", f"{ROOT}/d"
LONG = bytes(range(256)) * 1000


def site_with_streams() -> Site:
    source = Site("A")
    source.mkdir(ROOT)
    source.put(A, b"base")
    source.mkdir(D)
    for path in (A, D):
        source.volume.do(MakeStream(path, "summary"))
        source.volume.do(WriteStream(path, "summary", 0, b"by whom"))
        source.volume.do(MakeStream(path, "long"))
        source.volume.do(WriteStream(path, "long", 0, LONG))
        source.volume.do(MakeStream(path, "empty"))
    return source


def stream_writes(target: Site) -> int:
    return sum(isinstance(each, WriteStream) for each in target.volume.applied)


@pytest.mark.parametrize("kind", ["full", "difference", "checksum"])
def test_a_mirror_makes_the_streams_of_a_stale_replica_those_of_the_source(kind: str) -> None:
    async def scenario() -> None:
        source, target = site_with_streams(), Site("B")
        target.mkdir(ROOT)
        target.put(A, b"base")
        target.volume.do(SetTimes(A, 2000))
        for path in (A, D):
            target.volume.change(MakeDirectory(D, Metadata()))
            target.volume.do(MakeStream(path, "orphan"))
            target.volume.do(MakeStream(path, "summary"))
            target.volume.do(WriteStream(path, "summary", 0, b"by WHOM"))
        async with running(source, target):
            await protect(source, target.service.port, mirror=kind)
            await mirrored(source, target)
            before = stream_writes(target)
            await source.service.start_mirror(1)
            await until(lambda: source.service.connections()[0].mirror_state == "complete" and same(source, target))
            assert (stream_writes(target) > before) == (kind == "full")

    asyncio.run(scenario())


def test_what_applications_do_to_streams_is_done_on_the_replica() -> None:
    async def scenario() -> None:
        source, target = site_with_streams(), Site("B")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            steps: list[AnyOperation] = [
                WriteStream(A, "summary", 3, LONG[: 3 * BLOCK_BYTES + 5]),
                TruncateStream(A, "long", 17),
                RemoveStream(A, "empty"),
                MakeStream(D, "new"),
                RemoveStream(D, "long"),
            ]
            for operation in steps:
                source.volume.do(operation)
            await until(lambda: same(source, target))
            sent = [each for each in target.volume.applied if isinstance(each, WriteStream)]
            assert max(len(each.data) for each in sent) == BLOCK_BYTES

    asyncio.run(scenario())


async def written_meanwhile() -> bool:
    """An application changes each stream in the moment in which the mirror reads it; whether both end up equal."""
    source, target = site_with_streams(), Site("B")
    read = source.volume.read
    changes: list[AnyOperation] = [
        WriteStream(A, "long", 70_000, b"in between"),
        MakeStream(A, "late"),
        WriteStream(A, "late", 0, b"late"),
        RemoveStream(D, "summary"),
        TruncateStream(D, "long", 65_000),
    ]  # fmt: skip

    async def slow(path: str, offset: int, size: int, stream: str = "") -> bytes:
        data = await read(path, offset, size, stream)
        if stream and changes and changes[0].path == path:
            source.volume.do(changes.pop(0))
        return data

    source.volume.read = slow  # type: ignore[method-assign]
    async with running(source, target):
        await protect(source, target.service.port)
        await until(lambda: source.state() == "replicating")
        status = source.service.connections()[0]
        await until(lambda: source.service.connections()[0].applied == status.generated)
        return not changes and same(source, target)


def test_streams_that_are_changed_while_the_mirror_reads_them_end_up_equal() -> None:
    assert asyncio.run(written_meanwhile())


def test_a_mirror_that_does_not_hear_of_changes_to_streams_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StreamSender, "note", lambda *_: None)
    assert not asyncio.run(written_meanwhile())


@pytest.mark.parametrize(
    "tampered",
    [
        RemoveStream(A, "summary"),
        TruncateStream(A, "summary", 3),
        WriteStream(A, "summary", 0, b"BY"),
        MakeStream(D, "x"),
    ],
    ids=["missing", "shorter", "other bytes", "one more, of a directory"],
)
def test_a_verification_finds_streams_that_differ_and_repairs_them(tampered: StreamOperation) -> None:
    async def scenario() -> None:
        source, target = site_with_streams(), Site("B")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            target.volume.change(tampered)  # type: ignore[arg-type]
            source.service.verify(1, VerificationOptions(checksum=True, repair=True))
            reports = source.service.verifier.reports
            await until(lambda: reports()[0].state == "complete")
            details = await source.service.verifier.details(1)
            assert [(each.path, "streams" in each.detail) for each in details.differences] == [(tampered.path, True)]
            assert same(source, target)

    asyncio.run(scenario())


def test_a_file_that_was_created_has_no_streams_of_an_orphan() -> None:
    from tests.product.replication.test_pure import WEB, select  # noqa: PLC0415 - only this case needs them

    path = "C:/InetPub/a"
    bodies = translate(CreateFile(path, Metadata(), 5), select(WEB)).bodies
    volume: Any = MemoryVolume(case_sensitive=False)
    for directory in ("C:", "C:/InetPub"):
        volume.nodes[volume.key(directory)] = volume.new(directory, True)
    for operation in (CreateFile(path, Metadata(), 1), Write(path, 0, b"orphan", 1), MakeStream(path, "s"), *bodies):
        volume.change(operation)
    assert (volume.get(path).data, volume.get(path).body.streams) == (b"", {})


@pytest.mark.parametrize("name", ["", "a:b", "a/b", "a\\b", "x" * 256, "\0", "$DATA:$INDEX_ALLOCATION"])
def test_a_stream_that_might_be_something_else_is_refused(name: str) -> None:
    for operation in (MakeStream(A, name), WriteStream(A, name, 0, b""), TruncateStream(A, name, 0)):
        with pytest.raises(ProtocolError, match="no name of a stream"):
            check_values(operation)
    check_values(RemoveStream(A, ""))
