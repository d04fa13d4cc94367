"""TargetSession: the target's side of one connection, and TargetRegistry: every replica this machine holds."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from bodydouble.errors import FileSystemError, PairingError, ProtocolError
from bodydouble.replication.admission import MAX_STREAM, SessionRefusedError, check_hello, check_roots
from bodydouble.replication.applier import Applier
from bodydouble.replication.journal.journal import Journal
from bodydouble.replication.protocol import (
    MAX_OPERATION_BYTES,
    Ack,
    AnyMessage,
    Applied,
    Batch,
    Begin,
    Diverged,
    Fragment,
    Hello,
    Item,
    Ping,
    QueueFull,
    Refused,
    Welcome,
    Wire,
)
from bodydouble.replication.queue import SequenceCheck, weigh
from bodydouble.replication.replica import Replica, ReplicaRecord
from bodydouble.replication.rules import Selection
from bodydouble.replication.target_queue import TargetQueue
from bodydouble.replication.tasks import run_together, to_the_end
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import Write
from bodydouble.vocabulary.records import TargetConnectionStatus

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble.replication.applier import Spawn
    from bodydouble.replication.context import Context
    from bodydouble.state.store import StateStore
    from bodydouble.vocabulary.records import Peer, ReplicationSet

MAX_COMMIT_BYTES = 4 * 1024 * 1024
MAX_COMMIT_ITEMS = 4096
MAX_REPLICAS = 1000
MAX_REPLICAS_OF_ONE = 200
_QUEUE_NAME = re.compile(r"target-queue-([0-9]+)")


class OutgoingConnections(Protocol):
    """What a restoration into this machine asks of this machine's own connections."""

    def suspend_set(self, name: str, why: str) -> None:
        """Stop replicating the set."""

    def release_set(self, name: str) -> None:
        """Try to replicate the set again."""


class ReplicaList(msgspec.Struct, frozen=True):
    """The durable list of replicas."""

    replicas: list[ReplicaRecord]


class TargetRegistry:
    """Replicas by source and set, their durable records, and who may connect.

    Args:
        context: the daemon's surroundings.
        store: where the records are kept.
    """

    def __init__(self, context: Context, store: StateStore) -> None:
        self._context = context
        self._store = store
        self._replicas: dict[tuple[str, str], Replica] = {}
        self._receiving: dict[tuple[str, str], Replica] = {}
        self._appliers: dict[int, Applier] = {}
        self._sessions: dict[int, TargetSession] = {}
        self._spawn: Spawn | None = None
        self._next_number = 1
        self._refusals: dict[str, str] = {}

    async def load(self, *, clean: bool) -> None:
        """Read what earlier runs left; after a crash no replica's sizes and times are believed."""
        stored = await self._store.load("target-replicas", ReplicaList)
        for record in [] if stored is None else stored.replicas:
            kept = record if clean else msgspec.structs.replace(record, complete=False)
            self._next_number = max(self._next_number, record.number + 1)
            replica = Replica(self._context, kept, self._save)
            self._replicas[_key(record.source, record.replication_set.name)] = replica
            await self._add_applier(replica).load()
        await self._remove_stray_queues()
        if not clean and self._replicas:
            await self._save_all()

    def _add_applier(self, replica: Replica) -> Applier:
        number = replica.record.number
        journal = self._journal(paths.join(self._store.directory, f"target-queue-{number}"))
        queue = TargetQueue(journal, self._context.settings.receive_bytes, replica.selection.key)
        self._appliers[number] = Applier(self._context, replica, queue, self._store, self._spawn_applier)
        return self._appliers[number]

    def _journal(self, directory: str) -> Journal:
        return Journal(self._context.host.file_system, directory, self._context.host.clock)

    async def _remove_stray_queues(self) -> None:
        """What restorations into this machine left: a restoration that was interrupted begins anew."""
        try:
            for entry in await self._context.host.file_system.list_directory(self._store.directory):
                match = _QUEUE_NAME.fullmatch(paths.name(entry.path))
                if match is not None and int(match[1]) not in self._appliers:
                    await self._journal(entry.path).remove()
        except FileSystemError as error:
            if error.code != "not_found":
                self._context.events.record(EventCode.REPLICATION_ERROR, f"an old queue could not be removed: {error}")

    def _spawn_applier(self, part: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        assert self._spawn is not None, "no applier is woken before `start`"
        return self._spawn(part, name)

    def start(self, spawn: Spawn) -> None:
        """Apply what earlier runs received; ``spawn`` runs the appliers' tasks."""
        self._spawn = spawn
        for applier in self._appliers.values():
            applier.wake()

    async def stop(self) -> None:
        """Apply no more; what is queued stays on disk for the next start."""
        for applier in self._appliers.values():
            await applier.stop()

    def applier(self, replica: Replica) -> Applier:
        """Who brings the replica forward."""
        return self._appliers[replica.record.number]

    async def _save(self, replica: Replica) -> None:
        if not replica.purpose_restore:
            await self._save_all()

    async def _save_all(self) -> None:
        await self._store.save("target-replicas", ReplicaList([each.record for each in self._replicas.values()]))

    def statuses(self) -> list[TargetConnectionStatus]:
        """Every replica, connected or not."""
        return [
            TargetConnectionStatus(
                source=replica.record.source,
                replication_set=replica.record.replication_set.name,
                connected=id(replica) in self._sessions,
                mirroring=replica.mirroring,
                restore_required=replica.record.restore_required,
                applied=replica.applied,
                queue_operations=self.applier(replica).queue.pending,
                queue_bytes=self.applier(replica).queue.pending_bytes,
                detail=self._detail(replica),
            )
            for replica in self._replicas.values()
        ]

    def _detail(self, replica: Replica) -> str:
        session = self._sessions.get(id(replica))
        full = "" if session is None or not session.full else f"queue full: {session.full}"
        return "; ".join(part for part in (self.applier(replica).waiting, full) if part)

    def find(self, source: str, replication_set: str) -> Replica | None:
        """The replica of a source's set, if this machine has one."""
        return self._replicas.get(_key(source, replication_set))

    def of_source(self, source: str) -> list[Replica]:
        """All replicas of one source."""
        return [replica for key, replica in self._replicas.items() if key[0] == source.casefold()]

    # --- sessions ---

    async def admit(self, hello: Hello, peer: Peer) -> Replica:
        """The replica that ``hello`` is for; made when there is none yet.

        Args:
            hello: what was asked.
            peer: who asked it.

        Raises:
            SessionRefusedError: the peer may not, a set that cannot be, or another source has the same place.
        """
        check_hello(hello, peer)
        selection = self._selection(hello.replication_set)
        check_roots(selection, self._context.settings.accepted_roots)
        await self._check_places(selection)
        key = _key(hello.source, hello.replication_set.name)
        if hello.purpose == "restore":
            return self._receiver(key, hello)
        replica = self._replicas.get(key)
        if replica is None:
            _check_room(self._replicas, key)
            replica = Replica(self._context, self._new_record(hello), self._save)
        self._check_place(replica, hello)
        if key not in self._replicas:
            self._replicas[key] = replica
            self._add_applier(replica)
            await self._save_all()
        return replica

    def _receiver(self, key: tuple[str, str], hello: Hello) -> Replica:
        """The data of this machine that a restoration is for."""
        replica = self._receiving.get(key)
        if replica is None:
            _check_room(self._receiving, key)
            record = self._new_record(hello)
            replica = self._receiving[key] = Replica(self._context, record, self._save, purpose_restore=True)
            self._add_applier(replica)
        return replica

    async def _check_places(self, selection: Selection) -> None:
        """Raises SessionRefusedError: a root is no path of this kind of host, or its volume does not answer."""
        for root in selection.roots:
            try:
                await self._context.host.file_system.stat(root)
            except FileSystemError as error:
                raise SessionRefusedError(f"{root} cannot be replicated to: {error}", permanent=True) from error

    def _selection(self, replication_set: ReplicationSet) -> Selection:
        case_sensitive = self._context.host.file_system.case_sensitive
        return Selection(replication_set, case_sensitive=case_sensitive, protected=self._context.protected)

    def _new_record(self, hello: Hello) -> ReplicaRecord:
        self._next_number += 1
        return ReplicaRecord(number=self._next_number - 1, source=hello.source, replication_set=hello.replication_set)

    def _check_place(self, replica: Replica, hello: Hello) -> None:
        """No two connected sources may write to one place."""
        for session in self._sessions.values():
            other = session.replica
            if other is None or other is replica or other.record.source.casefold() == hello.source.casefold():
                continue
            same = other.record.replication_set.name == hello.replication_set.name
            if same or _overlap(other, replica):
                raise SessionRefusedError(
                    f"{other.record.source} is connected with {other.record.replication_set.name!r}: "
                    "a second source for the same data is refused",
                    permanent=False,
                )

    async def claim(self, replica: Replica, session: TargetSession, hello: Hello) -> None:
        """Give the replica to ``session``; an older session of the same source ends first.

        Raises:
            SessionRefusedError: another source was given the same place since ``admit`` looked.
        """
        older = self._sessions.get(id(replica))
        if older is not None:
            older.sever("the source connected again")
        await replica.lock.acquire()
        try:
            if hello.purpose == "replicate":
                self._check_place(replica, hello)
        except SessionRefusedError:
            replica.lock.release()
            raise
        self._sessions[id(replica)] = session
        session.replica = replica

    def release(self, replica: Replica, session: TargetSession) -> None:
        """``session`` has ended."""
        if self._sessions.get(id(replica)) is session:
            del self._sessions[id(replica)]
            replica.lock.release()

    async def mark(self, replica: Replica) -> None:
        """Require a restoration of one replica before its source may replicate again."""
        session = self._sessions.get(id(replica))
        if session is not None:
            session.sever("this machine stands in for the source")
        await replica.change(restore_required=True)
        async with replica.lock:  # everything received is in place before applications begin to write here
            await self.applier(replica).end()

    async def sever_all(self, why: str) -> None:
        """End every session and wait until what it received is on disk."""
        for replica in (*self._replicas.values(), *self._receiving.values()):
            session = self._sessions.get(id(replica))
            if session is not None:
                session.sever(why)
                async with replica.lock:
                    pass

    def is_news(self, source: str, refusal: str) -> bool:
        """Whether a source is refused for another reason than last time; a retrying one should not fill the log."""
        known = self._refusals.pop(source, "")
        if len(self._refusals) >= MAX_REPLICAS:
            self._refusals.pop(next(iter(self._refusals)))
        self._refusals[source] = refusal
        return known != refusal


def _check_room(replicas: dict[tuple[str, str], Replica], key: tuple[str, str]) -> None:
    """Raises SessionRefusedError: one more cannot be kept, of this source or at all."""
    if len(replicas) >= MAX_REPLICAS or sum(source == key[0] for source, _ in replicas) >= MAX_REPLICAS_OF_ONE:
        raise SessionRefusedError(
            f"no more replicas are kept: {MAX_REPLICAS} at most, and {MAX_REPLICAS_OF_ONE} of one source",
            permanent=True,
        )


def _weight(items: list[Item]) -> int:
    return sum(weigh(item.body) for item in items)


def _key(source: str, replication_set: str) -> tuple[str, str]:
    return source.casefold(), replication_set


def _overlap(one: Replica, other: Replica) -> bool:
    key = one.selection.key
    return any(
        paths.is_beneath(key(a), key(b)) or paths.is_beneath(key(b), key(a))
        for a in one.selection.roots
        for b in other.selection.roots
    )


class TargetSession:
    """One accepted TCP connection.

    Args:
        context: the daemon's surroundings.
        registry: the replicas.
        outgoing: this machine's own connections, for restorations.
        wire: the connection.
    """

    def __init__(self, context: Context, registry: TargetRegistry, outgoing: OutgoingConnections, wire: Wire) -> None:
        self.replica: Replica | None = None
        self.full = ""
        self._context = context
        self._registry = registry
        self._outgoing = outgoing
        self._wire = wire
        self._severed = asyncio.Event()
        self._why = ""
        self._pending: deque[Item] = deque()
        self._pending_bytes = 0
        self._arrived = asyncio.Event()
        self._committed = asyncio.Event()
        self._diverged = asyncio.Event()
        self._divergence = ""
        self._fragments = bytearray()

    def sever(self, why: str) -> None:
        """End the session as soon as what is being applied has been."""
        self._why = why
        self._severed.set()

    async def run(self) -> None:
        """From Hello to the end; problems with the peer end the session and nothing else."""
        try:
            hello = await self._hello()
            await self._context.trust.finish(self._wire.peer.fingerprint)
            await self._attend(hello)
        except (OSError, ProtocolError, FileSystemError, PairingError) as error:
            self._lost(error)
        finally:
            await self._wire.close()

    async def _attend(self, hello: Hello) -> None:
        try:
            replica = await self._registry.admit(hello, self._wire.peer)
            await self._registry.claim(replica, self, hello)
        except SessionRefusedError as error:
            who = self._wire.peer.name
            if self._registry.is_news(who, str(error)):
                self._event(EventCode.REPLICATION_ERROR, f"{who} was refused: {error}")
            await self._wire.send(Refused(str(error), error.permanent))
            return
        await self._serve(hello, replica)

    async def _hello(self) -> Hello:
        try:
            async with asyncio.timeout(self._context.settings.connect_timeout):
                message = await self._wire.receive()
        except TimeoutError as error:
            raise ConnectionAbortedError("no Hello came") from error
        if not isinstance(message, Hello):
            raise ProtocolError(f"{type(message).__name__} before Hello")
        return message

    def _lost(self, error: Exception) -> None:
        if isinstance(error, ProtocolError | FileSystemError):
            self._event(EventCode.REPLICATION_ERROR, f"session with {self._wire.peer.name} ended: {error}")

    async def _serve(self, hello: Hello, replica: Replica) -> None:
        try:
            await run_together(severed=self._until_severed(), work=self._work(hello, replica))
        finally:
            self._registry.release(replica, self)

    async def _work(self, hello: Hello, replica: Replica) -> None:
        if not await self._welcome(hello, replica):
            return
        name = replica.record.replication_set.name
        if replica.purpose_restore:
            self._outgoing.suspend_set(name, f"the set is being restored from {hello.source}")
        self._event(EventCode.CONNECTED, f"{hello.source}: {name} connected ({hello.purpose})")
        try:
            await self._replicate(replica)
        finally:
            if replica.purpose_restore:
                self._outgoing.release_set(name)
            self._event(EventCode.DISCONNECTED, f"{hello.source}: {name} disconnected {self._why}".rstrip())

    def _blocked(self, hello: Hello, replica: Replica) -> bool:
        """Whether the source must not touch the replica: this machine stood in, and the source is of 4.2 or later."""
        return replica.restoring or (replica.record.restore_required and hello.recognise_restore)

    async def _welcome(self, hello: Hello, replica: Replica) -> bool:
        """Answer Hello and take the source's choice; False when there is nothing to replicate."""
        record = replica.record
        blocked = self._blocked(hello, replica)
        changed = record.replication_set != hello.replication_set
        resumable = bool(hello.stream) and hello.stream == replica.stream and not changed
        resumable = resumable and not record.restore_required
        position = self._applier_of(replica).queue.received if resumable else None
        await self._wire.send(Welcome(position, record.complete and not changed, blocked))
        if blocked:
            return False
        message = await self._wire.receive()
        if not isinstance(message, Begin) or len(message.stream) > MAX_STREAM:
            raise ProtocolError(f"{type(message).__name__} instead of Begin")
        if message.position == 0 and message.stream != replica.stream:
            await self._begin(replica, hello, message.stream)
        elif position is None or message.stream != replica.stream or message.position != position:
            raise ProtocolError(f"stream {message.stream!r} cannot begin at {message.position}")
        return True

    def _applier_of(self, replica: Replica) -> Applier:
        return self._registry.applier(replica)

    async def _begin(self, replica: Replica, hello: Hello, stream: str) -> None:
        """A new stream; first what came by the earlier one, it was acknowledged."""
        applier = self._applier_of(replica)
        await run_together(drained=applier.drained(), ping=self._wire.ping(self._context.settings.ping_interval))
        await replica.change(replication_set=hello.replication_set)
        await to_the_end(applier.begin(stream))

    async def _replicate(self, replica: Replica) -> None:
        applier = self._applier_of(replica)
        applier.listener = self
        if replica.applied:
            self._wire.post(Applied(replica.applied))
        try:
            await run_together(
                diverged=self._until_diverged(),
                receive=self._receive(replica, SequenceCheck(applier.queue.received)),
                commit=self._commit_all(applier),
                ping=self._wire.ping(self._context.settings.ping_interval),
            )
        finally:
            applier.listener = None

    async def _until_severed(self) -> None:
        await self._severed.wait()

    # --- receiving ---

    async def _receive(self, replica: Replica, check: SequenceCheck) -> None:
        while True:
            message = await self._wire.receive()
            if isinstance(message, Batch):
                for item in message.items:
                    check.accept(item.sequence)
                    self._accept(self._assembled(item), replica)
                await self._room()
            elif isinstance(message, Fragment):
                self._collect(message)
            elif not isinstance(message, Ping):
                raise ProtocolError(f"{type(message).__name__} from a source")

    def _collect(self, fragment: Fragment) -> None:
        if len(self._fragments) + len(fragment.data) > MAX_OPERATION_BYTES:
            raise ProtocolError(f"a write of more than {MAX_OPERATION_BYTES} bytes")
        self._fragments += fragment.data

    def _assembled(self, item: Item) -> Item:
        if not self._fragments:
            return item
        body = item.body
        if not isinstance(body, Write):
            raise ProtocolError("fragments before something else than a write")
        data = bytes(self._fragments) + body.data
        self._fragments = bytearray()
        return Item(item.sequence, Write(body.path, body.offset, data, body.mtime_ns))

    def _accept(self, item: Item, replica: Replica) -> None:
        replica.check(item)
        self._pending.append(item)
        self._pending_bytes += weigh(item.body)
        self._arrived.set()

    async def _room(self) -> None:
        """Read no further while much is waiting to be written down: TCP then holds the source back."""
        while self._pending_bytes > self._context.settings.receive_bytes:
            self._committed.clear()
            await self._committed.wait()

    # --- committing: on disk, then acknowledged; applied afterwards, see `Applier` ---

    async def _commit_all(self, applier: Applier) -> None:
        while True:
            while self._pending:
                await self._commit(applier, self._next_batch())
            self._arrived.clear()
            await self._arrived.wait()

    def _next_batch(self) -> list[Item]:
        """What is made durable together: everything that has arrived, within bounds."""
        batch: list[Item] = []
        size = 0
        while self._pending and len(batch) < MAX_COMMIT_ITEMS and size < MAX_COMMIT_BYTES:
            item = self._pending.popleft()
            size += weigh(item.body)
            batch.append(item)
        self._pending_bytes -= size
        self._committed.set()
        return batch

    async def _commit(self, applier: Applier, batch: list[Item]) -> None:
        """Acknowledge only what survives a power cut, or it loses what was confirmed."""
        while why := await self._refused(applier, batch):
            self._say_full(why)
            await applier.progress(self._context.settings.retry_interval)
        self._say_full("")
        applier.wake()
        await self._acknowledge(batch[-1].sequence)

    async def _refused(self, applier: Applier, batch: list[Item]) -> str:
        """Put the batch into the queue; why that is not possible now, empty when it was done."""
        settings, files = self._context.settings, self._context.host.file_system
        if why := applier.queue.excess(settings.target_queue_bytes, full=bool(self.full)):
            return why
        if await files.free_space(self._context.state_directory) - _weight(batch) < settings.queue_floor_bytes:
            return f"the volume of the queue is full but for the {settings.queue_floor_bytes} bytes that stay free"
        try:
            await to_the_end(applier.queue.put(batch))
        except FileSystemError as error:
            if error.code != "no_space":
                raise
            return str(error)
        return ""

    def _say_full(self, why: str) -> None:
        """The queue is full, or is not any more: tell the source and the operator, once each time."""
        if bool(why) != bool(self.full):
            self._wire.post(QueueFull(bool(why)))
            code = EventCode.TARGET_QUEUE_FULL if why else EventCode.TARGET_QUEUE_HAS_ROOM
            self._event(code, f"target queue full, the source has to wait: {why}" if why else "target queue has room")
        self.full = why

    async def _acknowledge(self, sequence: int) -> None:
        await self._wire.send(Ack(sequence))

    # --- what the applier says ---

    async def tell(self, messages: list[AnyMessage]) -> None:
        """See `bodydouble.replication.applier.Listener`."""
        with suppress(OSError):
            for message in messages:
                await self._wire.send(message)

    def diverged(self, detail: str) -> None:
        """See `bodydouble.replication.applier.Listener`."""
        self._divergence = detail
        self._diverged.set()

    async def _until_diverged(self) -> None:
        await self._diverged.wait()
        await self._wire.send(Diverged(self._divergence[:1000]))

    def _event(self, code: EventCode, text: str) -> None:
        self._context.events.record(code, text)
