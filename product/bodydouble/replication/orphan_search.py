"""Search for orphans without a mirror: of a replica that is complete, while applications and replication go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from bodydouble.errors import BodydoubleError, ConnectionStateError, FileSystemError
from bodydouble.replication.keeping import Keeping
from bodydouble.replication.orphan_log import OrphanLog, report_of
from bodydouble.replication.orphans import OrphanFinds, OrphanHandling, OrphanPolicy
from bodydouble.replication.pairing import pair
from bodydouble.replication.questions import Questions
from bodydouble.replication.tasks import cancel, run_together
from bodydouble.replication.touches import Touches
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import Rename

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from bodydouble.ports import FileSystem
    from bodydouble.replication.context import Context
    from bodydouble.replication.protocol import Body
    from bodydouble.replication.questions import Outlet
    from bodydouble.replication.rules import Selection
    from bodydouble.replication.source import SourceConnection
    from bodydouble.replication.stream import SourceStream
    from bodydouble.vocabulary.orphans import OrphanReport, OrphanRequest

    Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]

MAX_ROUNDS = 10
"""Times that a directory is looked at which applications go on making and renaming."""


class OrphanWalk:
    """One run over everything in the set. It goes only where source and target both have a directory.

    Args:
        outlet: the connection.
        file_system: the source's.
        selection: the rules.
        policy: what to do with what is found.
    """

    def __init__(self, outlet: Outlet, file_system: FileSystem, selection: Selection, policy: OrphanPolicy) -> None:
        self.policy = policy
        self.missing: list[str] = []
        self._file_system = file_system
        self._selection = selection
        self._outlet = outlet
        self._questions = Questions(outlet, digests=False)
        self._keeping = Keeping(self._questions, file_system, selection)
        self._touches = Touches(selection.key)
        self._pending: dict[str, None] = dict.fromkeys(selection.roots)
        self._handling = OrphanHandling(
            outlet,
            self._questions,
            selection,
            self._touches,
            policy=policy,
            room=outlet.room,
            say=_nobody,
            again=self._later,
        )

    @property
    def finds(self) -> OrphanFinds:
        """What was found so far."""
        return self._handling.finds

    # --- called by the connection, synchronously, for everything that goes into the stream ---

    def note(self, body: Body) -> None:
        """An application's operation was queued."""
        self._touches.note(body)
        if isinstance(body, Rename):
            self._later(body.new_path)

    def appeared(self, path: str) -> None:
        """Something with unknown content came into the set; a mirror of it follows."""
        self._touches.note_tree(path)
        self._later(path)

    def _later(self, path: str) -> None:
        self._pending[path] = None

    # --- the run ---

    async def run(self) -> None:
        """Look everywhere; `finds` grows meanwhile."""
        for _ in range(MAX_ROUNDS):
            work, self._pending = self._pending, {}
            for path in work:
                await self._visit(path)
            if not self._pending:
                return

    async def _visit(self, path: str) -> None:
        if self._selection.replicates_nothing(path) or not self._selection.within_roots(path):
            return
        self._handling.kept = await self._keeping.of(path)
        here = await self._file_system.stat(path)
        if here is None and path in self._selection.roots:
            self.missing.append(path)
        stack = [path] if here is not None and here.kind == "directory" else []
        while stack:
            stack += reversed(await self._directory(stack.pop()))

    async def _directory(self, path: str) -> list[str]:
        """Handle what only the target has in a directory; the directories inside that both have."""
        await self._outlet.room()
        there = await self._questions.children(path)
        mark = self._touches.now
        try:
            listing = await self._file_system.list_directory(path)
        except FileSystemError:
            return []  # it went, or cannot be looked at: nothing there is taken for an orphan
        if self._touches.since(path, mark):
            return []  # what it is now is not what the target was asked about; it is looked at again
        deeper = []
        pairs, orphans = pair(listing, there, self._handling.kept)
        for each in pairs:
            both = each.here.kind == "directory" and each.there is not None and each.there.entry.kind == "directory"
            if both and not self._selection.replicates_nothing(each.here.path):
                deeper.append(each.here.path)
        for orphan in orphans:
            await self._handling.take(orphan.entry, mark)
        return deeper


def _nobody(_text: str) -> None:
    """A search by itself has a report; it fills no log."""


class OrphanSearch:
    """Runs searches, at most one a connection, and keeps the latest report.

    Args:
        context: the daemon's surroundings.
        log: the reports.
        spawn: runs a coroutine as a task of the replication service.
    """

    def __init__(self, context: Context, log: OrphanLog, spawn: Spawn) -> None:
        self.log = log
        self._context = context
        self._spawn = spawn
        self._running: dict[int, tuple[asyncio.Task[None], OrphanWalk]] = {}

    def start(self, connection: SourceConnection, request: OrphanRequest) -> OrphanReport:
        """Begin to look for orphans.

        Raises:
            ConnectionStateError: the replica is not complete, something else reads, or the target moves none.
        """
        stream = connection.verifiable()
        if stream.verifying:
            raise ConnectionStateError(f"{connection.where}: {stream.reader} is running")
        if request.action == "move" and not stream.moves_orphans:
            raise ConnectionStateError(
                f"{connection.where}: the target's settings name no orphan_directory: nothing can be moved there"
            )
        policy = OrphanPolicy(request.action, request.min_age, self._context.host.clock.now())
        walk = stream.begin_orphan_walk(policy)
        id_ = connection.record.id
        task = self._spawn(self._run(connection, stream, walk), f"bodydouble-orphans-{id_}")
        self._running[id_] = (task, walk)

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                self._end(connection, walk, "it was stopped")
            stream.end_verification()
            self._running.pop(id_, None)

        task.add_done_callback(ended)
        report = report_of(connection.record, policy, walk.finds, during="search")
        self.log.keep(report)
        return report

    def report(self, id_: int) -> OrphanReport | None:
        """The latest report of a connection, as far as it is; None when there is none."""
        report = self.log.latest(id_)
        running = self._running.get(id_)
        if report is None or running is None or report.state != "running":
            return report
        finds = running[1].finds
        return msgspec.structs.replace(report, totals=finds.totals, orphans=list(finds.first))

    async def stop(self, id_: int) -> None:
        """Stop the search on a connection; what was ordered until now is carried out.

        Raises:
            ConnectionStateError: none runs.
        """
        running = self._running.get(id_)
        if running is None:
            raise ConnectionStateError(f"connection {id_}: no search for orphans is running")
        await cancel(running[0])

    async def forget(self, id_: int) -> None:
        """The connection is disconnected: nothing is sought any more, and its report goes."""
        if id_ in self._running:
            await cancel(self._running[id_][0])
        self.log.forget(id_)

    async def close(self) -> None:
        """End everything."""
        await cancel(*(task for task, _ in self._running.values()))

    async def _run(self, connection: SourceConnection, stream: SourceStream, walk: OrphanWalk) -> None:
        try:
            await run_together(ended=stream.ended(), work=walk.run())
        except BodydoubleError as error:
            self._end(connection, walk, str(error))
        else:
            self._end(connection, walk, "")

    def _end(self, connection: SourceConnection, walk: OrphanWalk, why: str) -> None:
        for root in walk.missing:
            text = f"{connection.where}: {root} is missing on the source: nothing of it is taken for an orphan"
            self._context.events.record(EventCode.ORPHAN_STAYS, text)
        report = report_of(
            connection.record, walk.policy, walk.finds, during="search", detail=why,
            state="interrupted" if why else "complete", ended=self._context.host.clock.now(),
        )  # fmt: skip
        self.log.keep(report)
        self.log.say(report)
