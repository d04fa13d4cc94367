"""Where web sites are reached: one listening socket for each address and port, and which site answers on it.

Source: IIS SDK, "ServerBindings" (IP:Port:Hostname, what is left out fits everything); KB 190008 (sites on one address
are told apart by the Host header). The closest binding counts: address and host, address alone, host alone, neither.
Sites on all addresses and sites on single ones of the same port share one socket.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble_sim.iis.http_connection import HttpConnection

if TYPE_CHECKING:
    from bodydouble_sim.iis.metabase import Binding
    from bodydouble_sim.iis.web_service import WebService
    from bodydouble_sim.iis.web_site import WebSite

ALL = "0.0.0.0"  # noqa: S104 - "(All Unassigned)"


class WebEndpoint:
    """One socket and the bindings behind it.

    Args:
        service: the web service.
        address: the address that it is bound to, `ALL` for all.
        port: its port.
    """

    def __init__(self, service: WebService, address: str, port: int) -> None:
        self.service = service
        self.address = address
        self.port = port
        self._bindings: list[tuple[Binding, WebSite]] = []
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken, or the address is not this machine's.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: HttpConnection(self), self.address, self.port)

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None

    @property
    def bound_port(self) -> int:
        """The port that it really has (a binding to port 0 gets a free one)."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def use(self, bindings: list[tuple[Binding, WebSite]]) -> None:
        """From now on these sites are behind the socket."""
        self._bindings = bindings

    def sites(self) -> list[WebSite]:
        """The sites behind the socket."""
        return [site for _, site in self._bindings]

    def select(self, address: str, host: str) -> WebSite | None:
        """The site that answers a request to ``address`` which calls the server ``host``."""
        best, found = -1, None
        for binding, site in self._bindings:
            if binding.address not in ("", address) or binding.host not in ("", host):
                continue
            rank = 2 * bool(binding.address) + bool(binding.host)
            if rank > best:
                best, found = rank, site
        return found


def plan(bindings: list[tuple[Binding, WebSite]]) -> dict[tuple[str, int], list[tuple[Binding, WebSite]]]:
    """Which sockets the bindings need, by address and port, each with the bindings behind it."""
    everywhere = {binding.port for binding, _ in bindings if not binding.address and binding.port}
    needed: dict[tuple[str, int], list[tuple[Binding, WebSite]]] = {}
    for binding, site in bindings:
        address = ALL if binding.port in everywhere else binding.address or ALL
        needed.setdefault((address, binding.port), []).append((binding, site))
    return needed
