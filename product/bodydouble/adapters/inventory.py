"""The `Inventory` port on Linux: os-release, systemd's unit files where there is systemd, services by configuration."""

from __future__ import annotations

import asyncio
import platform
from typing import TYPE_CHECKING

from bodydouble.adapters import processes
from bodydouble.vocabulary.inventory import HostFacts, InstalledService, OperatingSystem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.adapters.services import CommandService
    from bodydouble.vocabulary.records import StartupType

_UNITS = ["systemctl", "list-unit-files", "--type=service", "--no-legend", "--no-pager", "--plain"]
_QUERY_SECONDS = 10.0
_STARTUP: dict[str, StartupType] = {
    "enabled": "automatic",
    "enabled-runtime": "automatic",
    "disabled": "manual",
    "static": "manual",
    "indirect": "manual",
    "masked": "disabled",
    "masked-runtime": "disabled",
}


class LinuxInventory:
    """What this Linux host says of itself.

    Args:
        services: those that the configuration defines by commands.
    """

    def __init__(self, services: Sequence[CommandService]) -> None:
        self._services = services

    async def facts(self) -> HostFacts:
        """See the port."""
        configured = [
            InstalledService(name=each.name, display_name=each.display_name, startup=each.startup)
            for each in self._services
        ]
        units = await _units()
        named = {each.name.casefold() for each in configured if each.startup != "unknown"}
        return HostFacts(
            system=await asyncio.to_thread(_system),
            services=[
                *(each for each in configured if each.startup != "unknown" or units is None),
                *(each for each in units or [] if each.name.casefold() not in named),
            ],
            services_complete=units is not None,
        )


def _system() -> OperatingSystem:
    try:
        said = platform.freedesktop_os_release()
    except OSError:
        return OperatingSystem(key="linux", title="Linux")
    return OperatingSystem(key="linux", title=said.get("NAME", "Linux"), version=said.get("VERSION_ID", ""))


async def _units() -> list[InstalledService] | None:
    """Every service that systemd has a unit file of; None without systemd."""
    try:
        listed = await processes.run(_UNITS, timeout=_QUERY_SECONDS)
    except OSError:
        return None
    if listed.exit_code != 0 or listed.timed_out:
        return None
    found = []
    for line in listed.output.splitlines():
        words = line.split()
        if len(words) > 1 and words[0].endswith(".service"):
            name = words[0].removesuffix(".service")
            found.append(InstalledService(name=name, startup=_STARTUP.get(words[1], "unknown")))
    return found
