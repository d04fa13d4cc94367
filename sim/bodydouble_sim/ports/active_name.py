"""`bodydouble.ports.ActiveName` over a simulated Windows system: the two names in its registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import IdentityError, InputError

if TYPE_CHECKING:
    from bodydouble_sim.windows.system import WindowsSystem


class SimActiveName:
    """The computer's active name. The permanent one is in the registry anyway, so nothing has to be kept."""

    def __init__(self, system: WindowsSystem) -> None:
        self._system = system

    async def original(self) -> str | None:
        """See `bodydouble.ports.ActiveName.original`."""
        names = self._system.names
        return names.permanent if names.active != names.permanent else None

    async def change(self, name: str) -> None:
        """See `bodydouble.ports.ActiveName.change`."""
        try:
            self._system.names.set_active(name)
        except IdentityError as error:  # nothing but the name can be wrong
            raise InputError(str(error)) from error

    async def restore(self) -> None:
        """See `bodydouble.ports.ActiveName.restore`."""
        self._system.names.restore()
