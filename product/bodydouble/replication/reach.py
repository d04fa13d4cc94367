"""Reach: a paired machine asks whether this one reaches an address. Two that part for a while ask a third so."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING

from bodydouble.errors import ProtocolError
from bodydouble.replication.dialling import answer_of, dial
from bodydouble.replication.protocol import Hello, Reach, Reached
from bodydouble.vocabulary.records import ConnectRequest

if TYPE_CHECKING:
    from bodydouble.replication.context import Context
    from bodydouble.replication.protocol import Wire

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
    """Ping the address, and say whether it answered.

    Raises:
        OSError: the connection broke.
        ProtocolError: no IPv4 address was asked for.
    """
    address = asked_for(question)
    await wire.send(Reached(await _answers(context, address)))


async def _answers(context: Context, address: str) -> bool:
    for _ in range(TRIES):
        if await context.host.pinger.ping(address, PING_SECONDS) is not None:
            return True
    return False


async def ask(context: Context, witness: str, port: int, address: str) -> bool:
    """Whether a paired machine reaches an address.

    Raises:
        OSError: the witness does not answer.
        PairingError: it is not paired with this machine.
        ProtocolError: it answers something else.
    """
    request = ConnectRequest(replication_set="", target=witness, port=port)
    wire = await dial(context, request, "replicate", "")
    try:
        await wire.send(Reach(address))
        async with asyncio.timeout(context.settings.connect_timeout + TRIES * PING_SECONDS):
            answer = await answer_of(wire)
    except TimeoutError as error:
        raise ConnectionAbortedError(f"{witness} gave no answer in time") from error
    finally:
        await wire.close()
    if not isinstance(answer, Reached):
        raise ProtocolError(f"{witness} answered {type(answer).__name__} when it was asked what it reaches")
    return answer.answers
