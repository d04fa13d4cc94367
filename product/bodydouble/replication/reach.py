"""Reach: a paired machine asks whether this one reaches an address, and who may answer for it."""

from __future__ import annotations

import asyncio
import ipaddress
from functools import partial
from typing import TYPE_CHECKING

from bodydouble.errors import ProtocolError
from bodydouble.replication.claims import Asker
from bodydouble.replication.dialling import answer_of, dial
from bodydouble.replication.protocol import Hello, Reach, Reached
from bodydouble.vocabulary.records import ConnectRequest

if TYPE_CHECKING:
    from bodydouble.replication.context import Context
    from bodydouble.replication.protocol import Wire
    from bodydouble.vocabulary.witnesses import Witness

PING_SECONDS = 1.0
TRIES = 2


async def first_of(context: Context, wire: Wire) -> Hello | Reach:
    """What a machine that has connected wants.

    Raises:
        OSError: it said nothing in time, or is gone.
        ProtocolError: it said something else.
    """
    try:
        async with asyncio.timeout(context.settings.connect_timeout):
            message = await wire.receive()
    except TimeoutError as error:
        raise ConnectionAbortedError("no Hello came") from error
    if not isinstance(message, Hello | Reach):
        raise ProtocolError(f"{type(message).__name__} before Hello")
    return message


def asked_for(question: Reach) -> str:
    """The address that is to be pinged.

    Raises:
        ProtocolError: it is none.
    """
    try:
        return str(ipaddress.IPv4Address(question.address))
    except ValueError as error:
        raise ProtocolError(f"{question.address!r} is asked for, expected an IPv4 address") from error


async def tell(context: Context, wire: Wire, question: Reach) -> None:
    """Say whether the address answers a ping, and decide who may answer for it; then for the next, until nobody asks.

    Raises:
        OSError: the connection broke.
        ProtocolError: no IPv4 address was asked for, or something else was said.
        FileSystemError: the decision cannot be kept.
    """
    asker = Asker(wire.peer.fingerprint, wire.peer.name)
    while True:
        address = asked_for(question)
        await wire.send(await context.claims.answer(question, asker, partial(_answers, context, address)))
        following = await _next(wire)
        if following is None:
            return
        question = following


async def _next(wire: Wire) -> Reach | None:
    """The next question; None when no more comes."""
    try:
        message = await wire.receive()
    except OSError:
        return None
    if not isinstance(message, Reach):
        raise ProtocolError(f"{type(message).__name__} instead of Reach")
    return message


async def _answers(context: Context, address: str) -> bool:
    for _ in range(TRIES):
        if await context.host.pinger.ping(address, PING_SECONDS) is not None:
            return True
    return False


class Line:
    """The questions of this machine to one paired witness.

    Who leases an address asks again and again: that connection is kept.

    Args:
        context: the daemon's surroundings.
        witness: where it is.
    """

    def __init__(self, context: Context, witness: Witness) -> None:
        self._context = context
        self._request = ConnectRequest(replication_set="", target=witness.address, port=witness.port)
        self._wire: Wire | None = None
        self._asking = asyncio.Lock()

    async def ask(self, question: Reach, *, keep: bool) -> Reached:
        """What the witness says.

        Args:
            question: what it is asked.
            keep: the connection is needed again soon.

        Raises:
            OSError: it does not answer.
            PairingError: it is not paired with this machine.
            ProtocolError: it answers something else.
        """
        async with self._asking:
            try:
                answer = await self._again(question) or await self._anew(question)
            except BaseException:
                self.drop()  # its answer would be taken for that to the next question
                raise
            if not keep:
                self.drop()
            return answer

    async def _again(self, question: Reach) -> Reached | None:
        """The answer over a connection that was kept; None: there is none any more."""
        if self._wire is None:
            return None
        try:
            return await self._answer(self._wire, question)
        except OSError:
            self.drop()
            return None

    async def _anew(self, question: Reach) -> Reached:
        self._wire = await dial(self._context, self._request, "replicate", "")
        return await self._answer(self._wire, question)

    async def _answer(self, wire: Wire, question: Reach) -> Reached:
        try:
            async with asyncio.timeout(self._context.settings.connect_timeout + TRIES * PING_SECONDS):
                await wire.send(question)
                answer = await answer_of(wire)
        except TimeoutError as error:
            raise ConnectionAbortedError(f"{self._request.target} gave no answer in time") from error
        if not isinstance(answer, Reached):
            name = type(answer).__name__
            raise ProtocolError(f"{self._request.target} answered {name} when it was asked what it reaches")
        return answer

    def drop(self) -> None:
        """Let go of a connection that was kept."""
        if self._wire is not None:
            self._wire.transport.abort()
            self._wire = None
