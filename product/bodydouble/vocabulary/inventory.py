"""Records about what a host is and has: the facts that a check before the failover judges."""

from __future__ import annotations

from typing import Literal

import msgspec

from bodydouble.vocabulary.applications import ApplicationDirectory, Uncovered  # noqa: TC001 - msgspec reads them
from bodydouble.vocabulary.records import (  # noqa: TC001 - msgspec reads them
    ConnectionStatus,
    HostIdentity,
    MonitorStatus,
    StartupType,
)

DomainRole = Literal["standalone", "member", "primary-controller", "backup-controller"]


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base: immutable, strict."""


class OperatingSystem(_Record, frozen=True, kw_only=True):
    """An operating system.

    Attributes:
        key: which one: ``windows-nt-4``, ``windows-2000``, ``linux``.
        title: for people.
        version: the release within it, empty where there is none.
        service_pack: None where there is no such thing.
    """

    key: str
    title: str
    version: str = ""
    service_pack: int | None = None


class InstalledService(_Record, frozen=True, kw_only=True):
    """A service as it is registered.

    Attributes:
        name: short name.
        display_name: what the console calls it.
        other_names: further names that it goes by.
        startup: when it starts.
        interactive: whether it may interact with the desktop; None: the host does not say.
    """

    name: str
    display_name: str = ""
    other_names: tuple[str, ...] = ()
    startup: StartupType = "unknown"
    interactive: bool | None = None


class Installation(_Record, frozen=True, kw_only=True):
    """An application that knows the name it was set up under.

    Attributes:
        application: what it is called: ``IIS``.
        version: its version.
        set_up_as: the active name of that moment.
        directory: where its data lies by default, in product form; empty when it does not say.
    """

    application: str
    version: str
    set_up_as: str
    directory: str = ""


class HostFacts(_Record, frozen=True, kw_only=True):
    """What the host says of itself.

    Attributes:
        system: its operating system.
        domain_role: what it is in its domain; None where there are no domains.
        services: those that are installed.
        services_complete: whether there are no others.
        installations: applications that know the name they were set up under.
    """

    system: OperatingSystem
    domain_role: DomainRole | None = None
    services: list[InstalledService] = []
    services_complete: bool = True
    installations: list[Installation] = []


class ScriptProgram(_Record, frozen=True, kw_only=True):
    """A program that a script calls by its path; ``there`` is None when the host cannot tell."""

    path: str
    there: bool | None


class ServiceCall(_Record, frozen=True, kw_only=True):
    """A service that a line of a script starts or stops; ``remark``: the line is a comment."""

    line: int
    verb: Literal["start", "stop"]
    name: str
    remark: bool = False


class NameCall(_Record, frozen=True, kw_only=True):
    """A call of Chngname in a script; ``name`` is empty where the own name is put back."""

    line: int
    program: str
    name: str = ""

    @property
    def back(self) -> bool:
        """Whether it puts the own name back."""
        return not self.name


class Placeholder(_Record, frozen=True, kw_only=True):
    """Something of a sample script that had to be replaced."""

    line: int
    text: str


class ScriptFacts(_Record, frozen=True, kw_only=True):
    """What a script that a monitor names does to services and names. Its text stays where it is: it may hold secrets.

    Attributes:
        path: as the monitor has it.
        trouble: why it cannot be read; empty: it was.
        lines: how many it has.
        services: what it starts and stops, each once.
        names: its calls of Chngname.
        placeholders: what is left to be filled in.
        programs: where it finds Chngname.
    """

    path: str
    trouble: str = ""
    lines: int = 0
    services: list[ServiceCall] = []
    names: list[NameCall] = []
    placeholders: list[Placeholder] = []
    programs: list[ScriptProgram] = []

    def active(self, verb: Literal["start", "stop"]) -> list[ServiceCall]:
        """Calls that are carried out."""
        return [each for each in self.services if each.verb == verb and not each.remark]

    def remarked(self, verb: Literal["start", "stop"]) -> list[ServiceCall]:
        """Calls that are comments."""
        return [each for each in self.services if each.verb == verb and each.remark]


class HostInventory(_Record, frozen=True, kw_only=True):
    """All that a daemon knows for a check of its machine.

    Attributes:
        version: the product's.
        identity: names and addresses.
        facts: None: nobody says what the host is.
        facts_trouble: why not.
        directories: where its applications keep data; None: nobody says.
        directories_trouble: why not.
        uncovered: what of it no replication set holds.
        sets: names of the saved replication sets.
        connections: as a source.
        monitors: as a target.
        scripts: those of the monitors.
        chngname: whether the active name can be changed by the product.
    """

    version: str
    identity: HostIdentity
    facts: HostFacts | None = None
    facts_trouble: str = ""
    directories: list[ApplicationDirectory] | None = None
    directories_trouble: str = ""
    uncovered: list[Uncovered] = []
    sets: list[str] = []
    connections: list[ConnectionStatus] = []
    monitors: list[MonitorStatus] = []
    scripts: list[ScriptFacts] = []
    chngname: bool = False
