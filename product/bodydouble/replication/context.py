"""What the parts of the replication service share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bodydouble.replication.feed import Feed
from bodydouble.replication.rules import fold, same

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bodydouble.ports import Host
    from bodydouble.replication.settings import ReplicationSettings
    from bodydouble.state.events import EventLog


def _written_here(_places: Sequence[str]) -> list[str]:
    return []


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
        source_name: what this machine calls itself towards targets: its permanent name.
        identity: this installation of the product; no two machines share it.
        incarnation: this run of the daemon; no two runs share it.
        totals: counters.
        feed: what is applied here, for this machine's own streams.
        lineage: the machines that the data in directories of this one comes through.
    """

    host: Host
    settings: ReplicationSettings
    events: EventLog
    protected: list[str]
    source_name: str = ""
    identity: str = ""
    incarnation: str = ""
    totals: Totals = field(default_factory=Totals)
    feed: Feed = field(init=False)
    lineage: Callable[[Sequence[str]], list[str]] = _written_here

    def __post_init__(self) -> None:
        """The feed compares paths as this host's volumes do."""
        self.feed = Feed(same if self.host.file_system.case_sensitive else fold)

    @property
    def state_directory(self) -> str:
        """Where the daemon keeps its state."""
        return self.protected[0]
