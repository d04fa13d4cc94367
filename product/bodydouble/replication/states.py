"""The source's connection states and what moves a connection from one to another. Pure."""

from __future__ import annotations

from typing import Literal

from bodydouble.errors import ConnectionStateError
from bodydouble.vocabulary.records import SourceState  # noqa: TC001 - part of this module's face

Stimulus = Literal[
    "attempt", "unreachable", "refused", "restore-required", "mirror-required", "mirror", "resume", "complete",
    "mirror-stopped", "broken", "queue-full", "disconnected", "stop",
]  # fmt: skip

_WAITING: dict[Stimulus, SourceState] = {
    "attempt": "connecting",
    "unreachable": "retrying",
    "refused": "error",
    "restore-required": "restore-required",
    "mirror-required": "mirror-required",
    "mirror": "mirroring",
    "resume": "replicating",
    "mirror-stopped": "mirror-incomplete",
    "queue-full": "queue-full",
    "broken": "retrying",
    "disconnected": "disconnected",
    "stop": "stopped",
}
_ACTIVE: dict[Stimulus, SourceState] = {
    "mirror": "mirroring",
    "complete": "replicating",
    "mirror-stopped": "mirror-incomplete",
    "queue-full": "queue-full",
    "broken": "retrying",
    "refused": "error",
    "restore-required": "restore-required",
    "mirror-required": "mirror-required",
    "disconnected": "disconnected",
    "stop": "stopped",
}
_CONNECTED: frozenset[SourceState] = frozenset(["mirroring", "replicating", "mirror-incomplete", "queue-full"])
# A target that stood in, or that waits for an operator, stays so when it cannot be reached for a while.
_STAYING: dict[SourceState, dict[Stimulus, SourceState]] = {
    "restore-required": {"unreachable": "restore-required", "broken": "restore-required"},
    "mirror-required": {"unreachable": "mirror-required", "broken": "mirror-required"},
    "stopped": {"stop": "stopped"},
}
# Where there is no stream there is nothing to resume, and only a mirror completes.
_NEVER: frozenset[tuple[SourceState, Stimulus]] = frozenset(
    [
        ("replicating", "complete"),
        ("replicating", "mirror-stopped"),
        ("mirror-incomplete", "complete"),
        ("queue-full", "complete"),
        ("queue-full", "mirror-stopped"),
        ("restore-required", "resume"),
        ("restore-required", "mirror-stopped"),
        ("mirror-required", "resume"),
        ("mirror-required", "mirror-stopped"),
    ]
)


def after(state: SourceState, stimulus: Stimulus) -> SourceState:
    """The state that follows.

    Raises:
        ConnectionStateError: the stimulus has no meaning in this state.
    """
    table = {} if state == "stopped" else _ACTIVE if state in _CONNECTED else _WAITING
    following = _STAYING.get(state, {}).get(stimulus) or table.get(stimulus)
    if following is None or (state, stimulus) in _NEVER:
        raise ConnectionStateError(f"connection is {state}: {stimulus} is not possible")
    return following
