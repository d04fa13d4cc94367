"""The FTP Publishing Service: its sites and their listeners.

Source: as for the web service (ServerState, ServerAutoStart, ServerBindings of the IIS SDK): a site that cannot be
bound stays stopped, which event 115 tells. FTP knows no host names: a binding's address and port count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import InputError
from bodydouble_sim.iis.ftp_session import FtpSession
from bodydouble_sim.iis.ftp_site import FtpSite
from bodydouble_sim.iis.listener import StreamListener
from bodydouble_sim.iis.metabase import FTP, binding
from bodydouble_sim.iis.metabase_schema import STARTED, STOPPED
from bodydouble_sim.iis.web_endpoint import ALL
from bodydouble_sim.iis.web_security import Logons
from bodydouble_sim.iis.web_service import COULD_NOT_BIND

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from bodydouble_sim.iis.inetinfo import Inetinfo


class FtpService:
    """One run of MSFTPSVC.

    Args:
        inetinfo: the process it runs in, with the metabase.
    """

    def __init__(self, inetinfo: Inetinfo) -> None:
        self._inetinfo = inetinfo
        self._system = inetinfo.system
        self._listeners: dict[int, list[StreamListener]] = {}
        self._logons = Logons(inetinfo.system)

    async def start(self, died: Callable[[str], None]) -> None:  # noqa: ARG002 - it never dies by itself
        """Start every site that starts with the service.

        Raises:
            ServiceFailedError: IIS Admin has not read the metabase.
        """
        metabase = self._inetinfo.configured()
        for number in metabase.sites(FTP):
            if metabase.get(f"{FTP}/{number}", "ServerAutoStart") is True:
                await self.start_site(number)

    async def stop(self) -> None:
        """Stop every site, drop the clients and wait for their tasks."""
        for number in list(self._listeners):
            await self.stop_site(number)

    def kill(self) -> None:
        """Stop listening and drop the clients."""
        for number, listeners in self._listeners.items():
            self._set_state(number, STOPPED)
            for listener in listeners:
                listener.close()
        self._listeners = {}

    def running(self) -> list[int]:
        """The numbers of the sites that are started."""
        return sorted(self._listeners)

    def port_of(self, number: int) -> int:
        """The port that a started site really has.

        Raises:
            InputError: it is not started.
        """
        for listener in self._listeners.get(number, []):
            return listener.port
        raise InputError(f"FTP site {number} is not started")

    async def start_site(self, number: int) -> bool:
        """Start a site; returns False, with event 115 logged, when it cannot be bound.

        Raises:
            InputError: there is no such site.
        """
        metabase = self._inetinfo.configured()
        if number not in metabase.sites(FTP):
            raise InputError(f"there is no FTP site {number}")
        if number in self._listeners:
            return True
        site = FtpSite(self._system, metabase, number, self._logons)
        opened: list[StreamListener] = []
        for text in metabase.items(site.key, "ServerBindings"):
            listener = self._listener(site, metabase.server_name.lower(), binding(text).port)
            try:
                await listener.start(binding(text).address or ALL, binding(text).port)
            except OSError as error:
                for other in opened:
                    other.close()
                self._system.event_log.record(
                    "MSFTPSVC",
                    COULD_NOT_BIND,
                    "error",
                    f"The service could not bind instance {number}. The data is the error code. {text} {error}",
                )
                return False
            opened.append(listener)
        self._listeners[number] = opened
        self._set_state(number, STARTED)
        return True

    def _listener(self, site: FtpSite, name: str, port: int) -> StreamListener:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await FtpSession(site, name, port, (reader, writer)).run()

        return StreamListener(self._system, "ftp", serve)

    async def stop_site(self, number: int) -> None:
        """Stop a site and drop its clients; nothing happens when it is not started."""
        for listener in self._listeners.pop(number, []):
            await listener.stop()
        self._set_state(number, STOPPED)

    async def rebind(self) -> None:
        """The bindings in the metabase may have changed: put every started site where it belongs now."""
        for number in self.running():
            await self.stop_site(number)
            await self.start_site(number)

    def _set_state(self, number: int, state: int) -> None:
        metabase = self._inetinfo.metabase
        if metabase is not None and metabase.exists(f"{FTP}/{number}"):
            metabase.set_volatile(f"{FTP}/{number}", "ServerState", state)
