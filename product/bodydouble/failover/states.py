"""The states of a monitor and the only ways between them: a pure table.

::

    monitoring            -- expired | failover -->   failing-over
    monitoring            -- expired, manual intervention -->  waiting-for-operator
    waiting-for-operator  -- failover | answered -->  failing-over | monitoring
    failing-over          -- assumed -->              failed-over
    failing-over          -- failback -->             failing-back
    failed-over           -- failback -->             failing-back
    failing-back          -- given back -->           failed-back
    failed-back           -- continue | stop -->      monitoring | stopped
    failing-over          -- aborted -->              failing-back, to undo it
    failing-back          -- undone -->               waiting-for-operator
    failing-back          -- aborted -->              failing-over, to undo it

Source: the application note, "Configure Failover and Begin Failure Monitoring" to "Restoring Your IIS Data"; manual
intervention from later Double-Take guides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bodydouble.errors import ConnectionStateError

if TYPE_CHECKING:
    from bodydouble.vocabulary.records import MonitorState

STANDING_IN: tuple[MonitorState, ...] = ("failing-over", "failed-over", "failing-back")
"""Clients may be served here in the source's place."""

MonitorStep = Literal[
    "expired",
    "expired-manual",
    "answered",
    "failover",
    "assumed",
    "failback",
    "given-back",
    "aborted",
    "undone",
    "continue",
    "stop",
    "restart",
]
"""What moves a monitor: the countdown, the work it does, an operator's word, a restarted daemon."""

_NEXT: dict[tuple[MonitorState, MonitorStep], MonitorState] = {
    ("monitoring", "expired"): "failing-over",
    ("monitoring", "expired-manual"): "waiting-for-operator",
    ("monitoring", "failover"): "failing-over",
    ("waiting-for-operator", "failover"): "failing-over",
    ("waiting-for-operator", "answered"): "monitoring",
    ("failing-over", "assumed"): "failed-over",
    ("failing-over", "failback"): "failing-back",
    ("failed-over", "failback"): "failing-back",
    ("failing-back", "given-back"): "failed-back",
    # A script whose policy is "abort" failed. What was done is undone by the other procedure.
    ("failing-over", "aborted"): "failing-back",
    ("failing-back", "undone"): "waiting-for-operator",
    ("failing-back", "aborted"): "failing-over",
    ("failed-back", "continue"): "monitoring",
    ("failed-back", "stop"): "stopped",
    # Added names and addresses do not survive a reboot: whoever stood in assumes the identity again.
    ("failed-over", "restart"): "failing-over",
    ("waiting-for-operator", "restart"): "monitoring",
}

_ADVICE: dict[MonitorState, str] = {
    "monitoring": "the source has not failed over",
    "waiting-for-operator": "the source has failed: fail over first",
    "failing-over": "failover is under way",
    "failed-over": "this machine stands in for the source: fail back first",
    "failing-back": "failback is under way: wait until it is complete",
    "failed-back": "decide first whether to continue or to stop monitoring",
    "stopped": "create the monitor again first",
}

DELETABLE: tuple[MonitorState, ...] = ("monitoring", "waiting-for-operator", "failed-back", "stopped")
"""States in which this machine answers for nothing of the source's."""


def advance(source: str, state: MonitorState, step: MonitorStep) -> MonitorState:
    """The state that follows.

    Raises:
        ConnectionStateError: the step does not fit the state; the message says what to do first.
    """
    if step == "restart":
        return _NEXT.get((state, step), state)
    following = _NEXT.get((state, step))
    if following is None:
        raise ConnectionStateError(f"{step} of {source!r} is not possible while {state}: {_ADVICE[state]}")
    return following


def check_deletable(source: str, state: MonitorState) -> None:
    """Refuse to forget a monitor whose identity this machine holds.

    Raises:
        ConnectionStateError: the machine stands in for the source, or is on the way there or back.
    """
    if state not in DELETABLE:
        raise ConnectionStateError(
            f"deleting the monitor of {source!r} is not possible while {state}: {_ADVICE[state]}"
        )
