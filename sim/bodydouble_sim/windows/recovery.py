"""What Windows 2000 does when a service fails: restart it, run a file, restart the computer, or nothing.

Source: Microsoft, SERVICE_FAILURE_ACTIONS (Windows NT 5.0 or later): the manager counts failures since the boot; the
count is 0 again when the service has not failed for the reset period; the Nth failure leads to the Nth action, and
failures beyond the last action to the last. A service fails when it ends without having reported that it stopped.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bodydouble_sim.windows.registry import SERVICES

if TYPE_CHECKING:
    from bodydouble_sim.windows.registry import Registry

ActionKind = Literal["none", "restart", "reboot", "run"]
_KINDS: tuple[ActionKind, ...] = ("none", "restart", "reboot", "run")
TITLES: dict[ActionKind, str] = {
    "none": "No action",
    "restart": "Restart the service",
    "reboot": "Reboot the machine",
    "run": "Run the configured recovery program",
}
_HEADER = struct.Struct("<5I")
_ACTION = struct.Struct("<2I")
_MILLISECONDS = 1000


@dataclass(frozen=True, slots=True)
class Action:
    """What to do, and how many seconds later."""

    kind: ActionKind
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class FailureActions:
    """A service's recovery settings.

    Attributes:
        actions: for the first failure, the second, ...; the last one for all further.
        reset_period: seconds without a failure after which counting begins anew.
        command: the command line that "run" runs; ``%1%`` in it is the number of failures.
    """

    actions: tuple[Action, ...] = ()
    reset_period: float = 86_400.0
    command: str = ""

    def action(self, failures: int) -> Action:
        """What the ``failures``-th failure leads to."""
        return self.actions[min(failures, len(self.actions)) - 1] if self.actions else Action("none")


@dataclass(slots=True)
class FailureCount:
    """How often a service has failed, and when last."""

    failures: int = 0
    latest: float = 0.0

    def count(self, now: float, reset_period: float) -> int:
        """One more failure, at ``now`` seconds; how many it makes."""
        if now - self.latest >= reset_period:
            self.failures = 0
        self.failures += 1
        self.latest = now
        return self.failures


def put(registry: Registry, service: str, actions: FailureActions) -> None:
    """Enter a service's recovery settings."""
    key = rf"{SERVICES}\{service}"
    packed = _HEADER.pack(int(actions.reset_period), 0, 0, len(actions.actions), _HEADER.size)
    for action in actions.actions:
        packed += _ACTION.pack(_KINDS.index(action.kind), int(action.delay * _MILLISECONDS))
    registry.set(key, "FailureActions", packed)
    registry.set(key, "FailureCommand", actions.command)


def get(registry: Registry, service: str) -> FailureActions:
    """A service's recovery settings; none when there are none, or they cannot be read."""
    key = rf"{SERVICES}\{service}"
    packed = registry.get(key, "FailureActions")
    if not isinstance(packed, bytes) or len(packed) < _HEADER.size:
        return FailureActions()
    period, _, _, count, offset = _HEADER.unpack_from(packed)
    if len(packed) < offset + count * _ACTION.size:
        return FailureActions()
    found = [_ACTION.unpack_from(packed, offset + number * _ACTION.size) for number in range(count)]
    actions = tuple(Action(_KINDS[kind % len(_KINDS)], delay / _MILLISECONDS) for kind, delay in found)
    return FailureActions(actions, float(period), registry.text(key, "FailureCommand"))
