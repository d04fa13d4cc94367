"""The journal: what was appended survives every power cut, and nothing else passes for a record."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.product.replication.cuts import CuttableVolume, PowerLost
from tests.product.replication.memory import MemoryVolume, TickingClock
from tests.sim.storage.volumes import KINDS

from bodydouble.errors import FileSystemError, StateError
from bodydouble.replication.journal import framing
from bodydouble.replication.journal.journal import Journal
from bodydouble.vocabulary.operations import Write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.vocabulary.operations import AnyOperation

STATE = "C:/state/queue"
SMALL = 2_000
"""Segments so short that a few records fill one."""

Step = tuple[str, int, int]


def a_journal(volume: Any, directory: str = STATE, segment_bytes: int = SMALL) -> Journal:
    return Journal(volume, directory, TickingClock(), segment_bytes)


def payload(number: int, size: int) -> bytes:
    return (b"%d:" % number).ljust(size, b"x")


async def everything(journal: Journal, after: int) -> list[bytes]:
    reader = journal.reader(after)
    found: list[bytes] = []
    while part := await reader.read(1000, 7):
        found += part
    return found


async def append_some(journal: Journal, count: int, size: int) -> list[bytes]:
    made = [payload(journal.last + 1 + n, size) for n in range(count)]
    await journal.append(made)
    return made


def test_appended_records_are_read_in_order_across_segments_and_restarts() -> None:
    async def scenario() -> None:
        volume = CuttableVolume()
        journal = a_journal(volume)
        await journal.begin("stream")
        made: list[bytes] = []
        for size in (1, 700, 5000, 30, 1999, 2):
            made += await append_some(journal, 3, size)
        assert await everything(journal, 0) == made
        again = a_journal(volume)
        opened = await again.open("stream", 0)
        assert opened == (18, 0)
        assert await everything(again, 5) == made[5:]
        made += await append_some(again, 1, 10)
        assert await everything(again, 17) == made[17:]

    asyncio.run(scenario())


def test_reader_sees_what_is_appended_after_it_came_to_the_end() -> None:
    async def scenario() -> None:
        journal = a_journal(CuttableVolume())
        await journal.begin("stream")
        reader = journal.reader(0)
        for size in (10, 3000, 10):
            made = await append_some(journal, 2, size)
            assert await reader.read(100_000, 100) == made
            assert await reader.read(100_000, 100) == []

    asyncio.run(scenario())


def test_forgotten_segments_leave_the_disk_and_the_last_one_stays() -> None:
    async def scenario() -> None:
        volume = CuttableVolume()
        journal = a_journal(volume)
        await journal.begin("stream")
        for _ in range(20):
            await append_some(journal, 1, 1000)
        before = journal.size
        await journal.forget(10)
        assert journal.first == 11
        assert journal.size < before
        await journal.forget(20)
        assert len(volume.volume.list(STATE)) == 1
        assert await everything(journal, 19) == [payload(20, 1000)]
        await journal.remove()
        assert volume.volume.stat(STATE) is None

    asyncio.run(scenario())


def test_reader_goes_on_behind_a_segment_that_was_forgotten_under_it() -> None:
    async def scenario() -> None:
        journal = a_journal(CuttableVolume())
        await journal.begin("stream")
        made = [record for _ in range(4) for record in await append_some(journal, 1, 3000)]
        reader = journal.reader(0)
        for number in range(1, 4):
            assert await reader.read(1, 1) == [made[number - 1]]
            await journal.forget(number)
        assert await reader.read(1, 1) == [made[3]]

    asyncio.run(scenario())


@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["append", "append", "forget"]), st.integers(1, 4), st.sampled_from([1, 600, 5000])),
        min_size=1,
        max_size=4,
    ),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 1 << 20),
)
def test_power_cut_at_any_step_keeps_what_was_appended_and_invents_nothing(
    steps: list[Step], kind: str, seed: int
) -> None:
    cut_at = 1
    while asyncio.run(_survives(steps, kind, seed, cut_at)):
        cut_at += 1


async def _survives(steps: Sequence[Step], kind: str, seed: int, cut_at: int) -> bool:
    """Run the steps with one power cut; False when there were not that many steps to cut at."""
    volume = CuttableVolume(kind, seed)
    journal = a_journal(volume)
    await journal.begin("stream")
    tried: list[bytes] = []
    acknowledged = forgotten = 0
    volume.cut_at = volume.steps + cut_at
    try:
        for what, count, size in steps:
            if what == "forget":
                forgotten = max(forgotten, journal.last - count)
                await journal.forget(forgotten)
                continue
            tried += [payload(journal.last + 1 + n, size) for n in range(count)]
            await journal.append(tried[acknowledged:])
            acknowledged = len(tried)
    except PowerLost:
        volume.lose_power()
    else:
        return False
    again = a_journal(volume)
    opened = await again.open("stream", forgotten)
    assert acknowledged <= forgotten + opened.records <= len(tried)
    assert await everything(again, forgotten) == tried[forgotten : again.last]
    more = await append_some(again, 2, 900)
    last = a_journal(volume)
    assert (await last.open("stream", forgotten)).dropped_bytes == 0
    assert await everything(last, forgotten) == tried[forgotten : again.last - 2] + more
    return True


def test_append_that_is_not_made_durable_is_caught_by_the_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    original = CuttableVolume.apply

    async def hasty(self: CuttableVolume, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        await original(self, operations, durable=durable and not any(isinstance(each, Write) for each in operations))

    monkeypatch.setattr(CuttableVolume, "apply", hasty)

    def many() -> None:
        for seed in range(20):
            for cut_at in range(1, 12):
                asyncio.run(_survives([("append", 2, 600)] * 4, "ntfs 5", seed, cut_at))

    with pytest.raises(AssertionError):
        many()


def test_journal_of_another_identity_is_not_taken_for_this_one() -> None:
    async def scenario() -> None:
        volume = CuttableVolume()
        journal = a_journal(volume)
        await journal.begin("earlier")
        await append_some(journal, 3, 100)
        again = a_journal(volume)
        opened = await again.open("later", 0)
        assert opened.records == 0
        assert opened.dropped_bytes > 300
        assert volume.volume.list(STATE) == []

    asyncio.run(scenario())


def test_gap_between_position_and_journal_drops_the_journal() -> None:
    async def scenario() -> None:
        volume = CuttableVolume()
        journal = a_journal(volume)
        await journal.begin("stream", after=10)
        await append_some(journal, 3, 100)
        again = a_journal(volume)
        assert (await again.open("stream", 5)).records == 0
        assert again.last == 5

    asyncio.run(scenario())


def test_append_that_the_volume_refuses_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        volume = CuttableVolume()
        journal = a_journal(volume)
        await journal.begin("stream")
        made = await append_some(journal, 1, 100)
        volume.volume.disk.fill(leave=4096)
        for _ in range(3):
            with pytest.raises(FileSystemError, match="no_space"):
                await append_some(journal, 4, 3000)
        volume.volume.disk.unfill()
        made += await append_some(journal, 4, 3000)
        again = a_journal(volume)
        assert await again.open("stream", 0) == (5, 0)
        assert await everything(again, 0) == made

    asyncio.run(scenario())


def test_record_damaged_under_a_reader_is_an_error_and_no_record() -> None:
    async def scenario() -> None:
        volume = MemoryVolume()
        journal = a_journal(volume, "/state/queue")
        await journal.begin("stream")
        await append_some(journal, 3, 100)
        (node,) = volume.inside("/state/queue")
        node.data[-1] ^= 1
        reader = journal.reader(0)
        with pytest.raises(StateError, match="record 3 is damaged"):
            await reader.read(1000, 1000)

    asyncio.run(scenario())


@pytest.mark.parametrize("content", [b"", b"x" * (framing.MAX_RECORD_BYTES + 1)])
def test_empty_and_endless_records_are_refused(content: bytes) -> None:
    with pytest.raises(StateError):
        framing.encode_record(content, 0)


def test_identity_of_any_length_is_refused() -> None:
    with pytest.raises(StateError, match="identity"):
        framing.encode_header("x" * 5000, 1)


def a_segment(count: int) -> bytearray:
    content = bytearray(framing.encode_header("stream", 1))
    crc = int.from_bytes(content[-4:], "big")
    for number in range(count):
        record, crc = framing.encode_record(payload(number, 40), crc)
        content += record
    return content


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_mutated_bytes_never_pass_for_records(data: st.DataObject) -> None:
    good = a_segment(5)
    bad = bytearray(good)
    at = data.draw(st.integers(0, len(bad) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "zeros", "garbage", "repeat"]))
    if how == "flip":
        bad[at] ^= data.draw(st.integers(1, 255))
    elif how == "cut":
        del bad[at:]
    elif how == "zeros":
        bad[at:] = bytes(len(bad) - at)
    elif how == "garbage":
        bad[at:] = data.draw(st.binary(max_size=300))
    else:
        bad[at:] = bad[: len(bad) - at]

    async def scenario() -> list[bytes]:
        volume = MemoryVolume()
        journal = a_journal(volume, "/state/queue")
        await journal.begin("stream")
        await append_some(journal, 1, 10)
        (node,) = volume.inside("/state/queue")
        node.data = bad
        again = a_journal(volume, "/state/queue")
        await again.open("stream", 0)
        return await everything(again, 0)

    found = asyncio.run(scenario())
    assert found == [payload(number, 40) for number in range(len(found))]


def test_zeros_are_no_record_behind_any_checksum() -> None:
    assert framing.decode_record(bytes(100), 0, 0) is None
    assert framing.decode_record(bytes(100), 0, zlib.crc32(b"")) is None


def test_long_records_are_read_once_and_what_was_read_too_early_again() -> None:
    async def scenario() -> None:
        volume = CuttableVolume()
        journal = a_journal(volume, segment_bytes=1 << 30)
        await journal.begin("stream")
        made = await append_some(journal, 6, 700_000)
        read, original = [], volume.read

        async def counted(path: str, offset: int, size: int, stream: str = "") -> bytes:
            content = await original(path, offset, size, stream)
            read.append(len(content))
            return content

        volume.read = counted  # type: ignore[method-assign]
        reader = journal.reader(0)
        assert await reader.read(1 << 30, 6) == made
        assert sum(read) < 1.3 * sum(map(len, made))
        # What lies behind the last record now is the beginning of an append that fails, and goes.
        (path,) = [entry.path for entry in await volume.list_directory(STATE)]
        await volume.apply([Write(path, journal.size, b"\0\0\0\x28torn" + bytes(60), 1)])
        segment = reader._segment
        assert segment is not None
        assert await segment.next() is None
        journal._unsure = True
        made += await append_some(journal, 2, 40)
        assert [await segment.next(), await segment.next()] == made[6:]

    asyncio.run(scenario())
