"""How a target's side of a connection stands, from what is known of the replica. Pure.

Source: Double-Take's guides, states of the target: OK, Mirroring, Mirror required, Remirror required, Restore required,
Retrying, Paused; a full queue is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
        (mirroring, "mirroring"),
        (record.complete, "ok"),
        (record.ever_complete, "remirror-required"),
    ]
    return next((state for holds, state in found if holds), "mirror-required")
