"""The thirteen ports of a simulated Windows machine in one `bodydouble.ports.Host`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.ports import Host
from bodydouble_sim.ports.active_name import SimActiveName
from bodydouble_sim.ports.applications import SimApplications
from bodydouble_sim.ports.clock import SimClock
from bodydouble_sim.ports.entropy import SimEntropy
from bodydouble_sim.ports.file_filter import SimFileFilter
from bodydouble_sim.ports.file_system import SimFileSystem
from bodydouble_sim.ports.identity import SimIdentity
from bodydouble_sim.ports.inventory import SimInventory
from bodydouble_sim.ports.own_name import SimOwnName
from bodydouble_sim.ports.pinger import SimPinger
from bodydouble_sim.ports.scripts import SimScripts
from bodydouble_sim.ports.services import SimServices
from bodydouble_sim.ports.shares import SimShares

if TYPE_CHECKING:
    from bodydouble_sim.windows.machine import WindowsMachine


def compose(machine: WindowsMachine) -> Host:
    """What the product gets on ``machine``."""
    stream = machine.world.random(f"disk:{machine.name}")
    return Host(
        file_system=SimFileSystem(machine.volumes, stream),
        file_filter=SimFileFilter(machine.volumes),
        identity=SimIdentity(machine),
        services=SimServices(machine.system.scm),
        scripts=SimScripts(machine),
        pinger=SimPinger(machine),
        clock=SimClock(machine.clock),
        entropy=SimEntropy(machine.world.random(f"secrets:{machine.name}")),
        applications=SimApplications(machine.system),
        active_name=SimActiveName(machine.system),
        own_name=SimOwnName(machine),
        inventory=SimInventory(machine.system),
        shares=SimShares(machine.system),
    )
