"""SMTP, NNTP and Content Index as services of one installation of IIS: what the metabase says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.iis.content import product_path
from bodydouble_sim.iis.content_index import ContentIndex
from bodydouble_sim.iis.metabase import NNTP, SMTP
from bodydouble_sim.iis.nntp_service import NntpOptions, NntpService
from bodydouble_sim.iis.smtp_options import SmtpOptions
from bodydouble_sim.iis.smtp_service import SmtpService
from bodydouble_sim.windows.accounts import AccountError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.iis.metabase import Metabase
    from bodydouble_sim.windows.service import ServiceProgram
    from bodydouble_sim.windows.system import WindowsSystem


def factories(system: WindowsSystem, configured: Callable[[], Metabase]) -> dict[str, Callable[[], ServiceProgram]]:
    """The programs by short name.

    Args:
        system: the machine.
        configured: the metabase, once IIS Admin has read it.
    """

    def smtp() -> SmtpService:
        return SmtpService(
            system,
            lambda: _smtp_options(configured()),
            lambda: _dns_servers(system),
            lambda account, password: _knows(system, account, password),
        )

    return {
        "SMTPSVC": smtp,
        "NNTPSVC": lambda: NntpService(system, lambda: _nntp_options(configured())),
        "cisvc": lambda: ContentIndex(system),
    }


def _smtp_options(base: Metabase) -> SmtpOptions:
    """The build numbers in the banner are examples of either release."""
    old = base.version == "4.0"
    mailroot = product_path(base.text(f"{SMTP}/1", "PickupDirectory")).rpartition("/")[0]
    version = "5.5.1774.114.11" if old else "5.0.2195.1600"
    return SmtpOptions(base.server_name.lower(), mailroot, base.smtp_port, enhanced=not old, version=version)


def _nntp_options(base: Metabase) -> NntpOptions:
    nntpfile = product_path(base.text(f"{NNTP}/1/ROOT", "Path"))
    return NntpOptions(base.server_name.lower(), nntpfile, base.version, base.nntp_port)


def _dns_servers(system: WindowsSystem) -> list[str]:
    """The DNS servers of all adapters, each once."""
    return list(dict.fromkeys(server for adapter in system.network.adapters() for server in adapter.dns))


def _knows(system: WindowsSystem, account: str, password: str) -> bool:
    """Whether an account of the machine has that password."""
    try:
        system.accounts.check(account, password)
    except AccountError:
        return False
    return True
