"""The NetBIOS names of a machine by type, as ``nbtstat -n`` lists them.

Source: KB 163409: Workstation answers for <00>, Messenger for <03>, Server for <20>, the primary domain controller for
<1B>. On the simulated wire a computer's name is claimed once for all three types; which of them exist is decided by the
services that run, those of added names as well (the note's "multi-naming").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bodydouble_sim.network.nbns import split

if TYPE_CHECKING:
    from bodydouble_sim.windows.system import WindowsSystem

_TYPES = ((0x00, "LanmanWorkstation"), (0x03, "Messenger"), (0x20, "LanmanServer"))


@dataclass(frozen=True, slots=True)
class WireName:
    """A name, its type byte, and whether the machine has it or lost it to another."""

    name: str
    suffix: int
    status: Literal["Registered", "Conflict"] = "Registered"


def wire_names(system: WindowsSystem) -> list[WireName]:
    """The names that the machine answers for, and its own when another machine has it."""
    running = {service.config.name for service in system.scm.services() if service.state != "stopped"}
    found: list[WireName] = []
    for name in system.name_service.names():
        plain, kind = split(name)
        if plain != name:
            found.append(WireName(plain, kind))
        else:
            found += [WireName(plain, suffix) for suffix, service in _TYPES if service in running]
    if system.names.conflict:
        found.append(WireName(system.names.permanent, 0x00, "Conflict"))
    return found
