"""Contact: what is kept of a connection, whom it means to meet, and one conversation with it at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from bodydouble.errors import BodydoubleError
from bodydouble.replication.protocol import MAX_VIA, VERSION, Hello, Placement, Purpose
from bodydouble.replication.rules import fold, roots_of, same
from bodydouble.replication.tasks import run_together
from bodydouble.vocabulary.records import ConnectRequest  # noqa: TC001 - msgspec reads it at run time
from bodydouble.vocabulary.transmission import TransmissionMode  # noqa: TC001 - msgspec reads it at run time
from bodydouble.vocabulary.verification import VerificationSchedule  # noqa: TC001 - msgspec reads it at run time

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble.replication.context import Context
    from bodydouble.vocabulary.records import ReplicationSet


class RefusedError(BodydoubleError):
    """The target gave no session.

    Attributes:
        permanent: trying again soon is pointless.
    """

    def __init__(self, detail: str, *, permanent: bool) -> None:
        super().__init__(detail)
        self.permanent = permanent


class DivergedError(BodydoubleError):
    """The target could not apply an operation: only a mirror helps."""


class ConnectionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a connection on disk.

    Attributes:
        trusted: the last mirror completed and this machine did not crash since; otherwise sizes and times prove
            nothing and a ``difference`` mirror compares checksums.
        verification: when to verify by itself.
        transmission: what an operator ordered last.
        peer: fingerprint of the target that was met first; another machine at its address, or at a route that is given
            later, is refused.
        draining: an operator ordered to disconnect as soon as the queue is sent.
        replication_stopped: nothing is replicated until somebody mirrors.
        mirror_paused: an operator ordered that the mirror waits.
    """

    id: int
    request: ConnectRequest
    trusted: bool = False
    verification: VerificationSchedule | None = None
    transmission: TransmissionMode = "started"
    peer: str = ""
    draining: bool = False
    mirror_paused: bool = False
    replication_stopped: bool = False

    @property
    def route(self) -> str:
        """The address that is used."""
        return self.request.route or self.request.target


class Contact:
    """Runs one conversation at a time, and knows through which machines what is said in it came.

    Args:
        context: the daemon's surroundings.

    Attributes:
        parted: why this side ended the last one; empty when it did not.
    """

    def __init__(self, context: Context) -> None:
        self.parted = ""
        self._context = context
        self._via: list[str] = []
        self._greeted: list[str] = []
        self._part = asyncio.Event()
        self._silent = asyncio.Event()
        self._silent.set()

    def hello(
        self, record: ConnectionRecord, replication_set: ReplicationSet, purpose: Purpose, *, stream: str, idle: bool
    ) -> Hello:
        """What a conversation begins with.

        Args:
            record: the connection's.
            replication_set: what is replicated.
            purpose: what for.
            stream: the one that could be resumed; empty when there is none.
            idle: nothing is queued that came earlier.
        """
        return Hello(
            version=VERSION,
            source=self._context.source_name,
            replication_set=replication_set,
            purpose=purpose,
            stream=stream,
            recognise_restore=record.request.recognise_restore,
            placement=self.placement(record, replication_set, idle=idle),
        )

    def placement(self, record: ConnectionRecord, replication_set: ReplicationSet, *, idle: bool) -> Placement:
        """Where the connection wants its replica, and through which machines its data comes.

        Args:
            record: the connection's.
            replication_set: what is replicated.
            idle: nothing is queued that came earlier.
        """
        request, case_sensitive = record.request, self._context.host.file_system.case_sensitive
        self._come_through(replication_set, idle=idle)
        self._greeted = [*self._via, self._context.identity]
        return Placement(request.mapping, request.base, self._greeted[-MAX_VIA:], record.id, case_sensitive)

    def _come_through(self, replication_set: ReplicationSet, *, idle: bool) -> None:
        """Where data comes from now, and where what is still queued came from."""
        case_sensitive = self._context.host.file_system.case_sensitive
        now = self._context.lineage(roots_of(replication_set, same if case_sensitive else fold))
        self._via = now if idle else list(dict.fromkeys([*self._via, *now]))

    async def greet_again(self, replication_set: ReplicationSet) -> None:
        """Data comes by another way from now on: when the target does not know it, end the conversation first."""
        self._come_through(replication_set, idle=False)
        if not set(self._via) <= set(self._greeted):
            self.part("the data here comes by another way now")
            await self._silent.wait()

    async def talk(self, conversation: Coroutine[Any, Any, None]) -> None:
        """Converse to the end.

        Raises:
            ConnectionResetError: this side ended it; and what the conversation raises.
        """
        self.parted = ""
        self._part.clear()
        self._silent.clear()
        try:
            await run_together(talk=conversation, part=self._until_parted())
        finally:
            self._silent.set()

    async def _until_parted(self) -> None:
        await self._part.wait()
        raise ConnectionResetError(self.parted)

    def part(self, why: str) -> None:
        """End the conversation that runs, if one does."""
        if not self._silent.is_set():
            self.parted = why
            self._part.set()
