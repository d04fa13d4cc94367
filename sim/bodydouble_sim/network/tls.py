"""TLS over simulated connections: asyncio's own protocol, which asks a loop for timers and futures only.

OpenSSL draws from its own generator and reads the real clock, so the bytes of a TLS connection differ from run to run.
How many there are, and when they go, does not differ as long as everything variable in them has a constant length
(ARCHITECTURE.md says what that takes). The trace therefore records the length of a ciphertext and never its contents.
"""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol, _SSLProtocolTransport
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

HANDSHAKE = 22  # the content type of a TLS record that begins a connection (RFC 8446, 5.1)
_MAJOR = 3
_HELLOS = (1, 2)  # client and server hello (RFC 8446, 4)
_RECORD_HEADER = 5
_LONGEST = 1 << 14


def is_hello(data: bytes) -> bool:
    """Whether a TLS record with a client's or server's hello begins here; whoever wrote it, TLS goes on."""
    if len(data) <= _RECORD_HEADER or data[0] != HANDSHAKE or data[1] != _MAJOR:
        return False
    return data[_RECORD_HEADER] in _HELLOS and int.from_bytes(data[3:_RECORD_HEADER]) <= _LONGEST


class _Transport(_SSLProtocolTransport):
    """asyncio's TLS transport, without its complaint about what a power cut or the end of a world left open."""

    def __del__(self) -> None:
        """Nothing is open but in the model."""

    def is_closing(self) -> bool:
        """Whether it was closed, or the connection below is closing."""
        below = getattr(self._ssl_protocol, "_transport", None)
        return self._closed or (below is not None and below.is_closing())


class TlsProtocol(SSLProtocol):
    """asyncio's TLS protocol, with the transport above."""

    _app_transport_created: bool

    def _get_app_transport(self) -> _SSLProtocolTransport:
        if not self._app_transport_created:
            self._app_transport = _Transport(self._loop, self)
            self._app_transport_created = True
        return self._app_transport

    @property
    def transport(self) -> Any:
        """What the protocol above writes to."""
        return self._app_transport

    @property
    def protocol(self) -> Any:
        """The protocol above."""
        return self._app_protocol


@dataclass(frozen=True, slots=True)
class Tls:
    """How a connection is secured.

    Attributes:
        context: certificates and what is asked of the peer's; None: the platform's default (clients only).
        server_side: whether this side answers the handshake.
        hostname: the name that the peer's certificate is checked against.
        handshake_timeout, shutdown_timeout: seconds; None: asyncio's defaults.
    """

    context: SSLContext | None
    server_side: bool
    hostname: str | None = None
    handshake_timeout: float | None = None
    shutdown_timeout: float | None = None

    def wrap(self, protocol: Any, secured: asyncio.Future[Any] | None, *, made: bool = False) -> TlsProtocol:
        """The protocol that does TLS below ``protocol``.

        Args:
            protocol: the application's.
            secured: gets a result, or the error, when the handshake is over; a server that waits for nobody gives none.
            made: whether the application's ``connection_made`` was called already, for an upgrade.
        """
        loop: Any = asyncio.get_running_loop()
        limits: dict[str, Any] = {
            "ssl_handshake_timeout": self.handshake_timeout,
            "ssl_shutdown_timeout": self.shutdown_timeout,
        }
        context: Any = self.context
        waiter: Any = secured
        return TlsProtocol(loop, protocol, context, waiter, self.server_side, self.hostname, not made, **limits)

    def over(
        self, factory: Callable[[], asyncio.BaseProtocol], secured: asyncio.Future[Any] | None = None
    ) -> Callable[[], asyncio.BaseProtocol]:
        """A protocol factory that puts TLS below what ``factory`` makes."""
        return lambda: self.wrap(factory(), secured)


def terms(ssl: Any, options: dict[str, Any], *, server_side: bool, hostname: str | None = None) -> Tls | None:
    """What the TLS arguments of a loop's call ask for, checked as asyncio does; None: plain TCP.

    Args:
        ssl: a context, or True for a client's default one.
        options: the call's other arguments; the TLS time-outs are taken out of them.
        server_side: whether the call is a server's.
        hostname: the name that the peer's certificate is checked against.

    Raises:
        TypeError: a server without a context.
        ValueError: a time-out without TLS.
    """
    if server_side and isinstance(ssl, bool):
        raise TypeError("ssl argument must be an SSLContext or None")
    limits = {name: options.pop(name, None) for name in ("ssl_handshake_timeout", "ssl_shutdown_timeout")}
    if ssl:
        return Tls(None if ssl is True else ssl, server_side, hostname, *limits.values())
    for name, limit in limits.items():
        if limit is not None:
            raise ValueError(f"{name} is only meaningful with ssl")
    return None
