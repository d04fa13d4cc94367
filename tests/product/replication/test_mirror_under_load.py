"""Whatever applications do while a mirror runs and connections break: the replica ends up equal to the source."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import Relay, Site, request, running, until

from bodydouble.errors import FileSystemError
from bodydouble.replication.touches import FileWatch
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeStream,
    MakeSymbolicLink,
    Metadata,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    RemoveStream,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    TruncateStream,
    Write,
    WriteStream,
)
from bodydouble.vocabulary.records import ReplicationSet, Rule

RULES = ReplicationSet(
    name="web",
    rules=[Rule(path="/web"), Rule(path="/web/*.tmp", include=False), Rule(path="/web/a/skip", include=False)],
)
NAMES = ["a", "b", "c.tmp", "skip"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(lambda parts: "/web/" + "/".join(parts))
ANYWHERE = PATHS | st.sampled_from(["/out/a", "/out/b", "/web"])
DATA = st.sampled_from([b"", b"x", b"hello", b"0123456789" * 20, b"LONG"])
OFFSETS = st.sampled_from([0, 3, 100, 65_530, 140_000])
STREAMS = st.sampled_from(["s", "summary"])
TIMES = st.integers(1, 3).map(lambda number: number * 1000)
METADATA = st.sampled_from([Metadata(), Metadata(1), Metadata(0, b"1:2:644", (("user.a", b"1"),))])


def operations(where: st.SearchStrategy[str]) -> st.SearchStrategy[AnyOperation]:
    return st.one_of(
        st.builds(MakeDirectory, where, METADATA),
        st.builds(MakeDirectory, where, METADATA),
        st.builds(CreateFile, where, METADATA, TIMES),
        st.builds(CreateFile, where, METADATA, TIMES),
        st.builds(Write, where, OFFSETS, DATA, TIMES),
        st.builds(Write, where, OFFSETS, DATA, TIMES),
        st.builds(Truncate, where, OFFSETS, TIMES),
        st.builds(PunchHole, where, OFFSETS, st.sampled_from([0, 50, 70_000]), TIMES),
        st.builds(Rename, where, where),
        st.builds(Rename, where, where),
        st.builds(RemoveFile, where),
        st.builds(RemoveDirectory, where),
        st.builds(SetMetadata, where, METADATA),
        st.builds(SetTimes, where, TIMES),
        st.builds(MakeHardLink, where, where),
        st.builds(MakeHardLink, where, where),
        st.builds(MakeStream, where, STREAMS),
        st.builds(WriteStream, where, STREAMS, OFFSETS, DATA),
        st.builds(TruncateStream, where, STREAMS, OFFSETS),
        st.builds(RemoveStream, where, STREAMS | st.just("")),
        st.builds(MakeSymbolicLink, where, st.sampled_from(["a", "/out/a", "/etc/passwd"]), METADATA, TIMES),
    )


TREES = st.lists(operations(PATHS), max_size=25)
PAUSES = st.integers(1, 60)
STEPS = st.lists(operations(ANYWHERE) | operations(PATHS) | PAUSES | st.sampled_from(["cut", "mirror"]), max_size=60)


def attempt(volume: MemoryVolume, operation: AnyOperation, *, filtered: bool) -> None:
    if isinstance(operation, Write) and operation.data == b"LONG":  # drawn short, so that reports stay readable
        operation = Write(operation.path, operation.offset, b"L" * 70_000, operation.mtime_ns)
    try:
        (volume.do if filtered else volume.change)(operation)
    except FileSystemError:
        return


def prune(volume: MemoryVolume) -> None:
    """Without files that the rules leave out: a directory that holds such cannot be removed from a replica."""
    kept = visible(volume)
    for node in volume.inside("/web"):
        if node.path not in kept:
            del volume.nodes[node.path]


def visible(volume: MemoryVolume) -> dict[str, Any]:
    """What the rules select."""

    def selected(path: str) -> bool:
        parts = path.split("/")
        tmp = len(parts) > 2 and parts[2].endswith(".tmp")
        return not tmp and not (path + "/").startswith("/web/a/skip/")

    found = {path: what for path, what in volume.picture("/web").items() if selected(path)}
    names = {path: tuple(name for name in what[5] if name in found) for path, what in found.items()}
    return {path: (*what[:5], names[path] if len(names[path]) > 1 else ()) for path, what in found.items()}


async def play(  # noqa: C901 - one branch a kind of step
    before: list[Any], stale: list[Any], steps: Any, kind: str, check: Any = None
) -> None:
    source = Site("WEB1", retry_interval=0.001, mirror_window_bytes=100_000)
    target = Site("WEB2")
    for volume in (source.volume, target.volume):
        volume.change(MakeDirectory("/web", Metadata()))
        volume.change(MakeDirectory("/out", Metadata()))
    for operation in before:
        attempt(source.volume, operation, filtered=False)
        attempt(target.volume, operation, filtered=False)
    for operation in stale:
        attempt(target.volume, operation, filtered=False)
    prune(target.volume)
    async with running(source, target), Relay(lambda: target.service.port) as relay:
        await source.service.save_set(RULES)
        await source.service.connect(request(relay.port, mirror=kind, orphans="delete"))
        while not source.volume.sinks:  # noqa: ASYNC110 - to the very step at which the mirror begins
            await asyncio.sleep(0)
        observe = None if check is None else check(source, target)
        for step in steps.steps(source.volume) if hasattr(steps, "steps") else steps:
            if isinstance(step, int):
                for _ in range(step):
                    await asyncio.sleep(0)
            elif step == "cut":
                relay.cut()
            elif step == "mirror":
                connection = source.service.connection(1)
                if connection.state == "replicating":
                    connection.start_mirror()
            else:
                attempt(source.volume, step, filtered=True)
                if observe is not None:
                    observe()
        await until(lambda: settled(source))
        assert visible(source.volume) == visible(target.volume)


def settled(source: Site) -> bool:
    status = source.service.connections()[0]
    applied = status.applied == status.generated  # what is acknowledged need not be applied yet
    return status.state == "replicating" and status.queue_operations == 0 and applied


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(TREES, TREES, STEPS, st.sampled_from(["full", "difference", "checksum"]))
def test_replica_converges_whatever_happens_during_the_mirror(
    before: list[Any], stale: list[Any], steps: list[Any], kind: str
) -> None:
    asyncio.run(play(before, stale, steps, kind))


def prefix_check(source: Site, target: Site) -> Any:
    """After the mirror every state of the replica is one that the source was in."""
    prefixes = [visible(source.volume)]

    def applied(_operation: AnyOperation) -> None:
        replica = target.service.registry.find("WEB1", "web")
        if replica is not None and replica.record.complete and not replica.mirroring:
            assert visible(target.volume) in prefixes

    target.volume.on_applied = applied
    return lambda: prefixes.append(visible(source.volume))


INSIDE = st.lists(st.sampled_from(["a", "b", "d"]), min_size=1, max_size=3).map(lambda p: "/web/" + "/".join(p))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(operations(INSIDE), max_size=25),
    st.lists(operations(INSIDE) | PAUSES | PAUSES | st.just("cut"), max_size=60),
)
def test_replica_is_a_source_prefix_after_the_mirror(before: list[Any], steps: list[Any]) -> None:
    asyncio.run(play(before, [], steps, "full", prefix_check))


async def written_while_read() -> None:
    """An application writes into the chunk that the mirror has just read and not yet queued."""
    path = "/web/a"
    before = [CreateFile(path, Metadata(), 1000), Write(path, 0, b"L" * 500_000, 1000)]
    original = MemoryVolume.read

    async def read(self: MemoryVolume, path: str, offset: int, size: int, stream: str = "") -> bytes:
        data = await original(self, path, offset, size, stream)
        if self.sinks and path == "/web/a":
            self.do(Write(path, offset + 10, b"in between", 2000))
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryVolume, "read", read)
        await play(before, [Write(path, 0, b"M" * 500_000, 1000)], [], "full")


def test_mirror_takes_in_what_is_written_while_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(written_while_read())
    monkeypatch.setattr(FileWatch, "patch", lambda _self, data, _offset, _limit: data)
    with pytest.raises(AssertionError):
        asyncio.run(written_while_read())


def test_hot_file_does_not_keep_the_mirror_from_ending() -> None:
    path = "/web/log"
    before = [CreateFile(path, Metadata(), 1000), Write(path, 0, b"L" * 200_000, 1000)]
    steps: list[Any] = []
    for number in range(600):
        steps += [Write(path, 200_000 + number * 10, b"0123456789", 2000 + number), 1]
    asyncio.run(play(before, [], steps, "full"))
