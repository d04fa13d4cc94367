"""Boots and shutdowns as the event log has them.

Source: KB 196452: since Service Pack 4, Windows NT 4.0 logs 6005 and 6009 at every boot, 6006 at a clean shutdown and
6008 after an unexpected one; Windows 2000 does as well. The time in 6008 is the latest that the Event Log service has
written into the registry (key Reliability, LastAliveStamp); every five minutes is this model's reading of the default
TimeStampInterval of servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows import time_zone
from bodydouble_sim.windows.clock import instant

if TYPE_CHECKING:
    from datetime import datetime

    from bodydouble_sim.windows.system import WindowsSystem

RELIABILITY = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Reliability"
SOURCE = "EventLog"
STAMP_INTERVAL = 300_000_000_000
_LOGS_BOOTS_SINCE = 4


def logs_boots(system: WindowsSystem) -> bool:
    """Whether the release logs its boots: Windows 2000, and Windows NT 4.0 from Service Pack 4 on."""
    return not system.version.is_nt4 or system.service_pack >= _LOGS_BOOTS_SINCE


def log_boot(system: WindowsSystem) -> None:
    """Log that the system boots, and that it had not been shut down if so; it is running from now on."""
    registry = system.registry
    if logs_boots(system):
        pack = f"Service Pack {system.service_pack} " if system.service_pack else ""
        version = f"{system.version.number} {system.version.build} {pack}Uniprocessor Free"
        system.event_log.record(SOURCE, 6009, "information", f"Microsoft (R) {system.version.title} (R) {version}.")
        system.event_log.record(SOURCE, 6005, "information", "The Event log service was started.")
        if registry.number(RELIABILITY, "DirtyShutdown"):
            moment = _local(system, _alive(system))
            text = f"The previous system shutdown at {moment:%H:%M:%S} on {moment:%m/%d/%Y} was unexpected."
            system.event_log.record(SOURCE, 6008, "error", text)
    registry.set(RELIABILITY, "DirtyShutdown", 1)
    _stamp(system, system.clock())
    registry.flush(RELIABILITY)


def log_shutdown(system: WindowsSystem) -> None:
    """Log that the system is shut down in good order."""
    if logs_boots(system):
        system.event_log.record(SOURCE, 6006, "information", "The Event log service was stopped.")
    system.registry.set(RELIABILITY, "DirtyShutdown", 0)


def stamp_alive(system: WindowsSystem) -> None:
    """At a power cut: the registry has the latest stamp that had been written by now."""
    began = _alive(system)
    _stamp(system, began + (system.clock() - began) // STAMP_INTERVAL * STAMP_INTERVAL)
    system.registry.flush(RELIABILITY)


def _stamp(system: WindowsSystem, time_ns: int) -> None:
    system.registry.set(RELIABILITY, "LastAliveStamp", time_ns.to_bytes(8, "little", signed=True))


def _alive(system: WindowsSystem) -> int:
    stamp = system.registry.get(RELIABILITY, "LastAliveStamp")
    return int.from_bytes(stamp, "little", signed=True) if isinstance(stamp, bytes) else system.clock()


def _local(system: WindowsSystem, time_ns: int) -> datetime:
    zone = time_zone.zone_in(system.registry)
    return zone.local(instant(time_ns), adjust=time_zone.adjusts(system.registry))
