"""What an operator sees of the source's side of a connection."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bodydouble.vocabulary.records import ConnectionStatus, Progress

if TYPE_CHECKING:
    from bodydouble.ports import WallClock
    from bodydouble.replication.source import SourceConnection
    from bodydouble.vocabulary.records import MirrorState

MAX_ESTIMATE = 365 * 86_400.0
"""Seconds; what takes longer has no end that a calendar need show."""


def status_of(connection: SourceConnection, clock: WallClock) -> ConnectionStatus:
    """The connection as it is now.

    Args:
        connection: which.
        clock: says when the mirror may end.
    """
    stream, request = connection.stream, connection.record.request
    queue = None if stream is None else stream.queue
    transmission, following = connection.transmission.state(stream)
    mirror = Progress() if stream is None else stream.mirror_progress
    mirror_state: MirrorState = "none" if stream is None else stream.mirror_state
    running = mirror_state == "running" and mirror.remaining is not None
    return ConnectionStatus(
        id=connection.record.id,
        replication_set=request.replication_set,
        target=request.target,
        port=request.port,
        route=connection.record.route,
        mapping=request.mapping,
        base=request.base,
        transmission="error" if connection.state == "error" else transmission,
        transmission_next=following,
        sent_bytes=connection.sent_bytes,
        draining=connection.record.draining,
        set_changed=connection.kept is not None,
        auto_remirror=(request.remirror or request.mirror) if request.remirror_after_reconnect else "none",
        compatibility="4.2" if request.recognise_restore else "4.1",
        replication_stopped=connection.record.replication_stopped,
        state=connection.state,
        detail=connection.detail,
        target_state=connection.target_state,
        generated=0 if queue is None else queue.generated,
        acknowledged=0 if queue is None else queue.acknowledged,
        applied=0 if stream is None else stream.applied,
        queue_operations=0 if queue is None else len(queue),
        queue_bytes=0 if queue is None else queue.bytes,
        mirror=mirror,
        mirror_state=mirror_state,
        mirror_end=clock.now() + timedelta(seconds=min(mirror.remaining or 0.0, MAX_ESTIMATE)) if running else None,
        newer_on_target=0 if stream is None else len(stream.left),
    )
