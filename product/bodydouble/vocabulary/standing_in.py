"""How a target watches and stands in: kinds of heartbeats, triggers, what may be said of the four scripts.

Durations are seconds.
"""

from __future__ import annotations

from typing import Literal

import msgspec

ScriptEvent = Literal["pre-failover", "post-failover", "pre-failback", "post-failback"]
SCRIPT_EVENTS: tuple[ScriptEvent, ...] = ("pre-failover", "post-failover", "pre-failback", "post-failback")

ScriptPolicy = Literal["continue", "hold", "abort"]
"""What becomes of the procedure when a script fails: it goes on; it waits for an operator; it is undone."""


Trigger = Literal["all", "any"]
"""The source has failed when all of its watched addresses are silent, or any one of them."""

Heartbeat = Literal["icmp", "service"]
"""What has to answer: the machine (ICMP echo), or its replication service."""

DEFAULT_MISSED: dict[Heartbeat, int] = {"icmp": 5, "service": 20}
"""Heartbeats missed in a row that make a failure, unless the monitor says otherwise."""


class ScriptOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one script is run.

    Attributes:
        arguments: passed to it.
        environment: added to the host's own; names that begin with ``BODYDOUBLE_`` are the product's.
        timeout: seconds after which it is killed, and has failed; None: the monitor's ``script_timeout``.
        on_failure: what becomes of the procedure when it ends with another code than 0, is killed or cannot be run.
    """

    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    timeout: float | None = None
    on_failure: ScriptPolicy = "continue"
