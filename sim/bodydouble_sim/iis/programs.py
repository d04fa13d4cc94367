"""The services of IIS as programs: those in inetinfo.exe share one metabase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.iis import mail_and_news
from bodydouble_sim.iis.ftp_service import FtpService
from bodydouble_sim.iis.inetinfo import IisAdmin, Inetinfo
from bodydouble_sim.iis.web_service import WebService

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.service import ServiceProgram
    from bodydouble_sim.windows.system import WindowsSystem


def factories(system: WindowsSystem) -> dict[str, Callable[[], ServiceProgram]]:
    """What each IIS service runs, by short name."""
    inetinfo = Inetinfo(system)
    return {
        "IISADMIN": lambda: IisAdmin(inetinfo),
        "W3SVC": lambda: WebService(inetinfo),
        "MSFTPSVC": lambda: FtpService(inetinfo),
        **mail_and_news.factories(system, inetinfo.configured),
    }
