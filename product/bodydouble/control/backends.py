"""What the control API speaks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bodydouble.control.audit import Audit
from bodydouble.control.stream import Streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.control.statistics import StatisticsRing
    from bodydouble.failover.service import FailoverService
    from bodydouble.guard.service import Guard
    from bodydouble.ports import Host
    from bodydouble.replication.service import ReplicationService
    from bodydouble.restore.service import RestorationService
    from bodydouble.security.pairing import Pairing
    from bodydouble.security.tokens import Tokens
    from bodydouble.security.trust import Trust
    from bodydouble.state.events import EventLog


@dataclass(frozen=True)
class Backends:
    """The daemon's services, for the handlers of the routes."""

    host: Host
    events: EventLog
    replication: ReplicationService
    restoration: RestorationService
    failover: FailoverService
    guard: Guard
    statistics: StatisticsRing
    trust: Trust
    pairing: Pairing
    shutdown: Callable[[], None]
    """Ends the daemon in good order, once what is being answered has been answered."""
    tokens: Tokens

    @cached_property
    def audit(self) -> Audit:
        """Notes who changes what."""
        return Audit(self.events)

    @cached_property
    def streams(self) -> Streams:
        """The streams of events that are open."""
        return Streams()
