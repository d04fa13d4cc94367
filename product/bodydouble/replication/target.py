"""TargetSession: the target's side of one connection, and TargetRegistry: every replica this machine holds."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from bodydouble.errors import (
    ConnectionStateError,
    FileSystemError,
    InputError,
    PairingError,
    ProtocolError,
)
from bodydouble.replication.admission import (
    MAX_REPLICAS,
    MAX_STREAM,
    SessionRefusedError,
    check_hello,
    check_may_begin,
    check_room,
    check_roots,
)
from bodydouble.replication.applier import Applier
from bodydouble.replication.intake import Intake
from bodydouble.replication.journal.journal import Journal
from bodydouble.replication.places import OutgoingConnections, Places, check_volumes, targets_of
from bodydouble.replication.protocol import (
    Ack,
    AnyMessage,
    Applied,
    Batch,
    Begin,
    Diverged,
    Fragment,
    Hello,
    Ping,
    Reach,
    Refused,
    Shared,
    Standing,
    Task,
    Welcome,
    Wire,
)
from bodydouble.replication.queue import weigh
from bodydouble.replication.reach import first_of, tell
from bodydouble.replication.replica import Replica, ReplicaRecord
from bodydouble.replication.sharing import learn_shares
from bodydouble.replication.standing import standing
from bodydouble.replication.target_queue import TargetQueue
from bodydouble.replication.tasks import run_together, to_the_end
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import TargetConnectionStatus, TargetState

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from bodydouble.replication.applier import Spawn
    from bodydouble.replication.context import Context
    from bodydouble.replication.protocol import Item, Placement
    from bodydouble.state.store import StateStore
    from bodydouble.vocabulary.mapping import PathMapping
    from bodydouble.vocabulary.records import Peer

_QUEUE_NAME = re.compile(r"target-queue-([0-9]+)")


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
        self._places = Places(context, self)

    @property
    def outgoing(self) -> OutgoingConnections:
        """This machine's own connections."""
        return self._places.outgoing

    @outgoing.setter
    def outgoing(self, outgoing: OutgoingConnections) -> None:
        self._places.outgoing = outgoing

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
        queue = TargetQueue(journal, self._context.settings.receive_bytes, replica.key)
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
        return [self._status(replica) for replica in self._replicas.values()]

    def _status(self, replica: Replica) -> TargetConnectionStatus:
        return TargetConnectionStatus(
            source=replica.record.source,
            replication_set=replica.record.replication_set.name,
            connected=id(replica) in self._sessions,
            mirroring=replica.mirroring,
            restore_required=replica.record.restore_required,
            applied=replica.applied,
            queue_operations=self.applier(replica).queue.pending,
            queue_bytes=self.applier(replica).queue.pending_bytes,
            detail=self.detail(replica),
            state=self.standing(replica),
            places=replica.place.targets,
            not_kept=replica.not_kept,
        )

    def standing(self, replica: Replica) -> TargetState:
        """How this side of the connection stands."""
        session = self._sessions.get(id(replica))
        return standing(
            replica.record,
            mirroring=replica.mirroring,
            waiting=bool(self.applier(replica).waiting),
            full=session is not None and bool(session.full),
        )

    def detail(self, replica: Replica) -> str:
        """Why it stands so, as far as there is anything to say."""
        session = self._sessions.get(id(replica))
        full = "" if session is None or not session.full else f"queue full: {session.full}"
        return "; ".join(part for part in (self.applier(replica).waiting, full) if part)

    def replicas(self) -> list[Replica]:
        """All of them, those of restorations into this machine left out."""
        return list(self._replicas.values())

    def session_of(self, replica: Replica) -> TargetSession | None:
        """The session that the replica's source is connected by."""
        return self._sessions.get(id(replica))

    def find(self, source: str, replication_set: str) -> Replica | None:
        """The replica of a source's set, if this machine has one."""
        return self._replicas.get(_key(source, replication_set))

    def of_source(self, source: str) -> list[Replica]:
        """All replicas of one source."""
        return [replica for key, replica in self._replicas.items() if key[0] == source.casefold()]

    async def pause(self, source: str, replication_set: str, *, paused: bool) -> TargetConnectionStatus:
        """Receive and apply nothing, or apply again.

        Raises:
            InputError: there is no such replica.
            ConnectionStateError: it is so already.
        """
        replica = self.find(source, replication_set)
        if replica is None:
            raise InputError(f"no replica of {source}'s {replication_set!r} on this machine")
        if replica.record.paused == paused:
            raise ConnectionStateError(f"{source}'s {replication_set!r} is {'paused' if paused else 'not paused'}")
        await (self.applier(replica).pause() if paused else self.applier(replica).resume())
        return self._status(replica)

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
        targets = targets_of(self._context, hello)
        check_roots(targets, self._context.settings.accepted_roots, self._context.feed.key)
        await check_volumes(self._context, targets)
        if hello.purpose == "restore":
            return self._receiver(hello)
        replica = self._replicas.get(_key(hello.source, hello.replication_set.name))
        self._places.check(hello, targets)
        if replica is None:
            check_room(self._replicas, _key(hello.source, hello.replication_set.name))
            replica = Replica(self._context, self._new_record(hello), self._save)
            self._replicas[_key(hello.source, hello.replication_set.name)] = replica
            self._add_applier(replica)
            await self._save_all()
        await self._places.take_over(replica, hello, targets)
        return replica

    def _receiver(self, hello: Hello) -> Replica:
        """This machine's own data, while it is restored."""
        key = _key(hello.source, hello.replication_set.name)
        replica = self._receiving.get(key)
        asked = (hello.replication_set, _where(hello.placement))
        if replica is None or (replica.record.replication_set, _where(replica.record.placement)) != asked:
            if replica is None:
                check_room(self._receiving, key)
            else:
                self._context.feed.leave(replica.place.host_files)
            record = self._new_record(hello)
            replica = self._receiving[key] = Replica(self._context, record, self._save, purpose_restore=True)
            self._add_applier(replica)
        return replica

    def _new_record(self, hello: Hello) -> ReplicaRecord:
        self._next_number += 1
        return ReplicaRecord(
            number=self._next_number - 1,
            source=hello.source,
            replication_set=hello.replication_set,
            placement=hello.placement,
        )

    def lineage(self, places: Sequence[str]) -> list[str]:
        """See `Places.lineage`."""
        return self._places.lineage(places)

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
            targets = targets_of(self._context, hello)
            if hello.purpose == "replicate":
                self._places.check(hello, targets)
            self._sessions[id(replica)] = session
            session.replica, session.connection = replica, hello.placement.connection
            # Before the source is welcome: nothing that it sends may be sent on in a session that was not told of it.
            await self.outgoing.greet_again(targets)
        except BaseException:
            self._sessions.pop(id(replica), None)
            replica.lock.release()
            raise

    def release(self, replica: Replica, session: TargetSession) -> None:
        """``session`` has ended."""
        if self._sessions.get(id(replica)) is session:
            del self._sessions[id(replica)]
            replica.lock.release()
            session.over.set()

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
            while (session := self._sessions.get(id(replica))) is not None:  # another one may wait for its place
                session.sever(why)
                await session.over.wait()

    def is_news(self, source: str, refusal: str) -> bool:
        """Whether a source is refused for another reason than last time; a retrying one should not fill the log."""
        known = self._refusals.pop(source, "")
        if len(self._refusals) >= MAX_REPLICAS:
            self._refusals.pop(next(iter(self._refusals)))
        self._refusals[source] = refusal
        return known != refusal


def _where(placement: Placement) -> tuple[list[PathMapping], str, bool]:
    return placement.mapping, placement.base, placement.case_sensitive


def _weight(items: list[Item]) -> int:
    return sum(weigh(item.body) for item in items)


def _key(source: str, replication_set: str) -> tuple[str, str]:
    return source.casefold(), replication_set


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
        self.connection = 0
        self.full = ""
        self._context = context
        self._registry = registry
        self._outgoing = outgoing
        self._wire = wire
        self._severed = asyncio.Event()
        self.over = asyncio.Event()
        self._why = ""
        self.intake: Intake | None = None
        self._stands: tuple[str, str] = ("", "")
        self._diverged = asyncio.Event()
        self._divergence = ""

    def sever(self, why: str) -> None:
        """End the session as soon as what is being applied has been."""
        self._why = why
        self._severed.set()

    async def run(self) -> None:
        """From the first message to the end; problems with the peer end the session and nothing else."""
        try:
            first = await first_of(self._context, self._wire)
            await self._context.trust.finish(self._wire.peer.fingerprint)
            await (tell(self._context, self._wire, first) if isinstance(first, Reach) else self._attend(first))
        except (OSError, ProtocolError, FileSystemError, PairingError) as error:
            self._lost(error)
        finally:
            await self._wire.close()

    async def _attend(self, hello: Hello) -> None:
        try:
            replica = await self._registry.admit(hello, self._wire.peer)
            await self._registry.claim(replica, self, hello)
            await self._serve(hello, replica)
        except SessionRefusedError as error:
            who = self._wire.peer.name
            if self._registry.is_news(who, str(error)):
                self._event(EventCode.REPLICATION_ERROR, f"{who} was refused: {error}")
            await self._wire.send(Refused(str(error), error.permanent))

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
            self._event(EventCode.DISCONNECTED, f"{hello.source}: {name} disconnected{self._why and ': '}{self._why}")

    def _blocked(self, hello: Hello, replica: Replica) -> bool:
        """Whether the source must not touch the replica: this machine stood in, and the source is of 4.2 or later."""
        return replica.restoring or (replica.record.restore_required and hello.recognise_restore)

    async def _welcome(self, hello: Hello, replica: Replica) -> bool:
        """Answer Hello and take the source's choice; False when there is nothing to replicate."""
        record = replica.record
        blocked = self._blocked(hello, replica)
        changed = (record.replication_set, _where(record.placement)) != (
            hello.replication_set,
            _where(hello.placement),
        )
        resumable = bool(hello.stream) and hello.stream == replica.stream and not changed
        resumable = resumable and not record.restore_required
        position = self._applier_of(replica).queue.received if resumable else None
        if position is None and not blocked:
            check_may_begin(self._applier_of(replica).queue.pending, paused=record.paused)
        await self._wire.send(
            Welcome(
                position,
                record.complete and not changed,
                blocked,
                self._context.host.file_system.case_sensitive,
                self._registry.standing(replica),
                bool(self._context.settings.orphan_directory),
            )
        )
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
        check_may_begin(applier.queue.pending, paused=replica.record.paused)
        try:
            await replica.change(replication_set=hello.replication_set, placement=hello.placement)
            await to_the_end(applier.begin(stream))
        except FileSystemError as error:
            raise SessionRefusedError(f"no mirror can begin here: {error}", permanent=False) from error

    async def _replicate(self, replica: Replica) -> None:
        applier = self._applier_of(replica)
        applier.listener = self
        if replica.applied:
            self._wire.post(Applied(replica.applied))
        intake = Intake(replica, applier.queue.received, self._context.settings.receive_bytes)
        self.intake = intake
        self.standing_changed()
        try:
            await run_together(
                diverged=self._until_diverged(),
                receive=self._receive(intake, replica),
                commit=self._commit_all(applier, intake),
                ping=self._wire.ping(self._context.settings.ping_interval),
            )
        finally:
            applier.listener = None

    async def _until_severed(self) -> None:
        await self._severed.wait()

    # --- receiving ---

    async def _receive(self, intake: Intake, replica: Replica) -> None:
        while True:
            message = await self._wire.receive()
            if isinstance(message, Batch | Fragment):
                await intake.take(message)
            elif isinstance(message, Shared):
                await learn_shares(self._context, replica, message)
            elif not isinstance(message, Ping):
                raise ProtocolError(f"{type(message).__name__} from a source")

    # --- committing: on disk, then acknowledged; applied afterwards, see `Applier` ---

    async def _commit_all(self, applier: Applier, intake: Intake) -> None:
        while True:
            batch = await intake.next()
            task = batch[0].body
            if isinstance(task, Task) and task.on == "receive":
                self._wire.post(await applier.replica.run_task(task))
            await self._commit(applier, batch)

    async def _commit(self, applier: Applier, batch: list[Item]) -> None:
        """Acknowledge only what survives a power cut, or it loses what was confirmed."""
        while why := await self._refused(applier, batch):
            self._say_full(why)
            await applier.progress(self._context.settings.retry_interval)
        self._say_full("")
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
        finally:
            applier.wake()  # also when the session ends meanwhile: what is in the queue is applied
        return ""

    def _say_full(self, why: str) -> None:
        """The queue is full, or is not any more: tell the source and the operator, once each time."""
        if bool(why) != bool(self.full):
            code = EventCode.TARGET_QUEUE_FULL if why else EventCode.TARGET_QUEUE_HAS_ROOM
            self._event(code, f"target queue full, the source has to wait: {why}" if why else "target queue has room")
        self.full = why
        self.standing_changed()

    async def _acknowledge(self, sequence: int) -> None:
        await self._wire.send(Ack(sequence))

    # --- what the applier says ---

    async def tell(self, messages: list[AnyMessage]) -> None:
        """See `bodydouble.replication.applier.Listener`."""
        with suppress(OSError):
            for message in messages:
                await self._wire.send(message)
            self.standing_changed()

    def standing_changed(self) -> None:
        """See `bodydouble.replication.applier.Listener`: tell the source, once each time."""
        assert self.replica is not None, "only the session that has a replica hears of it"
        now = self._registry.standing(self.replica), self._registry.detail(self.replica)[:MAX_STREAM]
        if now != self._stands:
            self._stands = now
            self._wire.post(Standing(*now))

    def diverged(self, detail: str) -> None:
        """See `bodydouble.replication.applier.Listener`."""
        self._divergence = detail
        self._diverged.set()

    async def _until_diverged(self) -> None:
        await self._diverged.wait()
        await self._wire.send(Diverged(self._divergence[:1000]))

    def _event(self, code: EventCode, text: str) -> None:
        self._context.events.record(code, text)
