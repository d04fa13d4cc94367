"""SourceStream: from the filter's reports to an ordered queue, with the mirror's elements in between.

A stream outlives broken connections: it is resumed where the target is. The next daemon may go on with it, see
`resumption`. It ends when its queue is exhausted, when the replica diverged or when its connection is taken away; then
a new stream begins with a mirror.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from bodydouble.errors import ConnectionStateError, ProtocolError
from bodydouble.replication.alert import QueueAlert
from bodydouble.replication.directory_times import DirectoryTimes
from bodydouble.replication.journal.journal import Journal
from bodydouble.replication.lag import LagMarks
from bodydouble.replication.left import AllButSent, LeftFiles
from bodydouble.replication.mirror import Mirror, TooManyNewerError
from bodydouble.replication.mirror_control import policy_of
from bodydouble.replication.mirror_plan import MirrorPlan
from bodydouble.replication.notebook import NoNotes, StreamNotes
from bodydouble.replication.orphan_search import OrphanWalk
from bodydouble.replication.orphans import KEEP, OrphanFinds, OrphanPolicy
from bodydouble.replication.protocol import MirrorComplete, MirrorStart, MirrorStopped, Task
from bodydouble.replication.questions import AwaitedAnswers
from bodydouble.replication.queue import SourceQueue
from bodydouble.replication.spill import QueueExhaustedError, Spill
from bodydouble.replication.tasks import cancel
from bodydouble.replication.touches import Touches
from bodydouble.replication.translate import handled_by, translate
from bodydouble.replication.verification import Verification
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import Write
from bodydouble.vocabulary.records import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.ports import Attachment
    from bodydouble.replication.context import Context
    from bodydouble.replication.figures import Meter
    from bodydouble.replication.mirror_control import MirrorOptions
    from bodydouble.replication.protocol import AnyMessage, Body
    from bodydouble.replication.sight import Sight
    from bodydouble.replication.verification import Findings
    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble.vocabulary.records import MirrorKind, MirrorState
    from bodydouble.vocabulary.tasks import TaskRequest
    from bodydouble.vocabulary.verification import VerificationOptions


class SourceStream:
    """One stream of operations.

    Args:
        name: told to the target; no two streams share it.
        context: the daemon's surroundings.
        queue_name: names the directory of its disk queue; no two streams share it at one time.
        sight: the files.
        meter: reads what the stream counts.
        on_halt: called when the queue is exhausted and nothing more is queued; what is queued is still sent.
        on_mirror: called with ``begins`` True when a mirror begins and False when the target has completed it, and
            whether it is one of everything (or only of what appeared in the set).
        on_stop: called with the reason when a mirror was ended before it was complete.

    Attributes:
        mirror_stopped: why the last mirror was ended before it was complete; empty when it was not.
        left: files that mirrors left alone because they are newer on the target.
        moves_orphans: the target has a directory for orphans.
        orphans: what the latest mirror found that only the target has, and what it ordered about it.
        mirror_kind: how the latest mirror compares.
        mirror_bytes: contents of files that mirrors have queued.
        lags: when what is queued was made.
    """

    def __init__(
        self,
        name: str,
        context: Context,
        queue_name: str,
        *,
        sight: Sight,
        meter: Meter,
        on_mirror: Callable[[bool, bool], None],
        on_halt: Callable[[str], None],
        on_stop: Callable[[str], None],
    ) -> None:
        self.name = name
        self.queue = SourceQueue(context.settings.queue_bytes, context.settings.disk_queue_bytes)
        self.halted = ""
        self.selection = sight.selection
        self.applied, self.mirroring = 0, False
        self.mirror_stopped = ""
        self.mirror_kind: MirrorKind = "full"
        self.moves_orphans = False
        self.orphans = (KEEP, OrphanFinds())
        self.left: LeftFiles = LeftFiles(sight.selection.key)
        self.progress = Progress()
        self.available = asyncio.Event()
        self._context = context
        self._sight = sight
        self.notes: StreamNotes = NoNotes()
        self._translate = translate
        self._on_mirror = on_mirror
        self._attachments: list[Attachment] = []
        self._closed = self._whole = self._opening = False
        self.failure: Exception | None = None
        self.dropped_operations = False
        self._failed, self._ended = asyncio.Event(), asyncio.Event()
        self._calm, self._acknowledged = asyncio.Event(), asyncio.Event()
        self._answers = AwaitedAnswers()
        self._touches = Touches(self.selection.key)
        self._mirror: Mirror | None = None
        self._mirror_wanted = asyncio.Event()
        self._mirror_task: asyncio.Task[None] | None = None
        self._mirror_run: asyncio.Task[None] | None = None
        self._on_stop = on_stop
        self._complete_at: int | None = None
        self._verification: Verification | OrphanWalk | None = None
        self._on_halt = on_halt
        self._alert = QueueAlert(context, name)
        self.mirror_bytes = 0
        self.lags = LagMarks()
        self._now = asyncio.get_running_loop().time
        self._meter = meter
        meter.follow(self)
        self._tasks, self.task_prefix = 0, name
        self._spill = self._make_spill(queue_name)
        self._running: list[asyncio.Task[None]] = []
        self.times = DirectoryTimes(sight.files, sight.selection, self._queue_operation)
        self.times.count = lambda: self.queue.generated
        self.times.on_settled = lambda *numbers: self.notes.note_times(*numbers)  # noqa: PLW0108 - of then
        self.settle_times, self.owe_time = self.times.settle, self.times.owe

    def _make_spill(self, queue_name: str) -> Spill:
        host, settings = self._context.host, self._context.settings
        journal = Journal(host.file_system, paths.join(self._context.state_directory, queue_name), host.clock)
        journal.identity = self.name
        return Spill(self.queue, journal, host.file_system, settings.queue_floor_bytes, self.available.set)

    # --- life ---

    async def open(self, options: MirrorOptions, *, paused: bool = False, filtered: bool = True) -> None:
        """Begin with a mirror of everything.

        Args:
            options: how.
            paused: an operator ordered that no mirror goes on for now.
            filtered: False watches no application (see `Restoration`).

        Raises:
            FilterError: changes under a root cannot be intercepted.
        """
        await self._spill.clear()
        self._opening = True  # no mirror is announced that a missing filter prevents
        self.start_mirror(options)
        if paused and self._mirror is not None:
            self._mirror.pause()
        try:
            for root in self.selection.roots if filtered else []:
                sink, carried = partial(self._offer, root), partial(self._offer, root, carried=True)
                self.notes.attachment, others = await self._sight.attach(root, sink, carried, self._lose)
                self._attachments += [self.notes.attachment, *others]
        except BaseException:
            self._shut()
            raise
        self._opening = False
        self._on_mirror(True, True)
        self._start_tasks()

    def _start_tasks(self) -> None:
        self._mirror_task = asyncio.create_task(self._run_mirrors(), name=f"bodydouble-mirror-{self.name}")
        for part, name in ((self._run_spill(), "spill"), (self.times.run(), "times")):
            self._running.append(asyncio.create_task(part, name=f"bodydouble-{name}-{self.name}"))

    async def close(self) -> None:
        """End the stream: nothing more is reported, what is queued is dropped. Idempotent."""
        self._shut()
        await cancel(*filter(None, (self._mirror_task, self._mirror_run, *self._running)))

    def _shut(self) -> None:
        self._closed = True
        self._ended.set()
        self._acknowledged.set()
        self._detach()
        for body in self.queue.unacknowledged():
            if isinstance(body, Task):
                self.report(EventCode.TASK_REFUSED, f"task {body.id} ({body.command}) was dropped with the queue")
        self.dropped_operations = self.dropped_operations or len(self.queue) > 0
        self._meter.retire(self)
        self.queue = SourceQueue(0)
        self._answers.cancel()

    def _detach(self) -> None:
        for attachment in self._attachments:
            attachment.detach()
        self._attachments.clear()

    def shut_off(self) -> None:
        """Queue nothing that applications do from now on; what is queued is still sent."""
        self.notes.forget()
        self._detach()

    async def emptied(self) -> bool:
        """Wait until nothing is queued (True), or the stream has ended before that."""
        while len(self.queue) and not self._closed:
            self._acknowledged.clear()
            await self._acknowledged.wait()
        return not self._closed

    def fail(self, error: Exception) -> None:
        """End the stream because of ``error``, which `failed` then raises."""
        if self.failure is None and not self._closed:
            self.failure = error
            self.notes.forget()
            self._shut()
            self._failed.set()

    async def failed(self) -> None:
        """Wait until the stream fails.

        Raises:
            BodydoubleError: why it failed.
        """
        await self._failed.wait()
        assert self.failure is not None
        raise self.failure

    async def ended(self) -> None:
        """Wait until the stream ends, for whatever reason.

        Raises:
            ConnectionStateError: always.
        """
        await self._ended.wait()
        raise ConnectionStateError(str(self.failure or "") or "the connection's stream ended")

    @property
    def alive(self) -> bool:
        """Whether the stream can still be resumed."""
        return not self._closed

    # --- what applications do ---

    def _offer(self, root: str, operation: AnyOperation, *, carried: bool = False) -> None:
        """The filter's sink, and the feed's (``carried``): in order, synchronously; returns quickly, never raises."""
        if self._closed or self.halted or not handled_by(operation, root, self.selection.roots, self.selection):
            return
        if carried:
            self.notes.forget()  # the filter keeps no record of it
        translation = self._translate(operation, self.selection, carried=carried)
        left = self.left.changed(operation) if translation.bodies and not self.mirror_stopped else ""
        if left:
            self._queue_operation(MirrorStart())
        self.notes.more = len(translation.bodies)
        for body in translation.bodies:
            if isinstance(body, MirrorStart) and self.mirror_stopped:
                continue  # the replica is incomplete until everything is mirrored again
            if self._queue_operation(body):
                self._note(body)
        self.notes.more = 0
        for path in translation.appeared:
            self._appeared(path, shallow=translation.shallow)
        if left:
            self._send_left(left)

    def _lose(self, why: str) -> None:
        """The filter could not report everything: what the target lacks, and where, nobody knows but a mirror."""
        if not self._closed:
            self.dropped_operations = True
            self.report(EventCode.CHANGES_LOST, f"{self.name}: {why}; a remirror follows")
            self.fail(ConnectionStateError(why))

    def _note(self, body: Body) -> None:
        """Who reads files at this moment learns that one changed."""
        if self._mirror is not None:
            self._touches.note(body)
            self._mirror.note(body)
        if self._verification is not None:
            self._verification.note(body)

    def _queue_operation(self, body: Body) -> bool:
        """Append one element in order; False when the queue is exhausted, and the stream fails or halts."""
        if self._closed or self.halted:
            return False
        if (sequence := self.queue.put(body)) is None:
            self._exhausted(f"{self.queue.bytes} bytes of queue are full")
            return False
        self.notes.note(sequence, body)
        self._context.totals.generated += 1
        if (now := self._now()) >= self.lags.due:
            self.lags.note(self.queue.generated, now)
        self.times.note(body)
        self.available.set()
        self._spill.wake()
        self._watch_level()
        return True

    def _exhausted(self, why: str) -> None:
        """Nothing more can be queued; the applications go on all the same."""
        if self._context.settings.queue_full == "disconnect":
            self.fail(QueueExhaustedError(why))
        else:
            self.halt(why)

    def halt(self, why: str) -> None:
        """Queue nothing more; what is queued is still sent, and then the stream ends."""
        if not self._closed and not self.halted:
            self.halted = why
            self.shut_off()
            if self._mirror_task is not None:
                self._mirror_task.cancel()
            self._on_halt(why)
            self._end_when_drained()

    def _end_when_drained(self) -> None:
        if self.halted and not len(self.queue):
            self.fail(QueueExhaustedError(self.halted))

    def _watch_level(self) -> None:
        self._alert.look(self.queue.bytes, self.queue.capacity + self._spill.room)

    async def _run_spill(self) -> None:
        while not self._closed:
            try:
                await self._spill.run()
            except QueueExhaustedError as error:
                self._exhausted(str(error))
                # What waits for the disk goes there, or into memory, as soon as either has room.
                await asyncio.sleep(self._context.settings.retry_interval)

    def _appeared(self, path: str, *, shallow: bool) -> None:
        """What is at ``path`` has to be mirrored; ``shallow``: only a directory's attributes."""
        if self._closed or self.mirror_stopped:
            return
        alone = shallow and self._mirror is None
        if self._mirror is None:
            whole, directories = ([], [path]) if shallow else ([path], [])
            self._begin(MirrorPlan("full", KEEP, whole, directories=directories, whole=False))
        if not alone and self._mirror is not None:
            self._touches.note_tree(path)
            self._mirror.appeared(path)
        if self._verification is not None:
            self._verification.appeared(path)

    def _send_left(self, path: str) -> None:
        """A file that was left alone was changed: send it, if it is one."""
        if self._mirror is None:
            self._begin(MirrorPlan("full", KEEP, [path], flat=True, whole=False))
        if self._mirror is not None:
            self._mirror.changed(path)

    def put_task(self, request: TaskRequest) -> Task:
        """Queue a task behind what applications did until now.

        Raises:
            ConnectionStateError: nothing can be queued.
        """
        self._tasks += 1
        id_ = f"{self.task_prefix}/task-{self._tasks}"
        task = Task(id_, request.on, request.command, request.arguments, request.timeout)
        if request.on != "queue" and not self._queue_operation(task):
            raise ConnectionStateError(f"the queue takes nothing: {self.halted or self.failure or 'it has ended'}")
        return task

    # --- mirrors ---

    def start_mirror(self, options: MirrorOptions) -> None:
        """Mirror everything from now on. Only while none runs."""
        self._queue_operation(MirrorStart())
        self.left = (AllButSent if options.missing_only else LeftFiles)(self.selection.key)
        plan = MirrorPlan(
            options.kind, self._policy(options), list(self.selection.roots), newer_only=options.newer_only,
            calculate=options.calculate, missing_only=options.missing_only,
        )  # fmt: skip
        self._begin(plan)

    def _policy(self, options: MirrorOptions) -> OrphanPolicy:
        return policy_of(options, self._context, moves=self.moves_orphans)

    def _begin(self, plan: MirrorPlan) -> None:
        self._touches = Touches(self.selection.key)
        if self.queue.on_disk:
            self._touches.note_everything()
        for body in self.queue.unacknowledged():
            self._touches.note(body)  # what is on its way may make size and time of a stale file look right
        self.mirror_kind = plan.kind
        self._mirror = Mirror(self, self._sight.files, self.selection, self._touches, left=self.left, plan=plan)
        self._complete_at = None
        self._whole = plan.whole or (self.mirroring and self._whole)
        self.mirroring = True
        self.notes.complete(complete=False)
        self.mirror_stopped = ""
        self._calm.clear()
        if not self._opening:
            self._on_mirror(True, plan.whole)
        self._mirror_wanted.set()

    async def _run_mirrors(self) -> None:
        while True:
            await self._mirror_wanted.wait()
            self._mirror_wanted.clear()
            mirror = self._mirror
            if mirror is None:
                continue  # it was stopped before it could begin
            self._mirror_run = asyncio.create_task(mirror.run(), name=f"bodydouble-mirror-run-{self.name}")
            try:
                await asyncio.wait([self._mirror_run])
            finally:
                self._mirror_run.cancel()
            if not self._mirror_run.cancelled() and not self._ended_well(self._mirror_run.exception()):
                return
            if self._mirror is mirror:
                self.progress, self.orphans = mirror.progress, mirror.orphans
                self._mirror = None

    def _ended_well(self, error: BaseException | None) -> bool:
        """Whether the stream goes on after a mirror that ended with ``error``."""
        if isinstance(error, TooManyNewerError):
            self.stop_mirror(str(error))
        elif isinstance(error, Exception):  # whatever it is, `failed` raises it where it is awaited
            self.fail(error)
        return error is None or isinstance(error, TooManyNewerError)

    # --- what an operator orders about the mirror that runs ---

    @property
    def mirror_paused(self) -> bool:
        """Whether a mirror waits for the operator."""
        return self._mirror is not None and self._mirror.paused

    def pause_mirror(self, *, paused: bool) -> None:
        """Let the mirror that runs wait, or go on."""
        assert self._mirror is not None, "only a mirror that runs can be paused"
        (self._mirror.pause if paused else self._mirror.resume)()

    def stop_mirror(self, why: str) -> None:
        """End the mirror that runs: the replica stays incomplete, and operations go on being replicated."""
        assert self._mirror is not None, "only a mirror that runs can be stopped"
        self._queue_operation(MirrorStopped())
        self.progress, self.orphans = self._mirror.progress, self._mirror.orphans
        self._mirror = None
        self.mirror_stopped = why
        if self._mirror_run is not None:
            self._mirror_run.cancel()
        self._calm.set()
        self._on_stop(why)

    @property
    def pressing(self) -> bool:
        """Whether something waits for what is queued to be sent and answered."""
        return self.verifying or (self.mirroring and not self.mirror_stopped and not self.mirror_paused)

    @property
    def mirror_state(self) -> MirrorState:
        """How the latest mirror stands."""
        if self._mirror is not None:
            return "paused" if self._mirror.paused else "calculating" if self._mirror.calculating else "running"
        return "stopped" if self.mirror_stopped else "running" if self.mirroring else "complete"

    @property
    def mirror_progress(self) -> Progress:
        """How far the running mirror is, or the last one came."""
        return self.progress if self._mirror is None else self._mirror.progress

    @property
    def mirror_runs(self) -> bool:
        """Whether a mirror is still reading."""
        return self._mirror is not None

    async def calm(self) -> None:
        """Wait until no mirror runs and the replica is complete.

        Raises:
            ConnectionStateError: the mirror was ended before that.
        """
        await self._calm.wait()
        if self.mirror_stopped:
            raise ConnectionStateError(f"the mirror was ended before it was complete: {self.mirror_stopped}")

    # --- verification ---

    @property
    def verifying(self) -> bool:
        """Whether a verification reads, or a search for orphans."""
        return self._verification is not None

    @property
    def reader(self) -> str:
        """Which of both it is, in words."""
        return "a search for orphans" if isinstance(self._verification, OrphanWalk) else "a verification"

    def begin_verification(self, options: VerificationOptions) -> Verification:
        """A verification that hears of every operation until `end_verification`."""
        verification = Verification(self, self._sight.files, self.selection, options)
        self._verification = verification
        return verification

    def begin_orphan_walk(self, policy: OrphanPolicy) -> OrphanWalk:
        """A search for orphans that hears of every operation until `end_verification`."""
        walk = OrphanWalk(self, self._sight.files, self.selection, policy)
        self._verification = walk
        return walk

    def end_verification(self) -> None:
        """The verification, or the search, has ended."""
        self._verification = None

    def repair(self, findings: Findings, options: MirrorOptions) -> None:
        """Mirror what a verification found, or everything if that was too much to list. Only while no mirror runs."""
        self._queue_operation(MirrorStart())
        whole = not findings.complete
        roots = list(self.selection.roots) if whole else findings.paths
        self._begin(
            MirrorPlan(
                "checksum", self._policy(options), roots,
                directories=findings.directories, newer_only=options.newer_only, whole=whole,
            )
        )  # fmt: skip

    # --- Outlet: what mirror and verification ask for ---

    def put(self, body: Body) -> None:
        """Queue one of the mirror's elements."""
        if not self._queue_operation(body):
            return
        if isinstance(body, Write):
            self.mirror_bytes += len(body.data)
        elif isinstance(body, MirrorComplete):
            self._complete_at = self.queue.generated

    async def room(self) -> None:
        """Wait until the queue holds less than the mirror's window; half of the memory is left to applications."""
        settings = self._context.settings
        while self.queue.bytes >= min(settings.mirror_window_bytes, settings.queue_bytes // 2):
            self._acknowledged.clear()
            await self._acknowledged.wait()

    async def ask(self, body: Body) -> AnyMessage:
        """Queue a question and wait for the answer."""
        if not self._queue_operation(body):
            raise QueueExhaustedError("the stream has ended")
        return await self._answers.wait(self.queue.generated)

    def report(self, code: EventCode, text: str) -> None:
        """Tell the operator."""
        self._context.events.record(code, text)

    # --- what the target says ---

    def acknowledge(self, sequence: int) -> None:
        """Everything up to ``sequence`` is safe on the target.

        Raises:
            ProtocolError: that was never sent.
        """
        self._context.totals.acknowledged += self.queue.acknowledge(sequence)
        self._acknowledged.set()
        self._spill.wake()
        self._watch_level()
        self._end_when_drained()

    def note_applied(self, sequence: int) -> None:
        """Everything up to ``sequence`` is in the replica.

        Raises:
            ProtocolError: that was never generated.
        """
        if sequence > self.queue.generated:
            raise ProtocolError(f"{sequence} applied, {self.queue.generated} were generated")
        self.applied = max(self.applied, sequence)
        if self._complete_at is not None and sequence >= self._complete_at:
            self._complete_at = None
            self.mirroring = False
            self.notes.complete(complete=not len(self.left))
            self._calm.set()
            self._on_mirror(False, self._whole)

    def answer(self, sequence: int, message: AnyMessage) -> None:
        """The target answered the question numbered ``sequence``; an answer nobody waits for is dropped."""
        self._answers.come(sequence, message)

    def resume(self, position: int) -> bool:
        """Send again from after ``position``; False when the stream does not reach there."""
        before = self.queue.acknowledged
        if self._closed or not self.queue.rewind(position):
            return False
        self._context.totals.acknowledged += position - before
        self._acknowledged.set()
        self._spill.wake()
        self._end_when_drained()
        self._answers.lose(position)
        self.available.set()
        return True
