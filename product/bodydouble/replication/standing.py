"""How a target's side of a connection stands, from what is known of the replica. Pure.

Source: Double-Take's guides, states of the target: OK, Mirroring, Mirror required, Remirror required, Restore required,
Retrying, Paused; a full queue is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from bodydouble.replication.replica import ReplicaRecord
    from bodydouble.vocabulary.records import TargetState


def standing(record: ReplicaRecord, *, mirroring: bool, waiting: bool, full: bool) -> TargetState:
    """The state that an operator most needs to know.

    Args:
        record: what is kept of the replica.
        mirroring: a mirror has begun and is not complete.
        waiting: applying does not go on, and is tried again.
        full: the queue takes nothing more.
    """
    found: list[tuple[bool, TargetState]] = [
        (record.restore_required, "restore-required"),
        (record.paused, "paused"),
        (waiting, "retrying"),
        (full, "queue-full"),
        (mirroring and not record.mirror_stopped, "mirroring"),
        (record.complete, "ok"),
        (record.ever_complete, "remirror-required"),
    ]
    return next((state for holds, state in found if holds), "mirror-required")


def unfinished(record: ReplicaRecord, *, mirroring: bool) -> str:
    """What a stand-in's operator must be told of a replica that is not complete, in words; else empty.

    Args:
        record: what is kept of the replica, after everything received was applied.
        mirroring: a mirror had begun before that.
    """
    if record.complete:
        return ""
    if not record.ever_complete:
        return "; its mirror never completed, the data here is partial"
    if mirroring or record.mirror_stopped:
        how = "was stopped before it was" if record.mirror_stopped else "was not"
        return f"; its last mirror {how} complete, the data here is of no single moment"
    return ""


def heard(before: TargetState, now: TargetState) -> tuple[EventCode, str] | None:
    """What a source tells its operator when the target's side has changed; None for what says nothing new."""
    if now == "queue-full" != before:
        return EventCode.TARGET_QUEUE_FULL, "the target's queue is full, transmission waits"
    if now == "paused" != before:
        return EventCode.TARGET_PAUSED, "the target is paused, it receives and does not apply"
    if before == "paused" != now:
        return EventCode.TARGET_RESUMED, "the target applies again"
    return None
