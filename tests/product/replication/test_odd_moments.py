"""Faults in odd moments, each found by the campaign: nothing may hang, and no name keep another's bytes."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.replication.site import ROOT, Site, mirrored, protect, running, same, until

from bodydouble.errors import FileSystemError
from bodydouble.replication.service import ReplicationService
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import MakeHardLink, Rename, Write
from bodydouble.vocabulary.verification import VerificationOptions

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble.vocabulary.operations import AnyOperation


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


def seeded(**settings: Any) -> Site:
    site = Site("WEB1", **settings)
    site.mkdir(ROOT)
    site.put(f"{ROOT}/index.htm", b"hello")
    return site


def holds(site: Site, name: str, data: bytes) -> bool:
    node = site.volume.get(f"{ROOT}/{name}")
    return node is not None and bytes(node.data) == data


def test_what_comes_from_outside_in_the_place_of_a_link_leaves_the_links_other_name_alone() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        source.mkdir("/out")
        source.put("/out/new", b"another file")
        source.volume.do(MakeHardLink(f"{ROOT}/default.htm", f"{ROOT}/index.htm"))
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            source.volume.do(Rename("/out/new", f"{ROOT}/default.htm"))
            await mirrored(source, target)
            assert holds(target, "index.htm", b"hello")

    run(scenario())


def test_a_link_to_a_file_outside_leaves_the_name_that_it_takes_the_place_of() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        source.mkdir("/out")
        source.put("/out/new", b"another file")
        source.volume.do(MakeHardLink(f"{ROOT}/default.htm", f"{ROOT}/index.htm"))
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            source.volume.do(MakeHardLink(f"{ROOT}/default.htm", "/out/new"))
            await until(lambda: holds(target, "default.htm", b"another file"))
            assert holds(target, "index.htm", b"hello")

    run(scenario())


def test_a_mirror_goes_on_after_a_pause_of_its_target_in_the_middle_of_an_answer() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            target.volume.gate.clear()
            await protect(source, target.service.port)
            await until(lambda: target.volume.gate._waiters)  # it is applying
            pausing = asyncio.create_task(target.service.orders.pause_target("WEB1", "web", paused=True))
            await asyncio.sleep(0.02)
            target.volume.gate.set()
            await pausing
            await target.service.orders.pause_target("WEB1", "web", paused=False)
            await mirrored(source, target)

    run(scenario())


def test_a_stream_that_could_not_be_begun_is_not_resumed() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            target.volume.fail = lambda operation: "no_space" if "target-position" in operation.path else None
            await protect(source, target.service.port)
            await until(lambda: "no mirror can begin here" in source.service.connections()[0].detail)
            target.volume.fail = lambda _operation: None
            await mirrored(source, target)

    run(scenario())


def test_a_target_without_room_for_its_queue_looks_again_at_intervals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2", settle_interval=0.1)
        looks = 0

        async def none(_path: str) -> int:
            nonlocal looks
            looks += 1
            return 0

        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            source.put(f"{ROOT}/order", b"placed")  # applied, and not settled yet
            await until(lambda: same(source, target))
            monkeypatch.setattr(target.volume, "free_space", none)
            source.put(f"{ROOT}/another", b"placed")
            await until(lambda: looks > 2)
            assert looks < 50
            replica = target.service.registry.find("WEB1", "web")
            assert replica is not None
            applier = target.service.registry.applier(replica)
            await until(lambda: applier._settled == replica.applied)
            assert looks < 200

    run(scenario())


def test_a_repaired_file_leaves_the_one_alone_that_it_was_a_name_of_on_the_target() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        source.put(f"{ROOT}/default.htm", b"other")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            target.volume.change(MakeHardLink(f"{ROOT}/default.htm", f"{ROOT}/index.htm"))  # by hand
            source.service.verify(1, VerificationOptions(repair=True, checksum=True))
            await until(lambda: holds(target, "default.htm", b"other") and source.state() == "replicating")
            await until(lambda: same(source, target))

    run(scenario())


def test_a_target_stops_while_another_session_waits_for_the_place_of_the_one_that_ends() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            replica = target.service.registry.find("WEB1", "web")
            assert replica is not None
            claiming = asyncio.create_task(replica.lock.acquire())
            await asyncio.sleep(0)
            async with asyncio.timeout(10):
                await target.stop()
            await claiming

    run(scenario())


def too_large(operation: AnyOperation) -> str | None:
    end = operation.offset + len(operation.data) if isinstance(operation, Write) else getattr(operation, "size", 0)
    return "too_large" if operation.path.startswith(ROOT) and end > 1_000_000 else None


@pytest.mark.parametrize("live", [True, False])
def test_a_file_that_no_volume_of_the_target_can_hold_is_said_and_holds_nobody_up(*, live: bool) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        target.volume.fail = too_large
        async with running(source, target):
            if live:
                await protect(source, target.service.port)
                await mirrored(source, target)
            source.put(f"{ROOT}/huge", b"x" * 1_500_000)
            source.put(f"{ROOT}/order", b"placed")
            if not live:
                await protect(source, target.service.port)
            await until(lambda: source.state() == "replicating" and holds(target, "order", b"placed"))
            assert target.codes().count(EventCode.NOT_KEPT) == 1
            assert EventCode.APPLYING_WAITS not in target.codes()
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1
            source.put(f"{ROOT}/another", b"placed")
            await until(lambda: holds(target, "another", b"placed"))

    run(scenario())


def test_a_mirror_leaves_half_of_a_small_queue_to_the_applications() -> None:
    async def scenario() -> None:
        source, target = seeded(queue_bytes=200_000, disk_queue_bytes=0), Site("WEB2")
        for number in range(60):
            source.put(f"{ROOT}/page-{number}", bytes([number]) * 10_000)
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: source.state() == "replicating" or EventCode.AUTO_DISCONNECT in source.codes())
            assert EventCode.AUTO_DISCONNECT not in source.codes()
            assert same(source, target)

    run(scenario())


def test_what_was_received_when_the_session_ended_is_applied_without_another_element() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            replica = target.service.registry.find("WEB1", "web")
            assert replica is not None
            queue = target.service.registry.applier(replica).queue
            put = queue.put

            async def cut_off(batch: Any) -> None:
                queue.put = put  # type: ignore[method-assign]
                session = target.service.registry.session_of(replica)
                assert session is not None
                session.sever("the cable is pulled")
                await asyncio.sleep(0.05)  # the session has ended by now, and waits for the disk
                await put(batch)

            source.put(f"{ROOT}/order", b"placed")
            await until(lambda: target.volume.get(f"{ROOT}/order") is not None)
            queue.put = cut_off  # type: ignore[method-assign,assignment] # what comes now is the directory's time, and nothing more
            await until(lambda: queue.put is put and source.state() == "replicating")
            await until(lambda: replica.applied == source.service.connections()[0].generated)

    run(scenario())


def test_nothing_of_the_earlier_stream_is_applied_while_a_new_one_begins() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            replica = target.service.registry.find("WEB1", "web")
            assert replica is not None
            applier = target.service.registry.applier(replica)
            target.volume.fail = lambda operation: "no_space" if operation.path == f"{ROOT}/order" else None
            source.put(f"{ROOT}/order", b"placed")
            await until(lambda: EventCode.APPLYING_WAITS in target.codes())
            begin, seen = applier.queue.begin, []

            async def interrupted(stream: str) -> None:
                target.volume.fail = lambda _operation: None
                applier.wake()  # as an operator does who lets a paused target go on
                await asyncio.sleep(0.05)
                seen.append((replica.stream, replica.applied))
                await begin(stream)

            applier.queue.begin = interrupted  # type: ignore[method-assign]
            await source.stop()
            await source.start()
            await mirrored(source, target)
            assert seen == [(replica.stream, 0)]

    run(scenario())


def test_pause_and_resumption_that_cannot_be_kept_hold_all_the_same() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            target.volume.fail = lambda operation: "no_space" if "target-replicas" in operation.path else None
            with pytest.raises(FileSystemError):
                await target.service.registry.pause("WEB1", "web", paused=True)
            source.volume.do(Write(f"{ROOT}/index.htm", 0, b"HELLO", 1))  # and no directory's time after it
            await until(lambda: source.service.connections()[0].queue_operations == 0)
            assert holds(target, "index.htm", b"hello")
            with pytest.raises(FileSystemError):
                await target.service.registry.pause("WEB1", "web", paused=False)
            await until(lambda: holds(target, "index.htm", b"HELLO"))

    run(scenario())


def test_a_service_that_has_ended_closes_what_it_does_not_begin_any_more() -> None:
    """Else the interpreter warns, much later, of a coroutine that nobody awaited."""

    async def part() -> None:
        raise AssertionError("nobody runs it")

    async def main() -> None:
        service = object.__new__(ReplicationService)
        async with asyncio.TaskGroup() as service._group:
            pass
        late = part()
        with pytest.raises(RuntimeError, match="finished"):
            service.spawn_now(late, "late")
        assert inspect.getcoroutinestate(late) == inspect.CORO_CLOSED

    asyncio.run(main())
