from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.product.replication.cuts import CuttableVolume, PowerLost
from tests.product.replication.memory import MemoryVolume, TickingClock

from bodydouble.errors import StateError
from bodydouble.state import events as events_module
from bodydouble.state.events import CRASH_GAP, EventLog
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import Rename

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import AnyOperation


class Note(msgspec.Struct):
    text: str


def test_saved_record_is_loaded_again() -> None:
    async def scenario() -> None:
        volume = MemoryVolume()
        await StateStore(volume, "/var/lib/state").save("note", Note("first"))
        await StateStore(volume, "/var/lib/state").save("note", Note("second"))
        assert await StateStore(volume, "/var/lib/state").load("note", Note) == Note("second")
        assert await StateStore(volume, "/var/lib/state").load("other", Note) is None

    asyncio.run(scenario())


def test_interrupted_save_leaves_the_earlier_record() -> None:
    async def scenario() -> None:
        volume = MemoryVolume()
        store = StateStore(volume, "/state")
        await store.save("note", Note("a longer first text"))

        def fail(operation: AnyOperation) -> str | None:
            return "io" if isinstance(operation, Rename) else None

        volume.fail = fail
        with pytest.raises(Exception, match="io"):
            await store.save("note", Note("second"))
        volume.fail = lambda _operation: None
        assert await store.load("note", Note) == Note("a longer first text")
        await store.save("note", Note("x"))
        assert await store.load("note", Note) == Note("x")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"version":9,"value":{"text":""}}', b'{"version":1,"value":{"text":5}}', b"\xff\xfe"]
)
def test_damaged_record_is_named(content: bytes) -> None:
    async def scenario() -> None:
        volume = MemoryVolume()
        store = StateStore(volume, "/state")
        await store.save("note", Note("x"))
        volume.nodes["/state/note.json"].data = bytearray(content)
        with pytest.raises(StateError, match=r"/state/note\.json"):
            await store.load("note", Note)
        with pytest.raises(StateError):
            await store.save("../escape", Note("x"))

    asyncio.run(scenario())


async def opened(volume: MemoryVolume) -> EventLog:
    log = EventLog(volume, "/state", TickingClock())
    await log.open()
    return log


async def written(log: EventLog) -> None:
    writer = asyncio.create_task(log.run())
    await asyncio.sleep(0)
    writer.cancel()
    with suppress(asyncio.CancelledError):
        await writer


def test_events_are_numbered_on_across_clean_runs() -> None:
    async def scenario() -> None:
        volume = MemoryVolume()
        for run in range(3):
            log = await opened(volume)
            heard: list[int] = []
            unsubscribe = log.subscribe(lambda event: heard.append(event.number))  # noqa: B023 - called in this turn
            log.record(EventCode.CONNECTED, "x")
            unsubscribe()
            log.record(EventCode.CONNECTED, "y")
            assert heard == [2 * run + 1]
            await written(log)
        assert [event.number for event in (await opened(volume)).after(2, limit=3)] == [3, 4, 5]

    asyncio.run(scenario())


def test_torn_last_line_is_dropped_and_numbers_never_repeat() -> None:
    async def scenario() -> None:
        volume = MemoryVolume()
        log = await opened(volume)
        for _ in range(3):
            log.record(EventCode.CONNECTED, "x")
        await written(log)
        data = volume.nodes["/state/events.jsonl"].data
        del data[data.index(b'{"number":3') + 5 :]
        again = await opened(volume)
        assert [event.number for event in again.after(0)] == [1, 2]
        assert again.record(EventCode.CONNECTED, "y").number == 2 + CRASH_GAP + 1
        await written(again)
        assert [event.text for event in (await opened(volume)).after(0)] == ["x", "x", "y"]

    asyncio.run(scenario())


def test_log_is_bounded_on_disk_and_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "MAX_FILE_BYTES", 5_000)
    monkeypatch.setattr(events_module, "KEPT_EVENTS", 50)

    async def scenario() -> None:
        volume = MemoryVolume()
        log = await opened(volume)
        for _ in range(40):
            for _ in range(20):
                log.record(EventCode.CONNECTED, "some text")
            await written(log)
        assert len(log.after(0)) == 50
        assert sum(len(node.data) for node in volume.inside("/state")) < 20_000
        assert (await opened(volume)).after(0)[-1].number == 800

    asyncio.run(scenario())


def test_refusing_volume_keeps_the_events_for_later() -> None:
    async def scenario() -> None:
        volume = MemoryVolume()
        log = await opened(volume)
        log.record(EventCode.CONNECTED, "x")
        volume.fail = lambda _operation: "no_space"
        await written(log)
        assert log.after(0)
        volume.fail = lambda _operation: None
        await written(log)
        assert len((await opened(volume)).after(0)) == 1

    asyncio.run(scenario())


def test_power_cut_at_any_step_of_a_save_leaves_the_old_or_the_new_record() -> None:
    async def cut(seed: int, cut_at: int) -> bool:
        volume = CuttableVolume("ntfs 5", seed)
        store = StateStore(volume, "C:/state")
        await store.save("note", Note("old"))
        volume.cut_at = volume.steps + cut_at
        try:
            await store.save("note", Note("a new and longer text"))
        except PowerLost:
            volume.lose_power()
        else:
            return False
        found = await StateStore(volume, "C:/state").load("note", Note)
        assert found in (Note("old"), Note("a new and longer text"))
        return True

    for seed in range(30):
        cut_at = 1
        while asyncio.run(cut(seed, cut_at)):
            cut_at += 1
