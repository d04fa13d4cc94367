"""Listens for the door on the running loop: the real one or a simulated machine's.

uvicorn's protocol class is served directly with ``loop.create_server``, as the product does with its control API:
`uvicorn.Server` would take the process's signals and tick ten times a second, in virtual time too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from bodydouble_sim.live.winrm.application import WinrmApplication

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.system import WindowsSystem

PORT = 5985
MOST_CONNECTIONS = 64


class WinrmDoor:
    """The door of one machine.

    Args:
        system: the machine.
        address: where to listen.
        port: likewise; 0: any.
        changed: called after each command, for who keeps the machine's state on disk.

    Attributes:
        port: where it listens.
    """

    def __init__(
        self,
        system: WindowsSystem,
        address: str = "",
        port: int = PORT,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._address = address
        self.port = port
        self._application = WinrmApplication(system, changed)
        self._config = Config(
            self._application,
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=MOST_CONNECTIONS,
        )
        self._state = ServerState()
        self._server: asyncio.AbstractServer | None = None

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be listened on.
        """
        self._config.load()
        loop = asyncio.get_running_loop()
        self._server = server = await loop.create_server(self._protocol, self._address or None, self.port)
        self.port = server.sockets[0].getsockname()[1]

    def _protocol(self) -> asyncio.Protocol:
        return H11Protocol(config=self._config, server_state=self._state, app_state={})

    async def close(self) -> None:
        """Listen no more; shells, requests under way and connections end."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._application.close()
        for protocol in sorted(self._state.connections, key=lambda one: getattr(one, "client", None) or ("", 0)):
            protocol.shutdown()
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.sleep(0)  # the transports close on the loop's next turn

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            OSError: the address cannot be listened on.
        """
        await self.open()
        try:
            await asyncio.Event().wait()
        finally:
            await self.close()
