"""A source's daemon that was killed goes on where its target is, out of what the filter has kept; or it mirrors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.product.replication.site import ROOT, WEB, Relay, Site, mirrored, protect, running, same, until
from tests.product.replication.test_directory_times import times

from bodydouble.replication import directory_times, notebook, translate
from bodydouble.replication.notebook import Notebook, Place, StreamNotes
from bodydouble.replication.queue import Queued, SourceQueue
from bodydouble.replication.transmission import Transmission
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Rename,
    Truncate,
    Write,
)
from bodydouble.vocabulary.records import ReplicationSet, Rule
from bodydouble.vocabulary.tasks import TaskRequest
from bodydouble_sim.storage.filter_memory import FilterMemory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble.replication.stream import SourceStream

NOTHING = Metadata()
Halfway = Callable[[Site, Site, Relay], Awaitable[None]]


@pytest.fixture(autouse=True)
def _soon() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory_times, "DELAY", 0.005)
        patch.setattr(translate, "MAX_OPERATION_BYTES", 64)  # so that one write is many elements
        yield


def workload() -> list[AnyOperation]:
    """What is wrong when it is done twice, not at all, or in another order; each step is unlike all others."""
    steps: list[AnyOperation] = []
    for n in range(8):
        directory, file = f"{ROOT}/d{n}", f"{ROOT}/d{n}/f"
        steps += [
            MakeDirectory(directory, NOTHING),
            CreateFile(file, NOTHING, 1000 + n),
            Write(file, 0, b"%d" % n * 300, 2000 + n),
            MakeHardLink(f"{ROOT}/link{n}", file),
            Rename(file, f"{ROOT}/moving"),
            Rename(f"{ROOT}/moving", f"{directory}/g"),
            Write(f"{directory}/g", 10, b"over", 3000 + n),
            Truncate(f"{ROOT}/link{n}", 250 + n, 4000 + n),
            CreateFile(f"{ROOT}/moving", NOTHING, 5000 + n),
            RemoveFile(f"{ROOT}/moving"),
            Rename(directory, f"{ROOT}/turn"),
            MakeDirectory(directory, NOTHING),
            Rename(f"{ROOT}/turn/g", f"{directory}/g"),
            RemoveDirectory(f"{ROOT}/turn"),
        ]
    return steps


STEPS = workload()


def pair() -> tuple[Site, Site]:
    source, target = Site("A"), Site("B")
    source.volume.remembers = True
    source.volume.ticks, target.volume.ticks = iter(range(10_000, 10**9, 1000)), iter(range(10**9, 10**12, 1000))
    source.mkdir(ROOT)
    source.put(f"{ROOT}/index.htm", b"there from the beginning")
    return source, target


def story(source: Site) -> str:
    """What was told since the last start: `Site` begins its log anew."""
    return "\n".join(f"{event.code} {event.text}" for event in source.events.after(0))


def names_of(operations: list[AnyOperation]) -> list[AnyOperation]:
    """What changes names: the target has to have done it once, in this order."""
    kinds = MakeDirectory | RemoveDirectory | RemoveFile | Rename | MakeHardLink
    return [each for each in operations if isinstance(each, kinds)]


def equal(source: Site, target: Site) -> bool:
    return same(source, target) and times(source) == times(target)


async def interrupted(kill_at: int, *, away: int, cut: int, again: int = 0) -> None:
    """A workload during which the daemon is killed once (or twice), and the connection some steps before that.

    Args:
        kill_at: after which step.
        away: how many steps are made while no daemon runs.
        cut: how many steps before that the target is out of reach.
        again: after how many further steps it is killed once more, before the target is there again.
    """
    source, target = pair()
    async with running(source, target), Relay(lambda: target.service.port) as relay:
        await protect(source, relay.port)
        await mirrored(source, target)
        await until(lambda: equal(source, target))
        done = len(target.volume.applied)
        for number, step in enumerate(STEPS[:kill_at]):
            if number == kill_at - cut:
                relay.open = False
                relay.cut()
            source.volume.do(step)
            if number % 3 == 0:
                await asyncio.sleep(0.002 if number % 12 == 0 else 0)
        await source.kill()
        for step in STEPS[kill_at : kill_at + away]:
            source.volume.do(step)
        rest = STEPS[kill_at + away :]
        if again:
            relay.open = True
            await source.start()
            for step in rest[:again]:
                source.volume.do(step)
                await asyncio.sleep(0)
            await source.kill()
            rest = rest[again:]
        relay.open = True
        await source.start()
        for number, step in enumerate(rest):
            source.volume.do(step)
            if number % 5 == 0:
                await asyncio.sleep(0)
        await until(lambda: source.state() == "replicating", story(source))
        await until(lambda: equal(source, target), story(source))
        assert EventCode.MIRROR_STARTED not in source.codes(), story(source)
        assert EventCode.RESUMED in source.codes()
        assert EventCode.NOT_RESUMED not in source.codes()
        assert names_of(target.volume.applied[done:]) == names_of(STEPS)


@pytest.mark.parametrize("cut", [0, 1, 20])
@pytest.mark.parametrize("kill_at", range(0, len(STEPS), 7))
def test_a_killed_daemon_goes_on_where_its_target_is_without_a_mirror(kill_at: int, cut: int) -> None:
    asyncio.run(interrupted(kill_at, away=17, cut=cut))


@pytest.mark.parametrize("again", [1, 2, 9])
@pytest.mark.parametrize("kill_at", range(3, len(STEPS) - 40, 7))
def test_a_daemon_that_is_killed_twice_goes_on_all_the_same(kill_at: int, again: int) -> None:
    asyncio.run(interrupted(kill_at, away=5, cut=12, again=again))


def test_an_orderly_restart_goes_on_where_the_target_is() -> None:
    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.stop()
            source.put(f"{ROOT}/meanwhile", b"nobody watched but the filter")
            await source.start()
            await until(lambda: equal(source, target))
            assert EventCode.MIRROR_STARTED not in source.codes()
            resumed = [event.text for event in source.events.after(0) if event.code == EventCode.RESUMED]
            assert "the filter had kept 3 operations" in resumed[-1]

    asyncio.run(scenario())


async def after_a_kill(halfway: Halfway) -> str:
    """Kill the daemon, do what ``halfway`` says, and start it again: it mirrors; returns why it did not resume."""
    source, target = pair()
    async with running(source, target), Relay(lambda: target.service.port) as relay:
        await protect(source, relay.port)
        await mirrored(source, target)
        await until(lambda: equal(source, target))
        await source.kill()
        source.put(f"{ROOT}/meanwhile", b"by an application")
        await halfway(source, target, relay)
        await source.start()
        await until(lambda: EventCode.MIRROR_COMPLETE in source.codes(), story(source))
        assert EventCode.RESUMED not in source.codes()
        await until(lambda: equal(source, target))
        return next(event.text for event in source.events.after(0) if event.code == EventCode.NOT_RESUMED)


def test_power_loss_of_the_source_mirrors_and_says_so() -> None:
    async def halfway(source: Site, _target: Site, _relay: Relay) -> None:
        source.volume.memory = FilterMemory()

    assert "the filter has kept nothing: it began anew, as it does with the machine" in asyncio.run(
        after_a_kill(halfway)
    )


def test_records_that_were_written_over_mirror_and_say_so() -> None:
    async def halfway(source: Site, _target: Site, _relay: Relay) -> None:
        source.volume.memory.capacity = 1000
        source.put(f"{ROOT}/big", bytes(2000))

    assert "bytes were written over" in asyncio.run(after_a_kill(halfway))


def test_another_set_mirrors_and_says_so() -> None:
    async def halfway(source: Site, _target: Site, _relay: Relay) -> None:
        kept = source.volume.nodes["/state/replication-sets.json"]
        wider = ReplicationSet(name="web", rules=[*WEB.rules, Rule(path="/other")])
        text = bytes(kept.data)
        old = msgspec.json.encode(WEB)
        assert old in text
        kept.data = bytearray(text.replace(old, msgspec.json.encode(wider)))

    assert "what is replicated, or where it goes, was changed" in asyncio.run(after_a_kill(halfway))


def test_a_target_that_holds_another_stream_by_now_mirrors_and_says_so() -> None:
    async def halfway(_source: Site, target: Site, _relay: Relay) -> None:
        target.service.registry.find("A", "web").stream = "another"  # type: ignore[union-attr]

    assert "the target does not go on with it" in asyncio.run(after_a_kill(halfway))


def test_a_mirror_that_was_not_complete_is_made_again() -> None:
    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            target.volume.gate.clear()
            await protect(source, target.service.port)
            await until(lambda: EventCode.MIRROR_STARTED in source.codes())
            await source.kill()
            target.volume.gate.set()
            await source.start()
            await until(lambda: equal(source, target))
            reason = next(event.text for event in source.events.after(0) if event.code == EventCode.NOT_RESUMED)
            assert "the replica was not complete" in reason or "the target does not go on" in reason

    asyncio.run(scenario())


def test_what_was_renamed_into_the_set_meanwhile_is_mirrored_alone() -> None:
    async def scenario() -> None:
        source, target = pair()
        source.mkdir("/outside")
        source.put("/outside/f", b"written where nobody watched")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await until(lambda: equal(source, target))
            await source.kill()
            source.volume.do(Rename("/outside/f", f"{ROOT}/came"))
            await source.start()
            await until(lambda: source.state() == "replicating" and equal(source, target), story(source))
            assert EventCode.MIRROR_STARTED not in source.codes()  # of everything
            assert EventCode.RESUMED in source.codes()

    asyncio.run(scenario())


def test_an_operators_order_to_stop_holds_over_a_restart() -> None:
    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            source.service.connection(1).mirrors.stop_replication()
            await until(lambda: source.state() == "mirror-required")
            await source.kill()
            await source.start()
            await until(lambda: source.state() == "mirror-required")
            assert EventCode.RESUMED not in source.codes()

    asyncio.run(scenario())


def test_tasks_of_the_two_daemons_are_told_apart() -> None:
    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            request = TaskRequest(command="x", on="execute")
            first = source.service.connection(1).stream.put_task(request)  # type: ignore[union-attr]
            await source.kill()
            await source.start()
            await until(lambda: source.state() == "replicating")
            assert EventCode.RESUMED in source.codes()
            second = source.service.connection(1).stream.put_task(request)  # type: ignore[union-attr]
            assert first.id != second.id

    asyncio.run(scenario())


async def at_every_element(received: int) -> None:
    """The target has exactly so many elements of a workload when the source's daemon is killed."""
    source, target = pair()
    limit = 1 << 62
    really, taken = Transmission.turn, SourceQueue.take

    async def turn(self: Transmission, stream: SourceStream) -> None:
        await really(self, stream)
        while stream.queue.sent >= limit:
            await asyncio.Event().wait()

    def take(self: SourceQueue, max_bytes: int, max_operations: int) -> list[Queued]:
        return taken(self, max_bytes, min(max_operations, limit - self.sent))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transmission, "turn", turn)
        patch.setattr(SourceQueue, "take", take)
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await until(lambda: equal(source, target))
            connection = source.service.connection(1)
            limit = connection.stream.queue.generated + received  # type: ignore[union-attr]
            done = len(target.volume.applied)
            for step in STEPS[:28]:
                source.volume.do(step)
            await until(lambda: connection.stream.queue.acknowledged == limit)  # type: ignore[union-attr]
            await until(lambda: not connection.stream.times.pending)  # type: ignore[union-attr]
            await source.kill()
            limit = 1 << 62
            for step in STEPS[28:42]:
                source.volume.do(step)
            await source.start()
            await until(lambda: source.state() == "replicating", story(source))
            await until(lambda: equal(source, target), story(source))
            assert EventCode.MIRROR_STARTED not in source.codes(), story(source)
            assert names_of(target.volume.applied[done:]) == names_of(STEPS[:42])


MOST = 46
"""Elements that are certainly made of the workload's first steps."""


@pytest.mark.parametrize("received", range(MOST))
def test_whichever_element_is_the_targets_last_the_next_one_follows_it(received: int) -> None:
    asyncio.run(at_every_element(received))


def after_each(last: int = MOST) -> None:
    """What the tests above do, in less patience: a defect shows as a replica that does not become equal."""
    for received in range(last):
        asyncio.run(asyncio.wait_for(at_every_element(received), 3))


def test_an_off_by_one_in_the_notes_is_caught() -> None:
    with pytest.MonkeyPatch.context() as patch:
        real = StreamNotes.note
        patch.setattr(StreamNotes, "note", lambda self, sequence, body: real(self, sequence + 1, body))
        with pytest.raises((AssertionError, TimeoutError)):
            after_each()


def test_a_record_that_is_taken_for_whole_after_its_first_element_is_caught() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebook, "_PART", 0)
        with pytest.raises((AssertionError, TimeoutError)):
            after_each()


def test_times_of_directories_that_are_taken_for_sent_are_caught() -> None:
    with pytest.MonkeyPatch.context() as patch:
        real = Notebook.find

        def find(self: Notebook, sequence: int) -> Place:
            place = real(self, sequence)
            place.since = place.position
            return place

        patch.setattr(Notebook, "find", find)
        with pytest.raises((AssertionError, TimeoutError)):
            after_each()
