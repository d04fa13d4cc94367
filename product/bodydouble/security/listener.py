"""The port on which peers connect: nothing is said to, and little is kept of, whoever shows no paired certificate."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.security.attempts import AttemptLog, WaitingRoom
from bodydouble.security.streams import direct_streams
from bodydouble.security.tls import PAIRING_PROTOCOL, certificate_of
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bodydouble.security.pairing import Pairing
    from bodydouble.security.trust import Trust
    from bodydouble.state.events import EventLog
    from bodydouble.vocabulary.records import Peer

    Attend = Callable[["Peer", asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
    _Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
    Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]

SHUTDOWN_SECONDS = 5.0
"""For so long a closing connection waits for the other side's close_notify."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What those may take that are not known yet.

    Attributes:
        handshake_timeout: seconds for a TLS handshake.
        places: connections at one time.
        share: the same from one address.
    """

    handshake_timeout: float
    places: int
    share: int


class PeerListener:
    """Accepts connections, does TLS, and hands on those of paired machines.

    Args:
        protocol: the ALPN name of what peers speak here.
        trust: who is paired.
        pairing: attends those who come to be paired, while there is an offer.
        events: the events log.
        limits: see `Limits`.
        attend: serves a peer's connection to its end.
    """

    def __init__(
        self, protocol: str, trust: Trust, pairing: Pairing, *, events: EventLog, limits: Limits, attend: Attend
    ) -> None:
        self._protocol = protocol
        self._trust = trust
        self._pairing = pairing
        self._events = events
        self._limits = limits
        self._attend = attend
        self._spawn: Spawn | None = None
        self._server: asyncio.Server | None = None
        self._room: WaitingRoom[_Newcomer] = WaitingRoom(limits.places, limits.share)
        self._attempts = AttemptLog()
        self._accepted = 0

    async def open(self, address: str, port: int, spawn: Spawn) -> asyncio.Server:
        """Listen; ``spawn`` runs the connections' tasks.

        Raises:
            InputError: the address or port cannot be listened on.
        """
        self._spawn = spawn
        try:
            self._server = await asyncio.get_running_loop().create_server(lambda: _Newcomer(self._enter), address, port)
        except OSError as error:
            raise InputError(f"replication: cannot listen on {address} port {port}: {error}") from error
        return self._server

    async def close(self) -> None:
        """Accept nothing more; connections go on. Idempotent.

        CPython loses, unclosed, a connection that it accepts in the loop's very round in which the server closes
        (gh-109564). So accepting ends a round before.
        """
        if self._server is None:
            return
        with suppress(NotImplementedError):  # a loop without readers: Windows's and the simulator's attach at once
            for each in self._server.sockets:
                asyncio.get_running_loop().remove_reader(each.fileno())
        await asyncio.sleep(0)
        self._server.close()

    def _enter(self, newcomer: _Newcomer) -> None:
        assert self._spawn is not None
        leaving = self._room.enter(newcomer, newcomer.address)
        if leaving is not None:
            leaving.turn_out()
            self._note(leaving, "it held a place without showing a certificate")
        self._accepted += 1
        try:
            task = self._spawn(self._receive(newcomer), f"bodydouble-peer-{self._accepted}")
        except ConnectionStateError:  # the service comes up, or goes down
            self._leave(newcomer)
        else:  # a task that is cancelled before its first step would run no clause of its own
            task.add_done_callback(lambda _: self._leave(newcomer))

    def _leave(self, newcomer: _Newcomer) -> None:
        self._room.leave(newcomer)
        newcomer.turn_out()

    async def _receive(self, newcomer: _Newcomer) -> None:
        """From the first byte to the end of the connection."""
        pairing = self._pairing.listens()
        streams = await self._handshake(newcomer, pairing=pairing)
        if streams is not None:
            await self._hand_on(newcomer, *streams, pairing=pairing)

    async def _handshake(self, newcomer: _Newcomer, *, pairing: bool) -> _Streams | None:
        try:
            return await self._secure(newcomer, self._trust.listening(self._protocol, pairing=pairing))
        except ssl.SSLError as error:
            self._note(newcomer, f"TLS: {error.reason or 'no handshake'}")
        except ConnectionAbortedError:
            self._note(newcomer, "no handshake came in time")
        except OSError:
            return None  # it went away by itself
        return None

    async def _hand_on(
        self, newcomer: _Newcomer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, pairing: bool
    ) -> None:
        """Serve a connection whose TLS handshake is over, to its end."""
        try:
            peer, chosen = self._trust.find(_certificate(writer)), _chosen(writer)
            if peer is not None and chosen == self._protocol:
                self._room.leave(newcomer)
                with self._trust.held(peer, writer.transport):
                    await self._attend(peer, reader, writer)
            elif chosen == PAIRING_PROTOCOL and pairing:
                if reason := await self._pairing.attend(reader, writer):
                    self._note(newcomer, reason)
            else:
                self._note(newcomer, "it showed no certificate" if peer is None else "it speaks another protocol")
        finally:
            writer.transport.abort()

    async def _secure(self, newcomer: _Newcomer, context: ssl.SSLContext) -> _Streams:
        if newcomer.transport.is_closing():  # it was turned out already: TLS would wait for an end that has been told
            raise ConnectionResetError
        loop = asyncio.get_running_loop()
        reader, protocol = direct_streams()
        transport = await loop.start_tls(
            newcomer.transport,
            protocol,
            context,
            server_side=True,
            ssl_handshake_timeout=self._limits.handshake_timeout,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS,
        )
        if transport is None:  # it was turned out, or left, during the handshake
            raise ConnectionResetError
        protocol.connection_made(transport)
        return reader, asyncio.StreamWriter(cast("asyncio.WriteTransport", transport), protocol, reader, loop)

    def _note(self, newcomer: _Newcomer, reason: str) -> None:
        text = self._attempts.note(newcomer.address, reason, asyncio.get_running_loop().time())
        if text is not None:
            self._events.record(EventCode.UNPAIRED_ATTEMPT, text)


class _Newcomer(asyncio.Protocol):
    """A connection before TLS: nothing is read until the handshake begins."""

    def __init__(self, enter: Callable[[_Newcomer], None]) -> None:
        self._enter = enter
        self.transport: asyncio.Transport
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.pause_reading()
        self.address = (transport.get_extra_info("peername") or ("somebody",))[0]
        self._enter(self)

    def turn_out(self) -> None:
        """End the connection at once. Idempotent."""
        self.transport.abort()


def _certificate(writer: asyncio.StreamWriter) -> bytes | None:
    return certificate_of(writer.get_extra_info("ssl_object"))


def _chosen(writer: asyncio.StreamWriter) -> str | None:
    connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
    return connection.selected_alpn_protocol()
