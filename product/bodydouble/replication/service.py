"""ReplicationService: replication sets, connections to targets, and the target side, of one daemon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from bodydouble.errors import ConnectionStateError, FileSystemError, InputError, PathError
from bodydouble.replication.context import Context
from bodydouble.replication.protocol import PROTOCOL, Wire
from bodydouble.replication.rules import check_set
from bodydouble.replication.source import ConnectionRecord, SourceConnection
from bodydouble.replication.target import TargetRegistry, TargetSession
from bodydouble.replication.tasks import cancel
from bodydouble.replication.verifier import Verifier
from bodydouble.security.listener import Limits, PeerListener
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import ReplicationSet

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble.ports import Host
    from bodydouble.replication.settings import ReplicationSettings
    from bodydouble.security.pairing import Pairing
    from bodydouble.security.trust import Trust
    from bodydouble.state.events import EventLog
    from bodydouble.state.store import StateStore
    from bodydouble.vocabulary.records import ConnectionStatus, ConnectRequest, Peer, TargetConnectionStatus
    from bodydouble.vocabulary.verification import VerificationOptions, VerificationReport, VerificationSchedule

_SAVE_RETRY_SECONDS = 5.0


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


class SetList(msgspec.Struct, frozen=True):
    """The saved replication sets."""

    sets: list[ReplicationSet]


class ConnectionList(msgspec.Struct, frozen=True):
    """The persisted connections; ids are never used twice."""

    next_id: int
    connections: list[ConnectionRecord]


class ReplicationService:
    """Replication as source and as target.

    A source's queue, in memory and on disk, ends with its daemon. Operations that are queued and not acknowledged then
    are not sent later: the next start mirrors instead (or waits for an operator, as the connection's settings say).

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
        self.context = Context(host, settings, events, [store.directory], trust)
        limits = Limits(settings.handshake_timeout, settings.max_handshakes, settings.max_handshakes_per_address)
        self._listener = PeerListener(PROTOCOL, trust, pairing, events=events, limits=limits, attend=self._attend)
        trust.subscribe(self._peers_changed)
        self.registry = TargetRegistry(self.context, store)
        self.verifier = Verifier(self.context, store, self.spawn_now)
        self._store = store
        self._sets: dict[str, ReplicationSet] = {}
        self._connections: dict[int, SourceConnection] = {}
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
            server = await self._listen()
            try:
                group.create_task(self._save_changes(), name="bodydouble-replication-saver")
                self.registry.start(self.spawn_now)
                for connection in self._connections.values():
                    self._start(connection)
                self.ready.set()
                await asyncio.Event().wait()
            finally:
                self.ready.clear()
                server.close()
                await self._stop()

    async def _load(self) -> None:
        earlier = await self._store.load("run", RunRecord)
        clean = earlier is None or earlier.clean
        self._run = RunRecord(1 if earlier is None else earlier.number + 1, clean=False)
        stored_sets = await self._store.load("replication-sets", SetList)
        self._sets = {} if stored_sets is None else {each.name: each for each in stored_sets.sets}
        stored = await self._store.load("connections", ConnectionList)
        await self.registry.load(clean=clean)
        await self.verifier.log.load()
        for record in [] if stored is None else stored.connections:
            self._add(record if clean else msgspec.structs.replace(record, trusted=False))
        self._next_id = 1 if stored is None else stored.next_id
        if self._connections:
            await self._save_connections()
        await self._store.save("run", self._run)
        host = self.context.host
        # The active name changes while scripts run (Chngname, application note); the permanent one says who this is.
        self.context.source_name = (await host.identity.query()).permanent_name
        self.context.incarnation = f"{self._run.number}@{host.clock.now().isoformat()}"

    async def _listen(self) -> asyncio.Server:
        settings = self.context.settings
        server = await self._listener.open(settings.address, settings.port, self.spawn)
        if not settings.port:
            self.port = server.sockets[0].getsockname()[1]
        return server

    async def _stop(self) -> None:
        """End connections and sessions, then note that this run ended in order."""
        await self.verifier.close()
        await cancel(*self._tasks.values())
        await self.registry.sever_all("the daemon stops")
        await self.registry.stop()
        try:
            await self._save_connections()
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

    async def save_set(self, replication_set: ReplicationSet) -> None:
        """Save a set under its name; connections that use it remirror when it changed.

        Raises:
            InputError: the set is not one that can be replicated.
        """
        normal = _normalised(replication_set)
        check_set(normal)
        changed = self._sets.get(normal.name) != normal
        self._sets[normal.name] = normal
        await self._store.save("replication-sets", SetList(list(self._sets.values())))
        if changed:
            for connection in self._of_set(normal.name):
                connection.renew("the replication set was changed")

    async def delete_set(self, name: str) -> None:
        """Forget a set.

        Raises:
            InputError: there is no such set.
            ConnectionStateError: a connection uses it.
        """
        self._find_set(name)
        if self._of_set(name):
            raise ConnectionStateError(f"replication set {name!r} is connected: disconnect it first")
        del self._sets[name]
        await self._store.save("replication-sets", SetList(list(self._sets.values())))

    def sets(self) -> list[ReplicationSet]:
        """All saved sets, in the order in which they were first saved."""
        return list(self._sets.values())

    def _find_set(self, name: str) -> ReplicationSet:
        found = self._sets.get(name)
        if found is None:
            raise InputError(f"there is no replication set {name!r}: save it first")
        return found

    # --- connections ---

    async def connect(self, request: ConnectRequest) -> ConnectionStatus:
        """Connect a set to a target; an existing connection of that set to that target is used again, at once.

        Raises:
            InputError: there is no such set, or the target or port cannot be.
            ConnectionStateError: the service does not run.
        """
        self._find_set(request.replication_set)
        if not request.target or not 0 < request.port <= 65535:  # noqa: PLR2004 - TCP's range
            raise InputError(f"target {request.target!r} port {request.port}: expected a host and a port of 1 to 65535")
        try:
            request.target.encode("idna")
        except UnicodeError as error:
            raise InputError(f"target {request.target!r} is not a host name: {error}") from error
        for connection in self._of_set(request.replication_set):
            earlier = connection.record.request
            if (earlier.target.casefold(), earlier.port) == (request.target.casefold(), request.port):
                connection.reconnect(request)
                await self._save_connections()
                return connection.status()
        connection = self._add(ConnectionRecord(id=self._next_id, request=request))
        connection.mirror_ordered = True
        self._next_id += 1
        await self._save_connections()
        self._start(connection)
        return connection.status()

    async def disconnect(self, id_: int) -> None:
        """End a connection and forget it; the replica stays as it is.

        Raises:
            InputError: there is no such connection.
        """
        connection = self._connection(id_)
        await self.verifier.forget(id_)
        task = self._tasks.pop(id_, None)
        if task is not None:
            await cancel(task)
        self._connections.pop(id_, None)
        await self._save_connections()
        request = connection.record.request
        self.context.events.record(
            EventCode.DISCONNECTED, f"{request.replication_set} to {request.target}:{request.port}: disconnected"
        )

    async def start_mirror(self, id_: int) -> ConnectionStatus:
        """Mirror now, on an operator's order.

        Raises:
            InputError: there is no such connection.
            ConnectionStateError: a mirror is running.
        """
        connection = self._connection(id_)
        connection.start_mirror()
        return connection.status()

    def verify(self, id_: int, options: VerificationOptions) -> VerificationReport:
        """Begin to compare source and replica, on an operator's order.

        Raises:
            InputError: there is no such connection.
            ConnectionStateError: the mirror is not complete, or one or a verification is running.
        """
        return self.verifier.start(self._connection(id_), options)

    async def stop_verification(self, id_: int) -> None:
        """Stop comparing.

        Raises:
            InputError: there is no such connection.
            ConnectionStateError: no verification is running.
        """
        self._connection(id_)
        await self.verifier.stop(id_)

    def verification_schedule(self, id_: int) -> VerificationSchedule | None:
        """When the connection is verified by itself.

        Raises:
            InputError: there is no such connection.
        """
        return self._connection(id_).record.verification

    async def schedule_verification(self, id_: int, schedule: VerificationSchedule | None) -> None:
        """Verify the connection by itself from now on, or no more.

        Raises:
            InputError: there is no such connection.
        """
        connection = self._connection(id_)
        connection.schedule(schedule)
        await self._save_connections()
        self.verifier.attend(connection)

    def connections(self) -> list[ConnectionStatus]:
        """This machine's connections as source."""
        return [connection.status() for connection in self._connections.values()]

    def target_connections(self) -> list[TargetConnectionStatus]:
        """The replicas that this machine holds."""
        return self.registry.statuses()

    def _connection(self, id_: int) -> SourceConnection:
        found = self._connections.get(id_)
        if found is None:
            raise InputError(f"there is no connection {id_}")
        return found

    def _of_set(self, name: str) -> list[SourceConnection]:
        return [each for each in self._connections.values() if each.record.request.replication_set == name]

    def _add(self, record: ConnectionRecord) -> SourceConnection:
        name = record.request.replication_set
        connection = SourceConnection(
            self.context, record, "replicate", lambda: self._find_set(name), self._changed.set
        )
        self._connections[record.id] = connection
        return connection

    def _start(self, connection: SourceConnection) -> None:
        id_ = connection.record.id
        self._tasks[id_] = self.spawn_now(connection.run(), f"bodydouble-connection-{id_}")
        self.verifier.attend(connection)

    def spawn_now(self, part: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Like `spawn`, also while the service is coming up."""
        if self._group is None:
            part.close()
            raise ConnectionStateError("replication is not running yet")
        return self._group.create_task(part, name=name)

    async def _save_connections(self) -> None:
        records = [connection.record for connection in self._connections.values()]
        await self._store.save("connections", ConnectionList(self._next_id, records))

    async def _save_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._save_connections()
            except FileSystemError:
                await asyncio.sleep(_SAVE_RETRY_SECONDS)
                self._changed.set()

    # --- standing in, restoration, observation ---

    async def stand_in(self, source: str) -> None:
        """This machine takes over from ``source``: mark all its sets durably as restore required, end its sessions.

        Until a restoration clears the mark no 4.2 source replicates over what applications write here meanwhile.
        """
        for replica in self.registry.of_source(source):
            await self.registry.mark(replica)
            name = replica.record.replication_set.name
            state = "" if replica.record.ever_complete else "; its mirror never completed, the data here is partial"
            self.context.events.record(EventCode.RESTORE_REQUIRED, f"{source}: {name}: restore required{state}")

    def suspend_set(self, name: str, why: str) -> None:
        """A restoration of the set into this machine begins: its outgoing connections wait."""
        for connection in self._of_set(name):
            connection.suspend(why)

    def release_set(self, name: str) -> None:
        """The restoration's session ended: the outgoing connections ask their target again."""
        for connection in self._of_set(name):
            connection.release()

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


def _check_accepted(settings: ReplicationSettings) -> None:
    """Raises InputError: a directory that cannot be."""
    for root in settings.accepted_roots or ():
        try:
            paths.normalise(root)
        except PathError as error:
            raise InputError(f"replication.accepted_roots: {error}") from error


def _normalised(replication_set: ReplicationSet) -> ReplicationSet:
    try:
        rules = [msgspec.structs.replace(rule, path=paths.normalise(rule.path)) for rule in replication_set.rules]
    except PathError as error:
        raise InputError(f"replication set {replication_set.name!r}: {error}") from error
    return ReplicationSet(name=replication_set.name, rules=rules)
