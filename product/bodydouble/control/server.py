"""Serves the control API over HTTP/1.1 and TLS on the running loop.

uvicorn's protocol class is served directly with ``loop.create_server``. `uvicorn.Server` adds a main loop that wakes
ten times a second only to refresh the Date header and to look at its exit flag, and it takes the process's signals:
the daemon wants neither, and a simulation of hours would pay for each tick.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from bodydouble.control.line import Line, state_with
from bodydouble.errors import InputError, reason_of
from bodydouble.security.attempts import WaitingRoom

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from bodydouble.control.settings import ControlSettings
    from bodydouble.security.trust import Trust

MAX_CONNECTIONS = 256
"""Connections served at once; more are answered with 503."""

GRACE = 2.0
"""Seconds that requests under way may take to end once the server closes, and then their connections."""

HANDSHAKE_SECONDS = 5.0
"""For the TLS handshake."""

MIN_TOKEN_CHARACTERS = 8


MAX_STRANGERS = 64
STRANGERS_OF_ONE = 16
"""Connections that have shown no token yet, at one time, and from one address: the oldest makes room."""


class _Connection(H11Protocol):
    """uvicorn's protocol; in the waiting room until a request has shown the token."""

    def __init__(
        self, room: WaitingRoom[_Connection], config: Config, state: ServerState, left: Callable[[], None]
    ) -> None:
        self._line = Line(self._authorised, self._cut)
        super().__init__(config=config, server_state=state, app_state=state_with(self._line))
        self._room = room
        self._left = left

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        leaving = self._room.enter(self, _peer(self)[0])
        if leaving is not None:
            leaving.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._authorised()
        super().connection_lost(exc)
        self._line.end()
        self._left()

    def shutdown(self) -> None:
        super().shutdown()
        self._line.end()

    def _authorised(self) -> None:
        self._room.leave(self)

    def _cut(self) -> None:
        self.transport.abort()


class ControlServer:
    """Listens and serves until cancelled.

    Args:
        settings: address, port and token.
        app: the ASGI application.
        trust: has the certificate; loaded before this runs.

    Raises:
        InputError: the token is too short to be a secret, or plain HTTP would leave the machine.
    """

    def __init__(self, settings: ControlSettings, app: ASGIApp, trust: Trust) -> None:
        if len(settings.token) < MIN_TOKEN_CHARACTERS:
            raise InputError(f"control.token: expected at least {MIN_TOKEN_CHARACTERS} characters")
        if settings.plain_http and not settings.on_loopback:
            raise InputError(
                f"control.plain_http: the address is {settings.address}: without TLS the API is served on a loopback "
                "address only; set control.address to 127.0.0.1, or leave plain_http out"
            )
        self._trust = trust
        self._room: WaitingRoom[_Connection] = WaitingRoom(MAX_STRANGERS, STRANGERS_OF_ONE)
        self._settings = settings
        self._config = Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=MAX_CONNECTIONS,
        )
        self._config.load()
        self._state = ServerState()
        self.port = settings.port
        self.ready = asyncio.Event()
        self._left = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled; then let requests under way end.

        Raises:
            InputError: the address cannot be listened on.
        """
        server = await self._listen()
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            await self._end_requests()

    async def _listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        address, port = self._settings.address, self._settings.port
        secured = None if self._settings.plain_http else self._trust.controlled()
        limit = None if secured is None else HANDSHAKE_SECONDS
        try:
            return await loop.create_server(self._protocol, address, port, ssl=secured, ssl_handshake_timeout=limit)
        except OSError as error:
            raise InputError(f"control: cannot listen on {address} port {port}: {reason_of(error)}") from error

    def _protocol(self) -> asyncio.Protocol:
        return _Connection(self._room, self._config, self._state, self._left.set)

    async def _end_requests(self) -> None:
        # A set of protocols iterates by address: sorted, because the order of closing shows on the wire.
        for protocol in sorted(self._state.connections, key=_peer):
            protocol.shutdown()
        if self._state.tasks:
            _, late = await asyncio.wait(self._state.tasks, timeout=GRACE)
            for task in late:
                task.cancel()
        await self._end_connections()

    async def _end_connections(self) -> None:
        """TLS takes leave in both directions; who does not is left behind."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                while self._state.connections:
                    self._left.clear()
                    await self._left.wait()
        for protocol in sorted(self._state.connections, key=_peer):
            protocol.transport.abort()
        await asyncio.sleep(0)  # the transports close on the loop's next turn


def _peer(protocol: asyncio.Protocol) -> tuple[str, int]:
    client: tuple[str, int] | None = getattr(protocol, "client", None)
    return client or ("", 0)
