"""MirrorControl: what an operator orders about one connection's mirrors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import msgspec

from bodydouble.errors import ConnectionStateError
from bodydouble.replication.orphans import OrphanPolicy
from bodydouble.replication.protocol import Task
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.mirror import AS_CONNECTED, MirrorOrder

if TYPE_CHECKING:
    from bodydouble.replication.context import Context
    from bodydouble.replication.source import SourceConnection
    from bodydouble.replication.stream import SourceStream
    from bodydouble.vocabulary.records import ConnectRequest, MirrorKind, OrphanAction

SCRIPT_TIMEOUT = 300.0
"""Seconds that a mirror's script may take; the mirror does not wait for it."""


@dataclass(frozen=True, slots=True)
class MirrorOptions:
    """How a mirror of everything goes; see `ConnectRequest`, and `RestoreRequest` for ``missing_only``."""

    kind: MirrorKind
    orphans: OrphanAction
    newer_only: bool = False
    calculate: bool = False
    orphan_age: float = 0.0
    missing_only: bool = False


def options_of(request: ConnectRequest, order: MirrorOrder, *, trusted: bool, automatic: bool = False) -> MirrorOptions:
    """What an order means on a connection.

    Args:
        request: says what the order leaves open.
        order: an operator's.
        trusted: the replica's sizes and times prove something; otherwise differences are found by checksum.
        automatic: nobody ordered it, it follows an auto-reconnect.
    """
    kind = order.kind or (request.remirror if automatic else None) or request.mirror
    return MirrorOptions(
        kind="checksum" if kind == "difference" and not trusted else kind,
        orphans=order.orphans or request.orphans,
        newer_only=request.newer_only if order.newer_only is None else order.newer_only,
        calculate=request.calculate if order.calculate is None else order.calculate,
        orphan_age=request.orphan_age if order.orphan_age is None else order.orphan_age,
    )


def policy_of(options: MirrorOptions, context: Context, *, moves: bool) -> OrphanPolicy:
    """What a mirror does with orphans; a target that ``moves`` none has them logged."""
    action = options.orphans
    if action == "move" and not moves:
        action = "log"
        text = "the target's settings name no orphan_directory: orphans are logged, none is moved"
        context.events.record(EventCode.ORPHAN_STAYS, text)
    return OrphanPolicy(action, options.orphan_age, context.host.clock.now())


class MirrorControl:
    """Starts, pauses, resumes and stops a connection's mirrors.

    Args:
        connection: whose.
        context: the daemon's surroundings.

    Attributes:
        missing_only: leave everything alone that the target has; a restoration may be ordered so.
    """

    def __init__(self, connection: SourceConnection, context: Context) -> None:
        self._connection = connection
        self._context = context
        self.missing_only = False
        self._scripts = 0
        self._order = AS_CONNECTED

    def options(self, *, trusted: bool, automatic: bool = False) -> MirrorOptions:
        """How the next mirror goes; what was ordered holds for one."""
        order, self._order = self._order, AS_CONNECTED
        options = options_of(self._connection.record.request, order, trusted=trusted, automatic=automatic)
        return replace(options, missing_only=self.missing_only)

    @property
    def why_left(self) -> str:
        """Why a mirror leaves files alone."""
        return "are there" if self.missing_only else "are newer on the target"

    def run_script(self, moment: Literal["start", "stop", "complete"]) -> None:
        """A mirror of everything starts, was stopped, or is complete: begin what is to be run then."""
        request = self._connection.record.request
        command: str = getattr(request.scripts, moment)
        if command:
            self._scripts += 1
            number = f"{self._connection.record.id}-{self._scripts}"
            id_ = f"{self._context.incarnation}/mirror-{moment}-{number}"
            arguments = [request.replication_set, request.target]
            self._context.tasks.begin(Task(id_, "queue", command, arguments, SCRIPT_TIMEOUT), self._connection.where)

    def stop_replication(self) -> None:
        """Queue nothing more; what is queued is still sent, and then replication waits for a mirror.

        Raises:
            ConnectionStateError: it is stopped already.
        """
        connection, stream = self._connection, self._connection.stream
        if connection.record.replication_stopped:
            raise ConnectionStateError(f"connection {connection.record.id}: replication is stopped already")
        connection.note(msgspec.structs.replace(connection.record, replication_stopped=True))
        if stream is not None and stream.alive:
            stream.halt("an operator stopped replication")
        else:
            self._event(EventCode.REPLICATION_STOPPED, "an operator stopped replication")

    def flush(self) -> None:
        """Drop what is queued, and replicate nothing until a mirror.

        Raises:
            ConnectionStateError: nothing is queued, and nothing would be.
        """
        connection, stream = self._connection, self._connection.stream
        if stream is None or not stream.alive:
            raise ConnectionStateError(f"connection {connection.record.id} is {connection.state}: there is no queue")
        connection.note(msgspec.structs.replace(connection.record, replication_stopped=True))
        dropped = f"{len(stream.queue)} operations"
        self._event(EventCode.REPLICATION_STOPPED, f"an operator flushed the queue, {dropped} were dropped")
        stream.fail(ConnectionStateError("an operator flushed the queue"))

    @property
    def halt_code(self) -> EventCode:
        """The event that says why nothing more is queued."""
        stopped = self._connection.record.replication_stopped
        return EventCode.REPLICATION_STOPPED if stopped else EventCode.QUEUE_EXHAUSTED

    def start_replication(self) -> None:
        """Replicate again, which begins with a mirror.

        Raises:
            ConnectionStateError: it is not stopped.
        """
        connection = self._connection
        if not connection.record.replication_stopped:
            raise ConnectionStateError(f"connection {connection.record.id}: replication is not stopped")
        self.start(AS_CONNECTED)

    def start(self, order: MirrorOrder) -> None:
        """Order a mirror.

        Raises:
            ConnectionStateError: one is running, or a verification is.
        """
        connection, stream = self._connection, self._connection.stream
        if stream is not None and stream.alive and not stream.halted:
            self._check_idle(stream)
        self._order = order
        self._unpause()
        if stream is not None and stream.halted:
            connection.renew(stream.halted)
        elif connection.kept is not None:
            connection.renew("the replication set was changed")
        elif connection.session_open and stream is not None and stream.alive:
            stream.start_mirror(self.options(trusted=connection.record.trusted))
        else:
            connection.order_mirror()

    def _check_idle(self, stream: SourceStream) -> None:
        id_ = self._connection.record.id
        if stream.mirror_paused:
            raise ConnectionStateError(f"connection {id_}: a mirror is paused; resume it, or stop it first")
        if stream.mirror_runs:
            raise ConnectionStateError(f"connection {id_}: a mirror is running; wait until it completes, or stop it")
        if stream.verifying:
            raise ConnectionStateError(f"connection {id_}: {stream.reader} is running; wait or stop it")

    def pause(self) -> None:
        """Let the mirror wait; holds over broken connections and restarts, replication goes on.

        Raises:
            ConnectionStateError: none runs, or it is paused.
        """
        stream = self._running("pause")
        if stream.mirror_paused:
            raise ConnectionStateError(f"connection {self._connection.record.id}: the mirror is paused already")
        stream.pause_mirror(paused=True)
        self._note(paused=True)
        self._event(EventCode.MIRROR_PAUSED, "mirror paused, replication goes on")

    def resume(self) -> None:
        """Let the mirror go on.

        Raises:
            ConnectionStateError: none is paused.
        """
        stream = self._connection.stream
        if not self._connection.record.mirror_paused:
            raise ConnectionStateError(f"connection {self._connection.record.id}: no mirror is paused")
        if stream is not None and stream.mirror_paused:
            stream.pause_mirror(paused=False)
        self._unpause()

    def stop(self) -> None:
        """End the mirror. The replica stays incomplete until another one; replication goes on.

        Raises:
            ConnectionStateError: none runs.
        """
        self._running("stop").stop_mirror("an operator stopped it")

    def _running(self, order: str) -> SourceStream:
        """The stream whose mirror runs.

        Raises:
            ConnectionStateError: there is none.
        """
        stream = self._connection.stream
        if stream is None or not stream.alive or stream.halted or not stream.mirror_runs:
            id_, state = self._connection.record.id, self._connection.state
            raise ConnectionStateError(f"connection {id_} is {state}: no mirror is running, {order} is not possible")
        return stream

    def _unpause(self) -> None:
        if self._connection.record.mirror_paused:
            self._note(paused=False)
            self._event(EventCode.MIRROR_RESUMED, "mirror resumed")

    def ended(self) -> None:
        """The mirror completed or was ended: nothing is paused any more."""
        self._note(paused=False)

    def _note(self, *, paused: bool) -> None:
        connection = self._connection
        connection.note(msgspec.structs.replace(connection.record, mirror_paused=paused))

    def _event(self, code: EventCode, text: str) -> None:
        self._connection.report(code, text)
