"""ReplicationService: replication sets, connections to targets, and the target side, of one daemon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from bodydouble.errors import ConnectionStateError, FileSystemError, InputError, PathError
from bodydouble.replication.claims import Claims
from bodydouble.replication.contact import ConnectionRecord
from bodydouble.replication.context import Context
from bodydouble.replication.coverage import Coverage
from bodydouble.replication.figures import Ledger, figures_of, replica_figures
from bodydouble.replication.home import SetHome
from bodydouble.replication.mapping import check_mapping
from bodydouble.replication.orders import Orders, check_host
from bodydouble.replication.orphan_log import OrphanLog
from bodydouble.replication.orphan_search import OrphanSearch
from bodydouble.replication.place import covers
from bodydouble.replication.protocol import PROTOCOL, Wire
from bodydouble.replication.resumption import notes_name
from bodydouble.replication.rules import Selection, fold, roots_of, same
from bodydouble.replication.schedule import check_schedule
from bodydouble.replication.source import SourceConnection
from bodydouble.replication.standing_in import StandingIn
from bodydouble.replication.target import TargetRegistry, TargetSession
from bodydouble.replication.task_runner import TaskRunner
from bodydouble.replication.tasks import cancel
from bodydouble.replication.verifier import Verifier
from bodydouble.security.listener import Limits, PeerListener
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.mapping import PathMapping
from bodydouble.vocabulary.mirror import AS_CONNECTED, MirrorOrder
from bodydouble.vocabulary.records import ConnectRequest, ReplicationSet, RestoreRequest

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from bodydouble.ports import Host
    from bodydouble.replication.settings import ReplicationSettings
    from bodydouble.security.pairing import Pairing
    from bodydouble.security.trust import Trust
    from bodydouble.state.events import EventLog
    from bodydouble.state.store import StateStore
    from bodydouble.vocabulary.records import ConnectionStatus, Peer, TargetConnectionStatus
    from bodydouble.vocabulary.statistics import ConnectionFigures, Figures, ReplicaFigures
    from bodydouble.vocabulary.verification import VerificationOptions, VerificationReport, VerificationSchedule

_SAVE_RETRY_SECONDS = 5.0

Mapped = TypeVar("Mapped", ConnectRequest, RestoreRequest)


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """What statistics are made of: the queues now, and counts since the daemon started."""

    queue_operations: int
    queue_bytes: int
    operations_generated: int
    operations_acknowledged: int
    operations_applied: int


class RunRecord(msgspec.Struct, frozen=True):
    """One run of the daemon; ``clean`` once it ended in order."""

    number: int
    clean: bool


class ConnectionList(msgspec.Struct, frozen=True):
    """The persisted connections; ids are never used twice."""

    next_id: int
    connections: list[ConnectionRecord]


class ReplicationService:
    """Replication as source and as target.

    A source's queue, in memory and on disk, ends with its daemon. Operations that are queued and not acknowledged then
    are taken out of the filter's records at the next start, if those are still there (`resumption`); otherwise that
    mirrors (or waits for an operator, as the connection's settings say).

    Args:
        host: the machine's ports.
        settings: see `ReplicationSettings`.
        store: where sets, connections and replicas are kept; its directory is never replicated.
        events: the events log.
        trust: this machine's certificate and peers; loaded before this runs.
        pairing: attends machines that come to the same port to be paired.

    Raises:
        InputError: a setting is out of range.
    """

    def __init__(
        self,
        host: Host,
        settings: ReplicationSettings,
        store: StateStore,
        events: EventLog,
        *,
        trust: Trust,
        pairing: Pairing,
    ) -> None:
        self.ready = asyncio.Event()
        self.port = settings.port
        _check_accepted(settings)
        self.context = Context(host, settings, events, [store.directory, *_own_directories(settings)], trust)
        self.context.tasks = TaskRunner(self.context, store, self.spawn_now)
        self.context.orphan_log = OrphanLog(events, host.clock, store, self.spawn_now)
        self.context.claims = Claims(store)
        limits = Limits(settings.handshake_timeout, settings.max_handshakes, settings.max_handshakes_per_address)
        self._listener = PeerListener(PROTOCOL, trust, pairing, events=events, limits=limits, attend=self._attend)
        trust.subscribe(self._peers_changed)
        self.registry = TargetRegistry(self.context, store)
        self.registry.outgoing = self
        self.standing_in = StandingIn(self.context, self.registry)
        self.context.lineage = self.registry.lineage
        self.orders = Orders(self)
        self.home = SetHome(self.context, store, self._of_set, self.spawn)
        self.coverage = Coverage(self.context, self.home, self._connected_sets)
        self.verifier = Verifier(self.context, store, self.spawn_now)
        self.orphans = OrphanSearch(self.context, self.context.orphan_log, self.spawn_now)
        self._store = store
        self._connections: dict[int, SourceConnection] = {}
        self._ledger = Ledger()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._next_id = 1
        self._run = RunRecord(0, clean=True)
        self._group: asyncio.TaskGroup | None = None
        self._sessions = 0
        self._changed = asyncio.Event()

    # --- life ---

    async def run(self) -> None:
        """Load what is kept, listen, bring persisted connections up; until cancelled.

        Raises:
            StateError: what is kept cannot be understood.
            InputError: the address or port cannot be listened on.
        """
        await self._load()
        async with asyncio.TaskGroup() as group:
            self._group = group
            await self._listen()
            try:
                group.create_task(self._save_changes(), name="bodydouble-replication-saver")
                self.registry.start(self.spawn_now)
                for connection in self._connections.values():
                    self._start(connection)
                await self.coverage.connected()
                self.ready.set()
                await asyncio.Event().wait()
            finally:
                self.ready.clear()
                await self._listener.close()
                await self._stop()

    async def _load(self) -> None:
        earlier = await self._store.load("run", RunRecord)
        clean = earlier is None or earlier.clean
        self._run = RunRecord(1 if earlier is None else earlier.number + 1, clean=False)
        await self.home.load()
        stored = await self._store.load("connections", ConnectionList)
        await self.registry.load(clean=clean)
        await self.verifier.log.load()
        await self.context.orphan_log.load()
        await self.context.claims.load()
        for record in [] if stored is None else stored.connections:
            if record.draining:
                self._drained(record, "its queue ended with the daemon")
                continue
            connection = self._add(record if clean else msgspec.structs.replace(record, trusted=False))
            connection.attached = record.request.auto_reconnect
        self._next_id = 1 if stored is None else stored.next_id
        self._keep_notes()
        if stored is not None and stored.connections:
            await self.save_connections()
        await self._store.save("run", self._run)
        host = self.context.host
        # The active name changes while scripts run (Chngname, application note); the permanent one says who this is.
        self.context.source_name = (await host.identity.query()).permanent_name
        self.context.incarnation = f"{self._run.number}@{host.clock.now().isoformat()}"
        self.context.identity = self.context.trust.credential.fingerprint

    def _keep_notes(self) -> None:
        self.context.host.file_filter.keep_notes([notes_name(id_) for id_ in self._connections])

    async def _listen(self) -> None:
        settings = self.context.settings
        server = await self._listener.open(settings.address, settings.port, self.spawn)
        if not settings.port:
            self.port = server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        """End connections and sessions, then note that this run ended in order."""
        await self.verifier.close()
        await self.orphans.close()
        await self.home.close()
        await cancel(*self._tasks.values())
        await self.context.tasks.close()
        await self.registry.sever_all("the daemon stops")
        await self.registry.stop()
        try:
            await self.save_connections()
            await self._store.save("run", RunRecord(self._run.number, clean=True))
        except FileSystemError as error:
            self.context.events.record(EventCode.REPLICATION_ERROR, f"state could not be saved: {error}")

    def spawn(self, part: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run ``part`` as a task that ends with this service.

        Raises:
            ConnectionStateError: the service does not run.
        """
        if self._group is None or not self.ready.is_set():
            part.close()
            raise ConnectionStateError("replication is not running yet")
        return self._group.create_task(part, name=name)

    async def _attend(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._sessions >= self.context.settings.max_sessions:
            return
        self._sessions += 1
        try:
            wire = Wire(reader, writer, self.context.settings.peer_timeout, peer)
            await TargetSession(self.context, self.registry, self, wire).run()
        finally:
            self._sessions -= 1

    def _peers_changed(self) -> None:
        for connection in self._connections.values():
            connection.retry()

    # --- replication sets ---

    async def save_set(
        self, replication_set: ReplicationSet, *, new: bool = False, remirror: bool = True
    ) -> ReplicationSet:
        """See `SetHome.save`; what applications need and no set holds becomes an event."""
        saved = await self.home.save(replication_set, new=new, remirror=remirror)
        await self.coverage.saved()
        return saved

    async def delete_set(self, name: str, *, disconnect: bool = False) -> None:
        """Forget a set; with ``disconnect`` its connections end first, and what they have queued is dropped.

        Raises:
            InputError: there is no such set.
            ConnectionStateError: a connection uses it.
        """
        self.home.find(name)
        for connection in self._of_set(name) if disconnect else []:
            await self.disconnect(connection.record.id)
        await self.home.delete(name)

    def sets(self) -> list[ReplicationSet]:
        """All saved sets, in the order in which they were first saved."""
        return self.home.sets()

    # --- connections ---

    async def connect(self, request: ConnectRequest) -> ConnectionStatus:
        """Connect a set to a target; an existing connection of that set to that target is used again, at once.

        Raises:
            InputError: there is no such set, or the target, port, mapping or schedule cannot be.
            ConnectionStateError: the service does not run.
        """
        request = self._checked(request)
        for connection in self._of_set(request.replication_set):
            earlier = connection.record.request
            if (earlier.target.casefold(), earlier.port) == (request.target.casefold(), request.port):
                connection.reconnect(request)
                self.share_compression(connection)
                await self.save_connections()
                await self.coverage.connected()
                return connection.status()
        connection = self._add(ConnectionRecord(id=self._next_id, request=request))
        connection.mirror_ordered = True
        self._next_id += 1
        self.share_compression(connection)
        await self.save_connections()
        self._start(connection)
        await self.coverage.connected()
        return connection.status()

    def _checked(self, request: ConnectRequest) -> ConnectRequest:
        """The request with paths in product form.

        Raises:
            InputError: see `connect`.
        """
        found = self.home.find(request.replication_set)
        if not request.target or not 0 < request.port <= 65535:  # noqa: PLR2004 - TCP's range
            raise InputError(f"target {request.target!r} port {request.port}: expected a host and a port of 1 to 65535")
        for host in filter(None, (request.target, request.route)):
            check_host(host)
        request = normal_mapping(request)
        key = same if self.context.host.file_system.case_sensitive else fold
        check_mapping(roots_of(found, key), request.mapping, request.base, key)
        if request.transmission.schedule is not None:
            check_schedule(request.transmission.schedule)
        return request

    def share_compression(self, changed: SourceConnection) -> None:
        """All connections to one route compress alike."""
        level = changed.record.request.transmission.compression
        for each in self._connections.values():
            options = each.record.request.transmission
            if each.record.route.casefold() == changed.record.route.casefold() and options.compression != level:
                each.transmit(msgspec.structs.replace(options, compression=level))

    async def disconnect(self, id_: int, *, drain: bool = False) -> None:
        """End a connection and forget it; the replica stays as it is.

        Args:
            id_: the connection's number.
            drain: first send what is queued until now; returns at once, and the connection goes when that is done.
                Otherwise what is queued is dropped.

        Raises:
            InputError: there is no such connection.
        """
        connection = self.connection(id_)
        if not drain:
            await self._remove(connection)
            return
        request = connection.record.request
        text = f"{request.replication_set} to {request.target}:{request.port}: disconnects when its queue is sent"
        await self.context.host.file_filter.settled()
        if not connection.record.draining:
            self.context.events.record(EventCode.DRAINING, text)
            connection.drain()
            await self.save_connections()
            self.spawn_now(self._drain(connection), f"bodydouble-drain-{id_}")

    async def _drain(self, connection: SourceConnection) -> None:
        complete = await connection.drained()
        if connection.record.draining and self._connections.get(connection.record.id) is connection:
            await self._remove(connection, "" if complete else "what was queued is lost")

    async def _remove(self, connection: SourceConnection, why: str = "") -> None:
        id_ = connection.record.id
        await self.verifier.forget(id_)
        await self.orphans.forget(id_)
        task = self._tasks.pop(id_, None)
        if task is not None:
            await cancel(task)
        self._connections.pop(id_, None)
        self._keep_notes()
        self._ledger.forget(connection)
        await self.save_connections()
        self._drained(connection.record, why)

    def _drained(self, record: ConnectionRecord, why: str) -> None:
        request = record.request
        text = f"{request.replication_set} to {request.target}:{request.port}: disconnected"
        self.context.events.record(EventCode.DISCONNECTED, f"{text}, {why}" if why else text)

    async def start_mirror(self, id_: int, order: MirrorOrder = AS_CONNECTED) -> ConnectionStatus:
        """Mirror now, on an operator's order.

        Raises:
            InputError: there is no such connection.
            ConnectionStateError: a mirror is running, or a verification.
        """
        connection = self.connection(id_)
        connection.start_mirror(order)
        return connection.status()

    def verify(self, id_: int, options: VerificationOptions) -> VerificationReport:
        """Begin to compare source and replica, on an operator's order.

        Raises:
            InputError: there is no such connection.
            ConnectionStateError: the mirror is not complete, or one or a verification is running.
        """
        return self.verifier.start(self.connection(id_), options)

    async def stop_verification(self, id_: int) -> None:
        """Stop comparing.

        Raises:
            InputError: there is no such connection.
            ConnectionStateError: no verification is running.
        """
        self.connection(id_)
        await self.verifier.stop(id_)

    def verification_schedule(self, id_: int) -> VerificationSchedule | None:
        """When the connection is verified by itself.

        Raises:
            InputError: there is no such connection.
        """
        return self.connection(id_).record.verification

    async def schedule_verification(self, id_: int, schedule: VerificationSchedule | None) -> None:
        """Verify the connection by itself from now on, or no more.

        Raises:
            InputError: there is no such connection.
        """
        connection = self.connection(id_)
        connection.schedule(schedule)
        await self.save_connections()
        self.verifier.attend(connection)

    def connections(self) -> list[ConnectionStatus]:
        """This machine's connections as source."""
        return [connection.status() for connection in self._connections.values()]

    def target_connections(self) -> list[TargetConnectionStatus]:
        """The replicas that this machine holds."""
        return self.registry.statuses()

    def connection(self, id_: int) -> SourceConnection:
        """A connection by its number.

        Raises:
            InputError: there is none.
        """
        found = self._connections.get(id_)
        if found is None:
            raise InputError(f"there is no connection {id_}")
        return found

    def _of_set(self, name: str) -> list[SourceConnection]:
        return [each for each in self._connections.values() if each.record.request.replication_set == name]

    def _connected_sets(self) -> list[str]:
        return [each.record.request.replication_set for each in self._connections.values()]

    def _add(self, record: ConnectionRecord) -> SourceConnection:
        name = record.request.replication_set
        connection = SourceConnection(
            self.context, record, "replicate", lambda: self.home.find(name), self._changed.set
        )
        self._connections[record.id] = connection
        return connection

    def _start(self, connection: SourceConnection) -> None:
        id_ = connection.record.id
        self._tasks[id_] = self.spawn_now(connection.run(), f"bodydouble-connection-{id_}")
        self.verifier.attend(connection)

    def spawn_now(self, part: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Like `spawn`, also while the service is coming up.

        Raises:
            ConnectionStateError: it has not begun to.
            RuntimeError: it is ending, and takes no more tasks; ``part`` is closed without a step.
        """
        if self._group is None:
            part.close()
            raise ConnectionStateError("replication is not running yet")
        try:
            return self._group.create_task(part, name=name)
        except RuntimeError:
            part.close()
            raise

    async def save_connections(self) -> None:
        """Make durable what is known of the connections.

        Raises:
            FileSystemError: the volume refused.
        """
        records = [connection.record for connection in self._connections.values()]
        await self._store.save("connections", ConnectionList(self._next_id, records))

    async def _save_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.save_connections()
            except FileSystemError:
                await asyncio.sleep(_SAVE_RETRY_SECONDS)
                self._changed.set()

    # --- standing in, restoration, observation ---

    def stood_in_for(self) -> bool:
        """Whether a target may stand in for this machine: it says that data must be restored first, or is silent."""
        return any(each.state in ("restore-required", "retrying") for each in self._connections.values())

    def suspend_set(self, name: str, why: str) -> None:
        """A restoration of the set into this machine begins: its outgoing connections wait."""
        for connection in self._of_set(name):
            connection.suspend(why)

    def release_set(self, name: str) -> None:
        """The restoration's session ended: the outgoing connections ask their target again."""
        for connection in self._of_set(name):
            connection.release()

    def covering(self, places: Sequence[str]) -> list[str]:
        """See `bodydouble.replication.admission.OutgoingConnections`."""
        return [
            f"connection {each.record.id} ({each.record.request.replication_set} to {each.record.request.target})"
            for each in self._covering(places)
        ]

    def _covering(self, places: Sequence[str]) -> list[SourceConnection]:
        case_sensitive = self.context.host.file_system.case_sensitive
        return [
            each
            for each in self._connections.values()
            if covers(
                Selection(
                    each.rules(),
                    case_sensitive=case_sensitive,
                    protected=self.context.protected,
                ),
                places,
            )
        ]

    async def greet_again(self, places: Sequence[str]) -> None:
        """See `bodydouble.replication.admission.OutgoingConnections`."""
        for connection in self._covering(places):
            await connection.greet_again()

    def figures(self) -> tuple[Figures, list[ConnectionFigures], list[ReplicaFigures]]:
        """The statistics of this moment: all connections together, each of them, and each replica here."""
        connections = [figures_of(each) for each in self._connections.values()]
        replicas = [replica_figures(each) for each in self.target_connections()]
        return self._ledger.total(connections), connections, replicas

    def counters(self) -> Counters:
        """The figures of this moment."""
        totals = self.context.totals
        queues = [each.stream.queue for each in self._connections.values() if each.stream is not None]
        return Counters(
            queue_operations=sum(len(queue) for queue in queues),
            queue_bytes=sum(queue.bytes for queue in queues),
            operations_generated=totals.generated,
            operations_acknowledged=totals.acknowledged,
            operations_applied=totals.applied,
        )


def _own_directories(settings: ReplicationSettings) -> list[str]:
    """Directories that the settings name and that are never replicated.

    Raises:
        InputError: one that cannot be.
    """
    found = []
    for name in ("task_directory", "orphan_directory"):
        try:
            found += [paths.normalise(path)] if (path := getattr(settings, name)) else []
        except PathError as error:
            raise InputError(f"replication.{name}: {error}") from error
    return found


def normal_mapping(request: Mapped) -> Mapped:
    """A request with the paths of its mapping in product form.

    Raises:
        InputError: a path that cannot be.
    """
    try:
        mapping = [PathMapping(paths.normalise(each.source), paths.normalise(each.target)) for each in request.mapping]
        base = paths.normalise(request.base) if request.base else ""
    except PathError as error:
        raise InputError(f"mapping: {error}") from error
    return msgspec.structs.replace(request, mapping=mapping, base=base)


def _check_accepted(settings: ReplicationSettings) -> None:
    """Raises InputError: a directory that cannot be."""
    for root in settings.accepted_roots or ():
        try:
            paths.normalise(root)
        except PathError as error:
            raise InputError(f"replication.accepted_roots: {error}") from error
