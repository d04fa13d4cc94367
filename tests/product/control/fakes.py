"""A daemon's services behind a real control server on loopback, in a thread of their own."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec
from tests.peers import credential_of, open_trust
from tests.product.failover.fakes import Target

from bodydouble.control.api import Backends, build_app
from bodydouble.control.server import ControlServer
from bodydouble.control.settings import ControlSettings
from bodydouble.control.statistics import StatisticsRing
from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.guard.service import Guard
from bodydouble.guard.settings import GuardSettings
from bodydouble.replication.context import Context
from bodydouble.replication.coverage import Coverage
from bodydouble.replication.figures import replica_figures, together
from bodydouble.replication.home import SetHome
from bodydouble.replication.settings import ReplicationSettings
from bodydouble.security.pairing import Pairing
from bodydouble.security.tokens import Tokens
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.orphans import Orphan, OrphanReport, OrphanTotals
from bodydouble.vocabulary.records import (
    ConnectionStatus,
    ConnectRequest,
    Progress,
    ReplicationSet,
    RestorationStatus,
    RestoreRequest,
    Rule,
    TargetConnectionStatus,
)
from bodydouble.vocabulary.restoration import Restorable
from bodydouble.vocabulary.statistics import ConnectionFigures, Figures, ReplicaFigures
from bodydouble.vocabulary.tasks import TaskReceipt, TaskRequest
from bodydouble.vocabulary.transmission import TransmissionOptions
from bodydouble.vocabulary.verification import (
    Difference,
    VerificationDetails,
    VerificationOptions,
    VerificationReport,
    VerificationSchedule,
    VerificationTotals,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

    from bodydouble.security.trust import Trust
    from bodydouble.vocabulary.applications import ApplicationDirectory
    from bodydouble.vocabulary.mirror import MirrorOrder
    from bodydouble.vocabulary.orphans import OrphanRequest

TOKEN = "correct horse"
CERTIFICATE = credential_of("TARGET").certificate


@dataclass
class FakeCounters:
    queue_operations: int = 1
    queue_bytes: int = 2
    operations_generated: int = 3
    operations_acknowledged: int = 4
    operations_applied: int = 5


class FakeVerifier:
    def __init__(self) -> None:
        self.kept: list[VerificationReport] = []
        self.end_state = "complete"
        self.found = 0

    def reports(self) -> list[VerificationReport]:
        return self.kept

    async def details(self, number: int) -> VerificationDetails:
        totals = VerificationTotals(files=2, missing=self.found)
        ended = msgspec.structs.replace(self.kept[number - 1], state=cast("Any", self.end_state), totals=totals)
        return VerificationDetails(ended, [Difference("C:/InetPub/gone.htm", "missing")] * self.found)


class FakeOrders:
    """Notes what was ordered, and answers as the service does."""

    def __init__(self, service: FakeReplication) -> None:
        self.service = service
        self.heard: list[Any] = []
        self.options = TransmissionOptions()

    async def reroute(self, id_: int, route: str) -> ConnectionStatus:
        self.heard.append(("route", id_, route))
        return msgspec.structs.replace(self.service.connected[id_], route=route)

    async def order_replication(self, id_: int, *, running: bool) -> ConnectionStatus:
        self.heard.append(("replication", id_, running))
        return msgspec.structs.replace(self.service.connected[id_], replication_stopped=not running)

    def transmission(self, id_: int) -> TransmissionOptions:
        assert id_ in self.service.connected
        return self.options

    async def set_transmission(self, id_: int, options: TransmissionOptions) -> ConnectionStatus:
        self.options = options
        return self.service.connected[id_]

    def find_orphans(self, id_: int, request: OrphanRequest) -> OrphanReport:
        self.heard.append(request)
        self.service.orphans.found[id_] = OrphanReport(
            connection=id_, replication_set="IIS", target="t:1", during="search", action=request.action,
            min_age=request.min_age, started=datetime(2002, 12, 2, tzinfo=UTC),
            totals=OrphanTotals(files=1, bytes=7), orphans=[Orphan("C:/InetPub/old.htm", "file", 7, young=True)],
        )  # fmt: skip
        return self.service.orphans.found[id_]

    async def order_mirror(self, id_: int, word: str) -> ConnectionStatus:
        if word == "resume":
            raise ConnectionStateError(f"connection {id_}: no mirror is paused")
        self.heard.append((word, id_))
        state = {"pause": "paused", "stop": "stopped"}[word]
        return msgspec.structs.replace(self.service.connected[id_], mirror_state=cast("Any", state))

    async def order_transmission(self, id_: int, order: str) -> ConnectionStatus:
        if order == "resume":
            raise ConnectionStateError("transmission is started: resume is not possible")
        self.heard.append((order, id_))
        return msgspec.structs.replace(self.service.connected[id_], transmission="paused")

    async def queue_task(self, id_: int, request: TaskRequest) -> TaskReceipt:
        self.heard.append(request)
        return TaskReceipt(f"stream-{id_}/task-1", request.on)

    async def pause_target(self, source: str, replication_set: str, *, paused: bool) -> TargetConnectionStatus:
        self.heard.append((source, replication_set, paused))
        (status,) = self.service.target_connections()
        return msgspec.structs.replace(status, state="paused" if paused else "ok")


class FakeOrphans:
    """A search is complete, or interrupted, at the second look."""

    def __init__(self) -> None:
        self.found: dict[int, OrphanReport] = {}
        self.end_state = "complete"

    def report(self, id_: int) -> OrphanReport | None:
        found = self.found.get(id_)
        return None if found is None else msgspec.structs.replace(found, state=cast("Any", self.end_state))

    async def stop(self, id_: int) -> None:
        raise ConnectionStateError(f"connection {id_}: no search for orphans is running")


class FakeReplication:
    def __init__(self) -> None:
        self.orphans = FakeOrphans()
        self.orders = FakeOrders(self)
        self.drained: list[int] = []
        self.asked: list[ConnectRequest] = []
        self.verifier = FakeVerifier()
        self.schedules: dict[int, VerificationSchedule] = {}
        self.asked_to_renew = ""
        self.home: SetHome
        self.context: Context
        self.coverage: Coverage
        self.connected: dict[int, ConnectionStatus] = {}
        self.polls_until_mirrored = 0
        self.end_state = "replicating"
        self.defect = False

    def counters(self) -> FakeCounters:
        return FakeCounters()

    def figures(self) -> tuple[Figures, list[ConnectionFigures], list[ReplicaFigures]]:
        connections = [
            ConnectionFigures(
                id=each.id, replication_set=each.replication_set, target=f"{each.target}:1", state=each.state,
                operations_generated=7, operations_queued=2, queue_memory_bytes=2_500_000, lag_s=1.25,
            )
            for each in self.connected.values()
        ]  # fmt: skip
        replicas = [replica_figures(each) for each in self.target_connections()]
        return together(connections), connections, replicas

    def sets(self) -> list[ReplicationSet]:
        if self.defect:
            raise RuntimeError("planted")
        return self.home.sets()

    async def save_set(
        self, replication_set: ReplicationSet, *, new: bool = False, remirror: bool = True
    ) -> ReplicationSet:
        saved = await self.home.save(replication_set, new=new, remirror=remirror)
        await self.coverage.saved()
        return saved

    async def delete_set(self, name: str, *, disconnect: bool = False) -> None:
        for each in list(self.connected.values()) if disconnect else []:
            await self.disconnect(each.id)
        await self.home.delete(name)

    def users(self, name: str) -> list[Any]:
        return [self for each in self.connected.values() if each.replication_set == name]

    def renew(self, why: str) -> None:
        self.asked_to_renew = why

    def keep(self, earlier: ReplicationSet) -> None:
        self.asked_to_renew = f"keep {earlier.name}"

    def connections(self) -> list[ConnectionStatus]:
        if self.polls_until_mirrored:
            self.polls_until_mirrored -= 1
        else:
            self.connected = {
                key: ConnectionStatus(
                    id=key, replication_set=item.replication_set, target=item.target, port=item.port,
                    state=cast("Any", self.end_state), mirror=Progress(files_done=1, files_total=1),
                )
                for key, item in self.connected.items()
            }  # fmt: skip
        return list(self.connected.values())

    def target_connections(self) -> list[TargetConnectionStatus]:
        return [
            TargetConnectionStatus(
                source="WEB1",
                replication_set="IIS",
                connected=True,
                mirroring=False,
                restore_required=True,
                state="restore-required",
            )
        ]

    async def connect(self, request: ConnectRequest) -> ConnectionStatus:
        self.home.find(request.replication_set)
        id_ = len(self.connected) + 1
        self.asked.append(request)
        self.connected[id_] = ConnectionStatus(
            id=id_, replication_set=request.replication_set, target=request.target, port=request.port, state="mirroring"
        )
        return self.connected[id_]

    async def disconnect(self, id_: int, *, drain: bool = False) -> None:
        del self.connected[id_]
        self.drained += [id_] if drain else []

    async def start_mirror(self, id_: int, order: MirrorOrder) -> ConnectionStatus:
        if self.connected[id_].state == "stopped":
            raise ConnectionStateError("stopped: connect first")
        self.orders.heard.append(order)
        return self.connected[id_]

    def verify(self, id_: int, options: VerificationOptions) -> VerificationReport:
        if self.connected[id_].state == "stopped":
            raise ConnectionStateError("stopped: connect first")
        report = VerificationReport(
            number=len(self.verifier.kept) + 1, connection=id_, replication_set="IIS", target="t:1", options=options,
            started=datetime(2002, 12, 2, tzinfo=UTC),
        )  # fmt: skip
        self.verifier.kept.append(report)
        return report

    async def stop_verification(self, id_: int) -> None:
        raise ConnectionStateError(f"connection {id_}: no verification is running")

    def verification_schedule(self, id_: int) -> VerificationSchedule | None:
        return self.schedules.get(id_)

    async def schedule_verification(self, id_: int, schedule: VerificationSchedule | None) -> None:
        self.schedules.pop(id_, None)
        if schedule is not None:
            self.schedules[id_] = schedule


class FakeApplications:
    def __init__(self) -> None:
        self.known: list[ApplicationDirectory] = []

    async def directories(self) -> list[ApplicationDirectory]:
        return self.known


class FakeRestoration:
    def __init__(self) -> None:
        self.begun: list[RestorationStatus] = []
        self.end_state = "complete"
        self.stays_required = ""
        self.required = True

    async def restore(self, request: RestoreRequest) -> RestorationStatus:
        status = RestorationStatus(id=len(self.begun) + 1, request=request, state="running", progress=Progress())
        self.begun.append(status)
        return status

    async def stop(self, id_: int) -> RestorationStatus:
        self.end_state = "stopped"
        return self.restorations()[id_ - 1]

    def restorable(self) -> list[Restorable]:
        rules = [Rule(path="C:/InetPub")]
        return [Restorable("WEB1", ReplicationSet(name="IIS", rules=rules), required=self.required, complete=True)]

    async def clear(self, source: str, replication_set: str) -> Restorable:
        if (source, replication_set) != ("WEB1", "IIS"):
            raise InputError(f"no replica of {source}'s {replication_set!r} on this machine")
        self.required = False
        return self.restorable()[0]

    def restorations(self) -> list[RestorationStatus]:
        return [
            RestorationStatus(
                id=item.id,
                request=item.request,
                state=cast("Any", self.end_state),
                progress=Progress(),
                detail=self.stays_required or "no room",
                stays_required=self.stays_required,
            )
            for item in self.begun
        ]


class Served:
    """What a test reaches: the fakes and the port on which they are served."""

    def __init__(self) -> None:
        self.target = Target()
        self.replication = FakeReplication()
        self.restoration = FakeRestoration()
        self.applications = FakeApplications()
        self.statistics: StatisticsRing
        self.trust: Trust
        self.pairing: Pairing
        self.port = 0
        self.loop: asyncio.AbstractEventLoop
        self.stop: asyncio.Event

    def record(self, *texts: str) -> None:
        """Have the daemon note events, and wait until it has."""

        async def note() -> None:
            for text in texts:
                self.target.events.record(EventCode.CONNECTED, text)

        asyncio.run_coroutine_threadsafe(note(), self.loop).result(10)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait, in the test's own thread, for something that the daemon's thread brings about."""
        passed = threading.Event()
        for _ in range(1000):
            if condition():
                return
            passed.wait(0.01)
        raise AssertionError("the condition never held")

    async def build(self, token: str = TOKEN) -> ASGIApp:
        return build_app(await self.backends(token))

    async def backends(self, token: str = TOKEN) -> Backends:
        await self.target.start()
        replication = cast("Any", self.replication)
        self.statistics = StatisticsRing(self.target.clock, replication, self.target.service)
        host, events = replace(self.target.host, applications=self.applications), self.target.events
        self.trust = await open_trust("TARGET", host, StateStore(host.file_system, "/state", host.clock), events)
        self.pairing = Pairing(self.trust, host.entropy, events)
        context = Context(host, ReplicationSettings(), events, ["/state"], self.trust)
        store = StateStore(host.file_system, "/state", host.clock)
        self.replication.context = context
        self.replication.home = SetHome(
            context, store, self.replication.users, lambda part, name: asyncio.create_task(part, name=name)
        )
        self.replication.coverage = Coverage(
            context,
            self.replication.home,
            lambda: [each.replication_set for each in self.replication.connected.values()],
        )
        return Backends(
            self.target.host,
            self.target.events,
            replication,
            cast("Any", self.restoration),
            self.target.service,
            Guard(self.target.host, GuardSettings(), store, events, lambda: False, leasing=self.target),
            self.statistics,
            self.trust,
            self.pairing,
            lambda: None,
            Tokens(token, store, host.entropy, host.clock, events),
        )

    async def run(self, started: threading.Event, stop: asyncio.Event) -> None:
        app = await self.build()
        server = ControlServer(ControlSettings(token=TOKEN, port=0), app, self.trust)
        tasks = [
            asyncio.create_task(server.run(), name="control"),
            asyncio.create_task(self.statistics.run(), name="statistics"),
        ]
        await server.ready.wait()
        self.port = server.port
        started.set()
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self.target.stop()


@contextmanager
def serving() -> Iterator[Served]:
    """Serve the fakes in a thread, so that a test may run its own loop against them."""
    served = Served()
    started = threading.Event()
    inside: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        inside.append((asyncio.get_running_loop(), stop))
        served.loop, served.stop = inside[0]
        await served.run(started, stop)

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="daemon under test")
    thread.start()
    assert started.wait(10)
    try:
        yield served
    finally:
        loop, stop = inside[0]
        if not loop.is_closed():  # a test may have ended it
            loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        assert not thread.is_alive()
