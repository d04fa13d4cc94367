"""Contact: what is kept of a connection, whom it means to meet, and one conversation with it at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from bodydouble.errors import BodydoubleError
from bodydouble.replication.protocol import MAX_VIA, Placement, Welcome
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


class ConnectionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a connection on disk.

    Attributes:
        trusted: the last mirror completed and this machine did not crash since; otherwise sizes and times prove
            nothing and a ``difference`` mirror compares checksums.
        verification: when to verify by itself.
        transmission: what an operator ordered last.
        target_identity: the machine that was met at the route.
        rerouted: the route was changed since: at the new one the same machine must answer.
        draining: an operator ordered to disconnect as soon as the queue is sent.
    """

    id: int
    request: ConnectRequest
    trusted: bool = False
    verification: VerificationSchedule | None = None
    transmission: TransmissionMode = "started"
    target_identity: str = ""
    rerouted: bool = False
    draining: bool = False

    @property
    def route(self) -> str:
        """The address that is used."""
        return self.request.route or self.request.target


def placement_of(context: Context, record: ConnectionRecord, replication_set: ReplicationSet) -> Placement:
    """Where the connection wants its replica, and through which machines its data comes."""
    request, case_sensitive = record.request, context.host.file_system.case_sensitive
    roots = roots_of(replication_set, same if case_sensitive else fold)
    via = [*context.lineage(roots), context.identity]
    return Placement(request.mapping, request.base, via[-MAX_VIA:], record.id, case_sensitive)


def recognised(record: ConnectionRecord, welcome: Welcome) -> ConnectionRecord:
    """The record with the machine that answered; by a route that was changed it must be the one that was met before.

    Raises:
        RefusedError: it is another one.
    """
    if record.rerouted and record.target_identity not in ("", welcome.identity):
        text = f"at {record.route} answers {welcome.identity}, not {record.target_identity}"
        raise RefusedError(
            f"{text}: a route leads to the same target; to another one make a connection", permanent=True
        )
    return msgspec.structs.replace(record, target_identity=welcome.identity, rerouted=False)


class Contact:
    """Runs one conversation at a time.

    Attributes:
        parted: why this side ended the last one; empty when it did not.
    """

    def __init__(self) -> None:
        self.parted = ""
        self._part = asyncio.Event()
        self._silent = asyncio.Event()
        self._silent.set()

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

    async def ended(self) -> None:
        """Wait until none runs: nothing more is sent in it."""
        await self._silent.wait()
