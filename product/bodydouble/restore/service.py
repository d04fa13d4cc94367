"""RestorationService: Restoration Manager's work, done by the machine that stood in (application note, steps 14-17)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import BodydoubleError, ConnectionStateError, InputError
from bodydouble.replication.contact import ConnectionRecord
from bodydouble.replication.mapping import check_mapping
from bodydouble.replication.service import normal_mapping
from bodydouble.replication.sight import ReplicaSight
from bodydouble.replication.source import SourceConnection
from bodydouble.restore.homecoming import Homecoming
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import ConnectRequest, Progress, RestorationStatus
from bodydouble.vocabulary.restoration import Restorable
from bodydouble.vocabulary.statistics import RestorationFigures

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.replication.replica import Replica
    from bodydouble.replication.service import ReplicationService
    from bodydouble.security.trust import Trust
    from bodydouble.state.store import StateStore
    from bodydouble.vocabulary.records import RestorationState, RestoreRequest

KEPT = 100
BOOK = "restorations"
"""Name of the state file."""


class RestorationBook(msgspec.Struct, frozen=True):
    """The restorations that are kept; numbers are never used twice."""

    next_id: int
    restorations: list[RestorationStatus]


@dataclass(slots=True)
class _Restoration:
    """One restoration and how it goes."""

    latest: RestorationStatus
    trust: Trust
    stands_in: Callable[[str], bool]
    replica: Replica | None = None
    stood_in: int = 0
    connection: SourceConnection | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    stopped: bool = False

    def status(self) -> RestorationStatus:
        """As it is now."""
        if self.connection is not None:
            self._look(self.connection)
        return self.latest

    def _look(self, connection: SourceConnection) -> None:
        stream = connection.stream
        if stream is not None:
            self._note(progress=stream.mirror_progress, left_alone=len(stream.left))
        if self.latest.state == "running":
            self._note(detail=connection.detail)
            self.meet(connection.record.peer)

    def meet(self, fingerprint: str) -> None:
        """Whose certificate the receiving machine has, empty before it answers, and so whether the data comes home."""
        self._note(receiver=self.trust.name_of(fingerprint))
        self._note(stays_required=self.homecoming.why_stays)

    @property
    def homecoming(self) -> Homecoming:
        """Where the data goes, as far as that is known."""
        replica, latest = self.replica, self.latest
        assert replica is not None, "it was begun"
        return Homecoming(
            latest.request, replica.selection.roots, replica.key, latest.receiver, latest.progress.left_out,
            marked_before=latest.marked_before,
            stood_in=replica.stood_in != self.stood_in or self.stands_in(replica.record.source),
        )  # fmt: skip

    def _note(self, **fields: object) -> None:
        self.latest = msgspec.structs.replace(self.latest, **fields)

    @property
    def request(self) -> RestoreRequest:
        """What was asked for."""
        return self.latest.request

    @property
    def where(self) -> str:
        """The restoration in words."""
        return f"{self.request.replication_set} to {self.request.restore_to}"


class RestorationService:
    """Mirrors a replica back to the machine that the data came from, or to another one.

    While it runs, and until all of it is at home, the set is marked restore required, so that the source cannot mirror
    an older or half restored state over the good one; see `homecoming`. Users stay off meanwhile. A restoration that
    runs when the daemon ends, or loses its power, is begun again by the next one: what has arrived is found to be there
    and is not sent again.

    Args:
        replication: holds the replicas and owns the tasks.
        store: keeps the restorations.
        stands_in: whether this machine stands in for a source at this moment.
    """

    def __init__(self, replication: ReplicationService, store: StateStore, stands_in: Callable[[str], bool]) -> None:
        self._replication = replication
        self._stands_in = stands_in
        self._store = store
        self._restorations: dict[int, _Restoration] = {}
        self._next_id = 1
        self._saving = asyncio.Lock()

    async def load(self) -> None:
        """Take up what the daemon before left; replication has to run.

        Raises:
            StateError: the saved restorations cannot be understood.
        """
        book = await self._store.load(BOOK, RestorationBook)
        if book is None:
            return
        self._next_id = book.next_id
        for status in book.restorations:
            self._restorations[status.id] = restoration = self._new(status)
            if status.state == "running":
                await self._take_up(restoration)

    async def _take_up(self, restoration: _Restoration) -> None:
        """Begin again what a restart interrupted; if that cannot be, it has failed."""
        request = restoration.request
        replica = self._replication.registry.find(request.original_source, request.replication_set)
        if replica is not None and not replica.record.restore_required:
            await self._end(restoration, "complete")  # the mark goes when everything has arrived, and only then
            return
        # Where it came before the restart is not known.
        restoration.latest = msgspec.structs.replace(restoration.latest, marked_before=True)
        try:
            await self._begin(restoration)
        except BodydoubleError as error:
            await self._end(restoration, "failed", f"not begun again after a restart: {error}")
            return
        text = f"{restoration.where}: restoration begun again after a restart of the daemon"
        self._event(EventCode.RESTORE_STARTED, text)

    async def restore(self, request: RestoreRequest) -> RestorationStatus:
        """Begin a restoration; it runs on by itself.

        Raises:
            InputError: this machine holds no such replica, or the mapping does not fit it.
            ConnectionStateError: the replica was never complete, or a restoration of it is running.
        """
        if request.newer_only and request.missing_only:
            raise InputError("newer_only and missing_only contradict each other: expected at most one")
        request = normal_mapping(request)
        await self._until_over(request)
        marked = self._replica(request).record.restore_required
        status = RestorationStatus(
            id=self._next_id, request=request, state="running", progress=Progress(), marked_before=marked
        )
        restoration = self._new(status)
        await self._begin(restoration)
        self._next_id = max(self._next_id, status.id) + 1
        self._restorations[status.id] = restoration
        self._forget_oldest()
        await self._save()
        self._event(EventCode.RESTORE_STARTED, f"{restoration.where}: restoration started")
        return restoration.status()

    async def _until_over(self, request: RestoreRequest) -> None:
        """Wait for the last moments of one that is shown as ended, and whose connection is just being closed."""
        replica = self._replication.registry.find(request.original_source, request.replication_set)
        for each in list(self._restorations.values()):
            if each.replica is replica and each.task is not None and each.latest.state != "running":
                await asyncio.wait([each.task])

    def _new(self, status: RestorationStatus) -> _Restoration:
        return _Restoration(status, self._replication.context.trust, self._stands_in)

    async def _begin(self, restoration: _Restoration) -> None:
        replica = self._replica(restoration.request)
        replica.restoring = True
        try:
            await self._replication.registry.mark(replica)
            restoration.replica, restoration.stood_in = replica, replica.stood_in
            now = self._replication.context.host.clock.now()
            restoration.latest = msgspec.structs.replace(restoration.latest, started=now, progress=Progress())
            restoration.meet("")
            name = f"bodydouble-restoration-{restoration.latest.id}"
            restoration.task = self._replication.spawn(self._run(restoration), name)
        except BaseException:
            replica.restoring = False
            raise

    def _replica(self, request: RestoreRequest) -> Replica:
        replica = self._replication.registry.find(request.original_source, request.replication_set)
        if replica is None:
            raise InputError(f"no replica of {request.original_source}'s {request.replication_set!r} on this machine")
        check_mapping(replica.selection.roots, request.mapping, request.base, replica.key)
        if not replica.record.ever_complete:
            raise ConnectionStateError("the replica's mirror never completed: restoring from it would lose data")
        if replica.restoring:
            raise ConnectionStateError(f"a restoration of {request.replication_set!r} is running")
        return replica

    async def stop(self, id_: int) -> RestorationStatus:
        """Restore no further. What has arrived stays; the set stays restore required.

        Raises:
            InputError: there is no such restoration.
            ConnectionStateError: it does not run.
        """
        restoration = self._restorations.get(id_)
        if restoration is None:
            raise InputError(f"no restoration {id_}")
        task = restoration.task
        if restoration.latest.state != "running" or task is None:
            raise ConnectionStateError(f"restoration {id_} is {restoration.latest.state}: it cannot be stopped")
        restoration.stopped = True
        task.cancel()
        await asyncio.wait([task])
        return restoration.status()

    async def clear(self, original_source: str, replication_set: str) -> Restorable:
        """Take the mark from a replica without a restoration: the source may mirror what it has over it.

        Raises:
            InputError: this machine holds no such replica.
            ConnectionStateError: it is not marked, a restoration of it is running, or this machine stands in.
        """
        replica = self._replication.registry.find(original_source, replication_set)
        if replica is None:
            raise InputError(f"no replica of {original_source}'s {replication_set!r} on this machine")
        source = replica.record.source
        if any(each.replica is replica and each.latest.state == "running" for each in self._restorations.values()):
            raise ConnectionStateError(f"a restoration of {replication_set!r} is running: wait for its end, or stop it")
        if not replica.record.restore_required:
            raise ConnectionStateError(f"{source}'s {replication_set!r} is not marked as restore required")
        if self._stands_in(source):
            raise ConnectionStateError(f"this machine stands in for {source}: fail back first")
        await replica.change(restore_required=False)
        text = f"restore no longer required, by an operator's order: {source} may mirror over it"
        self._event(EventCode.RESTORE_REQUIRED, f"{source}: {replication_set}: {text}")
        return _restorable(replica)

    # --- what there is --------------------------------------------------------------------------------------------

    def restorations(self) -> list[RestorationStatus]:
        """The latest hundred, oldest first."""
        return [each.status() for each in self._restorations.values()]

    def restorable(self) -> list[Restorable]:
        """What may be restored from here."""
        return [_restorable(replica) for replica in self._replication.registry.replicas()]

    def figures(self) -> list[RestorationFigures]:
        """Those that run, for the statistics."""
        return [_figures(each) for each in self._restorations.values() if each.latest.state == "running"]

    def _forget_oldest(self) -> None:
        ended = [id_ for id_, each in self._restorations.items() if each.latest.state != "running"]
        for id_ in ended[: max(0, len(self._restorations) - KEPT)]:
            del self._restorations[id_]

    async def _save(self, ended: RestorationStatus | None = None) -> None:
        """Keep them all, the one that has ``ended`` as it is about to be shown."""
        async with self._saving:
            statuses = [ended if ended is not None and each.id == ended.id else each for each in self.restorations()]
            await self._store.save(BOOK, RestorationBook(self._next_id, statuses))

    # --- one restoration ------------------------------------------------------------------------------------------

    async def _run(self, restoration: _Restoration) -> None:
        connection = restoration.connection = self._connection(restoration)
        replica = restoration.replica
        try:
            await connection.run()
        except asyncio.CancelledError:
            if not restoration.stopped:
                raise  # the daemon ends: the next one takes it up
        finally:
            restoration.status()
            restoration.connection = None
            assert replica is not None, "it was begun"
            replica.restoring = False
        if restoration.latest.state != "running":
            return
        if not replica.record.restore_required:
            await self._end(restoration, "complete")
            return
        if restoration.stopped:
            await self._end(restoration, "stopped", "an operator stopped it")
        else:
            await self._end(restoration, "failed", connection.detail)
        if restoration.homecoming.may_go_back:
            await replica.change(restore_required=False)

    async def _end(self, restoration: _Restoration, state: RestorationState, detail: str = "") -> None:
        """Make durable how it ended, and only then show it: what users were told is not begun again by a restart."""
        now = self._replication.context.host.clock.now()
        ended = msgspec.structs.replace(restoration.latest, state=state, detail=detail, ended=now)
        await self._save(ended)
        restoration.latest = ended
        code = {
            "complete": EventCode.RESTORE_COMPLETE,
            "failed": EventCode.RESTORE_FAILED,
            "stopped": EventCode.RESTORE_STOPPED,
        }[state]
        left = f"; {restoration.latest.left_alone} files were left alone" if restoration.latest.left_alone else ""
        why = f": {detail}" if detail else ""
        self._event(code, f"{restoration.where}: restoration {state}{left}{why}")

    def _event(self, code: EventCode, text: str) -> None:
        self._replication.context.events.record(code, text)

    def _connection(self, restoration: _Restoration) -> SourceConnection:
        request, replica = restoration.request, restoration.replica
        assert replica is not None, "it was begun"
        place = replica.place
        record = ConnectionRecord(
            id=restoration.latest.id,
            request=ConnectRequest(
                replication_set=request.replication_set,
                target=request.restore_to,
                port=request.port,
                mirror=request.mirror,
                newer_only=request.newer_only,
                orphan_age=request.orphan_age,
                orphans=request.orphans,
                mapping=request.mapping,
                base=request.base,
                calculate=request.calculate,
            ),
        )

        async def restored() -> None:
            await self._complete(restoration, replica)

        context, kept = self._replication.context, replica.record.replication_set
        connection = SourceConnection(
            context,
            record,
            "restore",
            lambda: kept,
            _nothing_to_save,
            on_restored=restored,
            find_sight=lambda: ReplicaSight(context, place, request.mapping, request.base),
        )
        connection.mirrors.missing_only = request.missing_only
        return connection

    async def _complete(self, restoration: _Restoration, replica: Replica) -> None:
        """The other side has everything durably: clear the mark if that is home, and then let go of the connection."""
        why = restoration.status().stays_required
        if not why:
            await replica.change(restore_required=False)
        await self._end(restoration, "complete", why and f"restore required stays: {why}")


def _restorable(replica: Replica) -> Restorable:
    return Restorable(
        original_source=replica.record.source,
        replication_set=replica.record.replication_set,
        required=replica.record.restore_required,
        complete=replica.record.ever_complete,
    )


def _figures(restoration: _Restoration) -> RestorationFigures:
    status = restoration.status()
    request, done = status.request, status.progress
    return RestorationFigures(
        id=status.id,
        original_source=request.original_source,
        replication_set=request.replication_set,
        target=f"{request.restore_to}:{request.port}",
        files_done=done.files_done,
        files_total=done.files_total,
        bytes_done=done.bytes_done,
        bytes_total=done.bytes_total,
        sent_bytes=0 if restoration.connection is None else restoration.connection.sent_bytes,
        remaining=done.remaining,
    )


def _nothing_to_save() -> None:
    """Of a restoration its request is kept, not how far its stream is."""
