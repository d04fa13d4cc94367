r"""What a scenario says, as frozen records.

The YAML file has exactly these keys; `bodydouble_labs.scenario.schema` derives the JSON Schema from these classes, so
that the two cannot drift apart. Durations are seconds, sizes bytes, Windows paths are written as Windows writes them
(``C:\InetPub``). Host names are the keys of ``hosts`` (``source``), not computer names.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bodydouble.vocabulary.standing_in import (  # noqa: TC001 - msgspec reads the annotations
    Heartbeat,
    ScriptPolicy,
    Trigger,
)
from bodydouble_labs.errors import LabError
from bodydouble_labs.scenario.network import HostSpec, Identifier, NetworkSpec, Part
from bodydouble_labs.scenario.steps import AnyStep, WindowsPath, host_of

Seconds = Annotated[float, Meta(ge=0.001, le=86_400)]  # a client that never waits would stop the virtual clock

IIS_SERVICES = {
    "windows-nt-4": ("IISADMIN", "cisvc", "MSFTPSVC", "SMTPSVC", "NNTPSVC", "W3SVC"),
    "windows-2000": ("IISADMIN", "MSFTPSVC", "SMTPSVC", "NNTPSVC", "W3SVC"),
}
"""Short names of what the note's POSTOVER.BAT starts on IIS 4.0 and on 5.0, in its order."""


class SiteSpec(Part, frozen=True, kw_only=True):
    """The web site: ``pages`` static files with seeded content beneath ``root``, and where clients' uploads go.

    Attributes:
        services: short names of the IIS services, in the order in which an operator starts them; stopped in reverse.
            Those of the version of IIS that goes with each server's operating system when absent.
        records: directory beneath ``root`` that the FTP service publishes as ``/records``.
    """

    root: WindowsPath
    pages: Annotated[int, Meta(ge=1, le=100_000)]
    page_bytes: Annotated[int, Meta(ge=1, le=64 * 1024 * 1024)]
    records: Identifier = "records"
    services: Annotated[list[str], Meta(min_length=1)] | None = None


class RuleSpec(Part, frozen=True, kw_only=True):
    """One rule of a replication set: exactly one of ``include`` and ``exclude``."""

    include: WindowsPath | None = None
    exclude: WindowsPath | None = None
    recursive: bool = True


class ReplicationSetSpec(Part, frozen=True, kw_only=True):
    """The replication set that protects the site's data."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    rules: Annotated[list[RuleSpec], Meta(min_length=1)]


class ConnectionSpec(Part, frozen=True, kw_only=True):
    """The connection: One To One from ``source`` to ``target``."""

    source: str
    target: str
    mirror: Literal["full", "difference", "checksum"] = "difference"
    orphans: Literal["keep", "log", "delete"] = "keep"
    remirror_after_reconnect: bool = True
    recognise_restore: bool = True


class ScriptsSpec(Part, frozen=True, kw_only=True):
    """Script files on the target, as Windows paths."""

    pre_failover: WindowsPath | None = None
    post_failover: WindowsPath | None = None
    pre_failback: WindowsPath | None = None
    post_failback: WindowsPath | None = None


class PoliciesSpec(Part, frozen=True, kw_only=True):
    """What becomes of failover or failback when one of the scripts fails."""

    pre_failover: ScriptPolicy = "continue"
    post_failover: ScriptPolicy = "continue"
    pre_failback: ScriptPolicy = "continue"
    post_failback: ScriptPolicy = "continue"


class MonitorSpec(Part, frozen=True, kw_only=True):
    """Failure monitoring of ``source`` by ``on``; Time to Fail is ``interval`` times ``missed``.

    ``trigger``, ``heartbeat`` and, by script, ``on_failure`` mean what they mean to the product (``docs/failover.md``).
    """

    on: str
    source: str
    interval: Seconds = 5.0
    missed: Annotated[int, Meta(ge=1, le=1000)] = 5
    manual_intervention: bool = False
    trigger: Trigger = "all"
    heartbeat: Heartbeat = "icmp"
    on_failure: PoliciesSpec = PoliciesSpec()
    scripts: ScriptsSpec = ScriptsSpec()


class ProtectionSpec(Part, frozen=True, kw_only=True):
    """What the product is told to do; the timeline says when."""

    replication_set: ReplicationSetSpec
    connection: ConnectionSpec
    monitor: MonitorSpec

    @property
    def hosts(self) -> tuple[str, str]:
        """The source and the target."""
        return self.connection.source, self.connection.target

    @property
    def protected_root(self) -> str:
        """The Windows path of the first included rule: the tree whose replica is judged."""
        return next(rule.include for rule in self.replication_set.rules if rule.include)


class ReaderSpec(Part, frozen=True, kw_only=True):
    """An HTTP client that asks every ``every`` seconds, by the source's address or by its computer name."""

    name: Identifier
    via: Literal["address", "name"]
    every: Seconds = 1.0
    timeout: Seconds = 2.0


class WriterSpec(Part, frozen=True, kw_only=True):
    """An FTP client that uploads a numbered, checksummed record of ``bytes`` bytes every ``every`` seconds."""

    name: Identifier
    via: Literal["address", "name"] = "address"
    every: Seconds = 1.0
    timeout: Seconds = 10.0
    bytes: Annotated[int, Meta(ge=64, le=64 * 1024 * 1024)] = 2000


class WorkloadSpec(Part, frozen=True, kw_only=True):
    """What clients do between ``workload: start`` and ``workload: stop``."""

    readers: list[ReaderSpec] = msgspec.field(default_factory=list)
    writers: list[WriterSpec] = msgspec.field(default_factory=list)


class NamedProtectionSpec(ProtectionSpec, frozen=True, kw_only=True):
    """One of several protections: what is protected, the site on it, and that site's clients."""

    site: SiteSpec
    workload: WorkloadSpec


class Expectations(Part, frozen=True, kw_only=True):
    """Limits on what the checkers measure.

    Attributes:
        max_rto: seconds from the first failed request after the fault to the first good one.
        max_rpo: seconds between the oldest acknowledged and lost record and the fault.
        max_rpo_operations: acknowledged records that may be lost; no limit when absent.
        max_planned_outage: seconds of outage in the planned part (failback, restoration); no limit when absent.
        same_times: last-write times must be equal on both servers in the end as well.
    """

    max_rto: Annotated[float, Meta(ge=0, le=86_400)]
    max_rpo: Annotated[float, Meta(ge=0, le=86_400)]
    max_rpo_operations: Annotated[int, Meta(ge=0)] | None = None
    max_planned_outage: Annotated[float, Meta(ge=0, le=86_400)] | None = None
    same_times: bool = False


class ScenarioHead(Part, frozen=True, kw_only=True):
    """Everything in a scenario file but its timeline.

    Either ``site``, ``protection`` and ``workload`` are there, or ``protections``: several of them by name.
    """

    format: Literal[1]
    name: Identifier
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    hosts: Annotated[dict[Identifier, HostSpec], Meta(min_length=1)]
    network: NetworkSpec
    site: SiteSpec | None = None
    protection: ProtectionSpec | None = None
    workload: WorkloadSpec | None = None
    protections: Annotated[dict[Identifier, NamedProtectionSpec], Meta(min_length=1)] | None = None
    expect: Expectations


SINGLE_KEYS = ("site", "protection", "workload")
"""Keys of a file with one protection, which then needs no name."""


class Scenario(Part, frozen=True, kw_only=True):
    """A whole scenario, as the loader hands it out; or what of it concerns one protection (`of`).

    Attributes:
        protections: by their names. A file with one ``protection`` has it under the empty name.
        timeline: the steps, in order.
        file: the file it was read from.
        files: the contents of what ``put`` steps copy, by their ``from``.
    """

    format: Literal[1]
    name: str
    title: str
    hosts: dict[str, HostSpec]
    network: NetworkSpec
    protections: dict[str, NamedProtectionSpec]
    expect: Expectations
    timeline: list[AnyStep]
    file: str = ""
    files: dict[str, bytes] = msgspec.field(default_factory=dict)

    def of(self, name: str) -> Scenario:
        """What concerns one protection: it alone, and the steps that are not about another one."""
        if list(self.protections) == [name]:
            return self
        mine = [step for step in self.timeline if self.protection_of(step) in ("", name)]
        return msgspec.structs.replace(self, protections={name: self.protections[name]}, timeline=mine)

    def protection_of(self, step: AnyStep) -> str:
        """Name of the protection that a step is about: the one it names, or its host's; empty: no single one."""
        return getattr(step, "protection", "") or self.protection_of_host(host_of(step))

    def protection_of_host(self, host: str) -> str:
        """Name of the only protection that a host takes part in; empty when there is none, or more than one."""
        named = [name for name, each in self.protections.items() if host in each.hosts]
        return named[0] if len(named) == 1 else ""

    @property
    def protection(self) -> NamedProtectionSpec:
        """The only protection.

        Raises:
            LabError: there are several, and nobody said which.
        """
        if len(self.protections) != 1:
            raise LabError(f"the scenario has several protections ({', '.join(self.protections)}): say which one")
        return next(iter(self.protections.values()))

    def with_monitor(self, **changes: Any) -> Scenario:
        """The same scenario, of one protection, with other settings of its monitor."""
        only = self.protection
        changed = msgspec.structs.replace(only, monitor=msgspec.structs.replace(only.monitor, **changes))
        return msgspec.structs.replace(self, protections=dict.fromkeys(self.protections, changed))

    @property
    def site(self) -> SiteSpec:
        """The site of the only protection."""
        return self.protection.site

    @property
    def workload(self) -> WorkloadSpec:
        """The clients of the only protection."""
        return self.protection.workload

    @property
    def source(self) -> HostSpec:
        """The host that the connection protects."""
        return self.hosts[self.protection.connection.source]

    @property
    def target(self) -> HostSpec:
        """The host that receives the replica."""
        return self.hosts[self.protection.connection.target]

    @property
    def client(self) -> HostSpec:
        """The one client host."""
        return next(host for host in self.hosts.values() if host.role == "client")

    @property
    def servers(self) -> dict[str, HostSpec]:
        """The servers by their key, in the file's order."""
        return {name: host for name, host in self.hosts.items() if host.role == "server"}

    def services_of(self, host: str) -> list[str]:
        """Short names of the sites' services on a server, in the order in which an operator starts them."""
        concerned = [each for each in self.protections.values() if host in each.hosts]
        named = [each.site.services for each in concerned or self.protections.values()]
        usual = list(IIS_SERVICES[self.hosts[host].operating_system or "windows-2000"])
        return list(dict.fromkeys(service for services in named for service in services or usual))

    @property
    def protected_root(self) -> str:
        """The Windows path of the first included rule: the tree whose replica is judged."""
        return self.protection.protected_root
