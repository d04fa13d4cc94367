"""What the parts of the replication service share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodydouble.ports import Host
    from bodydouble.replication.settings import ReplicationSettings
    from bodydouble.security.trust import Trust
    from bodydouble.state.events import EventLog


@dataclass(slots=True)
class Totals:
    """Counts since the daemon started."""

    generated: int = 0
    acknowledged: int = 0
    applied: int = 0


@dataclass(slots=True)
class Context:
    """One daemon's surroundings.

    Attributes:
        host: the ports.
        settings: of the replication service.
        events: the events log.
        protected: directories that are never replicated, neither sent nor written: first the daemon's own state.
        trust: this machine's certificate and the machines that it is paired with.
        source_name: what this machine calls itself towards targets: its permanent name.
        incarnation: this run of the daemon; no two runs share it.
        totals: counters.
    """

    host: Host
    settings: ReplicationSettings
    events: EventLog
    protected: list[str]
    trust: Trust
    source_name: str = ""
    incarnation: str = ""
    totals: Totals = field(default_factory=Totals)

    @property
    def state_directory(self) -> str:
        """Where the daemon keeps its state."""
        return self.protected[0]
