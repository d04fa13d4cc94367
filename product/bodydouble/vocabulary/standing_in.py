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


class NameChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What has to follow before all of a host knows that it runs under another name.

    Attributes:
        services: to be started again, in the order of starting.
        reboot: what only a boot brings about, for people; empty: nothing.
    """

    services: tuple[str, ...] = ()
    reboot: str = ""


class OwnAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An address of the target itself: its adapter, and the address with its prefix length."""

    interface: str
    address: str


class StandInOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a monitor may be told beyond whom it watches and what the scripts are.

    Attributes:
        missed: heartbeats missed in a row before the source counts as failed (default: 5, of the service 20). Time to
            Fail is ``interval * missed``.
        script_options: arguments, environment, time limit and what a failure means, of each script by its event.
        trigger: whether all watched addresses have to be silent, or any one.
        heartbeat: what has to answer.
        service_port: the source's replication port, for heartbeats of its service.
        watched: further addresses of the source that are watched and not assumed.
        name: whether the source's name is assumed.
        shares: whether what the source shares with its clients is shared here meanwhile.
        identity: whether the source's identity is added to the target's own, or replaces it: then the target does not
            answer for its own name while it stands in.
        given_up: own addresses that the target gives up meanwhile, with ``replace``.
        witnesses: who has a say before this machine stands in: addresses of which one at least has to answer a ping
            (``10.0.0.1``), and paired machines that have to let it (``10.0.0.30:6320``).
    """

    missed: int | None = None
    script_options: dict[ScriptEvent, ScriptOptions] = {}
    trigger: Trigger = "all"
    heartbeat: Heartbeat = "icmp"
    service_port: int = 6320
    watched: list[str] = []
    name: bool = True
    shares: bool = True
    identity: Literal["add", "replace"] = "add"
    given_up: list[OwnAddress] = []
    witnesses: list[str] = []

    @property
    def misses(self) -> int:
        """`missed`, or its default."""
        return DEFAULT_MISSED[self.heartbeat] if self.missed is None else self.missed
