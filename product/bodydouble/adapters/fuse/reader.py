"""Reading the ring on the event loop: records become operations for the sinks, in order."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from bodydouble.adapters.fuse.records import RecordError
from bodydouble.errors import FilterError

if TYPE_CHECKING:
    from bodydouble.adapters.fuse.ring import Ring
    from bodydouble.adapters.sinks import Behind, SinkTable
    from bodydouble.vocabulary.operations import AnyOperation

_GATHER = 0.002
"""Seconds between the bell and reading, and between one reading and the next: a few records at a time cost too much."""
_RECORDS, _BYTES = 256, 4 << 20
"""Read in a row before everything else on the loop gets its turn."""
_MANY = 1 << 20
"""Bytes that are read without waiting for more."""
_TURNS, _PAUSE = 20, 0.001
"""A change is over in some microseconds: turns of the loop until it is given time, and how much, in seconds."""


class Reader:
    """Reads one ring.

    Args:
        ring: where the records are.
        bell: an eventfd that the program rings; not closed here.
        sinks: who is told.
    """

    def __init__(self, ring: Ring, bell: int, sinks: SinkTable) -> None:
        self._ring = ring
        self._bell = bell
        self._sinks = sinks
        self._dropped = ring.dropped
        self._behind = 0
        self._caught_up = asyncio.Event()
        self._caught_up.set()
        self._loop = asyncio.get_running_loop()
        self._due: asyncio.Handle | None = None
        self._alive = True

    def start(self) -> None:
        """Begin with what comes from now on: who was attached to an earlier daemon's reader comes back by `resume`."""
        if self._ring.told != self._dropped:
            self._ring.mark_gap()
        self._release(self._ring.head)
        self._loop.add_reader(self._bell, self._rung)
        self._sleep()

    def stop(self) -> None:
        """Read no more; whoever waits in `settled` waits no longer. Idempotent."""
        self._alive = False
        self._caught_up.set()
        self._loop.remove_reader(self._bell)
        if self._due is not None:
            self._due.cancel()

    def finish(self) -> None:
        """The program has ended: report what it recorded, and read no more."""
        while self._alive and self._deliver():
            pass
        self.stop()

    def _rung(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        if self._due is None:
            self._due = self._loop.call_later(_GATHER, self._work)

    def _work(self) -> None:
        """Read, and come back as long as there is something; only when there is nothing the bell is needed."""
        before = self._ring.tail
        more = self._deliver()
        if more and self._ring.head - self._ring.tail > _MANY:
            self._due = self._loop.call_soon(self._work)
        elif more or self._ring.tail != before:
            self._due = self._loop.call_later(_GATHER, self._work)
        else:
            self._due = None
            self._sleep()

    def _sleep(self) -> None:
        self._ring.ask_for_bell()
        if self._waits and self._due is None:
            self._due = self._loop.call_soon(self._work)

    @property
    def _waits(self) -> bool:
        return self._ring.tail != self._ring.head or self._ring.dropped != self._dropped

    def _deliver(self) -> bool:
        """Report the next records; whether more wait."""
        ring = self._ring
        if not self._sinks:
            if ring.dropped != self._dropped:
                self._dropped = ring.dropped
                ring.mark_gap()
            self._release(ring.head)
            return False
        try:
            operations, position = ring.take(_RECORDS, _BYTES)
        except RecordError as error:
            self._lose(str(error))
            return self._waits
        # Asked after the records were taken: none that came after a dropped one is reported without saying so first.
        if ring.dropped != self._dropped:
            self._lose(f"the filter's ring was full, {ring.dropped - self._dropped} changes found no room")
            return self._waits
        for operation, end in operations:
            self._sinks.position = end
            self._sinks.report(operation)
        self._release(position)
        return self._waits

    def _release(self, position: int) -> None:
        self._sinks.position = position
        self._ring.release(position)

    def _lose(self, why: str) -> None:
        self._dropped = self._ring.dropped
        self._ring.mark_gap()
        self._release(self._ring.head)
        self._sinks.lose(why)

    async def catch_up(self, behind: Behind) -> None:
        """Tell ``behind`` of what was recorded earlier, and have them join the others.

        The program writes on meanwhile, over the oldest records: so nothing counts before it is certain that it was
        still there when it was read.

        Raises:
            FilterError: it was not.
        """
        self._behind += 1
        self._caught_up.clear()
        try:
            position = behind.position
            while self._alive:
                operations, position = self._earlier(position)
                for operation, end in operations:
                    behind.report(operation, end)
                if position == self._ring.tail:
                    behind.join()
                    return
                await asyncio.sleep(0)
            raise FilterError("the filter's program has ended")
        finally:
            self._behind -= 1
            if not self._behind:
                self._caught_up.set()

    def _earlier(self, position: int) -> tuple[list[tuple[AnyOperation, int]], int]:
        """Some operations that were recorded from ``position`` on, up to the tail.

        Raises:
            FilterError: they are not there any more.
        """
        found: tuple[list[tuple[AnyOperation, int]], int] = ([], position)
        damage = ""
        if not (missing := self._ring.missing(position)):
            try:
                found = self._ring.take(_RECORDS, _BYTES, position)
            except RecordError as error:
                damage = str(error)
            missing = self._ring.missing(position) or damage
        if missing:
            raise FilterError(missing)
        return found

    async def settled(self) -> None:
        """Return once every change that was made before this call was reported, or can be no more."""
        begun = self._ring.begun
        turns = 0
        while self._alive and self._ring.ended < begun:
            turns += 1
            await asyncio.sleep(0 if turns < _TURNS else _PAUSE)
        head = self._ring.head
        while self._alive and (self._ring.tail < head or self._ring.dropped != self._dropped):
            if self._deliver():
                await asyncio.sleep(0)
        await self._caught_up.wait()
