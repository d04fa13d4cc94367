"""The source's queue: memory, then disk, in order; and what follows when both are full."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.product.replication.site import ROOT, Relay, Site, mirrored, protect, running, same, until

from bodydouble.replication.queue import SourceQueue, weigh
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import Write

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble.replication.protocol import Body

KIB = 1024


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


def seeded(**settings: Any) -> Site:
    site = Site("WEB1", **{"queue_bytes": 100 * KIB, "mirror_window_bytes": 50 * KIB, **settings})
    site.mkdir(ROOT)
    site.put(f"{ROOT}/index.htm", b"hello")
    return site


def burst(source: Site, count: int) -> None:
    """``count`` writes of 10 KiB by an application that is never made to wait."""
    for number in range(count):
        source.put(f"{ROOT}/burst-{number}", bytes([number % 256]) * 10 * KIB)


async def cut_off(source: Site, relay: Relay) -> None:
    await until(lambda: source.service.connections()[0].queue_operations == 0)
    relay.open = False
    relay.cut()
    await until(lambda: source.state() == "retrying")


# --- the pure queue ---------------------------------------------------------------------------------------------------


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "put", "put", "write", "read", "send", "ack", "admit"]), st.integers(1, 40)),
        max_size=120,
    ),
    limit=st.sampled_from([0, 20_000, None]),
)
@example(
    [*[("put", 40)] * 4, ("write", 40), ("send", 40), ("send", 40), ("ack", 40), ("put", 1), ("send", 40)], None
)  # there is room in memory again while something is on disk
def test_whatever_goes_to_disk_and_back_is_sent_once_and_in_order(
    steps: list[tuple[str, int]], limit: int | None
) -> None:
    queue = SourceQueue(10_000, limit)
    disk: list[tuple[int, Body]] = []
    sent: list[int] = []
    for step, amount in steps:
        if step == "put":
            queue.put(Write("/w/a", 0, b"x" * (100 * amount), 1))
        elif step == "write":
            items = queue.staged(100 * amount)
            disk += [(item.sequence, item.body) for item in items]
            queue.written(items)
        elif step == "read" and queue.wanted:
            taken, disk = disk[:1], disk[1:]
            queue.read_back(list(taken))
        elif step == "send":
            sent += [item.sequence for item in queue.take(100 * amount, amount)]
        elif step == "ack" and len(sent) > queue.acknowledged:
            queue.acknowledge(sent[min(len(sent), queue.acknowledged + amount) - 1])
        elif step == "admit":
            queue.admit()
        assert sent == list(range(1, len(sent) + 1))
        assert len(queue) == queue.generated - queue.acknowledged
        assert queue.on_disk == len(disk)
        assert queue.disk_bytes == sum(weigh(body) for _, body in disk)
        assert queue.memory_bytes <= 10_000
        assert queue.staged_bytes <= max(2500, 256 + 4000 + 10)


def test_element_that_overtakes_what_is_on_disk_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SourceQueue, "_disk_takes", lambda self, _weight: not self.on_disk and not self._staged)
    original = SourceQueue.put

    def overtaking(self: SourceQueue, body: Body) -> int | None:
        kept, self.on_disk = self.on_disk, 0
        try:
            return original(self, body)
        finally:
            self.on_disk = kept

    monkeypatch.setattr(SourceQueue, "put", overtaking)
    with pytest.raises(AssertionError):
        test_whatever_goes_to_disk_and_back_is_sent_once_and_in_order()


# --- the queue in its connection --------------------------------------------------------------------------------------


def test_what_does_not_fit_into_memory_goes_to_disk_and_is_resumed_in_order() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await mirrored(source, target)
            await cut_off(source, relay)
            stream = source.service._connections[1].stream
            assert stream is not None
            for _ in range(100):
                burst(source, 2)
                await until(lambda: not stream.queue._staged)
            assert stream.queue.memory_bytes <= 100 * KIB
            assert stream.queue.on_disk > 200
            assert len(source.volume.inside("/state/source-queue-replicate-1")) >= 1
            relay.open = True
            await mirrored(source, target)
            assert EventCode.RESUMED in source.codes()
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1
            assert EventCode.AUTO_DISCONNECT not in source.codes()

    run(scenario())


def test_alert_is_given_once_when_half_of_the_queue_is_used() -> None:
    async def scenario() -> None:
        source, target = seeded(disk_queue_bytes=300 * KIB), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await mirrored(source, target)
            await cut_off(source, relay)
            assert EventCode.QUEUE_ALERT not in source.codes()
            stream = source.service._connections[1].stream
            assert stream is not None
            for number in range(25):
                source.volume.do(Write(f"{ROOT}/index.htm", 0, bytes([number]) * 10 * KIB, number))
                await until(lambda: not stream.queue._staged)
            assert source.codes().count(EventCode.QUEUE_ALERT) == 1
            relay.open = True
            await mirrored(source, target)
            assert source.codes().count(EventCode.QUEUE_ALERT) == 1

    run(scenario())


async def exhaust(source: Site, target: Site, relay: Relay) -> None:
    await protect(source, relay.port)
    await mirrored(source, target)
    await cut_off(source, relay)
    for _ in range(10):
        burst(source, 10)
        await asyncio.sleep(0)


@pytest.mark.parametrize("disk", [0, 200 * KIB])
def test_exhausted_queue_with_disconnect_is_dropped_and_remirrored(disk: int) -> None:
    async def scenario() -> None:
        source, target = seeded(disk_queue_bytes=disk), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await exhaust(source, target, relay)
            await until(lambda: EventCode.AUTO_DISCONNECTED in source.codes())
            relay.open = True
            await until(lambda: source.codes().count(EventCode.MIRROR_COMPLETE) == 2)
            await mirrored(source, target)

    run(scenario())


def test_exhausted_queue_with_pause_is_sent_to_its_end_and_then_remirrored() -> None:
    async def scenario() -> None:
        source, target = seeded(disk_queue_bytes=200 * KIB, queue_full="pause"), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await exhaust(source, target, relay)
            assert EventCode.QUEUE_EXHAUSTED in source.codes()
            relay.open = True
            await until(lambda: source.codes().count(EventCode.MIRROR_COMPLETE) == 2)
            await mirrored(source, target)
            assert EventCode.RESUMED in source.codes()
            assert EventCode.AUTO_DISCONNECT not in source.codes()

    run(scenario())


def test_exhausted_queue_with_stop_waits_for_the_operator() -> None:
    async def scenario() -> None:
        source, target = seeded(disk_queue_bytes=200 * KIB, queue_full="stop"), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await exhaust(source, target, relay)
            relay.open = True
            await until(lambda: source.state() == "mirror-required")
            assert not same(source, target)
            await source.service.start_mirror(1)
            await mirrored(source, target)

    run(scenario())


def test_full_queue_is_a_state_of_its_own_and_an_operators_mirror_ends_it() -> None:
    async def scenario() -> None:
        source, target = seeded(disk_queue_bytes=0, queue_full="stop"), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            replica = target.service.registry.find("WEB1", "web")
            assert replica is not None
            queue = target.service.registry.applier(replica).queue
            put, held = queue.put, asyncio.Event()

            async def slow(items: Any) -> None:
                await held.wait()
                await put(items)

            queue.put = slow  # type: ignore[method-assign]
            burst(source, 20)
            await until(lambda: source.state() == "queue-full")
            await source.service.start_mirror(1)
            held.set()
            await until(lambda: source.codes().count(EventCode.MIRROR_COMPLETE) == 2)
            await mirrored(source, target)

    run(scenario())


def test_disk_queue_leaves_the_floor_of_the_volume_free() -> None:
    async def scenario() -> None:
        source, target = seeded(queue_floor_bytes=1 << 40), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await exhaust(source, target, relay)
            await until(lambda: EventCode.AUTO_DISCONNECTED in source.codes())
            assert any("stay free" in event.text for event in source.events.after(0))
            assert source.volume.inside("/state/source-queue-replicate-1") == []
            relay.open = True
            await mirrored(source, target)

    run(scenario())


def test_disk_queue_that_fails_ends_in_a_remirror() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            source.volume.fail = lambda op: "io" if "/source-queue-" in op.path else None
            await exhaust(source, target, relay)
            await until(lambda: EventCode.AUTO_DISCONNECTED in source.codes())
            source.volume.fail = lambda _operation: None
            relay.open = True
            await mirrored(source, target)

    run(scenario())
