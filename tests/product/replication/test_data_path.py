"""Bytes on their way through a target: not copied without need, bounded, and made durable many at a time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.product.replication.memory import MemoryVolume, TickingClock

from bodydouble.errors import ProtocolError
from bodydouble.replication.elements import encode_item, item_pieces
from bodydouble.replication.intake import MAX_FRAGMENTS, Intake
from bodydouble.replication.journal.journal import Journal
from bodydouble.replication.packing import Packer
from bodydouble.replication.protocol import FRAGMENT_BYTES, Fragment, Item
from bodydouble.replication.queue import Queued
from bodydouble.vocabulary.operations import Truncate, Write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.replication.protocol import Body
    from bodydouble.vocabulary.operations import AnyOperation

ANYTHING: Any = SimpleNamespace(check=lambda _item: None)
"""A replica that takes everything."""
LONG = 64 * 1024


@given(
    length=st.one_of(st.integers(0, 300), st.integers(LONG - 2, LONG + 2)),
    sequence=st.integers(0, 2**63),
    offset=st.integers(0, 2**62),
    mtime_ns=st.one_of(st.integers(-200, 200), st.integers(-(2**63), 2**63 - 1)),
)
def test_an_element_in_pieces_has_the_bytes_of_the_whole_one(
    length: int, sequence: int, offset: int, mtime_ns: int
) -> None:
    item = Item(sequence, Write("/web/ä", offset, b"\xc4\0" * (length // 2), mtime_ns))
    assert b"".join(item_pieces(item)) == encode_item(item)


class Listening(MemoryVolume):
    """A volume that keeps what it was told to do."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[AnyOperation] = []

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        self.told += operations
        await super().apply(operations, durable=durable)


def test_a_long_write_goes_into_the_journal_without_a_copy_and_is_read_back() -> None:
    async def scenario() -> None:
        volume = Listening()
        journal = Journal(volume, "/state/queue", TickingClock())
        await journal.begin("stream")
        write, truncate = Write("/web/a", 0, b"x" * LONG, 2), Truncate("/web/a", 9, 3)
        bodies: list[Body] = [Write("/web/a", 7, b"short", 1), write, truncate]
        items = [Item(number, body) for number, body in enumerate(bodies, 1)]
        await journal.append([item_pieces(item) for item in items])
        writes = [each for each in volume.told if isinstance(each, Write)]
        assert any(each.data is write.data for each in writes)
        assert len(writes) == 3, "what is short goes together, before and behind the long one"
        assert await journal.reader(0).read(1 << 30, 10) == [encode_item(item) for item in items]

    asyncio.run(scenario())


def test_more_parts_of_a_write_than_any_source_sends_are_refused() -> None:
    async def scenario() -> None:
        intake = Intake(ANYTHING, 0, 1 << 40)
        for _ in range(MAX_FRAGMENTS):
            await intake.take(Fragment(b"", 0))
        with pytest.raises(ProtocolError, match="parts"):
            await intake.take(Fragment(b"", 0))

    asyncio.run(scenario())


async def taken(intake: Intake, number: int, size: int) -> None:
    queued = Queued(number, Write("/web/a", 0, bytes(size), 1), size)
    for message in Packer().messages([queued]):
        await intake.take(message)


@pytest.mark.parametrize(("before", "waits"), [(4 * FRAGMENT_BYTES, True), (4096, False)])
def test_behind_many_bytes_the_next_ones_wait_for_company_and_behind_few_they_do_not(before: int, waits: bool) -> None:
    async def scenario() -> None:
        intake = Intake(ANYTHING, 0, 1 << 40)
        await taken(intake, 1, before)
        assert len(await intake.next()) == 1
        await taken(intake, 2, 4096)
        following = asyncio.create_task(intake.next())
        for _ in range(3):
            await asyncio.sleep(0)
        await taken(intake, 3, 4096)
        assert [item.sequence for item in await following] == ([2, 3] if waits else [2])

    asyncio.run(scenario())
