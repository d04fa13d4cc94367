"""`bodydouble.ports.Services` over the service control manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.records import ServiceStatus
from bodydouble_sim.windows.service import ALREADY_RUNNING, NOT_ACTIVE, ServiceControlError

if TYPE_CHECKING:
    from bodydouble_sim.windows.scm import ServiceControlManager


class SimServices:
    """The services of a Windows system."""

    def __init__(self, scm: ServiceControlManager) -> None:
        self._scm = scm

    async def query(self, name: str) -> ServiceStatus:
        """See `bodydouble.ports.Services.query`."""
        service = self._scm.find(name)
        config = service.config
        return ServiceStatus(
            name=config.name, display_name=config.display_name, state=service.state, startup=config.startup
        )

    async def start(self, name: str) -> None:
        """See `bodydouble.ports.Services.start`; what is paused, or hangs while it stops, does not run."""
        try:
            await self._scm.start(name)
        except ServiceControlError as error:
            if error.number != ALREADY_RUNNING or self._scm.find(name).state != "running":
                raise

    async def stop(self, name: str) -> None:
        """See `bodydouble.ports.Services.stop`; nothing happens when it does not run."""
        try:
            await self._scm.stop(name, dependents=True)
        except ServiceControlError as error:
            if error.number != NOT_ACTIVE:
                raise
