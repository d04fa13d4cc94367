"""Figures: what a source's connections have generated, sent and had acknowledged since the daemon started."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from bodydouble.vocabulary.statistics import ConnectionFigures, Figures, ReplicaFigures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bodydouble.replication.source import SourceConnection
    from bodydouble.replication.stream import SourceStream
    from bodydouble.vocabulary.records import TargetConnectionStatus

GROWING = (
    "operations_generated",
    "operations_sent",
    "operations_acknowledged",
    "operations_applied",
    "generated_bytes",
    "mirror_bytes",
    "plain_bytes",
    "sent_bytes",
)
"""What is counted, and goes on where an earlier stream or a connection that is gone left it."""
_STANDING = ("operations_queued", "queue_memory_bytes", "queue_disk_bytes")


class Meter:
    """One connection's counts, over all its streams."""

    def __init__(self) -> None:
        self._ended = Figures()
        self._stream: SourceStream | None = None

    def follow(self, stream: SourceStream) -> None:
        """``stream`` begins."""
        self._stream = stream

    def retire(self, stream: SourceStream) -> None:
        """``stream`` ends, and is about to drop its queue; what it counted stays counted. Idempotent."""
        if self._stream is stream:
            self._ended = together([self._ended, _counted(stream)])
            self._stream = None

    def read(self) -> Figures:
        """The figures of this moment, but for what is sent."""
        if self._stream is None:
            return self._ended
        stream, queue = self._stream, self._stream.queue
        return msgspec.structs.replace(
            together([self._ended, _counted(stream)]),
            operations_queued=len(queue),
            queue_memory_bytes=queue.memory_bytes,
            queue_disk_bytes=queue.disk_bytes + queue.staged_bytes,
            lag_s=stream.lags.age(queue.acknowledged, queue.generated, asyncio.get_running_loop().time()),
        )


def _counted(stream: SourceStream) -> Figures:
    queue = stream.queue
    return Figures(
        operations_generated=queue.generated - queue.begun_after,
        operations_sent=queue.sent - queue.begun_after,
        operations_acknowledged=queue.acknowledged - queue.begun_after,
        operations_applied=max(0, stream.applied - queue.begun_after),
        generated_bytes=queue.generated_bytes,
        mirror_bytes=stream.mirror_bytes,
    )


def together(figures: Iterable[Figures]) -> Figures:
    """Sums; the lag is the longest one."""
    found = list(figures)
    sums = {name: sum(getattr(each, name) for each in found) for name in (*GROWING, *_STANDING)}
    return Figures(**sums, lag_s=max((each.lag_s for each in found), default=0.0))


def figures_of(connection: SourceConnection) -> ConnectionFigures:
    """A connection's figures of this moment."""
    request, read = connection.record.request, connection.meter.read()
    values = {name: getattr(read, name) for name in read.__struct_fields__}
    values |= {"sent_bytes": connection.sent_bytes, "plain_bytes": connection.transmission.plain_bytes}
    return ConnectionFigures(
        **values,
        id=connection.record.id,
        replication_set=request.replication_set,
        target=f"{request.target}:{request.port}",
        state=connection.state,
    )


def replica_figures(status: TargetConnectionStatus) -> ReplicaFigures:
    """A replica's figures."""
    return ReplicaFigures(
        source=status.source,
        replication_set=status.replication_set,
        state=status.state,
        applied=status.applied,
        operations_queued=status.queue_operations,
        queue_bytes=status.queue_bytes,
    )


class Ledger:
    """All connections' figures; those that are gone stay in the sum."""

    def __init__(self) -> None:
        self._gone = Figures()

    def forget(self, connection: SourceConnection) -> None:
        """The connection goes, with its stream ended."""
        self._gone = together([self._gone, growth_of(figures_of(connection))])

    def total(self, figures: Iterable[Figures]) -> Figures:
        """The sum of those that are and those that were."""
        return together([self._gone, *figures])


def growth_of(figures: Figures) -> Figures:
    """Only what is counted, without what stands in queues."""
    return Figures(**{name: getattr(figures, name) for name in GROWING})
