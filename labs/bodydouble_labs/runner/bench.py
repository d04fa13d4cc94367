"""What every step works with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from bodydouble_labs.workload import SiteContent

if TYPE_CHECKING:
    from bodydouble_labs.history import History, Mark
    from bodydouble_labs.providers.base import LabHost, Stage
    from bodydouble_labs.runner.collector import Collector
    from bodydouble_labs.runner.console import Console
    from bodydouble_labs.runner.wiring import Wiring
    from bodydouble_labs.scenario.model import Scenario
    from bodydouble_labs.workload import Workload


@dataclass
class Bench:
    """One run's tools, for everything or for what concerns one protection (`of`).

    Attributes:
        scenario: all of it, or what concerns the protection.
        protection: its name.
        workload: its clients, while they work.
        last_seen: what the product showed last, for the message of a wait that was in vain.
    """

    scenario: Scenario
    stage: Stage
    seed: int
    console: Console
    wiring: Wiring
    collector: Collector
    protection: str = ""
    workload: Workload | None = None
    last_seen: str = ""
    _parts: dict[str, Bench] = field(default_factory=dict)

    def of(self, protection: str) -> Bench:
        """The tools for one protection; these for the only one, which has no name, or for none in particular."""
        if not protection:
            return self
        if protection not in self._parts:
            part = replace(self, scenario=self.scenario.of(protection), protection=protection, _parts={})
            self._parts[protection] = part
        return self._parts[protection]

    def each(self, protection: str = "") -> list[Bench]:
        """The tools for the protection that is named, or for every one."""
        return [self.of(name) for name in ([protection] if protection else self.scenario.protections)]

    @cached_property
    def content(self) -> SiteContent:
        """What is on the site."""
        return SiteContent(self.scenario, self.seed)

    @property
    def history(self) -> History:
        """Where what is seen of the protection goes."""
        return self.stage.history.of(self.protection)

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
        """Write a mark into the history, with the protection that it is about."""
        self.stage.history.marks.append(msgspec.structs.replace(mark, protection=self.protection))
