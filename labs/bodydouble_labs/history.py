"""The history: what was asked of the hosts and what was seen from outside, on one time axis.

Times (``at``, ``started``, ``ended``) are seconds since the run began, on the provider's clock (virtual or real). The
workload, the runner and the collectors append; checkers and the report only read.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

import msgspec

Outcome = Literal["ok", "refused", "timeout", "reset", "unresolved", "status", "wrong-content"]


class Request(msgspec.Struct, frozen=True):
    """One request of a client.

    Attributes:
        client: name of the reader or writer.
        kind: ``http-get`` or ``ftp-store``.
        via: ``address`` or ``name``.
        outcome: ``ok``; ``status`` is an answer that refuses (404, 550); ``wrong-content`` an answer that lies.
        record: for uploads and reads of uploads, the record's key; empty for a static page.
    """

    client: str
    kind: str
    via: str
    started: float
    ended: float
    outcome: Outcome
    detail: str = ""
    record: str = ""


class WrittenRecord(msgspec.Struct, frozen=True):
    """One numbered, checksummed record that a writer uploaded.

    Attributes:
        key: ``<writer>-<number>``, also the file's stem.
        path: Windows path of the file it becomes (``C:/InetPub/...``).
        acknowledged: when the server confirmed it, None when it never did (then it may or may not exist).
    """

    key: str
    writer: str
    number: int
    path: str
    size: int
    digest: str
    started: float
    acknowledged: float | None


MarkKind = Literal["step", "fault", "heal", "event", "service", "phase", "mirror"]


class Mark(msgspec.Struct, frozen=True):
    """Something that happened at an instant (or, with ``until``, over a span) on a host: a step, a fault, an event.

    ``code`` is a product event's code, or a step's number. ``protection`` names the one of several protections that it
    is about; empty: none in particular.
    """

    at: float
    kind: MarkKind
    host: str
    text: str
    code: int = 0
    until: float | None = None
    protection: str = ""


class QueueSample(msgspec.Struct, frozen=True):
    """One statistics sample that a daemon published. ``time_to_fail`` is None when not counting down."""

    at: float
    host: str
    queue_operations: int
    queue_bytes: int
    time_to_fail: float | None


class ServiceSample(msgspec.Struct, frozen=True):
    """A service's state as seen at an instant; equal consecutive samples may be left out.

    ``step`` is the number of the step that was being made, counted from 1: much may happen within one instant.
    """

    at: float
    host: str
    service: str
    state: str
    step: int = 0


class PowerSpan(msgspec.Struct, frozen=True):
    """A host was on from ``at`` until ``until`` (None: until the end of the run)."""

    host: str
    at: float
    until: float | None


class TreeEntry(msgspec.Struct, frozen=True):
    """One file, directory or link as the lab itself saw it.

    Attributes:
        directory: also of a junction.
        size: in bytes, 0 for what is no file.
        digest: the SHA-256 of the bytes, empty for what is no file.
        attributes, security, mtime_ns: as the host's file system has them.
        target: where a symbolic link or junction leads, empty for everything else.
        streams: the SHA-256 of each named stream.
        extended: each extended attribute that means the same on another host, in hexadecimal digits.
        same_as: the first of the tree's names for the same file, empty when it has no other one there.
    """

    directory: bool
    size: int
    digest: str
    attributes: int
    security: str
    mtime_ns: int
    target: str = ""
    streams: dict[str, str] = {}
    extended: dict[str, str] = {}
    same_as: str = ""


Tree = dict[str, TreeEntry]
"""Paths relative to the root, ``/`` separators, to entries."""


class ReplicaSample(msgspec.Struct, frozen=True):
    """The set of record keys found intact in the target's replica at an instant, seen from outside the product."""

    at: float
    present: list[str]


class Answered(msgspec.Struct, frozen=True):
    """A machine was heard answering for a name or an address, from ``at`` until ``until``, and no other between.

    To answer is to reply to an ARP or name query, to object to another's claim, or to send packets from the address.
    """

    identity: str
    owner: str
    at: float
    until: float


class Claim(msgspec.Struct, frozen=True):
    """A machine was heard claiming a name (a registration) or an address (a gratuitous ARP).

    With ``given_up`` it said that it has the name no longer (a release); nobody says that of addresses.
    """

    at: float
    identity: str
    owner: str
    given_up: bool = False


class Identity(msgspec.Struct, frozen=True):
    """What a machine is on the network, as somebody in front of it sees it.

    Attributes:
        active_name: the name that counts on the machine itself now.
        names: computer names that it answers for; None where the body cannot tell.
        addresses: those that it uses, without prefix length.
        on_network: it has power, and a cable is in.
    """

    active_name: str = ""
    names: list[str] | None = []
    addresses: list[str] = []
    on_network: bool = False


class IdentitySample(msgspec.Struct, frozen=True):
    """The identities of all servers, looked at in one go in a step; equal consecutive samples are left out."""

    at: float
    hosts: dict[str, Identity]
    step: int = 0


class MonitorSample(msgspec.Struct, frozen=True):
    """What the Failover Control Center of ``host`` shows of the monitor of ``source`` (its computer name)."""

    at: float
    host: str
    source: str
    state: str
    time_to_fail: float | None
    bullet: str
    status_line: str
    step: int = 0


class OrderViolation(msgspec.Struct, frozen=True):
    """An instant at which the replica equalled no prefix of the source's operations."""

    at: float
    detail: str


@dataclass
class History:
    """Everything that was seen during one run.

    In a scenario with several protections each has a part of its own (`of`) for what its clients did and what was seen
    of its replica; what was seen of hosts and network is the same in all parts.
    """

    requests: list[Request] = field(default_factory=list)
    records: list[WrittenRecord] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    samples: list[QueueSample] = field(default_factory=list)
    services: list[ServiceSample] = field(default_factory=list)
    power: list[PowerSpan] = field(default_factory=list)
    identities: list[IdentitySample] = field(default_factory=list)
    monitors: list[MonitorSample] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    replica_samples: list[ReplicaSample] = field(default_factory=list)
    order_violations: list[OrderViolation] = field(default_factory=list)
    order_watched: bool = False
    """Whether the provider undertook to compare the replica with source prefixes, operation by operation."""
    order_checked: int = 0
    """Replica states that were compared with source prefixes, operation by operation (0: provider cannot)."""
    trees: dict[str, Tree] = field(default_factory=dict)
    """Final trees of the protected roots by host, taken by the verify step."""
    unmet: list[str] = field(default_factory=list)
    """What the scenario asked of the product and the product refused or did not reach; anything here: ``fail``."""
    warnings: list[str] = field(default_factory=list)
    """What the product warned of and the scenario did all the same; it changes no verdict."""
    lab_errors: list[str] = field(default_factory=list)
    """What went wrong in the lab itself; anything here makes the verdict ``invalid``."""
    parts: dict[str, History] = field(default_factory=dict)
    """What was seen of each of several protections, by its name."""

    def of(self, protection: str) -> History:
        """The part of one protection; the whole for the only one, which has no name."""
        if not protection:
            return self
        if protection not in self.parts:
            self.parts[protection] = History(**{name: getattr(self, name) for name in _SHARED})
        return self.parts[protection]

    def told(self) -> dict[str, Any]:
        """The history as it is written down: what the parts share stands there once."""
        whole = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "parts"}
        if self.parts:
            whole["protections"] = {
                name: {key: value for key, value in part.told().items() if key not in _SHARED}
                for name, part in self.parts.items()
            }
        return whole


_SHARED = (
    "marks", "samples", "services", "power", "identities", "monitors", "answers", "claims", "warnings", "lab_errors",
)  # fmt: skip
"""What is seen of hosts and network, whichever protection they belong to."""
