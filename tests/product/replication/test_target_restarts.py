"""What a target acknowledged it applies, whatever happens to its daemon or its source meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.replication.site import ROOT, Relay, Site, mirrored, protect, running, same, until

from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import Rename, Write

if TYPE_CHECKING:
    from collections.abc import Coroutine


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


def seeded() -> Site:
    site = Site("WEB1")
    site.mkdir(ROOT)
    site.put(f"{ROOT}/index.htm", b"hello")
    return site


def settled(source: Site) -> bool:
    """The target has acknowledged everything; it need not have applied it."""
    return source.service.connections()[0].queue_operations == 0


async def acknowledged_behind_a_slow_volume(source: Site, target: Site) -> None:
    """The application goes on, the target acknowledges, and its volume stands still."""
    await mirrored(source, target)
    await until(lambda: settled(source))
    target.volume.gate.clear()
    for number in range(5):
        source.put(f"{ROOT}/order-{number}", b"placed")
    source.volume.do(Rename(f"{ROOT}/order-0", f"{ROOT}/first"))
    source.volume.do(Write(f"{ROOT}/first", 0, b"P", 99_000))
    await until(lambda: settled(source))
    assert not same(source, target)


def test_target_acknowledges_before_it_applies_and_says_how_far_it_is() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await acknowledged_behind_a_slow_volume(source, target)
            status = source.service.connections()[0]
            assert status.applied < status.acknowledged == status.generated
            assert target.service.target_connections()[0].queue_operations > 0
            target.volume.gate.set()
            await until(lambda: source.service.connections()[0].applied == status.generated)
            assert same(source, target)

    run(scenario())


def test_standing_in_waits_until_everything_acknowledged_is_applied() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await acknowledged_behind_a_slow_volume(source, target)
            await source.stop()
            standing_in = asyncio.create_task(target.service.standing_in.stand_in("WEB1"))
            await asyncio.sleep(0.05)
            assert not standing_in.done()
            target.volume.gate.set()
            await standing_in
            assert same(source, target)
            await source.start()
            await until(lambda: source.state() == "restore-required")

    run(scenario())


@pytest.mark.parametrize("source_lives", [True, False])
def test_target_that_stops_before_applying_applies_after_its_start(*, source_lives: bool) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await acknowledged_behind_a_slow_volume(source, target)
            if not source_lives:
                await source.stop()
            stopping = asyncio.create_task(target.stop())
            await asyncio.sleep(0.01)
            target.volume.gate.set()
            await stopping
            target.volume.gate.set()
            await target.start()
            await until(lambda: same(source, target))
            if source_lives:
                await until(lambda: EventCode.RESUMED in source.codes())
                assert source.codes().count(EventCode.MIRROR_STARTED) == 1
            else:
                await source.start()
                await mirrored(source, target)

    run(scenario())


def test_replica_that_diverged_while_the_source_was_away_is_mirrored_when_it_returns() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port, orphans="delete")
            await acknowledged_behind_a_slow_volume(source, target)
            relay.open = False
            relay.cut()
            await until(lambda: not target.service.target_connections()[0].connected)
            target.volume.fail = lambda op: "io" if isinstance(op, Rename) and op.path.startswith(ROOT) else None
            target.volume.gate.set()
            await until(lambda: any("diverged" in event.text for event in target.events.after(0)))
            target.volume.fail = lambda _operation: None
            relay.open = True
            await until(lambda: source.codes().count(EventCode.MIRROR_COMPLETE) == 2)
            await mirrored(source, target)

    run(scenario())


def test_queue_left_by_a_restoration_is_removed_at_the_next_start() -> None:
    async def scenario() -> None:
        target = Site("WEB2")
        async with running(target):
            await target.stop()
            for path in ("/state", "/state/target-queue-77"):
                if target.volume.get(path) is None:
                    target.mkdir(path)
            await target.start()
            assert target.volume.get("/state/target-queue-77") is None

    run(scenario())


async def filled(source: Site, target: Site) -> None:
    """The target's volume stands still and the application goes on, until the target takes nothing more."""
    await mirrored(source, target)
    await until(lambda: source.service.connections()[0].applied == source.service.connections()[0].generated)
    target.volume.gate.clear()
    for number in range(40):
        source.put(f"{ROOT}/order-{number}", b"x" * 20_000)
    await until(lambda: source.service.connections()[0].target_state == "queue-full")


def test_full_target_queue_stops_reading_and_the_source_sees_it() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2", target_queue_bytes=100_000, receive_bytes=50_000)
        async with running(source, target):
            await protect(source, target.service.port)
            await filled(source, target)
            (session,) = target.service.registry._sessions.values()
            intake = session.intake
            assert intake is not None
            await until(lambda: intake.pending_bytes > 0)
            assert intake.pending_bytes < 50_000 + 512 * 1024
            queue = target.service.target_connections()[0]
            assert "queue full" in queue.detail
            assert queue.queue_bytes < 100_000 + 512 * 1024
            assert source.service.connections()[0].queue_operations > 0
            target.volume.gate.set()
            await until(lambda: same(source, target))
            await until(lambda: source.service.connections()[0].target_state == "ok")
            codes = target.codes()
            assert source.codes().count(EventCode.TARGET_QUEUE_FULL) == codes.count(EventCode.TARGET_QUEUE_FULL)
            assert codes.count(EventCode.TARGET_QUEUE_HAS_ROOM) == codes.count(EventCode.TARGET_QUEUE_FULL) < 8
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1

    run(scenario())


def test_full_target_queue_outlasts_the_peer_time_out() -> None:
    async def scenario() -> None:
        source = Site("WEB1", peer_timeout=0.3, ping_interval=0.05)
        source.mkdir(ROOT)
        target = Site("WEB2", target_queue_bytes=100_000, receive_bytes=50_000, peer_timeout=0.3, ping_interval=0.05)
        async with running(source, target):
            await protect(source, target.service.port)
            await filled(source, target)
            await asyncio.sleep(0.6)
            assert source.service.connections()[0].target_state == "queue-full"
            target.volume.gate.set()
            await until(lambda: same(source, target))
            assert EventCode.AUTO_RECONNECTING not in source.codes()

    run(scenario())


@pytest.mark.parametrize("how", ["refuses", "floor"])
def test_full_volume_of_the_queue_holds_the_source_until_there_is_room(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        free = target.volume.free_space

        async def none(path: str) -> int:
            return len(path) - len(path)

        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            if how == "floor":
                monkeypatch.setattr(target.volume, "free_space", none)
            else:
                target.volume.fail = lambda op: "no_space" if "/target-queue-" in op.path else None
            source.put(f"{ROOT}/order", b"placed")
            await until(lambda: source.service.connections()[0].target_state == "queue-full")
            assert target.volume.get(f"{ROOT}/order") is None
            target.volume.fail = lambda _operation: None
            monkeypatch.setattr(target.volume, "free_space", free)
            await until(lambda: same(source, target))
            assert EventCode.AUTO_RECONNECTING not in source.codes()

    run(scenario())
