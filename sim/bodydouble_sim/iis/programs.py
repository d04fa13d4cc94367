"""The services of IIS as programs: IIS Admin, WWW, FTP, SMTP and NNTP, all inside inetinfo.exe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis import mail_and_news, metabase
from bodydouble_sim.iis.ftp_session import FtpSession
from bodydouble_sim.iis.http_server import HttpServer
from bodydouble_sim.iis.listener import StreamListener
from bodydouble_sim.iis.w3c_log import W3cLog
from bodydouble_sim.windows.service import ServiceFailedError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from bodydouble_sim.iis.metabase import Metabase, Site
    from bodydouble_sim.windows.service import ServiceProgram
    from bodydouble_sim.windows.system import WindowsSystem

PORT_TAKEN = 10048


@dataclass(slots=True)
class Inetinfo:
    """What the services in inetinfo.exe share: the metabase that IIS Admin has read."""

    system: WindowsSystem
    metabase: Metabase | None = None

    def configured(self) -> Metabase:
        """The metabase.

        Raises:
            ServiceFailedError: IIS Admin has not read it.
        """
        if self.metabase is None:
            raise ServiceFailedError(metabase.DAMAGED_METABASE, "The metabase is not loaded.")
        return self.metabase


class IisAdmin:
    """IIS Admin Service: reads the metabase at start and refuses another active name, writes it at stop."""

    def __init__(self, inetinfo: Inetinfo) -> None:
        self._inetinfo = inetinfo

    async def start(self, died: Callable[[str], None]) -> None:  # noqa: ARG002 - it never dies by itself
        """Read and check the metabase.

        Raises:
            ServiceFailedError: see `bodydouble_sim.iis.metabase.read`; the reason is logged as an event of IISADMIN.
        """
        try:
            self._inetinfo.metabase = metabase.read(self._inetinfo.system)
        except ServiceFailedError as error:
            self._inetinfo.system.event_log.record("IISADMIN", error.specific, "error", str(error))
            raise

    async def stop(self) -> None:
        """Write the metabase back."""
        system, kept = self._inetinfo.system, self._inetinfo.metabase
        self._inetinfo.metabase = None
        if kept is not None:
            try:
                metabase.write(system, kept)
            except FileSystemError as error:
                system.event_log.record("IISADMIN", 4, "error", f"The metabase cannot be written: {error}")

    def kill(self) -> None:
        """Forget the metabase; nothing is written."""
        self._inetinfo.metabase = None


class WebService:
    """World Wide Web Publishing Service: one `HttpServer` a site."""

    def __init__(self, inetinfo: Inetinfo) -> None:
        self._inetinfo = inetinfo
        self._servers: list[HttpServer] = []

    async def start(self, died: Callable[[str], None]) -> None:  # noqa: ARG002 - it never dies by itself
        """Open every site.

        Raises:
            ServiceFailedError: a port is taken.
        """
        for site in self._inetinfo.configured().web:
            server = HttpServer(self._inetinfo.system, site)
            self._servers.append(server)
            try:
                await server.start()
            except OSError as error:
                self.kill()
                raise ServiceFailedError(PORT_TAKEN, f"Web site {site.number}: {error}") from error

    async def stop(self) -> None:
        """Close every site and its connections."""
        self.kill()

    def kill(self) -> None:
        """Close every site and its connections."""
        for server in self._servers:
            server.close()
        self._servers = []


class LineService:
    """FTP: listeners that `open_listeners` describes once the metabase is there."""

    def __init__(self, listeners: Callable[[], list[tuple[StreamListener, str, int]]]) -> None:
        self._open = listeners
        self._listeners: list[StreamListener] = []

    async def start(self, died: Callable[[str], None]) -> None:  # noqa: ARG002 - it never dies by itself
        """Listen.

        Raises:
            ServiceFailedError: a port is taken.
        """
        for listener, address, port in self._open():
            self._listeners.append(listener)
            try:
                await listener.start(address, port)
            except OSError as error:
                self.kill()
                raise ServiceFailedError(PORT_TAKEN, f"port {port}: {error}") from error

    async def stop(self) -> None:
        """Stop listening, drop the clients and wait for their tasks."""
        for listener in self._listeners:
            await listener.stop()
        self._listeners = []

    def kill(self) -> None:
        """Stop listening and drop the clients."""
        for listener in self._listeners:
            listener.close()
        self._listeners = []


def _ftp_listeners(inetinfo: Inetinfo) -> list[tuple[StreamListener, str, int]]:
    system, base = inetinfo.system, inetinfo.configured()
    return [(_ftp_listener(system, site, base.server_name), site.address, site.port) for site in base.ftp]


def _ftp_listener(system: WindowsSystem, site: Site, name: str) -> StreamListener:
    log = W3cLog(system, "MSFTPSVC", f"{metabase.LOG_FILES}/MSFTPSVC{site.number}")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await FtpSession(system, site, log, name.lower(), (reader, writer)).run()

    return StreamListener(system, "ftp", serve)


def factories(system: WindowsSystem) -> dict[str, Callable[[], ServiceProgram]]:
    """What each IIS service runs, by short name; they share one inetinfo.exe."""
    inetinfo = Inetinfo(system)
    return {
        "IISADMIN": lambda: IisAdmin(inetinfo),
        "W3SVC": lambda: WebService(inetinfo),
        "MSFTPSVC": lambda: LineService(lambda: _ftp_listeners(inetinfo)),
        **mail_and_news.factories(system, inetinfo.configured),
    }
