"""What the parts of the replication service share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bodydouble.replication.claims import Claims
from bodydouble.replication.feed import Feed
from bodydouble.replication.orphan_log import OrphanLog
from bodydouble.replication.rules import fold, same
from bodydouble.replication.task_runner import TaskRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from bodydouble.ports import Host
    from bodydouble.replication.settings import ReplicationSettings
    from bodydouble.security.trust import Trust
    from bodydouble.state.events import EventLog


def _written_here(_places: Sequence[str]) -> list[str]:
    return []


def _spawn(part: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    return asyncio.create_task(part, name=name)


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
        identity: this installation of the product; no two machines share it.
        incarnation: this run of the daemon; no two runs share it.
        totals: counters.
        feed: what is applied here, for this machine's own streams.
        lineage: the machines that the data in directories of this one comes through.
        tasks: runs the streams' tasks.
        orphan_log: the latest reports on orphans.
        claims: what this machine has granted as a witness.
    """

    host: Host
    settings: ReplicationSettings
    events: EventLog
    protected: list[str]
    trust: Trust
    source_name: str = ""
    identity: str = ""
    incarnation: str = ""
    totals: Totals = field(default_factory=Totals)
    feed: Feed = field(init=False)
    lineage: Callable[[Sequence[str]], list[str]] = _written_here
    tasks: TaskRunner = field(init=False)
    orphan_log: OrphanLog = field(init=False)
    claims: Claims = field(init=False)

    def __post_init__(self) -> None:
        """The feed compares paths as this host's volumes do; a service's tasks and reports are kept over restarts."""
        self.orphan_log = OrphanLog(self.events, self.host.clock, None, _spawn)
        self.tasks = TaskRunner(self, None, _spawn)
        self.claims = Claims(None)
        key = same if self.host.file_system.case_sensitive else fold
        self.feed = Feed(key, self.host.file_filter.settled)

    @property
    def state_directory(self) -> str:
        """Where the daemon keeps its state."""
        return self.protected[0]
