"""A ring's reader tells again what was recorded earlier, while the program goes on writing over it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.product.test_filter_records import RENAME, ROOTS, Memory, record

from bodydouble.adapters.fuse.reader import Reader
from bodydouble.adapters.fuse.ring import Ring
from bodydouble.adapters.sinks import Behind, SinkTable
from bodydouble.errors import FilterError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from bodydouble.vocabulary.operations import AnyOperation

LARGE = 16 << 20
MOST = (1 << 20) + (1 << 16)
"""More than a record is long; the program may be writing one behind the end, and fill what is left before it."""


class Daemon:
    """A daemon's end of the ring; there may be another one after it."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.ring, self.sinks = Ring(memory.fd, memory.size, ROOTS), SinkTable()
        self.reader = Reader(self.ring, memory.bell, self.sinks)
        self.reader.start()
        self.told: list[str] = []

    def append(self, *names: str) -> None:
        for name in names:
            self.memory.append(record(RENAME, name, second=b"g"))

    def behind(self, position: int) -> Behind:
        return Behind(self.sinks, position, {"/srv/a": self.sink}, pytest.fail, self.reader.catch_up)

    def sink(self, operation: AnyOperation) -> None:
        self.told.append(operation.path.removeprefix("/srv/a/"))

    def end(self) -> None:
        self.reader.stop()
        self.ring.close()


@pytest.fixture
def memory() -> Iterator[Memory]:
    made = Memory(LARGE)
    yield made
    made.close()


def run(memory: Memory, *lives: Callable[[Daemon], Awaitable[None]]) -> None:
    async def play() -> None:
        for life in lives:
            daemon = Daemon(memory)
            try:
                await life(daemon)
            finally:
                daemon.end()

    asyncio.run(play())


async def unwatched(daemon: Daemon) -> None:
    """A daemon that is told of three records."""
    daemon.append("a", "b", "c")
    await daemon.reader.settled()


def test_the_next_daemon_is_told_of_what_an_earlier_one_read_and_of_what_nobody_did(memory: Memory) -> None:
    async def again(daemon: Daemon) -> None:
        daemon.append("d")
        await daemon.reader.settled()
        await daemon.behind(0).caught_up()
        daemon.append("e")
        await daemon.reader.settled()
        assert daemon.told == ["a", "b", "c", "d", "e"]

    run(memory, unwatched, again)


def test_nothing_is_told_twice_or_left_out_while_others_are_told_what_happens(memory: Memory) -> None:
    names = [f"f{number}" for number in range(3000)]

    async def again(daemon: Daemon) -> None:
        others: list[str] = []
        daemon.sinks.attach("/srv/a", lambda operation: others.append(operation.path.removeprefix("/srv/a/")))
        catching = asyncio.create_task(daemon.behind(0).caught_up())
        for at in range(0, len(names), 50):
            daemon.append(*names[at : at + 50])
            await asyncio.sleep(0.0005)
        await daemon.reader.settled()
        assert catching.done()
        assert others == names
        assert daemon.told == ["a", "b", "c", *names]

    run(memory, unwatched, again)


def test_who_waits_for_everything_waits_for_those_who_catch_up(memory: Memory) -> None:
    async def again(daemon: Daemon) -> None:
        daemon.append(*[f"f{number}" for number in range(3000)])
        await daemon.reader.settled()
        catching = asyncio.create_task(daemon.behind(0).caught_up())
        await asyncio.sleep(0)
        await daemon.reader.settled()
        assert len(daemon.told) == 3003
        await catching

    run(memory, unwatched, again)


def test_records_that_are_written_over_while_they_are_read_are_told_to_nobody(memory: Memory) -> None:
    async def again(daemon: Daemon) -> None:
        take = daemon.ring.take

        def taken(*how: int) -> object:
            found = take(*how)
            memory.move(LARGE)
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(daemon.ring, "take", taken)
            with pytest.raises(FilterError, match="written over"):
                await daemon.behind(0).caught_up()
        assert daemon.told == []
        assert not daemon.sinks

    run(memory, unwatched, again)


@pytest.mark.parametrize("over", [0, 8])
def test_what_the_program_may_be_writing_over_is_not_read(memory: Memory, over: int) -> None:
    async def again(daemon: Daemon) -> None:
        end = daemon.memory.head
        memory.move(LARGE - 2 * MOST + over)
        missing = daemon.ring.missing(0)
        memory.move(end)
        assert bool(missing) == (over > 0)
        assert missing == "" or f"{over} bytes more" in missing

    run(memory, unwatched, again)


def test_what_came_before_a_dropped_record_is_not_gone_on_from_by_any_later_daemon(memory: Memory) -> None:
    async def dropping(daemon: Daemon) -> None:
        daemon.append("d")
        daemon.memory.drop(2)
        await daemon.reader.settled()

    async def again(daemon: Daemon) -> None:
        with pytest.raises(FilterError, match="faster than they could be recorded"):
            await daemon.behind(0).caught_up()
        begin = daemon.memory.head
        daemon.append("e")
        await daemon.behind(begin).caught_up()
        await daemon.reader.settled()
        assert daemon.told == ["e"]

    run(memory, unwatched, dropping, again)
    run(memory, again)


def test_what_was_dropped_while_no_daemon_read_is_known_to_the_next_one(memory: Memory) -> None:
    async def again(daemon: Daemon) -> None:
        with pytest.raises(FilterError, match="faster than they could be recorded"):
            await daemon.behind(0).caught_up()
        begin = daemon.memory.head
        daemon.append("e")
        await daemon.reader.settled()
        await daemon.behind(begin).caught_up()
        assert daemon.told == ["e"]

    run(memory, unwatched)
    memory.drop(1)
    run(memory, again)


def test_who_is_detached_while_it_catches_up_is_told_nothing_more(memory: Memory) -> None:
    async def again(daemon: Daemon) -> None:
        behind = daemon.behind(0)
        behind.detach()
        await behind.caught_up()
        daemon.append("d")
        await daemon.reader.settled()
        assert daemon.told == []

    run(memory, unwatched, again)
