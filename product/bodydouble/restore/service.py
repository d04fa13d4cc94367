"""RestorationService: Restoration Manager's work, done by the machine that stood in (application note, steps 14-17)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.replication.contact import ConnectionRecord
from bodydouble.replication.mapping import check_mapping
from bodydouble.replication.service import normal_mapping
from bodydouble.replication.sight import ReplicaSight
from bodydouble.replication.source import SourceConnection
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import ConnectRequest, Progress, RestorationStatus, RestoreRequest

if TYPE_CHECKING:
    from bodydouble.replication.replica import Replica
    from bodydouble.replication.service import ReplicationService

KEPT = 100


@dataclass(slots=True)
class _Restoration:
    """One restoration and how it goes."""

    id: int
    request: RestoreRequest
    replica: Replica
    state: Literal["running", "complete", "failed"] = "running"
    progress: Progress = field(default_factory=Progress)
    detail: str = ""
    connection: SourceConnection | None = None

    def status(self) -> RestorationStatus:
        stream = None if self.connection is None else self.connection.stream
        if stream is not None:
            self.progress = stream.mirror_progress
        return RestorationStatus(
            id=self.id, request=self.request, state=self.state, progress=self.progress, detail=self.detail
        )


class RestorationService:
    """Mirrors a replica back to the machine that the data came from, or to another one.

    While it runs, and until it is complete, the set is marked restore required, so that the source cannot mirror a
    half restored state over the good one. Users stay off meanwhile.

    Args:
        replication: holds the replicas and owns the tasks.
    """

    def __init__(self, replication: ReplicationService) -> None:
        self._replication = replication
        self._restorations: dict[int, _Restoration] = {}
        self._next_id = 1

    async def restore(self, request: RestoreRequest) -> RestorationStatus:
        """Begin a restoration; it runs on by itself.

        Raises:
            InputError: this machine holds no such replica, or the mapping does not fit it.
            ConnectionStateError: the replica was never complete, or a restoration of it is running.
        """
        replica = self._replication.registry.find(request.original_source, request.replication_set)
        if replica is None:
            raise InputError(f"no replica of {request.original_source}'s {request.replication_set!r} on this machine")
        request = normal_mapping(request)
        check_mapping(replica.selection.roots, request.mapping, request.base, replica.key)
        if not replica.record.ever_complete:
            raise ConnectionStateError("the replica's mirror never completed: restoring from it would lose data")
        if replica.restoring:
            raise ConnectionStateError(f"a restoration of {request.replication_set!r} is running")
        replica.restoring = True
        try:
            await self._replication.registry.mark(replica)
            restoration = _Restoration(self._next_id, request, replica)
            self._replication.spawn(self._run(restoration), f"bodydouble-restoration-{restoration.id}")
        except BaseException:
            replica.restoring = False
            raise
        self._next_id += 1
        self._restorations[restoration.id] = restoration
        self._forget_oldest()
        return restoration.status()

    def restorations(self) -> list[RestorationStatus]:
        """The latest hundred, oldest first."""
        return [each.status() for each in self._restorations.values()]

    def _forget_oldest(self) -> None:
        ended = [each.id for each in self._restorations.values() if each.state != "running"]
        for id_ in ended[: max(0, len(self._restorations) - KEPT)]:
            del self._restorations[id_]

    async def _run(self, restoration: _Restoration) -> None:
        events = self._replication.context.events
        text = f"{restoration.request.replication_set} to {restoration.request.restore_to}"
        events.record(EventCode.RESTORE_STARTED, f"{text}: restoration started")
        connection = self._connection(restoration)
        restoration.connection = connection
        try:
            await connection.run()
        finally:
            restoration.replica.restoring = False
            restoration.status()
            restoration.connection = None
            if restoration.state != "complete":
                restoration.state = "failed"
                restoration.detail = connection.detail or "the daemon stopped"
                events.record(EventCode.RESTORE_FAILED, f"{text}: {restoration.detail}")

    def _connection(self, restoration: _Restoration) -> SourceConnection:
        request, replica = restoration.request, restoration.replica
        record = ConnectionRecord(
            id=restoration.id,
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
            ),
        )

        async def restored() -> None:
            await self._complete(restoration)

        context = self._replication.context
        return SourceConnection(
            context,
            record,
            "restore",
            lambda: replica.record.replication_set,
            _nothing_to_save,
            on_restored=restored,
            find_sight=lambda: ReplicaSight(context, replica.place, request.mapping, request.base),
        )

    async def _complete(self, restoration: _Restoration) -> None:
        """The other side has everything durably: clear the mark, and only then let go of the connection."""
        await restoration.replica.change(restore_required=False)
        restoration.status()
        restoration.state = "complete"
        request = restoration.request
        self._replication.context.events.record(
            EventCode.RESTORE_COMPLETE, f"{request.replication_set} to {request.restore_to}: restoration complete"
        )


def _nothing_to_save() -> None:
    """A restoration is not persisted: after a restart the operator begins it again, and the mark still stands."""
