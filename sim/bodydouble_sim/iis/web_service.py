"""The World Wide Web Publishing Service: its sites, their sockets, their state.

Source: IIS SDK, "ServerState", "ServerAutoStart" and "ServerBindings". A site that cannot be bound stays stopped and is
told as event 115 ("The service could not bind instance"), the service and its other sites run.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import InputError
from bodydouble_sim.iis.metabase import WEB
from bodydouble_sim.iis.metabase_schema import STARTED, STOPPED
from bodydouble_sim.iis.web_endpoint import WebEndpoint, plan
from bodydouble_sim.iis.web_handler import WebHandler
from bodydouble_sim.iis.web_site import WebSite

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.iis.http_connection import HttpConnection
    from bodydouble_sim.iis.inetinfo import Inetinfo
    from bodydouble_sim.iis.metabase import Binding

COULD_NOT_BIND = 115


class WebService:
    """One run of W3SVC.

    Args:
        inetinfo: the process it runs in, with the metabase.
    """

    def __init__(self, inetinfo: Inetinfo) -> None:
        self._inetinfo = inetinfo
        self.system = inetinfo.system
        self.connections: dict[HttpConnection, None] = {}
        self._sites: dict[int, WebSite] = {}
        self._endpoints: dict[tuple[str, int], WebEndpoint] = {}
        self._requests = 0
        self.server = ""
        self.timeout = 900

    # --- the service ------------------------------------------------------------------------------------------------

    async def start(self, died: Callable[[str], None]) -> None:  # noqa: ARG002 - it never dies by itself
        """Start every site that starts with the service.

        Raises:
            ServiceFailedError: IIS Admin has not read the metabase.
        """
        metabase = self._inetinfo.configured()
        self.server = f"Microsoft-IIS/{metabase.version}"
        self.timeout = metabase.integer(WEB, "ConnectionTimeout")
        self.handler = WebHandler(self.system, metabase.version)
        self.change = metabase.revision
        for number in metabase.sites(WEB):
            if metabase.get(f"{WEB}/{number}", "ServerAutoStart") is True:
                await self.start_site(number)

    async def stop(self) -> None:
        """Close every site and its connections, and wait for what was being answered."""
        tasks = [task for connection in list(self.connections) if (task := connection.abort()) is not None]
        self.kill()
        if tasks:
            await asyncio.wait(tasks)

    def kill(self) -> None:
        """Close every site and its connections."""
        for endpoint in self._endpoints.values():
            endpoint.close()
        for connection in list(self.connections):
            connection.abort()
        for number in list(self._sites):
            self._set_state(number, STOPPED)
        self._endpoints, self._sites = {}, {}

    def next_request(self) -> int:
        """Numbers for the names of tasks."""
        self._requests += 1
        return self._requests

    # --- its sites --------------------------------------------------------------------------------------------------

    def running(self) -> list[int]:
        """The numbers of the sites that are started."""
        return sorted(self._sites)

    def port_of(self, number: int) -> int:
        """The port that a started site really has.

        Raises:
            InputError: it is not started.
        """
        for endpoint in self._endpoints.values():
            if any(site.number == number for site in endpoint.sites()):
                return endpoint.bound_port
        raise InputError(f"web site {number} is not started")

    async def start_site(self, number: int) -> bool:
        """Start a site; returns False, with event 115 logged, when it cannot be bound.

        Raises:
            InputError: there is no such site.
        """
        metabase = self._inetinfo.configured()
        if number not in metabase.sites(WEB):
            raise InputError(f"there is no web site {number}")
        if number in self._sites:
            return True
        site = WebSite(self.system, metabase, number, self.change)
        clash = self._clash(site)
        self._sites[number] = site
        failure = clash or await self._listen()
        if failure:
            del self._sites[number]
            await self._listen()
            text = f"The service could not bind instance {number}. The data is the error code. {failure}"
            self.system.event_log.record("W3SVC", COULD_NOT_BIND, "error", text)
            return False
        self._set_state(number, STARTED)
        return True

    async def stop_site(self, number: int) -> None:
        """Stop a site and drop its clients; nothing happens when it is not started."""
        site = self._sites.pop(number, None)
        if site is None:
            return
        await self._listen()
        for connection in [known for known in self.connections if known.serves(site)]:
            connection.abort()
        self._set_state(number, STOPPED)

    async def rebind(self) -> None:
        """The bindings in the metabase may have changed: put every started site where it belongs now."""
        for number in self.running():
            await self.stop_site(number)
            await self.start_site(number)

    def _bindings(self) -> list[tuple[Binding, WebSite]]:
        return [(binding, site) for site in self._sites.values() for binding in site.bindings]

    def _clash(self, site: WebSite) -> str:
        """Which binding of ``site`` another started site has already; empty when none."""
        taken = {(item.address, item.port, item.host) for item, _ in self._bindings() if item.port}
        for item in site.bindings:
            if (item.address, item.port, item.host) in taken:
                return f"{item.address}:{item.port}:{item.host} belongs to another web site"
        return "" if site.bindings else "it has no bindings"

    async def _listen(self) -> str:
        """Open the sockets that the started sites need and close the others; returns what went wrong."""
        needed = plan(self._bindings())
        for key in [key for key in self._endpoints if key not in needed]:
            self._endpoints.pop(key).close()
        for key, bindings in needed.items():
            endpoint = self._endpoints.get(key)
            if endpoint is None:
                endpoint = WebEndpoint(self, *key)
                try:
                    await endpoint.open()
                except OSError as error:
                    return f"{key[0]}:{key[1]}: {error}"
                self._endpoints[key] = endpoint
            endpoint.use(bindings)
        return ""

    def _set_state(self, number: int, state: int) -> None:
        metabase = self._inetinfo.metabase
        if metabase is not None and metabase.exists(f"{WEB}/{number}"):
            metabase.set_volatile(f"{WEB}/{number}", "ServerState", state)
