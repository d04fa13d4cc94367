r"""The Content Index service (cisvc): keeps the web's catalogue up to date and answers queries.

Sources: reference/windows-iis.md, "Services" (Content Index with IIS 4.0, depends on RPC; in Windows 2000 it is the
system's Indexing Service); Index Server's help, "Index Server System Errors" ("CI has started on", "Cleaning up
corrupted content index metadata on") and "Scanning"; KB 209304 (4126), KB 191147; KB 312920 (``net pause cisvc`` makes
catalogues read-only: queries are answered, changes are not taken up). The catalogue's place is in the registry, as with
Index Server: ``Control\ContentIndex\Catalogs\Web``, values ``Location`` and ``Scope``; without them ``C:\InetPub``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError, InputError
from bodydouble_sim.iis.catalog import Catalog
from bodydouble_sim.windows.registry import CONTROL
from bodydouble_sim.windows.service import ServiceControlError, ServiceFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.shell import Shell
    from bodydouble_sim.windows.system import WindowsSystem

CATALOG = rf"{CONTROL}\ContentIndex\Catalogs\Web"
PERIOD = 60.0  # seconds between two scans: this model polls where Windows is notified
NO_CATALOG = 3
STARTED = 4097
CLEANED = 4126
_SOURCE = "Ci"
_INETPUB = "C:/InetPub"


class ContentIndex:
    """One run of the service.

    Args:
        system: the machine.
    """

    def __init__(self, system: WindowsSystem) -> None:
        self._system = system
        self._task: asyncio.Task[None] | None = None
        self._paused = False
        self.catalog: Catalog | None = None

    async def start(self, died: Callable[[str], None]) -> None:
        """Open the catalogue, or begin it anew when the last run did not close it; then watch the web's content.

        Raises:
            ServiceFailedError: there is no directory to index, or the catalogue cannot be written.
        """
        location = self._setting("Location", _INETPUB)
        if location == _INETPUB and self._system.files.stat(_INETPUB) is None:
            return  # Windows 2000's own service on a machine without IIS: no catalogue of the web
        place = f"{location}/catalog.wci"
        catalog = Catalog(self._system.files, self._setting("Scope", f"{location}/wwwroot"), place)
        try:
            self._system.make_directories(place)
            clean = catalog.open()
        except FileSystemError as error:
            raise ServiceFailedError(NO_CATALOG, f"The catalog cannot be used: {error}") from error
        shown = place.replace("/", "\\")
        if not clean:
            text = f"Cleaning up corrupted content index metadata on {shown}. "
            text += "Index will be automatically restored by refiltering all documents."
            self._system.event_log.record(_SOURCE, CLEANED, "warning", text, log="Application")
        self._system.event_log.record(_SOURCE, STARTED, "information", f"CI has started on {shown}.", log="Application")
        self.catalog = catalog
        self._task = self._system.spawn(self._watch(catalog), "content index")
        self._task.add_done_callback(lambda ended: self._ended(ended, died))

    def _setting(self, name: str, default: str) -> str:
        return self._system.registry.text(CATALOG, name, default).replace("\\", "/").rstrip("/")

    def _ended(self, task: asyncio.Task[None], died: Callable[[str], None]) -> None:
        if not task.cancelled() and self._task is task:
            self.kill()
            died(f"the filter daemon stopped: {task.exception()}")

    async def _watch(self, catalog: Catalog) -> None:
        while True:
            if not self._paused and catalog.scan():
                self._save(catalog.save)
            await asyncio.sleep(PERIOD)

    def _save(self, step: Callable[[], None]) -> None:
        try:
            step()
        except FileSystemError as error:
            text = f"The catalog could not be written: {error}"
            self._system.event_log.record(_SOURCE, NO_CATALOG, "error", text, log="Application")

    async def pause(self) -> None:
        """Catalogues become read-only."""
        self._paused = True

    async def resume(self) -> None:
        """Take up changes again."""
        self._paused = False

    async def stop(self) -> None:
        """Stop watching and close the catalogue."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if self.catalog is not None:
            self._save(self.catalog.close)
        self.catalog = None

    def kill(self) -> None:
        """Die at once: the catalogue stays marked as in use."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        self.catalog = None


def query(system: WindowsSystem, text: str) -> list[str]:
    """Ask the web's catalogue; the paths of the documents found.

    Raises:
        InputError: the service does not run, or the query cannot be understood.
    """
    try:
        program = system.scm.find("cisvc").program
    except ServiceControlError as error:
        raise InputError(str(error)) from error
    if not isinstance(program, ContentIndex) or program.catalog is None:
        raise InputError("The Content Index service is not running.")
    return program.catalog.query(text)


async def query_command(shell: Shell, arguments: list[str]) -> int:
    """``ciquery WORDS``: the documents that a query finds, one a line; 1 when there is none or it cannot be asked.

    The lab's own: Index Server is asked through web pages.
    """
    try:
        found = query(shell.system, " ".join(arguments))
    except InputError as error:
        shell.line(str(error))
        return 1
    for path in found:
        shell.line(path.replace("/", "\\"))
    return 0 if found else 1
