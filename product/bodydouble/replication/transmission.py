"""Transmission: lets a connection send when its `Course` says so, and as fast as its limit allows."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from bodydouble.replication.bandwidth import TokenBucket
from bodydouble.replication.packing import Packer
from bodydouble.replication.protocol import MAX_BATCH_BYTES, MAX_BATCH_OPERATIONS, Task
from bodydouble.replication.schedule import Course, Facts
from bodydouble.replication.task_runner import at_tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bodydouble.replication.context import Context
    from bodydouble.replication.protocol import Wire
    from bodydouble.replication.schedule import Decision, Order
    from bodydouble.replication.stream import SourceStream
    from bodydouble.vocabulary.transmission import TransmissionMode, TransmissionOptions, TransmissionState

GATHER_SECONDS = 0.004
"""While earlier elements are on their way, later ones wait so long for company."""
GATHER_BYTES = 64 * 1024
GATHER_OPERATIONS = 256


class Throttle:
    """A `bodydouble.replication.protocol.Pace` by token bucket; the limit may change at any time."""

    def __init__(self) -> None:
        self._bucket = TokenBucket(None, 0.0)
        self._changed = asyncio.Event()

    @property
    def part_bytes(self) -> int:
        """See the protocol."""
        return self._bucket.part_bytes

    def limit(self, rate: int | None) -> None:
        """So many bytes a second from now on; None: no limit."""
        if rate != self._bucket.rate:
            self._bucket.limit(rate, asyncio.get_running_loop().time())
            self._changed.set()

    async def wait(self, size: int) -> None:
        """See the protocol."""
        loop = asyncio.get_running_loop()
        while seconds := self._bucket.missing(size, loop.time()):
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
        self.spend(size)

    def spend(self, size: int) -> None:
        """See the protocol."""
        self._bucket.spend(size, asyncio.get_running_loop().time())


class Transmission:
    """One connection's transmission.

    Args:
        options: limit, compression, schedule.
        mode: what an operator ordered last.
        context: the daemon's surroundings.
        sent_bytes: gives what the connection has sent so far.
    """

    def __init__(
        self,
        options: TransmissionOptions,
        mode: TransmissionMode,
        context: Context,
        sent_bytes: Callable[[], int],
    ) -> None:
        self.throttle = Throttle()
        self.plain_bytes = 0
        self._options = options
        self._mode = mode
        self._context = context
        self._sent_bytes = sent_bytes
        self._course: Course | None = None

    # --- what the operator sees and does ---

    def state(self, stream: SourceStream | None) -> tuple[TransmissionState, datetime | None]:
        """The state, and the moment on the calendar that matters next."""
        decision = self._step(stream)
        return decision.state, decision.next

    @property
    def mode(self) -> TransmissionMode:
        """What an operator ordered last."""
        return self._mode if self._course is None else self._course.mode

    def order(self, order: Order, stream: SourceStream | None) -> None:
        """Start, stop, pause, resume.

        Raises:
            ConnectionStateError: it does not fit what was ordered before.
        """
        facts = self._facts(stream)
        self._following(facts).order(order, facts)
        _wake(stream)

    def change(self, options: TransmissionOptions, stream: SourceStream | None) -> None:
        """Other options from now on; what runs by another schedule starts anew."""
        if options.schedule != self._options.schedule:
            self._mode, self._course = self.mode, None
        self._options = options
        self._step(stream)
        _wake(stream)

    # --- stepping ---

    def _following(self, facts: Facts) -> Course:
        if self._course is None:
            self._course = Course(self._options.schedule, self._mode, facts)
        return self._course

    def _facts(self, stream: SourceStream | None) -> Facts:
        queue = None if stream is None else stream.queue
        return Facts(
            loop=asyncio.get_running_loop().time(),
            wall=self._context.host.clock.now(),
            queue_bytes=0 if queue is None else queue.bytes,
            queue_operations=0 if queue is None else len(queue),
            queue_percent=0.0 if queue is None or not queue.capacity else 100 * queue.bytes / queue.capacity,
            sent_bytes=self._sent_bytes(),
            pressing=stream is not None and stream.pressing,
        )

    def _step(self, stream: SourceStream | None) -> Decision:
        facts = self._facts(stream)
        decision = self._following(facts).step(facts)
        self.throttle.limit(decision.bandwidth or self._options.bandwidth)
        return decision

    def look(self, stream: SourceStream) -> None:
        """Something changed without anything to send: the queue was emptied."""
        self._step(stream)

    # --- sending ---

    async def send(self, wire: Wire, stream: SourceStream, where: str) -> None:
        """Send what is queued, when it may be sent, until cancelled."""
        packer = Packer(self._options.compression)
        while True:
            await self.turn(stream)
            if packer.level != self._options.compression:
                packer = Packer(self._options.compression)
            for part in at_tasks(stream.queue.take(MAX_BATCH_BYTES, MAX_BATCH_OPERATIONS)):
                body = part[0].body
                if isinstance(body, Task) and body.on == "transmit":
                    await self._context.tasks.run(body, where)
                before = packer.plain_bytes
                messages = packer.messages(part)
                self.plain_bytes += packer.plain_bytes - before
                for message in messages:
                    await wire.send(message)

    async def turn(self, stream: SourceStream) -> None:
        """Return when there is something to send and it may be sent."""
        while True:
            stream.available.clear()
            decision = self._step(stream)
            if decision.transmit and stream.queue.unsent:
                await self._gather(stream)
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(decision.look):
                    await stream.available.wait()

    @staticmethod
    async def _gather(stream: SourceStream) -> None:
        """Alone an element goes at once; behind others that are not acknowledged it waits a moment for company."""
        queue = stream.queue
        full = queue.unsent >= GATHER_OPERATIONS or queue.unsent_bytes >= GATHER_BYTES
        if queue.in_flight and not full and not queue.asks:
            await asyncio.sleep(GATHER_SECONDS)


def _wake(stream: SourceStream | None) -> None:
    if stream is not None:
        stream.available.set()
