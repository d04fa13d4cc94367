"""Applier: brings one replica forward by what its queue holds, whether its source is connected or not."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import msgspec

from bodydouble.errors import FileSystemError, StateError
from bodydouble.replication.groups import MAX_WINDOW_ITEMS, Window
from bodydouble.replication.protocol import Applied
from bodydouble.replication.replica import ReplicaDivergedError
from bodydouble.replication.tasks import cancel, to_the_end
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from bodydouble.replication.context import Context
    from bodydouble.replication.protocol import AnyMessage, Item
    from bodydouble.replication.replica import Replica
    from bodydouble.replication.target_queue import TargetQueue
    from bodydouble.state.store import StateStore

    Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


class PositionRecord(msgspec.Struct, frozen=True):
    """How far a replica is: everything of ``stream`` up to ``applied`` is on the volume.

    ``mirroring``: a mirror had begun there and was not complete.
    """

    stream: str
    applied: int
    mirroring: bool = False


class Listener(Protocol):
    """The session that the source is connected by."""

    async def tell(self, messages: list[AnyMessage]) -> None:
        """Send to the source; a connection that is broken is not the applier's matter."""

    def standing_changed(self) -> None:
        """How this side stands may have changed."""

    def diverged(self, detail: str) -> None:
        """The replica could not be brought forward."""


class Applier:
    """Applies first and settles later: what it carries out is made durable and recorded behind it, many at a time.

    The recorded position is where a restart goes on, so everything behind it is applied again then. What is applied and
    not settled is therefore always one group that may be repeated (`groups`); an element that does not fit into it
    waits until it is settled.

    Args:
        context: the daemon's surroundings.
        replica: what is brought forward.
        queue: by what.
        store: where the position is kept.
        spawn: runs its task.
    """

    def __init__(self, context: Context, replica: Replica, queue: TargetQueue, store: StateStore, spawn: Spawn) -> None:
        self.replica = replica
        self.queue = queue
        self.listener: Listener | None = None
        self.waiting = ""
        self._context = context
        self._store = store
        self._spawn = spawn
        self._task: asyncio.Task[None] | None = None
        self._turned = asyncio.Event()
        self._repeat_upto = 0
        self._window = Window(replica.key)
        self._settled = 0
        self._settled_at = 0.0
        self._settling: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._beginning = False
        self._untold: deque[AnyMessage] = deque()

    # --- life ---

    async def load(self) -> None:
        """Take in what earlier runs left.

        Raises:
            StateError: the recorded position cannot be understood.
        """
        position = await self._store.load(self._position_name, PositionRecord)
        if position is None:
            return
        try:
            opened = await self.queue.open(position.stream, position.applied)
        except FileSystemError as error:
            self._event(EventCode.REPLICATION_ERROR, f"the queue cannot be read: {error}; a remirror is needed")
            return
        self.replica.resume(position.stream, position.applied, mirroring=position.mirroring)
        self._settled = position.applied
        # No window is longer: what lies behind was not begun.
        self._repeat_upto = min(self.queue.received, position.applied + MAX_WINDOW_ITEMS)
        if opened.records:
            text = f"{opened.records} operations received before the stop are applied now"
            self._event(EventCode.TARGET_QUEUE_REPLAYED, text)

    @property
    def _position_name(self) -> str:
        return f"target-position-{self.replica.record.number}"

    def wake(self) -> None:
        """There is something to apply; while an operator has paused it, it waits."""
        self._woken.set()
        waits = (self.queue.pending or self._untold) and not self.replica.record.paused and not self._beginning
        if waits and (self._task is None or self._task.done()):
            self._task = self._spawn(self._run(), f"bodydouble-applier-{self.replica.record.number}")

    async def stop(self) -> None:
        """Go on no further; what is being applied is applied to its end and settled, the rest stays queued on disk."""
        if self._task is not None:
            await cancel(self._task)
        with suppress(FileSystemError):  # where it was settled last, the next start goes on
            await self._settle_all()

    async def pause(self) -> None:
        """Apply nothing from now on, durably; what is being applied is applied to its end.

        Raises:
            FileSystemError: it could not be made durable, and holds until a restart only.
        """
        try:
            await self.replica.change(paused=True)
        finally:  # it holds also where the volume refused to keep it
            await self.stop()
            self._say("paused: it receives and applies nothing", EventCode.TARGET_PAUSED)

    async def resume(self) -> None:
        """Apply what waits, and go on.

        Raises:
            FileSystemError: see `pause`.
        """
        try:
            await self.replica.change(paused=False)
        finally:  # see `pause`
            self._say("applies again", EventCode.TARGET_RESUMED)
            self.wake()

    def _say(self, text: str, code: EventCode) -> None:
        self._event(code, text)
        if self.listener is not None:
            self.listener.standing_changed()

    async def begin(self, stream: str) -> None:
        """A new stream follows; what is queued of the earlier one is dropped.

        Raises:
            FileSystemError: the volume refused.
        """
        self._beginning = True  # whoever wakes it now would have the earlier stream's elements applied as the new one's
        try:
            await self.stop()
            await self._settle_all()
            await self._reset(stream)
        finally:
            self._beginning = False
            self.wake()

    async def _reset(self, stream: str) -> None:
        # First: a journal of another stream is never taken for this one's. If it fails, the earlier stream goes on.
        await self._record_position(0, mirroring=False, stream=stream)
        self._untold.clear()
        self.replica.begin(stream)
        self._window, self._settled, self._repeat_upto = Window(self.replica.key), 0, 0
        try:
            await self.queue.begin(stream)
        except BaseException:
            self.replica.begin("")  # what was not begun cannot be resumed, and what is queued belongs to no stream
            self.queue.pass_over()
            raise

    async def end(self) -> None:
        """Apply what was received, then make sure that the stream is not continued, also not after a restart.

        Raises:
            FileSystemError: the volume refused.
        """
        if self.replica.record.paused:
            await self.resume()
        await self.drained()
        if self.queue.pending:
            text = f"{self.queue.pending} operations received could not be applied: {self.waiting}"
            self._event(EventCode.REPLICATION_ERROR, text)
        await self.begin("")

    async def drained(self) -> None:
        """Wait until everything received is applied, or until `waiting` says why it cannot be."""
        self.wake()
        while self.queue.pending and not self.waiting and self._task is not None and not self._task.done():
            self._turned.clear()
            await self._turned.wait()

    async def progress(self, seconds: float) -> None:
        """Wait until a group was applied, at most so long."""
        self.wake()
        self._turned.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._turned.wait()

    # --- applying ---

    async def _run(self) -> None:
        try:
            await self._tell()
            while self.queue.pending or self._unsettled:
                await self._turn()
                self._turned.set()
        finally:
            self._turned.set()

    async def _turn(self) -> None:
        try:
            if self._settling is not None and self._settling.done():
                await self._settled_now()
            if self.queue.pending:
                self._settle_in_passing()
                await self._apply_next()
            else:
                await self._rest()
        except FileSystemError as error:
            await self._wait(str(error))

    async def _rest(self) -> None:
        """Nothing is to be applied: settle what was, after a moment in which more may come."""
        if self._settling is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._context.settings.settle_interval):
                    await self._until(lambda: False)
                    return
        self._settle_soon()
        await self._until(lambda: self._settling is None or self._settling.done())

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Wait for something to apply, or for what ``holds`` says; whoever only asks again does not wake anybody."""
        while not (self.queue.pending or holds()):
            self._woken.clear()
            await self._woken.wait()

    async def _apply_next(self) -> None:
        try:
            items = await self.queue.following(self._window)
            if not items:
                await self._settled_now()
                return
            await to_the_end(self._apply(items))
        except ReplicaDivergedError as error:
            await self._diverge(str(error))
        except StateError as error:
            await self._diverge(f"the queue cannot be read: {error}")
        else:
            await self._tell()

    async def _apply(self, items: list[Item]) -> None:
        """Apply elements: to the end, or what a break leaves uncounted would be applied twice."""
        repeat = items[0].sequence <= self._repeat_upto
        self._repeat_upto = max(self._repeat_upto, items[-1].sequence)
        answers = await self.replica.execute(items, repeat=repeat, asked=self.listener is not None)
        self.queue.done(items)
        if self._window.closed:
            await self._settled_now()
        self._untold += [*answers, Applied(self.replica.applied)]
        self._context.totals.applied += sum(isinstance(item.body, Operation) for item in items)
        if self.waiting:
            self.waiting = ""
            self._event(EventCode.APPLYING_RESUMED, "applying goes on")

    # --- settling ---

    @property
    def _unsettled(self) -> bool:
        return self._settling is not None or self.replica.applied != self._settled

    def _settle_in_passing(self) -> None:
        """Settle while applying goes on, when that is due."""
        now = asyncio.get_running_loop().time()
        if (
            self._window.count >= MAX_WINDOW_ITEMS // 2
            or now - self._settled_at >= self._context.settings.settle_interval
        ):
            self._settle_soon()

    def _settle_soon(self) -> None:
        """Begin to settle, unless that is under way or there is nothing to settle."""
        if not self._unsettled:
            self._settled_at = asyncio.get_running_loop().time()
        elif self._settling is None:
            self._begin_settling()

    def _begin_settling(self) -> asyncio.Task[None]:
        """Settle what is applied by now. Only while nothing is being applied."""
        self._settled_at = asyncio.get_running_loop().time()
        self._window.split()
        settling = self._settle(self.replica.applied, mirroring=self.replica.mirroring)
        name = f"bodydouble-settler-{self.replica.record.number}"
        self._settling = asyncio.create_task(settling, name=name)
        self._settling.add_done_callback(lambda _settling: self._woken.set())
        return self._settling

    async def _settle(self, upto: int, *, mirroring: bool) -> None:
        """Make durable what is applied, and then how far that is."""
        await self.replica.flush()
        await self._record_position(upto, mirroring=mirroring, stream=self.replica.stream)
        self._window.settled()
        self._settled = upto
        await self.queue.forget(upto)

    async def _settled_now(self) -> None:
        """Return when a settling has ended: the one under way, or else one that begins now.

        Raises:
            FileSystemError: a volume refused. What was not settled is in doubt and is applied again.
        """
        settling = self._settling or self._begin_settling()
        await asyncio.wait([settling])
        self._settling = None
        try:
            settling.result()
        except FileSystemError:
            self.replica.applied = self._settled
            self._window = Window(self.replica.key)
            self.queue.go_back(self._settled)
            raise

    async def _settle_all(self) -> None:
        while self._unsettled:
            await self._settled_now()

    async def _record_position(self, applied: int, *, mirroring: bool, stream: str) -> None:
        """Make durable how far the replica is."""
        if not self.replica.purpose_restore:
            await self._store.save(self._position_name, PositionRecord(stream, applied, mirroring))

    async def _tell(self) -> None:
        """Tell the source what was applied and answered, also what a pause kept from being told."""
        while self._untold:
            message = self._untold.popleft()
            if self.listener is not None:
                await self.listener.tell([message])

    async def _wait(self, why: str) -> None:
        """The volume is full, or the state cannot be saved: nothing is lost by trying again later."""
        if not self.waiting:
            self._event(EventCode.APPLYING_WAITS, f"applying waits: {why}")
        self.waiting = why
        self._turned.set()
        if self.listener is not None:
            self.listener.standing_changed()
        await asyncio.sleep(self._context.settings.retry_interval)

    async def _diverge(self, why: str) -> None:
        """What is queued can never be applied: drop it, only a mirror helps."""
        with suppress(FileSystemError):
            await self._settle_all()
        await self.replica.change(complete=False)
        await self._reset("")
        self._event(EventCode.REPLICATION_ERROR, f"the replica diverged: {why}")
        if self.listener is not None:
            self.listener.diverged(why)

    def _event(self, code: EventCode, text: str) -> None:
        record = self.replica.record
        self._context.events.record(code, f"{record.source}: {record.replication_set.name}: {text}")
