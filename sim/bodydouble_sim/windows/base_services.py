"""The services that come with Windows, by release: display names, load order groups, dependencies.

Source: reference/windows-iis.md, "Services"; Microsoft, "Default services" (Windows NT Server 4.0 and Windows 2000
Server). Drivers are left out. A machine's name on the wire belongs to Workstation and Server: when another machine has
it, Server logs 2505 (KB 103470) and both end with "A duplicate name exists on the network" (KB 317140).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows.registry import CONTROL
from bodydouble_sim.windows.roles import Netlogon, netlogon_startup
from bodydouble_sim.windows.scm import WAIT_TO_KILL
from bodydouble_sim.windows.service import (
    DUPLICATE_NAME,
    IdleProgram,
    PausableIdleProgram,
    ServiceConfig,
    ServiceFailedError,
    UnstoppableProgram,
)
from bodydouble_sim.windows.service_database import GROUP_ORDER

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.service import ServiceProgram
    from bodydouble_sim.windows.system import WindowsSystem

_GROUPS = (
    "System Reserved",
    "Boot Bus Extender",
    "SCSI miniport",
    "Primary disk",
    "Base",
    "File system",
    "Event log",
    "NDIS",
    "PNP_TDI",
    "NetBIOSGroup",
    "PlugPlay",
    "RpcSs",
    "RemoteValidation",
    "NetworkProvider",
    "TDI",
    "SpoolerGroup",
    "NetDDEGroup",
)
_NT4 = (
    ServiceConfig("EventLog", "EventLog", "automatic", (), "services.exe", group="Event log"),
    ServiceConfig("PlugPlay", "Plug and Play", "automatic", (), "services.exe", group="PlugPlay"),
    ServiceConfig("RpcSs", "Remote Procedure Call (RPC) Service", "automatic", (), "RpcSs.exe", group="RpcSs"),
    ServiceConfig("ProtectedStorage", "Protected Storage", "automatic", ("RpcSs",), "pstores.exe"),
    ServiceConfig("LanmanWorkstation", "Workstation", "automatic", (), "services.exe", group="NetworkProvider"),
    ServiceConfig("LanmanServer", "Server", "automatic", (), "services.exe", group="TDI"),
    ServiceConfig(
        "LmHosts",
        "TCP/IP NetBIOS Helper",
        "automatic",
        (),
        "services.exe",
        group="TDI",
        depends_on_groups=("NetworkProvider",),
    ),
    ServiceConfig("Browser", "Computer Browser", "automatic", ("LanmanWorkstation", "LanmanServer"), "services.exe"),
    ServiceConfig("Messenger", "Messenger", "automatic", ("LanmanWorkstation",), "services.exe"),
    ServiceConfig("Alerter", "Alerter", "automatic", ("LanmanWorkstation",), "services.exe"),
    ServiceConfig("LicenseService", "License Logging Service", "automatic", (), "llssrv.exe"),
    ServiceConfig("Spooler", "Spooler", "automatic", ("RpcSs",), "spoolss.exe", group="SpoolerGroup"),
    ServiceConfig("NtLmSsp", "NT LM Security Support Provider", "manual", (), "services.exe"),
    ServiceConfig("RpcLocator", "Remote Procedure Call (RPC) Locator", "manual", ("RpcSs",), "locator.exe"),
    ServiceConfig("Schedule", "Schedule", "manual", (), "atsvc.exe"),
    ServiceConfig("UPS", "UPS", "manual", (), "ups.exe"),
)
_2000 = (
    ServiceConfig("Eventlog", "Event Log", "automatic", (), "services.exe", group="Event log"),
    ServiceConfig("PlugPlay", "Plug and Play", "automatic", (), "services.exe", group="PlugPlay"),
    ServiceConfig("RpcSs", "Remote Procedure Call (RPC)", "automatic", (), "svchost.exe", group="RpcSs"),
    ServiceConfig("SamSs", "Security Accounts Manager", "automatic", ("RpcSs",), "lsass.exe"),
    ServiceConfig("ProtectedStorage", "Protected Storage", "automatic", ("RpcSs",), "services.exe"),
    ServiceConfig("LanmanWorkstation", "Workstation", "automatic", (), "services.exe", group="NetworkProvider"),
    ServiceConfig("LanmanServer", "Server", "automatic", (), "services.exe", group="TDI"),
    ServiceConfig("LmHosts", "TCP/IP NetBIOS Helper Service", "automatic", (), "services.exe", group="TDI"),
    ServiceConfig("Dnscache", "DNS Client", "automatic", (), "services.exe", group="TDI"),
    ServiceConfig("Dhcp", "DHCP Client", "automatic", (), "services.exe", group="TDI"),
    ServiceConfig("Browser", "Computer Browser", "automatic", ("LanmanWorkstation", "LanmanServer"), "services.exe"),
    ServiceConfig("Messenger", "Messenger", "automatic", ("LanmanWorkstation", "RpcSs"), "services.exe"),
    ServiceConfig("Alerter", "Alerter", "automatic", ("LanmanWorkstation",), "services.exe"),
    ServiceConfig("seclogon", "RunAs Service", "automatic", (), "services.exe"),
    ServiceConfig("RemoteRegistry", "Remote Registry Service", "automatic", ("RpcSs",), "regsvc.exe"),
    ServiceConfig("Spooler", "Print Spooler", "automatic", ("RpcSs",), "spoolsv.exe", group="SpoolerGroup"),
    ServiceConfig("Schedule", "Task Scheduler", "automatic", ("RpcSs",), "MSTask.exe"),
    ServiceConfig("cisvc", "Indexing Service", "manual", ("RpcSs",), "cisvc.exe"),
    ServiceConfig("NtLmSsp", "NT LM Security Support Provider", "manual", (), "lsass.exe"),
    ServiceConfig("RpcLocator", "Remote Procedure Call (RPC) Locator", "manual", ("LanmanWorkstation",), "locator.exe"),
    ServiceConfig("W32Time", "Windows Time", "manual", (), "services.exe"),
    ServiceConfig("TermService", "Terminal Services", "disabled", (), "termsrv.exe"),
    ServiceConfig("TlntSvr", "Telnet", "manual", ("RpcSs",), "tlntsvr.exe"),
)
_NEVER_STOP = ("EVENTLOG", "PLUGPLAY", "RPCSS", "SAMSS")
_PAUSE = ("NETLOGON", "SCHEDULE")


def configurations(system: WindowsSystem) -> list[ServiceConfig]:
    """The services that set-up of a release registers on a machine of its role."""
    configs = list(_NT4 if system.version.is_nt4 else _2000)
    logon = ServiceConfig(
        "Netlogon",
        "Net Logon",
        netlogon_startup(system.role),
        ("LanmanWorkstation",),
        "lsass.exe",
        group="RemoteValidation",
    )
    return [*configs, logon]


def provide(system: WindowsSystem) -> None:
    """Say what the services of Windows run."""
    for config in _NT4 + _2000:
        system.scm.provide(config.name, _program(config.name))
    system.scm.provide("LanmanServer", lambda: Server(system))
    system.scm.provide("LanmanWorkstation", lambda: Workstation(system))
    system.scm.provide("Netlogon", lambda: Netlogon(system))


def _program(name: str) -> Callable[[], ServiceProgram]:
    if name.upper() in _NEVER_STOP:
        return UnstoppableProgram
    return PausableIdleProgram if name.upper() in _PAUSE else IdleProgram


def register(system: WindowsSystem) -> None:
    """Register the services of Windows, and in which order their groups start."""
    system.registry.set(GROUP_ORDER, "List", list(_GROUPS))
    system.registry.set(CONTROL, "WaitToKillServiceTimeout", WAIT_TO_KILL)
    for config in configurations(system):
        system.scm.register(config, IdleProgram)
    provide(system)


class Workstation(PausableIdleProgram):
    """The Workstation service: the machine as a client of others. It needs the machine's name for itself."""

    def __init__(self, system: WindowsSystem) -> None:
        self._system = system

    async def start(self, died: Callable[[str], None]) -> None:  # noqa: ARG002 - it never dies by itself
        """Use the machine's name.

        Raises:
            ServiceFailedError: another machine has it.
        """
        await self._use_name()

    async def _use_name(self) -> None:
        """Have the name on the wire: since boot, or by claiming it again when it was another's then."""
        system = self._system
        if system.names.conflict and system.up:
            system.names.conflict = not await system.name_service.claim(system.names.permanent)
        if system.names.conflict:
            self.refused()
            raise ServiceFailedError(0, "A duplicate name exists on the network.", number=DUPLICATE_NAME)

    def refused(self) -> None:
        """What the service itself logs when the name is taken; Workstation says nothing."""


class Server(Workstation):
    """The Server service: shares. Paused, it takes no new clients but administrators."""

    async def start(self, died: Callable[[str], None]) -> None:
        """Share what is to be shared under the machine's name.

        Raises:
            ServiceFailedError: another machine has it.
        """
        await super().start(died)
        self._system.shares.server_started()

    def refused(self) -> None:
        """Log that the server cannot use the name."""
        text = "The server could not bind to the transport because another computer on the network has the same name. "
        self._system.event_log.record("Server", 2505, "error", text + "The server could not start.")
