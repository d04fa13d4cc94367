"""What a break in the wrong moment, or a peer or setting at its limits, must not do: each was once a defect."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.replication.site import ROOT, WEB, Relay, Site, mirrored, protect, request, running, same, until

from bodydouble.errors import InputError
from bodydouble.replication.contact import ConnectionRecord
from bodydouble.replication.packing import Packer
from bodydouble.replication.protocol import (
    MAX_BATCH_BYTES,
    MAX_BATCH_OPERATIONS,
    MAX_FRAME,
    Item,
    Settle,
    Settled,
    encode,
)
from bodydouble.replication.queue import SourceQueue
from bodydouble.replication.replica import Replica, ReplicaRecord
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import MakeDirectory, Metadata, Rename, SetMetadata, Write
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble.vocabulary.operations import AnyOperation


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


def seeded(name: str = "WEB1", **settings: Any) -> Site:
    site = Site(name, **settings)
    site.mkdir(ROOT)
    site.put(f"{ROOT}/index.htm", b"hello")
    return site


@pytest.mark.parametrize("target", ["foo..bar", "x" * 70, "ü" * 64])
def test_target_that_is_no_host_name_is_refused(target: str) -> None:
    async def scenario() -> None:
        source = seeded()
        async with running(source):
            await source.service.save_set(WEB)
            with pytest.raises(InputError, match="not a host name"):
                await source.service.connect(request(6320, target=target))
            assert source.service.connections() == []

    run(scenario())


def test_kept_connection_to_a_name_that_is_none_does_not_end_the_daemon() -> None:
    async def scenario() -> None:
        source = seeded()
        async with running(source, Site("WEB2")):
            await source.service.save_set(WEB)
            await source.service.connect(request(6320, target="name"))
            connection = source.service._connections[1]
            connection.record = ConnectionRecord(id=1, request=request(6320, target="foo..bar"))
            connection._kick.set()
            await until(lambda: source.task.done() or "foo..bar" in connection.detail)
            assert not source.task.done()

    run(scenario())


@pytest.mark.parametrize("retry_interval", [0.02, 0.2])
def test_break_while_a_batch_is_applied_applies_nothing_twice(
    retry_interval: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shorter interval has the source back, and its old session severed, before the volume goes on."""

    async def scenario() -> None:
        source, target = seeded(retry_interval=retry_interval), Site("WEB2")
        apply = target.volume.apply
        threads: list[asyncio.Task[None]] = []

        async def as_in_a_thread(operations: Any, *, durable: bool = True) -> None:
            threads.append(asyncio.create_task(apply(operations, durable=durable), name="thread"))
            await asyncio.shield(threads[-1])

        monkeypatch.setattr(target.volume, "apply", as_in_a_thread)
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await mirrored(source, target)
            await until(lambda: source.service.connections()[0].queue_operations == 0)
            before = len(target.volume.applied)
            first = source.service._connections[1]
            target.volume.gate.clear()
            source.volume.do(Write(f"{ROOT}/index.htm", 0, b"A", 5000))
            source.volume.do(Rename(f"{ROOT}/index.htm", f"{ROOT}/default.htm"))
            replica = target.service.registry.find("WEB1", "web")
            assert replica is not None
            await until(lambda: first.stream is not None and not first.stream.queue._unsent)
            await asyncio.sleep(0.05)  # the batch is on its way into the volume, which stands still
            relay.cut()
            await asyncio.sleep(0.1)
            target.volume.gate.set()
            await until(lambda: EventCode.RESUMED in source.codes())
            await until(lambda: same(source, target))
            await until(lambda: _settled(source))
            assert [type(each) for each in target.volume.applied[before:]] == [Write, Rename]
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1

    run(scenario())


def _settled(source: Site) -> bool:
    status = source.service.connections()[0]
    return status.state == "replicating" and status.acknowledged == status.generated > 0


def _crowd(operation: AnyOperation, number: int) -> SourceQueue:
    queue = SourceQueue(1 << 30)
    for _ in range(number):
        queue.put(operation)
    return queue


@pytest.mark.parametrize(
    "operation",
    [
        SetMetadata("/web/a", Metadata(security=b"s" * 4000)),
        MakeDirectory("/web/a", Metadata(security=b"s" * 4000)),
        Rename("/web/" + "\U0001f600" * 200, "/web/" + "\U0001f601" * 200),
    ],
)
def test_a_full_batch_always_fits_into_a_frame(operation: AnyOperation) -> None:
    queue = _crowd(operation, 5000)
    while taken := queue.take(MAX_BATCH_BYTES, MAX_BATCH_OPERATIONS):
        assert all(len(encode(message)) <= MAX_FRAME + 4 for message in Packer().messages(taken))


def test_security_counts_against_the_queues_memory() -> None:
    queue = SourceQueue(100_000)
    accepted = sum(queue.put(SetMetadata("/web/a", Metadata(security=b"s" * 4000))) is not None for _ in range(1000))
    assert accepted <= 25


def test_two_new_sources_for_the_same_data_are_not_both_admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        one, two, target = seeded("WEB1"), seeded("WEB3"), Site("WEB2")
        async with running(one, two, target):
            store = target.service.registry._store
            save, gate = store.save, asyncio.Event()

            async def slow(name: str, value: Any) -> None:
                if name == "target-replicas":
                    await gate.wait()
                await save(name, value)

            monkeypatch.setattr(store, "save", slow)
            await protect(one, target.service.port)
            await protect(two, target.service.port)
            await asyncio.sleep(0.1)
            gate.set()
            await until(lambda: any(each.connected for each in target.service.target_connections()))
            await asyncio.sleep(0.1)
            assert [each.connected for each in target.service.target_connections()].count(True) == 1

    run(scenario())


def test_set_changed_while_a_stream_opens_is_the_one_that_is_replicated(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        source.mkdir("/docs")
        source.put("/docs/a", b"a")
        attach, held = source.volume.attach, asyncio.Event()

        async def slow(root: str, sink: Any, lost: Any = None) -> Any:
            await held.wait()
            return await attach(root, sink, lost)

        monkeypatch.setattr(source.volume, "attach", slow)
        async with running(source, target):
            await protect(source, target.service.port)
            await asyncio.sleep(0.05)
            await source.service.save_set(ReplicationSet(name="web", rules=[Rule(path=ROOT), Rule(path="/docs")]))
            held.set()
            await until(lambda: source.state() == "replicating")
            await until(lambda: same(source, target, "/docs"))

    run(scenario())


def test_what_was_skipped_always_fits_into_one_answer() -> None:
    async def scenario() -> None:
        target = Site("WEB2")
        async with running(target):
            record = ReplicaRecord(number=1, source="WEB1", replication_set=WEB)
            replica = Replica(target.service.context, record, _never_saved)
            replica.mirroring = True
            for number in range(1000):
                replica._remember(f"{ROOT}/" + f"{number:04}" + "\U0001f600" * 1000)
            (answer,) = await replica.execute([Item(1, Settle())])
            assert isinstance(answer, Settled)
            assert answer.overflow
            assert len(encode(answer)) <= MAX_FRAME

    run(scenario())


async def _never_saved(_replica: Replica) -> None:
    raise AssertionError


def test_mirror_that_a_missing_filter_prevents_is_not_announced() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        source.volume.no_filter = True
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: EventCode.REPLICATION_ERROR in source.codes())
            assert EventCode.MIRROR_STARTED not in source.codes()

    run(scenario())
