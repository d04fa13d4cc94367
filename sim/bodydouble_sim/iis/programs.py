"""The services of IIS as programs, all inside inetinfo.exe, and the listeners of SMTP and NNTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.iis import greeters
from bodydouble_sim.iis.ftp_service import FtpService
from bodydouble_sim.iis.inetinfo import IisAdmin, Inetinfo
from bodydouble_sim.iis.listener import StreamListener
from bodydouble_sim.iis.web_service import WebService
from bodydouble_sim.windows.service import ServiceFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.service import ServiceProgram
    from bodydouble_sim.windows.system import WindowsSystem

PORT_TAKEN = 10048
_ALL = "0.0.0.0"  # noqa: S104 - "(All Unassigned)"


class LineService:
    """SMTP or NNTP: listeners that `open_listeners` describes once the metabase is there."""

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


def _smtp_listeners(inetinfo: Inetinfo) -> list[tuple[StreamListener, str, int]]:
    greeter = greeters.smtp(inetinfo.configured().server_name.lower())
    return [(StreamListener(inetinfo.system, "smtp", greeter.serve), _ALL, inetinfo.configured().smtp_port)]


def _nntp_listeners(inetinfo: Inetinfo) -> list[tuple[StreamListener, str, int]]:
    return [(StreamListener(inetinfo.system, "nntp", greeters.nntp().serve), _ALL, inetinfo.configured().nntp_port)]


def factories(system: WindowsSystem) -> dict[str, Callable[[], ServiceProgram]]:
    """What each IIS service runs, by short name; they share one inetinfo.exe."""
    inetinfo = Inetinfo(system)
    return {
        "IISADMIN": lambda: IisAdmin(inetinfo),
        "W3SVC": lambda: WebService(inetinfo),
        "MSFTPSVC": lambda: FtpService(inetinfo),
        "SMTPSVC": lambda: LineService(lambda: _smtp_listeners(inetinfo)),
        "NNTPSVC": lambda: LineService(lambda: _nntp_listeners(inetinfo)),
    }
