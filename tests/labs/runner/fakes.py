"""A stage and a product that do what the runner asks, with places to plant defects."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bodydouble.errors import ControlError
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import (
    AcceptRequest,
    ConnectionStatus,
    ConnectRequest,
    Event,
    FailbackDecision,
    MonitorRequest,
    MonitorStatus,
    Offer,
    OfferRequest,
    Peer,
    Progress,
    ReplicationSet,
    RestorationStatus,
    RestoreRequest,
    Sample,
)
from bodydouble_labs.history import History, Identity, Tree, TreeEntry
from bodydouble_labs.providers.base import CommandResult, ControlAddress
from bodydouble_labs.runner.console import Console

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bodydouble.vocabulary.applications import Uncovered
    from bodydouble_labs.providers.base import LabHost, NetworkFaults
    from bodydouble_labs.scenario.model import Scenario

BEGAN = datetime(2002, 12, 2, 9, tzinfo=UTC)


@dataclass
class FakeHost:
    name: str
    computer_name: str
    address: str
    powered: bool = True
    connected: bool = True
    survives_power_loss: bool = False
    failing_command: str = ""
    lines: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    services: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys(["IISADMIN", "W3SVC", "MSFTPSVC", "SMTPSVC", "NNTPSVC"], "running")
    )

    @property
    def control(self) -> ControlAddress:
        return ControlAddress(self.address, 6330, "token", b"a certificate")

    def interface_on(self, segment: str) -> str | None:
        return "Local Area Connection" if segment == "lan" else None

    async def install_bodydouble(self) -> None:
        self.lines.append("<install>")

    async def power_off(self) -> None:
        self.powered = self.survives_power_loss

    async def power_on(self) -> None:
        self.powered = True

    async def reboot(self) -> None:
        self.lines.append("<reboot>")

    async def disconnect(self) -> None:
        self.connected = False

    async def connect(self) -> None:
        self.connected = True

    async def command(self, line: str) -> CommandResult:
        self.lines.append(line)
        if line == self.failing_command:
            return CommandResult(2, "System error 5 has occurred.\r\n\r\nAccess is denied.\r\n")
        words = line.split()
        if words[:2] == ["net", "stop"]:
            self.services[words[2]] = "stopped"
        if words[:2] == ["net", "start"]:
            self.services[words[2]] = "running"
        return CommandResult(0, "")

    async def put_file(self, path: str, data: bytes) -> None:
        self.files[path] = data

    async def snapshot(self, root: str) -> Tree:
        return {root: TreeEntry(True, 0, "", 0, "", 0)}

    async def identity(self) -> Identity:
        on = self.powered and self.connected
        names, addresses = ([self.computer_name], [self.address]) if self.powered else ([], [])
        return Identity(self.computer_name if self.powered else "", names, addresses, on)

    async def service_states(self) -> Mapping[str, str]:
        return dict(self.services) if self.powered else {}

    def product_path(self, path: str) -> str:
        return path.replace("\\", "/")


class FakeStage:
    def __init__(self, scenario: Scenario) -> None:
        self.hosts = {name: FakeHost(name, spec.computer_name, spec.ip) for name, spec in scenario.servers.items()}
        self.history = History()
        self.network_faults: NetworkFaults | None = None
        self.watching: list[str] = []
        self._protections = scenario.protections
        self._began = asyncio.get_running_loop().time()

    def elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    def wall_clock(self) -> datetime:
        return BEGAN + timedelta(seconds=self.elapsed())

    async def resolve(self, name: str) -> str:
        return next(host.address for host in self.hosts.values() if host.computer_name == name)

    async def ping(self, address: str) -> bool:
        return any(host.address == address and host.powered and host.connected for host in self.hosts.values())

    def watch_order(self, protection: str) -> None:
        watched = self._protections[protection]
        self.watching.append(" ".join([*watched.hosts, watched.protected_root]))

    def stop_watching_order(self, protection: str | None = None) -> None:
        self.watching.append("stop" if not protection else f"stop {protection}")


class FakeProduct:
    """One daemon's control API: every request succeeds at once, unless a test has it otherwise."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.connection_state = "replicating"
        self.monitor_state = "failed-over"
        self.restoration_state = "complete"
        self.refusals: list[str] = []
        self.conflicts = 0
        self.known: list[int] = []
        self.uncovered: list[Uncovered] = []

    def _ask(self, what: str, request: object) -> None:
        self.asked.append(request)
        if what in self.refusals:
            raise ControlError(409, f"{what} does not fit the state")

    async def offer_pairing(self, request: OfferRequest) -> Offer:
        self._ask("offer_pairing", request)
        return Offer(code="7KQ2-M9XD-4TBH-WZ3C", seconds=600.0)

    async def accept_pairing(self, request: AcceptRequest) -> Peer:
        self._ask("accept_pairing", request)
        return Peer(name="TARGET", fingerprint="f" * 64, roles=request.roles, state="paired", since=BEGAN)

    async def save_set(self, request: ReplicationSet) -> ReplicationSet:
        self._ask("save_set", request)
        return request

    async def coverage(self) -> list[Uncovered]:
        return self.uncovered

    async def connect(self, request: ConnectRequest) -> ConnectionStatus:
        self._ask("connect", request)
        self.known.append(len(self.known) + 1)
        return (await self.connections())[-1]

    async def connections(self) -> list[ConnectionStatus]:
        state: Any = self.connection_state
        return [ConnectionStatus(id=i, replication_set="IIS data", target="t", port=1, state=state) for i in self.known]

    async def disconnect(self, id_: int) -> None:
        self.asked.append(f"disconnect {id_}")

    async def create_monitor(self, request: MonitorRequest) -> MonitorStatus:
        self._ask("create_monitor", request)
        return (await self.monitors())[0]

    async def monitors(self) -> list[MonitorStatus]:
        state: Any = self.monitor_state
        request = MonitorRequest(source="SOURCE", addresses=[])
        return [MonitorStatus(request=request, state=state, time_to_fail=None, bullet="red", status_line="as asked")]

    async def failback(self, source: str) -> MonitorStatus:
        self._ask("failback", f"failback {source}")
        self.monitor_state = "failed-back"
        return (await self.monitors())[0]

    async def decide(self, source: str, decision: FailbackDecision) -> MonitorStatus:
        if self.conflicts:
            self.conflicts -= 1
            raise ControlError(409, "the source is not online yet")
        self._ask("decide", f"{decision.decision} {source}")
        return (await self.monitors())[0]

    async def restore(self, request: RestoreRequest) -> RestorationStatus:
        self._ask("restore", request)
        return RestorationStatus(id=1, request=request, state="running", progress=Progress())

    async def restorations(self) -> list[RestorationStatus]:
        state: Any = self.restoration_state
        request = RestoreRequest(original_source="SOURCE", replication_set="IIS data", restore_to="10.0.0.10")
        return [RestorationStatus(id=1, request=request, state=state, progress=Progress(), detail="disk full")]

    async def events(self, after: int) -> list[Event]:
        time = BEGAN + timedelta(seconds=1)
        listed = [Event(number=1, time=time, code=EventCode.SERVICE_STARTED, text="started")]
        return [event for event in listed if event.number > after]

    async def statistics(self, after: float) -> list[Sample]:
        sample = Sample(
            at=5.0,
            time=BEGAN + timedelta(seconds=2),
            queue_operations=3,
            queue_bytes=99,
            operations_generated=0,
            operations_acknowledged=0,
            operations_applied=0,
            time_to_fail=None,
        )
        return [sample] if sample.at > after else []


class FakeConsole(Console):
    def __init__(self) -> None:
        super().__init__()
        self.products: dict[str, FakeProduct] = {}

    def of(self, host: LabHost) -> Any:
        return self.products.setdefault(host.name, FakeProduct())
