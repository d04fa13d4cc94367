"""`bodydouble.ports.Shares` over the Server service of a simulated Windows system.

Source: Microsoft, NetShareAdd, NetShareDel, NetShareEnum: all of them ask the Server service and fail while it does not
run. A change is in the registry, which is flushed (RegFlushKey), because Windows writes it back only after seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import DuplicateShareError, ShareError
from bodydouble.vocabulary.shares import Share, is_systems_own
from bodydouble_sim.windows.service import ServiceControlError
from bodydouble_sim.windows.shares import SHARES_KEY
from bodydouble_sim.windows.shares import ShareError as WindowsShareError

if TYPE_CHECKING:
    from bodydouble_sim.windows.system import WindowsSystem

SERVER = "LanmanServer"


class SimShares:
    """What administrators share on the machine."""

    def __init__(self, system: WindowsSystem) -> None:
        self._system = system

    async def query(self) -> list[Share]:
        """See `bodydouble.ports.Shares.query`."""
        self._check_server()
        return self._made()

    async def add(self, share: Share) -> None:
        """See `bodydouble.ports.Shares.add`."""
        self._check_server()
        found = self._system.shares.find(share.name)
        if found is not None:
            if found.special or found.path.casefold() != share.path.casefold():
                raise DuplicateShareError(f"{share.name}: {found.path or 'the system itself'} is shared by that name")
            return
        try:
            self._system.shares.add(share.name, share.path, share.comment)
        except WindowsShareError as error:
            raise ShareError(str(error)) from error
        self._system.registry.flush(SHARES_KEY)

    async def remove(self, name: str) -> None:
        """See `bodydouble.ports.Shares.remove`."""
        self._check_server()
        found = self._system.shares.find(name)
        if found is None:
            return
        if found.special:
            raise ShareError(f"{name}: the share is the system's own")
        self._system.shares.delete(name)
        self._system.registry.flush(SHARES_KEY)

    def _made(self) -> list[Share]:
        return [
            Share(each.name, each.path, each.comment)
            for each in self._system.shares.all()
            if not each.special and each.path and not is_systems_own(each.name)
        ]

    def _check_server(self) -> None:
        """Raises ShareError: the Server service does not run (2114)."""
        try:
            running = self._system.scm.find(SERVER).state == "running"
        except ServiceControlError:
            running = False
        if not running:
            raise ShareError("The Server service is not started.")
