"""How a target stands in: what may be said of the four scripts.

Durations are seconds.
"""

from __future__ import annotations

from typing import Literal

import msgspec

ScriptEvent = Literal["pre-failover", "post-failover", "pre-failback", "post-failback"]
SCRIPT_EVENTS: tuple[ScriptEvent, ...] = ("pre-failover", "post-failover", "pre-failback", "post-failback")

ScriptPolicy = Literal["continue", "hold", "abort"]
"""What becomes of the procedure when a script fails: it goes on; it waits for an operator; it is undone."""


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
