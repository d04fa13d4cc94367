"""The timeline's steps: one class for each action, named after the key that selects it.

A step in the file is a mapping with exactly one action key (``command:``, ``fault:`` ...), the keys that this action
takes, and the optional keys of `StepBase`. ``on`` names the server that the step acts on.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bodydouble_labs.scenario.network import Address  # noqa: TC001 - msgspec evaluates annotations

WindowsPath = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z]:\\[^/:*?\"<>|\x00-\x1f]*$",
        max_length=259,
        description="a Windows path with a drive and backslashes, like C:\\InetPub",
    ),
]
Limit = Annotated[float, Meta(gt=0, le=86_400)]


class StepBase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Keys that every step may have.

    Attributes:
        step: what is done, in the operator's words; shown in progress, timeline and messages.
        note: the place in the application note that asks for it.
        phase: from this step on the run is in this phase.
        within: seconds the step may take; each action has its own default.
    """

    step: Annotated[str, Meta(max_length=200)] = ""
    note: Annotated[str, Meta(max_length=200)] = ""
    phase: Literal["prepare", "safety", "liveness"] | None = None
    within: Limit | None = None


class ProtectionStep(StepBase, frozen=True, kw_only=True):
    """A step about a protection.

    Attributes:
        protection: which one; for files with several.
    """

    protection: str = ""


class CommandStep(StepBase, frozen=True, kw_only=True):
    """Run one line in the host's command interpreter; another exit code than ``exit_code`` ends the run as invalid."""

    on: str
    command: Annotated[str, Meta(min_length=1, max_length=8191)]
    exit_code: int = 0


class InstallStep(StepBase, frozen=True, kw_only=True):
    """Install the product and start its service."""

    on: str
    install: Literal["bodydouble"]


class NetworkStep(StepBase, frozen=True, kw_only=True):
    """Pull or plug the network cable."""

    on: str
    network: Literal["disconnect", "connect"]


class PowerStep(StepBase, frozen=True, kw_only=True):
    """An operator's power switch: ``on`` heals a power loss, ``reboot`` is an orderly restart."""

    on: str
    power: Literal["on", "reboot"]


class PutFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One file to copy.

    Attributes:
        from_: file beside the scenario file, or among the shipped scenarios (key ``from``).
        to: where it goes on the host.
        replace: texts to replace in it; each must occur.
    """

    from_: Annotated[str, Meta(min_length=1, max_length=255)] = msgspec.field(name="from")
    to: WindowsPath
    replace: dict[Annotated[str, Meta(min_length=1)], str] = {}


class PutStep(StepBase, frozen=True, kw_only=True):
    """Copy files to the host."""

    on: str
    put: Annotated[list[PutFile], Meta(min_length=1)]


class StartupStep(StepBase, frozen=True, kw_only=True):
    """Set the startup type of the site's services; ``manual`` also stops those that run (the note's step 7)."""

    on: str
    startup: Literal["manual", "automatic"]


class ServicesStep(StepBase, frozen=True, kw_only=True):
    """Start or stop the site's services at the host's console."""

    on: str
    services: Literal["start", "stop"]


class SiteStep(ProtectionStep, frozen=True, kw_only=True):
    """Put the site's static pages on the host."""

    on: str
    site: Literal["publish"]


class WorkloadStep(ProtectionStep, frozen=True, kw_only=True):
    """Clients begin or end their work: those of one site, or all."""

    workload: Literal["start", "stop"]


class ProtectStep(ProtectionStep, frozen=True, kw_only=True):
    """Tell the product one part of ``protection``; ``connection`` returns when the mirror is complete."""

    protect: Literal["replication-set", "connection", "monitor"]


class PairStep(StepBase, frozen=True, kw_only=True):
    """Pair two servers: the one named here offers a one-time code, and the one it is carried to (``on``) accepts it."""

    on: str
    pair: str


class RunForStep(StepBase, frozen=True, kw_only=True):
    """Let the time pass, in seconds."""

    run_for: Limit


class WaitForStep(ProtectionStep, frozen=True, kw_only=True):
    """Wait until the product reports a condition; not reaching it within the limit is the product's failure.

    ``monitoring``, ``failed-over`` and ``failed-back`` are the monitor's states; ``replicating`` is the connection's;
    ``converged`` is a replicating connection with nothing left in the queue and everything acknowledged.
    """

    wait_for: Literal["monitoring", "failed-over", "failed-back", "replicating", "converged"]


NetworkFault = Literal[
    "partition",
    "loss",
    "latency",
    "squeeze",
    "duplicate",
    "reorder",
    "corrupt",
    "black-hole",
    "reset",
    "lost-announcements",
    "link-flap",
    "spoofed-arp",
    "duplicate-address",
]
"""Faults of the network: they last until they are healed."""


class FaultStep(StepBase, frozen=True, kw_only=True):
    """Inject a fault; an independent witness must see it, or the run is invalid.

    ``power-loss`` and ``link-flap`` happen to the host ``on``, ``lost-announcements`` to what it announces,
    ``spoofed-arp`` to what it believes, ``duplicate-address`` to the segment that the address is on. The others happen
    ``between`` two machines, routers included; what they strike can be narrowed by ``protocol``, ``port`` and
    ``match``. All but ``power-loss`` last until a ``heal`` step, or to the end of the run.

    Attributes:
        between: two machines; with ``one_way`` only what goes from the first to the second is concerned.
        protocol: strikes only frames of this protocol.
        port: strikes only TCP and UDP with this source or destination port.
        match: strikes only frames that this filter expression (as tcpdump's, see pcap-filter(7)) accepts.
        probability: share of the frames that ``loss``, ``duplicate``, ``reorder`` and ``corrupt`` strike.
        delay: seconds that ``latency`` adds to every frame.
        jitter: it adds up to so many seconds more.
        bits_per_second: what is left by ``squeeze`` for everything that it strikes.
        queue: bytes that wait in front of it at most.
        hold: ``reorder`` keeps a frame back for up to so many seconds; so late ``duplicate`` delivers again.
        checksum_valid: the damage of ``corrupt`` gets past every checksum, in one bit of a TCP or UDP payload.
        mtu: longer IP packets vanish in ``black-hole``.
        every: ``reset`` follows every so many TCP segments.
        address: the address that is spoofed, used twice, or whose announcements are lost (any when absent).
        interval: seconds between two lies of ``spoofed-arp``.
        announced: the second user of the address broadcasts it as well.
        down: seconds that ``link-flap`` keeps the link down each time.
        up: seconds that it then leaves it up.
    """

    fault: Literal["power-loss", NetworkFault]
    on: str = ""
    between: Annotated[list[str], Meta(min_length=2, max_length=2)] | None = None
    one_way: bool = False
    protocol: Literal["arp", "icmp", "udp", "tcp"] | None = None
    port: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    match: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None
    probability: Annotated[float, Meta(gt=0, le=1)] | None = None
    delay: Annotated[float, Meta(gt=0, le=60)] | None = None
    jitter: Annotated[float, Meta(gt=0, le=60)] | None = None
    bits_per_second: Annotated[float, Meta(ge=1000, le=1e12)] | None = None
    queue: Annotated[int, Meta(ge=1600, le=1 << 30)] | None = None
    hold: Annotated[float, Meta(gt=0, le=60)] | None = None
    checksum_valid: bool = False
    mtu: Annotated[int, Meta(ge=68, le=65_535)] | None = None
    every: Annotated[int, Meta(ge=1)] | None = None
    address: Address | None = None
    interval: Limit | None = None
    announced: bool = False
    down: Limit | None = None
    up: Limit | None = None


class HealStep(StepBase, frozen=True, kw_only=True):
    """End a fault of the network; one that touched nothing did not happen, and the run is invalid."""

    heal: NetworkFault


class FailbackStep(ProtectionStep, frozen=True, kw_only=True):
    """Fail back: the monitoring target gives up the identity of the host named here."""

    failback: str


class DecideStep(ProtectionStep, frozen=True, kw_only=True):
    """Answer failback's prompt."""

    decide: Literal["continue", "stop"]


class RestoreStep(ProtectionStep, frozen=True, kw_only=True):
    """Restore the replication set from the stand-in to the host named here; returns when it is complete."""

    restore: str


class DtclStep(ProtectionStep, frozen=True, kw_only=True):
    """Run a script of the text client that comes with the product, at the console; returns when it has ended well."""

    dtcl: str


class VerifyStep(ProtectionStep, frozen=True, kw_only=True):
    """Take the final trees of source and target, beside the product, for the checkers: of one protection, or of all."""

    verify: Literal["trees"]


AnyStep = (
    CommandStep
    | InstallStep
    | NetworkStep
    | PowerStep
    | PutStep
    | StartupStep
    | ServicesStep
    | SiteStep
    | WorkloadStep
    | PairStep
    | ProtectStep
    | RunForStep
    | WaitForStep
    | FaultStep
    | HealStep
    | FailbackStep
    | DecideStep
    | RestoreStep
    | DtclStep
    | VerifyStep
)

ACTIONS: dict[str, type[AnyStep]] = {
    "command": CommandStep,
    "install": InstallStep,
    "network": NetworkStep,
    "power": PowerStep,
    "put": PutStep,
    "startup": StartupStep,
    "services": ServicesStep,
    "site": SiteStep,
    "workload": WorkloadStep,
    "pair": PairStep,
    "protect": ProtectStep,
    "run_for": RunForStep,
    "wait_for": WaitForStep,
    "fault": FaultStep,
    "heal": HealStep,
    "failback": FailbackStep,
    "decide": DecideStep,
    "restore": RestoreStep,
    "dtcl": DtclStep,
    "verify": VerifyStep,
}
"""The step class that an action key selects."""


def action_of(step: AnyStep) -> str:
    """The action key of a step."""
    return next(key for key, class_ in ACTIONS.items() if type(step) is class_)


def host_of(step: AnyStep) -> str:
    """The host that a step acts on, empty for steps that act on none in particular."""
    return getattr(step, "on", "")


def title_of(step: AnyStep) -> str:
    """What to call a step: its own words, or its action."""
    if step.step:
        return step.step
    key = action_of(step)
    value = getattr(step, key)
    where = f" on {host_of(step)}" if host_of(step) else ""
    return f"{key.replace('_', ' ')} {value}{where}" if not isinstance(value, list) else f"{key}{where}"
