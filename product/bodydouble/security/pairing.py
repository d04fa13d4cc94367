"""Pairing two machines by a one-time code: the offering side, and the accepting one.

Each side pins the other durably before it says so, and marks it *unfinished* until it knows that the other side has
pinned it, too. Whatever breaks in between, repeating completes it: a machine that has used a code may use it again, and
a pin that is there already is replaced by itself.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from bodydouble.errors import FileSystemError, InputError, PairingError
from bodydouble.security.certificate import fingerprint_of
from bodydouble.security.codes import draw_code, read_code
from bodydouble.security.exchange import (
    WRONG,
    Accepting,
    AnyPairingMessage,
    Ask,
    Declined,
    Offering,
    Paired,
    PairingMessage,
    Pinned,
    Proof,
    Reply,
)
from bodydouble.security.offers import OpenOffer
from bodydouble.security.tls import PAIRING_PROTOCOL, certificate_of, client_context
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import BOTH_ROLES, Offer, OfferStatus

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from bodydouble.ports import Entropy
    from bodydouble.security.trust import Trust
    from bodydouble.state.events import EventLog
    from bodydouble.vocabulary.records import AcceptRequest, OfferRequest, Peer, Roles

M = TypeVar("M", bound=PairingMessage)

MAX_MESSAGE = 4096
MAX_MINUTES = 60
CONVERSATION_SECONDS = 15.0
"""For opening a connection, and then for a whole conversation."""
_HEADER = 4
_decoder: msgspec.msgpack.Decoder[AnyPairingMessage] = msgspec.msgpack.Decoder(AnyPairingMessage)


class Pairing:
    """Offers and accepts pairings for one machine.

    Args:
        trust: where the pins are kept.
        entropy: for codes and key exchanges.
        events: the events log.
    """

    def __init__(self, trust: Trust, entropy: Entropy, events: EventLog) -> None:
        self._trust = trust
        self._entropy = entropy
        self._events = events
        self._offer: OpenOffer | None = None

    # --- offering ---

    def offer(self, request: OfferRequest) -> Offer:
        """Make a new code up; one that was offered before is withdrawn.

        Raises:
            InputError: the request cannot be.
        """
        _check_roles(request.roles)
        if not 1 <= request.minutes <= MAX_MINUTES:
            raise InputError(f"minutes: {request.minutes}: expected 1 to {MAX_MINUTES}")
        self.withdraw()
        seconds = request.minutes * 60.0
        self._offer = OpenOffer(draw_code(self._entropy), request.roles, _now() + seconds)
        self._events.record(EventCode.PAIRING_OFFERED, f"pairing is offered for {request.minutes} minutes")
        return Offer(code=self._offer.code, seconds=seconds)

    def withdraw(self) -> None:
        """Let nobody use the offer any more. Nothing happens when there is none."""
        if self._offer is not None:
            self._offer.withdraw()

    def status(self) -> OfferStatus:
        """How the latest offer stands."""
        return OfferStatus(state="none") if self._offer is None else self._offer.status(_now())

    def listens(self) -> bool:
        """Whether there is an offer that somebody may use."""
        return self._offer is not None and self._offer.listens(_now())

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """One conversation with a machine that came to be paired.

        Returns:
            Why it never came to a proof, which anybody can bring about as often as they like; empty when it did. How
            that went is an event.
        """
        line, offer = _Line(reader, writer), self._offer
        try:
            async with asyncio.timeout(CONVERSATION_SECONDS):
                offering, ask, proof = await self._listen(line, offer)
        except (OSError, PairingError, TimeoutError) as error:
            await line.close()
            return f"pairing: {_words(error)}"
        try:
            async with asyncio.timeout(CONVERSATION_SECONDS):
                await self._conclude(line, offering, ask, proof)
        except (OSError, PairingError, FileSystemError, TimeoutError) as error:
            self._events.record(EventCode.PAIRING_FAILED, f"a pairing with {ask.name} failed: {_words(error)}")
        finally:
            await line.close()
        return ""

    async def _listen(self, line: _Line, offer: OpenOffer | None) -> tuple[_Offered, Ask, Proof]:
        ask = await line.receive(Ask)
        if offer is None or not offer.open_to(fingerprint_of(ask.certificate), _now()):
            raise PairingError("the code was used already, or is no longer valid")
        name = await self._trust.name()
        exchange = Offering(offer.code, self._trust.credential.certificate, name, ask, self._entropy)
        await line.send(exchange.reply())
        return _Offered(offer, exchange), ask, await line.receive(Proof)

    async def _conclude(self, line: _Line, offered: _Offered, ask: Ask, proof: Proof) -> None:
        offer, fingerprint = offered.offer, fingerprint_of(ask.certificate)
        self._judge(offered.exchange, proof, offer)
        if not offer.open_to(fingerprint, _now()):
            raise PairingError("the code was used by another machine meanwhile")
        offer.use(fingerprint, ask.name)
        await self._pin(line, offered.exchange, offer, ask)

    def _judge(self, offering: Offering, proof: Proof, offer: OpenOffer) -> None:
        """Raises PairingError: the proof is wrong; after too many of them the code is void."""
        try:
            offering.check(proof)
        except PairingError:
            if offer.listens(_now()) and offer.tried_in_vain():
                self._events.record(EventCode.PAIRING_VOID, "too many wrong codes: the offer to pair is void")
            raise

    async def _pin(self, line: _Line, offering: Offering, offer: OpenOffer, ask: Ask) -> None:
        try:
            await self._trust.pin(ask.name, ask.certificate, offer.roles)
        except PairingError as error:
            await line.send(Declined(str(error)[:500]))
            raise
        await line.send(offering.proof())
        await line.receive(Pinned)
        await self._trust.finish(fingerprint_of(ask.certificate))
        await line.send(Paired())

    # --- accepting ---

    async def accept(self, request: AcceptRequest) -> Peer:
        """Pair with the machine that offers the code; both sides have pinned each other when this returns.

        Raises:
            InputError: the request cannot be, or the code has a mistake in it.
            PairingError: not paired; the message says whether and how to repeat.
        """
        _check_roles(request.roles)
        code = read_code(request.code)
        where = f"{request.host} port {request.port}"
        try:
            async with asyncio.timeout(2 * CONVERSATION_SECONDS), _connected(request) as (line, certificate):
                return await self._ask(line, request, code, certificate)
        except FileSystemError as error:
            raise PairingError(f"the pairing with {where} could not be saved: {error}") from error
        except (OSError, TimeoutError, UnicodeError) as error:
            raise PairingError(f"no pairing with {where}: {_words(error)}; repeat it") from error

    async def _ask(self, line: _Line, request: AcceptRequest, code: str, certificate: bytes) -> Peer:
        name = await self._trust.name()
        accepting = Accepting(code, self._trust.credential, name, certificate, self._entropy)
        await line.send(accepting.ask())
        try:
            reply = await line.receive(Reply)
        except ConnectionError as error:
            raise PairingError(f"{request.host} offers no pairing, or not to this machine: {_words(error)}") from error
        await line.send(accepting.proof(reply))
        try:
            accepting.check(await line.receive(Proof))
        except ConnectionError as error:
            raise PairingError(f"{WRONG}, or the offer ended meanwhile: compare the code, or make a new one") from error
        peer = await self._trust.pin(reply.name, certificate, request.roles)
        await line.send(Pinned())
        await line.receive(Paired)
        return await self._trust.finish(peer.fingerprint)


@dataclass(frozen=True, slots=True)
class _Offered:
    """An offer that somebody tries, and the exchange about it."""

    offer: OpenOffer
    exchange: Offering


class _Line:
    """Pairing messages over one connection: a four-byte length, and MessagePack of at most `MAX_MESSAGE` bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, message: PairingMessage) -> None:
        content = msgspec.msgpack.encode(message)
        self._writer.write(len(content).to_bytes(_HEADER, "big") + content)
        await self._writer.drain()

    async def receive(self, kind: type[M]) -> M:
        """The next message.

        Raises:
            ConnectionError: the connection ended.
            PairingError: another message came, the reason for a refusal among them.
        """
        try:
            length = int.from_bytes(await self._reader.readexactly(_HEADER), "big")
            if not 0 < length <= MAX_MESSAGE:
                raise PairingError(f"a message of {length} bytes: at most {MAX_MESSAGE} are allowed")
            message = _decoder.decode(await self._reader.readexactly(length))
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("the other side closed the connection") from error
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise PairingError(f"a malformed message: {error}") from error
        if isinstance(message, kind):
            return message
        if isinstance(message, Declined):
            raise PairingError(f"the other side declined: {message.detail}")
        raise PairingError(f"{type(message).__name__} instead of {kind.__name__}")

    async def close(self) -> None:
        """Close the connection, not waiting long for the other side."""
        self._writer.close()
        try:
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()


@asynccontextmanager
async def _connected(request: AcceptRequest) -> AsyncIterator[tuple[_Line, bytes]]:
    """A connection to a machine that is not known yet, and the certificate that it showed and proved.

    Raises:
        OSError: there is none.
        PairingError: it does not speak of pairing.
    """
    context = client_context(None, [PAIRING_PROTOCOL], [])
    reader, writer = await asyncio.open_connection(
        request.host, request.port, ssl=context, server_hostname="", ssl_handshake_timeout=CONVERSATION_SECONDS
    )
    line = _Line(reader, writer)
    try:
        connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
        certificate = certificate_of(connection)
        if connection.selected_alpn_protocol() != PAIRING_PROTOCOL or certificate is None:
            raise PairingError(f"{request.host} offers no pairing: run 'bodydouble pair offer' on it first")
        yield line, certificate
    finally:
        await line.close()


def _check_roles(roles: Roles) -> None:
    if not roles or len(set(roles)) != len(roles):
        raise InputError(f"roles: expected one or both of {' and '.join(BOTH_ROLES)}, each once")


def _now() -> float:
    return asyncio.get_running_loop().time()


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return str(error) or type(error).__name__
