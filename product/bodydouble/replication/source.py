"""SourceConnection: the source's side of one connection, from the first attempt to its removal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import BodydoubleError, ConnectionStateError, PairingError, ProtocolError, reason_of
from bodydouble.replication import states
from bodydouble.replication.beginning import Beginning
from bodydouble.replication.connection_status import status_of
from bodydouble.replication.contact import ConnectionRecord, Contact, DivergedError, RefusedError
from bodydouble.replication.dialling import answer_of, dial
from bodydouble.replication.figures import Meter
from bodydouble.replication.mirror import MirrorError
from bodydouble.replication.mirror_control import MirrorControl
from bodydouble.replication.mirror_plan import COMPARES
from bodydouble.replication.protocol import (
    Ack,
    AnyMessage,
    Applied,
    Begin,
    Blocks,
    Diverged,
    Listing,
    Ping,
    Purpose,
    Refused,
    Settled,
    Standing,
    TaskEnded,
    Volume,
    Welcome,
    Wire,
)
from bodydouble.replication.sharing import tell_shares
from bodydouble.replication.spill import QueueExhaustedError
from bodydouble.replication.standing import heard
from bodydouble.replication.task_runner import ended_there
from bodydouble.replication.tasks import run_together
from bodydouble.replication.transmission import Transmission
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.mirror import AS_CONNECTED, MirrorOrder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.replication.context import Context
    from bodydouble.replication.schedule import Order
    from bodydouble.replication.sight import Sight
    from bodydouble.replication.states import Stimulus
    from bodydouble.replication.stream import SourceStream
    from bodydouble.vocabulary.records import (
        ConnectionStatus,
        ConnectRequest,
        Peer,
        ReplicationSet,
        SourceState,
        TargetState,
    )
    from bodydouble.vocabulary.transmission import TransmissionOptions
    from bodydouble.vocabulary.verification import VerificationSchedule


MAX_RESTORE_FAILURES = 10
"""Attempts after which a restoration gives up; a session that was established counts as none."""


class SourceConnection:
    """One connection.

    Args:
        context: the daemon's surroundings.
        record: what is known of it.
        purpose: ``replicate``, or ``restore`` (then it ends after its mirror).
        find_set: gives the replication set at the time of each new stream.
        on_change: called when ``record`` changed and should be saved.
        on_restored: for a restoration: awaited when the other side has everything, before the connection ends.
        find_sight: gives the files for each new stream; None: this host's.
    """

    def __init__(
        self,
        context: Context,
        record: ConnectionRecord,
        purpose: Purpose,
        find_set: Callable[[], ReplicationSet],
        on_change: Callable[[], None],
        *,
        on_restored: Callable[[], Awaitable[None]] | None = None,
        find_sight: Callable[[], Sight] | None = None,
    ) -> None:
        self.record = record
        self.state: SourceState = "connecting"
        self.detail = ""
        self.target_state: TargetState = "unknown"
        self.stream: SourceStream | None = None
        self.mirror_ordered = False
        self.completed = asyncio.Event()
        self._context = context
        self._purpose: Purpose = purpose
        self._saved_set = find_set
        self.kept: ReplicationSet | None = None
        self._on_change = on_change
        self._on_restored = on_restored
        self.failures = 0
        self.sent_bytes = 0
        self.attached = True
        self.mirrors = MirrorControl(self, context)
        self.meter = Meter()
        self._beginning = Beginning(
            self, context, purpose, find_sight,
            on_mirror=self._mirror_changed, on_halt=self._halted, on_stop=self._mirror_stopped,
        )  # fmt: skip
        self._contact = Contact(context)
        self._kick = asyncio.Event()
        self._suspended = ""
        self._offered: ReplicationSet | None = None
        self._session_open = False
        options = record.request.transmission
        self.transmission = Transmission(options, record.transmission, context, lambda: self.sent_bytes)

    # --- what the operator sees and does ---

    def status(self) -> ConnectionStatus:
        """The connection as it is now."""
        return status_of(self, self._context.host.clock)

    def reconnect(self, request: ConnectRequest) -> None:
        """Try again at once, with the options of ``request``; what a mirror needs is ordered with it.

        What was lost for a while and may be resumed needs none; what goes elsewhere on the target needs one.
        """
        record, earlier = self.record, self.record.request
        self.record = msgspec.structs.replace(record, request=request, draining=False, peer="")
        self.attached = True
        self.transmission.change(request.transmission, self.stream)
        if self.record.route != record.route:
            self.reroute(request.route)
        if record.draining or (self.stream is not None and self.stream.failure is not None):
            self.renew("connected again")  # what applications do was queued no more
        if (earlier.mapping, earlier.base) != (request.mapping, request.base):
            self.renew("the mapping was changed")
        elif self.state == "mirror-incomplete":
            self.start_mirror()
        elif self.state not in ("mirroring", "replicating", "queue-full", "disconnected"):
            self.mirror_ordered = True
        self._kick.set()

    def reroute(self, route: str) -> None:
        """Reach the same target by another address."""
        request = msgspec.structs.replace(self.record.request, route=route)
        self.record = msgspec.structs.replace(self.record, request=request)
        self._contact.part(f"the route is {route} now")
        self._kick.set()

    def transmit(self, options: TransmissionOptions) -> None:
        """Other limits, another compression or schedule from now on."""
        request = msgspec.structs.replace(self.record.request, transmission=options)
        self.record = msgspec.structs.replace(self.record, request=request)
        self.transmission.change(options, self.stream)

    def order_transmission(self, order: Order) -> None:
        """Start, stop, pause or resume transmission.

        Raises:
            ConnectionStateError: it does not fit what was ordered before.
        """
        self.transmission.order(order, self.stream)
        self.record = msgspec.structs.replace(self.record, transmission=self.transmission.mode)

    def drain(self) -> None:
        """Queue nothing more; what is queued is still sent."""
        self.record = msgspec.structs.replace(self.record, draining=True)
        if self.stream is not None:
            self.stream.shut_off()

    async def drained(self) -> bool:
        """Wait until what is queued is safe on the target (True), or is lost."""
        return self.stream is not None and await self.stream.emptied()

    async def greet_again(self) -> None:
        """Data here comes by another way: a target that was not told so hears nothing more before it is."""
        await self._contact.greet_again(self.rules())
        self._kick.set()

    def start_mirror(self, order: MirrorOrder = AS_CONNECTED) -> None:
        """See `MirrorControl.start`."""
        self.mirrors.start(order)

    def order_mirror(self) -> None:
        """Begin with a mirror as soon as the target is reached."""
        self.mirror_ordered = True
        self._kick.set()

    @property
    def session_open(self) -> bool:
        """Whether the target takes a stream now."""
        return self._session_open

    def verifiable(self) -> SourceStream:
        """The stream in which a verification may ask.

        Raises:
            ConnectionStateError: there is none whose mirror is complete.
        """
        stream = self.stream
        if self.state != "replicating" or stream is None or not stream.alive or stream.mirroring:
            raise ConnectionStateError(
                f"connection {self.record.id} is {self.state}: only what is mirrored can be verified, and not meanwhile"
            )
        return stream

    def distrust(self) -> None:
        """Sizes and times prove nothing any more: the next ``difference`` mirror compares checksums."""
        self._trust(trusted=False)

    def schedule(self, verification: VerificationSchedule | None) -> None:
        """Verify by a schedule, or no more."""
        self.record = msgspec.structs.replace(self.record, verification=verification)

    def rules(self) -> ReplicationSet:
        """The set as this connection replicates it."""
        return self.kept or self._saved_set()

    def keep(self, earlier: ReplicationSet) -> None:
        """The set was changed: go on by its earlier rules as long as this stream lasts; the next one begins anew."""
        if self.kept is None and self.stream is not None and self.stream.alive:
            self.kept = earlier

    def renew(self, why: str) -> None:
        """The replication set changed: end the stream and begin another one with a mirror."""
        self.kept = None
        self.mirror_ordered = True
        self.forget(why)
        self._kick.set()

    def forget(self, why: str) -> None:
        """No stream is continued, neither this one nor that of an earlier daemon."""
        self._beginning.forget()
        if self.stream is not None:
            self.stream.fail(ConnectionStateError(why))

    def retry(self) -> None:
        """Whom this machine is paired with has changed: what was refused may be possible now."""
        if self.state == "error":
            self._kick.set()

    def suspend(self, why: str) -> None:
        """Make no attempt, and replicate nothing, until `release`: the data here is being restored."""
        self._suspended = why
        self.forget(why)
        self._kick.set()

    def release(self) -> None:
        """Try again."""
        self._suspended = ""
        self._kick.set()

    # --- life ---

    async def run(self) -> None:
        """Keep the connection up until cancelled (or, for a restoration, until `completed`)."""
        try:
            while True:
                self._kick.clear()
                if self._suspended:
                    await self._drop_stream()
                    self._move("restore-required", self._suspended)
                elif self.attached:
                    await self._attempt()
                if not self.attached:
                    self._move("disconnected", self.detail)
                if self._purpose == "restore" and (self.completed.is_set() or self._gives_up()):
                    return
                await self._pause()
        finally:
            await self._drop_stream(keep=True)
            self.state = states.after(self.state, "stop")

    def _gives_up(self) -> bool:
        self.failures += 1
        return self.state == "error" or self.failures > MAX_RESTORE_FAILURES

    async def _pause(self) -> None:
        """Wait for the next attempt, or for the operator."""
        settings = self._context.settings
        seconds: float | None = settings.retry_interval
        if self._suspended or not self.attached or (self.state == "mirror-required" and not self.mirror_ordered):
            seconds = None
        elif self.state in ("restore-required", "error"):
            seconds = settings.slow_retry_interval
        try:
            async with asyncio.timeout(seconds):
                await self._kick.wait()
        except TimeoutError:
            return

    async def _attempt(self) -> None:
        """One connection from its opening to its end."""
        wire: Wire | None = None
        try:
            if self.stream is not None and self.stream.failure is not None:
                raise self.stream.failure
            wire = await dial(self._context, self.record.request, self._purpose, self.record.peer)
            with self._context.trust.held(wire.peer, wire.transport):
                await self._contact.talk(self._talk(wire))
        except (QueueExhaustedError, DivergedError, MirrorError, ConnectionStateError) as error:
            await self._stream_ended(error)
        except RefusedError as error:
            passing: Stimulus = "broken" if self._session_open else "unreachable"
            self._problem("refused" if error.permanent else passing, str(error))
        except (OSError, ProtocolError) as error:
            self._problem("broken" if self._session_open else "unreachable", reason_of(error))
        except PairingError as error:
            self._problem("refused", str(error))
        except BodydoubleError as error:
            await self._drop_stream()
            self._problem("refused", str(error))
        finally:
            self._session_open = False
            if self.state not in ("restore-required", "mirror-required"):
                self.target_state = "unknown"
            if wire is not None:
                await wire.close()

    async def _talk(self, wire: Wire) -> None:
        sent = self.sent_bytes
        wire.pace = self.transmission.throttle
        wire.on_sent = lambda: setattr(self, "sent_bytes", sent + wire.sent_bytes)
        await self._converse(wire, await self._greet(wire))

    async def _greet(self, wire: Wire) -> Welcome:
        stream = self._beginning.offer() if self.stream is None else self.stream.name if self.stream.alive else ""
        self._offered = self.rules()
        idle = not stream or self.stream is None or not len(self.stream.queue)
        await wire.send(self._contact.hello(self.record, self._offered, self._purpose, stream=stream, idle=idle))
        answer = await answer_of(wire)
        await self._met(wire.peer)
        if isinstance(answer, Refused):
            raise RefusedError(answer.detail, permanent=answer.permanent)
        if not isinstance(answer, Welcome):
            raise ProtocolError(f"{type(answer).__name__} in answer to Hello")
        return answer

    async def _met(self, peer: Peer) -> None:
        """An answer shows that the peer has pinned this machine; from now on it has to be this peer."""
        await self._context.trust.finish(peer.fingerprint)
        self.note(msgspec.structs.replace(self.record, peer=peer.fingerprint))

    async def _converse(self, wire: Wire, welcome: Welcome) -> None:
        self.target_state = welcome.state
        if self._restore_blocks(welcome):
            await self._drop_stream()
            self._announce_restore_required()
            return
        position = self._resume(welcome)
        if position is None and (position := await self._recollect(welcome)) is None:
            if not self._may_mirror():
                await self._drop_stream()
                self._announce_mirror_required()
                return
            position = 0
            await self._new_stream(welcome)
        stream = self.stream
        assert stream is not None
        stream.moves_orphans = welcome.moves_orphans
        await wire.send(Begin(stream.name, position))
        self._session_open = True
        self.failures = 0
        self._announce_connected(stream, position)
        await run_together(
            failed=stream.failed(),
            receive=self._receive(wire, stream),
            send=self.transmission.send(wire, stream, self.where),
            ping=wire.ping(self._context.settings.ping_interval),
            completed=self._until_restored(),
            shares=tell_shares(self._context, wire, self._purpose, self._offered, self.report),
        )

    def _restore_blocks(self, welcome: Welcome) -> bool:
        """Whether the target's word that it stood in keeps this source from mirroring over newer data (4.2)."""
        return welcome.restore_required

    def _may_mirror(self) -> bool:
        """Whether a mirror may begin without an operator ("Perform Remirror After Auto-Reconnect")."""
        record = self.record
        return self.mirror_ordered or (record.request.remirror_after_reconnect and not record.replication_stopped)

    def _resume(self, welcome: Welcome) -> int | None:
        if self.mirror_ordered or self.stream is None or welcome.position is None:
            return None
        return welcome.position if self.stream.resume(welcome.position) else None

    async def _new_stream(self, welcome: Welcome) -> None:
        await self._drop_stream()
        self.stream = await self._beginning.anew(welcome)
        self._check_offered()
        self.mirror_ordered = False
        self.note(msgspec.structs.replace(self.record, replication_stopped=False))

    async def _recollect(self, welcome: Welcome) -> int | None:
        """Go on with the stream of an earlier daemon: after which operation; None when that is not possible."""
        if self.mirror_ordered or self.stream is not None:
            return None
        self.stream = await self._beginning.again(welcome)
        if self.stream is not None:
            self._check_offered()
            return welcome.position
        if why := self._beginning.why_not:
            text = f"replication does not go on where it was: {why}; a mirror is needed"
            self.report(EventCode.NOT_RESUMED, text)
        return None

    def _check_offered(self) -> None:
        """See that the target was told of the set as it is.

        Raises:
            ConnectionStateError: of an earlier one.
        """
        if self.rules() != self._offered:
            raise ConnectionStateError("the replication set was changed")

    async def _drop_stream(self, *, keep: bool = False) -> None:
        """End the stream; ``keep`` what the next daemon needs to go on with it."""
        stream, self.stream, self.kept = self.stream, None, None
        if not keep:
            self._beginning.forget()
        if stream is not None:
            await stream.close()
            if stream.dropped_operations:
                # What the target lacks may differ in neither size nor time: writes within one tick of the clock.
                self._trust(trusted=False)

    async def _until_restored(self) -> None:
        if self._on_restored is None:
            await asyncio.Event().wait()
        else:
            await self.completed.wait()
            await self._on_restored()

    # --- the conversation ---

    async def _receive(self, wire: Wire, stream: SourceStream) -> None:
        while True:
            self._handle(await wire.receive(), stream)

    def _handle(self, message: AnyMessage, stream: SourceStream) -> None:
        if isinstance(message, Ack):
            stream.acknowledge(message.sequence)
            if not len(stream.queue):
                self.transmission.look(stream)
        elif isinstance(message, Applied):
            stream.note_applied(message.sequence)
        elif isinstance(message, Listing | Blocks | Volume | Settled):
            stream.answer(message.sequence, message)
        elif isinstance(message, Standing):
            self._target_stands(message)
        elif isinstance(message, TaskEnded):
            self._event(EventCode.TASK_ENDED, f"{self.where}: {ended_there(message)}")
        elif isinstance(message, Diverged):
            raise DivergedError(message.detail)
        elif isinstance(message, Refused):
            raise RefusedError(message.detail, permanent=message.permanent)
        elif not isinstance(message, Ping):
            raise ProtocolError(f"{type(message).__name__} from a target")

    # --- states and events ---

    def _move(self, stimulus: Stimulus, detail: str = "") -> bool:
        """Take a step; whether anything that an operator sees changed."""
        before = (self.state, self.detail)
        self.state, self.detail = states.after(self.state, stimulus), detail
        return before != (self.state, self.detail)

    @property
    def where(self) -> str:
        """The connection in words."""
        request = self.record.request
        return f"{request.replication_set} to {request.target}:{request.port}"

    def report(self, code: EventCode, text: str) -> None:
        """Tell the operator something about this connection."""
        self._event(code, f"{self.where}: {text}")

    def _event(self, code: EventCode, text: str) -> None:
        self._context.events.record(code, text)

    def _announce_connected(self, stream: SourceStream, position: int) -> None:
        following: Stimulus = "mirror-stopped" if stream.mirror_stopped else "mirror" if stream.mirroring else "resume"
        self._move("queue-full" if stream.halted else following, stream.halted or stream.mirror_stopped)
        self._event(EventCode.CONNECTED, f"{self.where}: connected")
        if position:
            text = f"{self.where}: resumed after operation {position}, no mirror needed"
            self._event(EventCode.RESUMED, f"{text}{self._beginning.recalled}")

    def _announce_restore_required(self) -> None:
        if self._move("restore-required", "the target stood in; restore the data first, then connect"):
            self._event(EventCode.RESTORE_REQUIRED, f"{self.where}: {self.detail}")

    def _announce_mirror_required(self) -> None:
        if self._move("mirror-required", "transmission is pending until an operator starts a mirror"):
            self._event(EventCode.MIRROR_REQUIRED, f"{self.where}: {self.detail}")

    def _mirror_changed(self, begins: bool, whole: bool) -> None:
        left = 0 if self.stream is None else len(self.stream.left)
        self._trust(trusted=not begins and not left)
        if not begins:
            self.mirrors.ended()
        if begins and self.state in ("replicating", "mirror-incomplete"):
            self._move("mirror")
        elif not begins and self.state == "mirroring":
            self._move("complete")
        if whole:
            self.mirrors.run_script("start" if begins else "complete")
            code = EventCode.MIRROR_STARTED if begins else EventCode.MIRROR_COMPLETE
            kept = f"; {left} files {self.mirrors.why_left} and were left alone" if left else ""
            latest = self._beginning.latest
            how = f"; it {COMPARES[latest.mirror_kind]}" if begins and latest else kept
            self._event(code, f"{self.where}: mirror {'started' if begins else 'complete'}{how}")
        if whole and not begins:
            self._report_orphans("")
            self.completed.set()

    def _mirror_stopped(self, why: str) -> None:
        """Nobody may take the replica for complete."""
        self.mirrors.ended()
        self.mirrors.run_script("stop")
        self._report_orphans(why)
        self._event(EventCode.MIRROR_STOPPED, f"{self.where}: mirror ended before it was complete: {why}")
        if self.state == "mirroring":
            self._move("mirror-stopped", why)
        if self._purpose == "restore" and self.stream is not None:
            self.stream.fail(ConnectionStateError(why))

    def _report_orphans(self, why: str) -> None:
        if self.stream is not None:
            kept = self._purpose == "replicate"
            self._context.orphan_log.note(self.record, *self.stream.orphans, why=why, kept=kept)

    def _target_stands(self, message: Standing) -> None:
        """The target's side changed; when it takes nothing more for now, what applications do is queued here."""
        before, self.target_state = self.target_state, message.state
        if (told := heard(before, message.state)) is not None:
            self.report(*told)

    def _halted(self, why: str) -> None:
        """The queue is exhausted: what applications do from here on is not queued, so only a mirror finds it."""
        self._trust(trusted=False)
        self._event(self.mirrors.halt_code, f"{self.where}: {why}; replication pauses, applications go on")
        if self.state in ("mirroring", "replicating", "mirror-incomplete"):
            self._move("queue-full", why)

    def _trust(self, *, trusted: bool) -> None:
        self.note(msgspec.structs.replace(self.record, trusted=trusted))

    def note(self, record: ConnectionRecord) -> None:
        """What is known of the connection changed; it is saved soon."""
        if record != self.record:
            self.record = record
            self._on_change()

    def _problem(self, stimulus: Stimulus, detail: str) -> None:
        """The attempt or the session failed; the operator hears of it once."""
        was_open = self._session_open
        changed = self._move(stimulus, detail)
        if was_open:
            self._event(EventCode.DISCONNECTED, f"{self.where}: connection lost ({detail})")
            self._come_back()
        elif changed and stimulus == "refused":
            self._event(EventCode.REPLICATION_ERROR, f"{self.where}: {detail}")

    def _come_back(self) -> None:
        """Reconnect, unless an operator has to; what was ended from here, or is ordered, comes back in any case."""
        ordered = self._contact.parted or self.mirror_ordered or self._purpose == "restore"
        if self.record.request.auto_reconnect or ordered:
            self._event(EventCode.AUTO_RECONNECTING, f"{self.where}: reconnecting")
        else:
            self.attached = False
            self._event(EventCode.DISCONNECTED, f"{self.where}: stays disconnected until an operator connects")

    async def _stream_ended(self, error: BodydoubleError) -> None:
        """The stream cannot be continued: what follows is another one with a mirror."""
        stream_halted = self.stream is not None and bool(self.stream.halted)
        await self._drop_stream()
        if isinstance(error, QueueExhaustedError) and stream_halted:
            text = "everything queued was sent; a remirror follows"
            if self._context.settings.queue_full == "stop" or self.record.replication_stopped:
                self.note(msgspec.structs.replace(self.record, replication_stopped=True))
                text = "everything queued was sent; replication stays stopped until an operator mirrors"
            self._event(self.mirrors.halt_code, f"{self.where}: {text}")
        elif isinstance(error, QueueExhaustedError):
            self._event(EventCode.AUTO_DISCONNECT, f"{self.where}: {error}; auto-disconnect")
            self._event(EventCode.AUTO_DISCONNECTED, f"{self.where}: disconnected, the queue was dropped")
            self._come_back()
        elif not isinstance(error, ConnectionStateError):
            self._event(EventCode.REPLICATION_ERROR, f"{self.where}: {error}; a remirror is needed")
        self._move("broken", str(error))
