"""What the runner asks of a provider, and a provider of nothing but itself.

A `Provider` builds the hosts of a scenario, runs the runner's coroutine on its own event loop and takes everything down
again, also after an error or Ctrl-C. The runner speaks to the product only through its control API over the
provider's network, from the client's place in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from bodydouble_labs.history import History, Identity, Tree
    from bodydouble_labs.scenario.model import Scenario
    from bodydouble_labs.scenario.steps import FaultStep

T = TypeVar("T")


def capture_name(segment: str) -> str:
    """The file that a segment's frames are kept in, in a result's directory."""
    return f"{segment}.pcapng"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Exit code and output (standard output and error together) of a command run on a host."""

    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class ControlAddress:
    """Where a host's product daemon is controlled; the address is the host's own, not one that fails over.

    Attributes:
        certificate: the daemon's, as the operator read it at the host's console.
    """

    address: str
    port: int
    token: str
    certificate: bytes


class LabHost(Protocol):
    """One server of the scenario, as an operator in front of it and an observer beside it see it."""

    name: str
    """The scenario's key (``source``)."""
    computer_name: str
    """The Windows name (``SOURCE``)."""

    @property
    def control(self) -> ControlAddress:
        """Where its product is controlled.

        Raises:
            LabError: the product is not installed.
        """

    def interface_on(self, segment: str) -> str | None:
        """Name of its adapter on a segment, as the product's Identity port spells it on this body; None without one."""

    async def install_bodydouble(self) -> None:
        """Install the product as an automatic service, start it, and return when its control API answers locally."""

    async def power_off(self) -> None:
        """Cut the power: nothing runs on, nothing is said to the network; volatile state and un-flushed data are lost.

        Raises:
            FaultError: an independent witness still sees the host alive.
        """

    async def power_on(self) -> None:
        """Boot; returns when automatic services run and the product, if installed, answers its control API."""

    async def reboot(self) -> None:
        """Orderly restart: services stop, volumes are flushed, then as `power_on`."""

    async def disconnect(self) -> None:
        """Pull the network cable, of every adapter."""

    async def connect(self) -> None:
        """Plug it in again; addresses are announced as the system does it."""

    async def command(self, line: str) -> CommandResult:
        """Run one line in the host's command interpreter (``net start W3SVC``), as the operator at its console."""

    async def put_file(self, path: str, data: bytes) -> None:
        """Save a file (Windows path, parents are made) as the operator at the console would."""

    async def snapshot(self, root: str) -> Tree:
        """The tree beneath a Windows path as it is on the volume now, read beside the product."""

    async def identity(self) -> Identity:
        """What the host is on the network, as the operator sees it at the console."""

    async def service_states(self) -> Mapping[str, str]:
        """Short service name to state, as the operator sees them at the console; empty when the host is off."""

    def product_path(self, path: str) -> str:
        """A Windows path in the product's form on this body (``C:/InetPub``, ``/mnt/host/drives/C/InetPub``)."""


class NetworkFaults(Protocol):
    """What a provider can do to the network: an optional capability of a stage."""

    def begin(self, step: FaultStep) -> None:
        """Let the fault begin that a step describes."""

    def heal(self, fault: str) -> int:
        """Let a fault end; how many frames it touched, as the network itself counted."""

    def unhealed(self) -> Mapping[str, int]:
        """The faults that last, with how many frames each has touched."""


class Stage(Protocol):
    """A built scenario: hosts, and the client's view of their network. Runner and workload run inside it."""

    history: History

    @property
    def network_faults(self) -> NetworkFaults | None:
        """Faults of the network, or None where the provider has none (then `Provider.missing` says so)."""

    @property
    def hosts(self) -> Mapping[str, LabHost]:
        """The servers by the scenario's keys."""

    def elapsed(self) -> float:
        """Seconds since the run began."""

    def wall_clock(self) -> datetime:
        """The provider's calendar, UTC."""

    async def resolve(self, name: str) -> str:
        """A computer name to an address, asked the way a Windows client would.

        Raises:
            OSError: nobody answers for the name.
        """

    async def ping(self, address: str) -> bool:
        """Whether ``address`` answers an ICMP echo from the client within a second."""

    def watch_order(self, protection: str) -> None:
        """From now on compare a protection's replica with its source's history, by operation.

        A provider that cannot see single operations samples the replica; checkers then rely on such samples alone.
        """

    def stop_watching_order(self, protection: str | None = None) -> None:
        """Stop the comparison (the stand-in is about to be written to) of one protection, or of all."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a provider adds to the result. ``trace_hash`` is empty where runs cannot be deterministic."""

    trace_hash: str
    virtual_seconds: float
    artifacts: list[str]


class Provider(Protocol):
    """Builds hosts and runs a scenario on them."""

    name: str

    @property
    def explores(self) -> bool:
        """Whether it draws the order in which ready tasks run, instead of first in, first out."""

    def missing(self, scenario: Scenario) -> str | None:
        """Why the scenario cannot run here (then it is skipped with that reason), or None."""

    def run(
        self, scenario: Scenario, seed: int, directory: Path, main: Callable[[Stage], Awaitable[None]]
    ) -> RunOutcome:
        """Build, run ``main`` to its end, take down. Artifacts (pcapng, logs) go to ``directory``.

        Exceptions of ``main`` pass through after the take-down.
        """
