"""Records that the ports, the services and the control API exchange. JSON on the wire is exactly these structs.

Durations are seconds, times are aware UTC, sizes are bytes.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec evaluates annotations
from typing import Annotated, Literal

import msgspec

from bodydouble.vocabulary.applications import Uncovered  # noqa: TC001 - msgspec evaluates annotations
from bodydouble.vocabulary.mapping import PathMapping  # noqa: TC001 - msgspec evaluates annotations
from bodydouble.vocabulary.shares import Share  # noqa: TC001 - msgspec evaluates annotations
from bodydouble.vocabulary.standing_in import StandInOptions
from bodydouble.vocabulary.statistics import (
    ConnectionFigures,
    Figures,
    ReplicaFigures,
    RestorationFigures,
)
from bodydouble.vocabulary.tasks import OptionalCommand  # noqa: TC001 - msgspec evaluates annotations
from bodydouble.vocabulary.transmission import (
    TransmissionOptions,
    TransmissionState,
)


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every record: immutable, strict about unknown fields."""


# --- the host -------------------------------------------------------------------------------------------------------


class InterfaceAddress(Record, frozen=True):
    """One address on one interface: ``address`` with its prefix length (``10.0.0.10/24``)."""

    interface: str
    address: str


class HostIdentity(Record, frozen=True):
    """Names and addresses of a host. ``primary_name`` is the active one; ``added_names`` are answered for as well.

    Attributes:
        boot: names the host's present run, from one boot to the next; empty when the host cannot tell.
    """

    primary_name: str
    permanent_name: str
    added_names: list[str]
    addresses: list[InterfaceAddress]
    boot: str = ""


ServiceState = Literal[
    "stopped", "start-pending", "running", "pause-pending", "paused", "continue-pending", "stop-pending"
]
StartupType = Literal["automatic", "manual", "disabled", "unknown"]


class ServiceStatus(Record, frozen=True):
    """One service: short name, display name, state, startup type."""

    name: str
    display_name: str
    state: ServiceState
    startup: StartupType


class ScriptResult(Record, frozen=True):
    """How a script ended. ``output`` is standard output and error together, cut at 64 KiB."""

    exit_code: int
    output: str
    timed_out: bool = False


# --- replication ----------------------------------------------------------------------------------------------------


class Rule(Record, frozen=True):
    """Include or exclude ``path`` (product form, wildcards ``*`` and ``?`` in any component); recursive or not."""

    path: str
    include: bool = True
    recursive: bool = True


class ReplicationSet(Record, frozen=True):
    """A named list of rules. The most specific rule wins; at a tie exclude wins."""

    name: str
    rules: list[Rule]


MirrorKind = Literal["full", "difference", "checksum"]
OrphanAction = Literal["keep", "log", "move", "delete"]
"""``keep``: nobody looks for them."""
Age = Annotated[float, msgspec.Meta(ge=0, le=36_525 * 86_400)]
"""Seconds, at most a century."""


AutoRemirror = Literal["none", "checksum", "full", "difference"]
"""Double-Take's settings 0, 1, 2 and 3."""
Compatibility = Literal["4.1", "4.2"]


class MirrorScripts(Record, frozen=True):
    """Scripts in the source's task directory; empty means none. They get the set's name and the target as arguments."""

    start: OptionalCommand = ""
    stop: OptionalCommand = ""
    complete: OptionalCommand = ""


class ConnectRequest(Record, frozen=True):
    """Connect a replication set of this source to a target.

    Attributes:
        replication_set: name of a saved set.
        target: the target: a name or address of it.
        port: the target's replication port.
        route: the address of the target that is used; empty: ``target`` itself.
        mapping: what goes where on the target, from a root of the set or a directory above one; with none, and no
            ``base``, One To One: everything is kept where the source has it.
        base: directory on the target beneath which everything is kept that ``mapping`` does not name: ``/srv/www`` in
            ``BASE/srv/www``, ``C:/InetPub`` in ``BASE/C/InetPub``.
        auto_reconnect: False: a connection that was lost, or whose daemon was restarted, stays disconnected until an
            operator connects again.
        transmission: limit, compression, schedule.
        mirror: how the first mirror and later remirrors compare.
        newer_only: these mirrors leave a file alone whose last write on the target is later.
        orphan_age: seconds since the last write; what is younger stays.
        calculate: these mirrors count files and bytes first, so that their progress has a whole.
        orphans: what to do with files on the target that the source does not have.
        remirror: how a mirror compares that begins by itself, after an auto-reconnect that cannot resume; None: as
            ``mirror``.
        scripts: what this source runs when a mirror of everything starts, is stopped, or completes.
        remirror_after_reconnect: False reproduces the 4.1 option switched off: after an auto-reconnect that cannot
            resume, transmission waits for an operator's mirror.
        recognise_restore: True (4.2 and later): a target that stood in reports "restore required" and the source
            does not remirror over it. False (4.1 and earlier): the source remirrors, as the application note warns.
    """

    replication_set: str
    target: str
    port: int = 6320
    mirror: MirrorKind = "difference"
    orphans: OrphanAction = "keep"
    remirror_after_reconnect: bool = True
    recognise_restore: bool = True
    route: str = ""
    mapping: list[PathMapping] = []
    base: str = ""
    auto_reconnect: bool = True
    transmission: TransmissionOptions = TransmissionOptions()
    remirror: MirrorKind | None = None
    scripts: MirrorScripts = MirrorScripts()
    newer_only: bool = False
    calculate: bool = False
    orphan_age: Age = 0.0


class ReplicaName(Record, frozen=True):
    """Names a replica on a target: its source and the set."""

    source: str
    replication_set: str


SourceState = Literal[
    "connecting",
    "mirroring",
    "replicating",
    "mirror-incomplete",
    "queue-full",
    "retrying",
    "mirror-required",
    "restore-required",
    "disconnected",
    "stopped",
    "error",
]


TargetState = Literal[
    "unknown",
    "ok",
    "mirroring",
    "mirror-required",
    "remirror-required",
    "restore-required",
    "retrying",
    "queue-full",
    "paused",
]
"""``retrying``: applying waits, for room on the volume for instance; ``queue-full``: nothing is taken in for now."""


MirrorState = Literal["none", "calculating", "running", "paused", "stopped", "complete"]
"""``none``: nothing was mirrored since the connection was last made anew; ``stopped``: an operator ended it."""


class Progress(Record, frozen=True):
    """How far a mirror or a restoration is.

    Attributes:
        files_done: looked at and, where needed, sent; symbolic links count as files.
        files_total: known so far; of everything once ``calculated``.
        bytes_done: the same, sent or found to be there.
        bytes_total: as ``files_total``.
        bytes_skipped: of ``bytes_done``, those that did not have to be sent.
        rate: ``bytes_done`` a second, on an average, pauses left out.
        remaining: seconds until everything known so far is done at this pace; None when nothing can be said.
        calculated: files and bytes were counted before the mirror began.
        left_out: files and directories that could not be read, and roots that are missing, 1,000 at most: nothing of
            them was sent.
    """

    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    bytes_skipped: int = 0
    rate: float = 0.0
    remaining: float | None = None
    calculated: bool = False
    left_out: int = 0


class ConnectionStatus(Record, frozen=True):
    """The source's side of a connection.

    Attributes:
        id: counts from 1 on each source.
        generated: sequence number of the last operation queued.
        acknowledged: sequence number up to which operations survive a power loss of the target.
        applied: sequence number up to which they are in the replica.
        queue_bytes: bytes queued and not yet acknowledged.
        detail: why the state is what it is, empty when there is nothing to say.
        target_state: what the target said last.
        route: the address that is used.
        transmission: whether what is queued is sent now.
        transmission_next: when the schedule looks next at a time of day, None when that does not matter.
        sent_bytes: bytes sent over the network since the daemon started, by this connection.
        auto_remirror: what follows an auto-reconnect that cannot resume: a mirror of that kind, or none until somebody
            orders one.
        compatibility: ``4.2``: restore required is recognised; ``4.1``: the source mirrors over a stand-in's data.
        replication_stopped: an operator, or an exhausted queue, stopped replication until a mirror.
        set_changed: the set was changed since; this connection goes on by the earlier rules until its next mirror.
        mirror_state: how the latest mirror stands.
        newer_on_target: files that mirrors left alone because the target's are newer, and that are so still.
        mirror_end: when the mirror that runs may be complete.
    """

    id: int
    replication_set: str
    target: str
    port: int
    state: SourceState
    detail: str = ""
    target_state: TargetState = "unknown"
    generated: int = 0
    acknowledged: int = 0
    applied: int = 0
    queue_operations: int = 0
    queue_bytes: int = 0
    mirror: Progress = Progress()
    route: str = ""
    mapping: list[PathMapping] = []
    base: str = ""
    transmission: TransmissionState = "started"
    transmission_next: datetime | None = None
    sent_bytes: int = 0
    draining: bool = False
    set_changed: bool = False
    auto_remirror: AutoRemirror = "difference"
    compatibility: Compatibility = "4.2"
    replication_stopped: bool = False
    mirror_state: MirrorState = "none"
    newer_on_target: int = 0
    mirror_end: datetime | None = None


class TargetConnectionStatus(Record, frozen=True):
    """The target's side of a connection.

    Attributes:
        applied: the last sequence number that is in the replica.
        queue_operations: received, safe on disk and not yet applied.
        queue_bytes: bytes of that; the disk holds up to two segments of 5 MB more.
        detail: why applying waits, empty when it does not.
        state: of the target's side.
        places: where the replica is kept, a directory for each root of the set.
        not_kept: what the volumes there cannot keep, and how many times it was left out since the daemon started.
    """

    source: str
    replication_set: str
    connected: bool
    mirroring: bool
    restore_required: bool
    applied: int = 0
    queue_operations: int = 0
    queue_bytes: int = 0
    detail: str = ""
    state: TargetState = "unknown"
    places: list[str] = []
    not_kept: dict[str, int] = {}


class RestoreRequest(Record, frozen=True):
    """Restoration Manager's fields; sent to the machine to restore *from*.

    Attributes:
        original_source: name of the machine where the data originally resided.
        replication_set: the set to restore.
        restore_to: host (name or address) of the machine that receives the data.
        port: its replication port.
        mirror: how differences are found.
        orphans: files on the receiving side that the stand-in does not have (``delete`` makes both equal).
        mapping: where on the receiving side, from the original source's paths; with none, and no ``base``, where the
            original source had it, however the stand-in was mapped.
        base: as in `ConnectRequest`.
        newer_only: leave what is newer on the receiving side.
        missing_only: leave every file that is there, whatever is in it; only what is missing is restored.
        orphan_age: as in `ConnectRequest`.
        calculate: count files and bytes first, so that the progress has a whole and an end.
    """

    original_source: str
    replication_set: str
    restore_to: str
    port: int = 6320
    mirror: MirrorKind = "checksum"
    orphans: OrphanAction = "delete"
    mapping: list[PathMapping] = []
    base: str = ""
    newer_only: bool = False
    orphan_age: Age = 0.0
    missing_only: bool = False
    calculate: bool = True


RestorationState = Literal["running", "complete", "failed", "stopped"]
"""``stopped``: by an operator. Unless it is complete, and all of it at home, the set stays *restore required*."""


class RestorationStatus(Record, frozen=True):
    """A restoration.

    Attributes:
        id: counts from 1 on each machine that restores, and never repeats.
        detail: why it failed; while it runs, why it does not go on; of one that is complete, ``stays_required``.
        started: when it began; after a restart of the daemon, when it began again.
        ended: None while it runs.
        left_alone: files that stay as they are on the receiving side, because they are newer or simply there.
        receiver: the machine that receives, by the name that it is paired under (by the fingerprint of its certificate,
            if it is paired no more); empty until it has answered.
        stays_required: why the set stays *restore required* although it is complete, and what to do; empty otherwise.
        marked_before: the set was *restore required* before: what the source has is older.
    """

    id: int
    request: RestoreRequest
    state: RestorationState
    progress: Progress
    detail: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    left_alone: int = 0
    receiver: str = ""
    stays_required: str = ""
    marked_before: bool = True


# --- paired machines --------------------------------------------------------------------------------------------------

Role = Literal["source", "target"]
Roles = tuple[Role, ...]
BOTH_ROLES: Roles = ("source", "target")

PeerState = Literal["paired", "unfinished"]


class Peer(Record, frozen=True):
    """A machine that this one is paired with.

    Attributes:
        name: its permanent name; a source may use no other.
        fingerprint: SHA-256 of its certificate, 64 hexadecimal digits.
        roles: what it may be to this machine: a ``source`` of ours, a ``target`` of ours.
        state: ``unfinished`` until it is known that the other side has pinned this machine, too; until then it may
            do nothing, and repeating the pairing finishes it, as does the first contact.
        since: when it was pinned.
    """

    name: str
    fingerprint: str
    roles: Roles
    state: PeerState
    since: datetime


class OfferRequest(Record, frozen=True):
    """Let one machine pair with this one by a code.

    Attributes:
        roles: what it may be to this machine.
        minutes: for how long the code is valid, 1 to 60.
    """

    roles: Roles = BOTH_ROLES
    minutes: int = 10


class Offer(Record, frozen=True):
    """A one-time code, shown once, to be carried to the other machine by a person."""

    code: str
    seconds: float


class OfferStatus(Record, frozen=True):
    """How the latest offer stands.

    Attributes:
        state: ``none`` since the daemon started; ``open``; ``used``; ``expired``; ``void`` after too many wrong codes;
            ``withdrawn``.
        seconds: for how long it is still open.
        tries: wrong codes that it still bears.
        peer: the machine that used it.
    """

    state: Literal["none", "open", "used", "expired", "void", "withdrawn"]
    seconds: float = 0.0
    tries: int = 0
    peer: str = ""


class AcceptRequest(Record, frozen=True):
    """Pair with the machine that offers ``code``.

    Attributes:
        host: its name or address.
        code: what it showed.
        port: its replication port.
        roles: what it may be to this machine.
    """

    host: str
    code: str
    port: int = 6320
    roles: Roles = BOTH_ROLES

    def __repr__(self) -> str:
        return f"AcceptRequest(host={self.host!r}, port={self.port}, code=...)"


class Pairings(Record, frozen=True):
    """This machine's own fingerprint, and the machines that it is paired with."""

    fingerprint: str
    peers: list[Peer]


# --- failover -------------------------------------------------------------------------------------------------------


class MonitorScripts(Record, frozen=True):
    """Script files (product form) run on the target; empty means none."""

    pre_failover: str = ""
    post_failover: str = ""
    pre_failback: str = ""
    post_failback: str = ""


class MonitorRequest(StandInOptions, frozen=True, forbid_unknown_fields=True):
    """Watch one source from this target.

    Attributes:
        source: the source's name, added to the target at failover.
        addresses: the source's addresses to watch and to assume; ``interface`` is the *target's* adapter.
        interval: seconds between heartbeats (default: 5).
        manual_intervention: wait for an operator instead of failing over at zero.
        script_timeout: seconds that each script may take.
    """

    source: str
    addresses: list[InterfaceAddress]
    interval: float = 5.0
    manual_intervention: bool = False
    scripts: MonitorScripts = MonitorScripts()
    script_timeout: float = 120.0


MonitorState = Literal[
    "monitoring",
    "waiting-for-operator",
    "failing-over",
    "failed-over",
    "failing-back",
    "failed-back",
    "stopped",
]
Bullet = Literal["green", "yellow", "red"]


class MonitorStatus(Record, frozen=True):
    """What the Failover Control Center shows: see the application note, "Monitoring Failover".

    Attributes:
        time_to_fail: seconds left, None once failed over or when not monitoring.
        bullet: green; yellow once 25 % of the time-out has elapsed without a heartbeat; red at and after failover.
        status_line: the status bar's text.
        held: why failover or failback waits for an operator's word, empty: it does not.
        waits_for: which script of another monitor has to end before one of this monitor runs, empty: none.
        reboot: what only a boot of this machine would bring about, empty: nothing.
        shares: what failover would share of the source's shares, with directories of this machine, or has shared.
    """

    request: MonitorRequest
    state: MonitorState
    time_to_fail: float | None
    bullet: Bullet
    status_line: str
    addresses_answering: list[str] = []
    held: str = ""
    reboot: str = ""
    waits_for: str = ""
    shares: list[Share] = []


class FailbackDecision(Record, frozen=True):
    """The answer to failback's prompt: continue or stop monitoring."""

    decision: Literal["continue", "stop"]


# --- observation ----------------------------------------------------------------------------------------------------


class Event(Record, frozen=True):
    """One line of the events log; ``number`` counts from 1 and never repeats, ``code`` as listed in `events`."""

    number: int
    time: datetime
    code: int
    text: str


class Sample(Record, frozen=True):
    """One second of statistics.

    Attributes:
        at: seconds on the daemon's own steady clock.
        time: the calendar's time.
        operations_applied: by this machine as a target.
        time_to_fail: of the monitor that has the least.
        total: as a source, all connections together.
        connections: each of them.
        replicas: as a target.
        restorations: those that run, as the machine that is restored from.
    """

    at: float
    time: datetime
    queue_operations: int
    queue_bytes: int
    operations_generated: int
    operations_acknowledged: int
    operations_applied: int
    time_to_fail: float | None
    total: Figures = Figures()
    connections: tuple[ConnectionFigures, ...] = ()
    replicas: tuple[ReplicaFigures, ...] = ()
    restorations: tuple[RestorationFigures, ...] = ()


class DaemonStatus(Record, frozen=True):
    """Everything at a glance.

    Attributes:
        uncovered: what applications need and no connected set (or, when none is connected, no saved one) holds.
    """

    version: str
    identity: HostIdentity
    connections: list[ConnectionStatus]
    target_connections: list[TargetConnectionStatus]
    monitors: list[MonitorStatus]
    restorations: list[RestorationStatus]
    uncovered: list[Uncovered] = []
