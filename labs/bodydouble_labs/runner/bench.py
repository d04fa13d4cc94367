"""What every step works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodydouble_labs.history import Mark
    from bodydouble_labs.providers.base import LabHost, Stage
    from bodydouble_labs.runner.collector import Collector
    from bodydouble_labs.runner.console import Console
    from bodydouble_labs.runner.wiring import Wiring
    from bodydouble_labs.scenario.model import Scenario
    from bodydouble_labs.workload import SiteContent, Workload


@dataclass
class Bench:
    """One run's tools.

    Attributes:
        workload: the clients, while they work.
        last_seen: what the product showed last, for the message of a wait that was in vain.
    """

    scenario: Scenario
    stage: Stage
    seed: int
    console: Console
    wiring: Wiring
    collector: Collector
    content: SiteContent
    workload: Workload | None = None
    last_seen: str = ""

    def host(self, name: str) -> LabHost:
        """A server by its key."""
        return self.stage.hosts[name]

    @property
    def source(self) -> LabHost:
        """The protected server."""
        return self.host(self.scenario.protection.connection.source)

    @property
    def target(self) -> LabHost:
        """The server that holds the replica."""
        return self.host(self.scenario.protection.connection.target)

    def address(self, name: str) -> str:
        """A host's own address, without its prefix length."""
        return self.scenario.hosts[name].ip

    def mark(self, mark: Mark) -> None:
        """Write a mark into the history."""
        self.stage.history.marks.append(mark)
