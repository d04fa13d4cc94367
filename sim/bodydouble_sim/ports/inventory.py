"""`bodydouble.ports.Inventory` over a simulated Windows system: its registry, services and metabase.

Source: KB 222507 (CSDVersion), Microsoft's ProductOptions and InetStp keys, as `bodydouble_sim.windows.installation`,
`bodydouble_sim.windows.roles` and `bodydouble_sim.iis.installation` enter them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.inventory import HostFacts, Installation, InstalledService, OperatingSystem
from bodydouble.vocabulary.paths import normalise, parent
from bodydouble_sim.ports.applications import metabase_of
from bodydouble_sim.windows import installation
from bodydouble_sim.windows.registry import INETSTP

if TYPE_CHECKING:
    from bodydouble_sim.windows.system import WindowsSystem


class SimInventory:
    """What a Windows system is.

    Args:
        system: simulated Windows, with IIS or without.
    """

    def __init__(self, system: WindowsSystem) -> None:
        self._system = system

    async def facts(self) -> HostFacts:
        """See `bodydouble.ports.Inventory.facts`."""
        system = self._system
        version = system.version
        return HostFacts(
            system=OperatingSystem(
                key=version.key,
                title=f"{version.title} {version.number}" if version.is_nt4 else version.title,
                version=version.number,
                service_pack=installation.service_pack(system.registry, 0),
            ),
            domain_role=system.role,
            services=[
                InstalledService(
                    name=each.config.name,
                    display_name=each.config.display_name,
                    other_names=each.config.aliases,
                    startup=each.config.startup,
                    interactive=each.config.interactive,
                )
                for each in system.scm.services()
            ],
            installations=self._iis(),
        )

    def _iis(self) -> list[Installation]:
        metabase = metabase_of(self._system)
        if metabase is None:
            return []
        root = self._system.registry.text(INETSTP, "PathWWWRoot")
        return [
            Installation(
                application="IIS",
                version=metabase.version,
                set_up_as=metabase.server_name,
                directory=parent(normalise(root)) if root else "",
            )
        ]
