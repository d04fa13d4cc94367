"""inetinfo.exe: what the services in it share, and the IIS Admin Service, which owns the metabase.

Source: reference/windows-iis.md, "Names": the metabase is read at start (and refused under another name than that of
set-up), written at stop and now and then: here `SAVE_AFTER` seconds after the first change that is not written yet.
"""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis import metabase_file
from bodydouble_sim.windows.service import ServiceFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.iis.metabase import Metabase
    from bodydouble_sim.windows.system import WindowsSystem

SAVE_AFTER = 60.0
NOT_WRITTEN = 4


@dataclass(slots=True)
class Inetinfo:
    """What the services in inetinfo.exe share: the metabase that IIS Admin has read."""

    system: WindowsSystem
    metabase: Metabase | None = None

    def configured(self) -> Metabase:
        """The metabase.

        Raises:
            ServiceFailedError: IIS Admin has not read it.
        """
        if self.metabase is None:
            raise ServiceFailedError(metabase_file.DAMAGED_METABASE, "The metabase is not loaded.")
        return self.metabase


class IisAdmin:
    """IIS Admin Service.

    Args:
        inetinfo: the process it runs in.
    """

    def __init__(self, inetinfo: Inetinfo) -> None:
        self.inetinfo = inetinfo
        self._written = 0
        self._context: contextvars.Context | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, died: Callable[[str], None]) -> None:  # noqa: ARG002 - it never dies by itself
        """Read and check the metabase.

        Raises:
            ServiceFailedError: see `metabase_file.read`; the reason is logged as an event of IISADMIN.
        """
        system = self.inetinfo.system
        try:
            metabase = metabase_file.read(system)
        except ServiceFailedError as error:
            system.event_log.record("IISADMIN", error.specific, "error", str(error))
            raise
        self.inetinfo.metabase = metabase
        self._context = contextvars.copy_context()  # its own, whoever makes the change
        self._written = metabase.revision
        metabase.on_change = self._changed

    def _changed(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SAVE_AFTER, self._save, context=self._context)

    def _save(self) -> None:
        """Write the metabase if it has changed; a failure is logged and stops nothing."""
        self._cancel()
        system, metabase = self.inetinfo.system, self.inetinfo.metabase
        if metabase is None or metabase.revision == self._written:
            return
        try:
            metabase_file.write(system, metabase)
        except FileSystemError as error:
            system.event_log.record("IISADMIN", NOT_WRITTEN, "error", f"The metabase cannot be written: {error}")
        else:
            self._written = metabase.revision

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def stop(self) -> None:
        """Write the metabase back."""
        self._written = -1  # at stop it is written whether it has changed or not
        self._save()
        self.kill()

    def kill(self) -> None:
        """Forget the metabase; nothing is written."""
        self._cancel()
        if self.inetinfo.metabase is not None:
            self.inetinfo.metabase.on_change = None
        self.inetinfo.metabase = None
