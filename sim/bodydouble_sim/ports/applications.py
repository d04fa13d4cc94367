"""`bodydouble.ports.Applications`: what the metabase of a simulated machine says about directories.

Source: "About the Metabase" of the IIS SDK (a ``Path`` beneath W3SVC, MSFTPSVC and NntpSvc; the directories of an SMTP
site). While IIS runs its own copy counts, which may be newer than the file; otherwise the file, under whatever name the
machine runs now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError, InputError, ServiceError
from bodydouble.vocabulary.applications import ApplicationDirectory
from bodydouble.vocabulary.paths import is_beneath
from bodydouble_sim.iis import metabase_file
from bodydouble_sim.iis.inetinfo import IisAdmin
from bodydouble_sim.iis.metabase import FTP, NNTP, SMTP, WEB

if TYPE_CHECKING:
    from bodydouble_sim.iis.metabase import Metabase
    from bodydouble_sim.windows.system import WindowsSystem

_SITES = {WEB: "web site", FTP: "FTP site", NNTP: "news site"}
_MAIL = ("Drop", "Queue", "BadMail", "Pickup")


class SimApplications:
    """Reads the metabase of a machine.

    Args:
        system: simulated Windows, with IIS or without.
    """

    def __init__(self, system: WindowsSystem) -> None:
        self._system = system

    async def directories(self) -> list[ApplicationDirectory]:
        """See the port."""
        metabase = metabase_of(self._system)
        return [] if metabase is None else directories_of(metabase)


def metabase_of(system: WindowsSystem) -> Metabase | None:
    """The metabase; None where IIS is not installed.

    Raises:
        ServiceError: its file is damaged.
    """
    program = next((each.program for each in system.scm.services() if each.config.name == "IISADMIN"), None)
    if isinstance(program, IisAdmin) and program.inetinfo.metabase is not None:
        return program.inetinfo.metabase
    if system.files.stat(metabase_file.METABASE) is None:
        return None
    try:
        return metabase_file.decode(system.files.read(metabase_file.METABASE))
    except (FileSystemError, InputError) as error:
        raise ServiceError(f"{metabase_file.METABASE}: the configuration of IIS cannot be read: {error}") from error


def directories_of(metabase: Metabase) -> list[ApplicationDirectory]:
    """Every directory that a site of a metabase keeps content in, service by service."""
    found = [each for service, words in _SITES.items() for each in _content(metabase, service, words)]
    for number in metabase.sites(SMTP):
        for name in _MAIL:
            path = metabase.text(f"{SMTP}/{number}", f"{name}Directory")
            found += [ApplicationDirectory(path, f"SMTP site {number}", f"{name.lower()} directory")] if path else []
    return found


def _content(metabase: Metabase, service: str, words: str) -> list[ApplicationDirectory]:
    """The roots and virtual directories of a service's sites."""
    found = []
    for number in metabase.sites(service):
        site = f"{service}/{number}"
        comment = metabase.text(site, "ServerComment")
        name = f"{words} {number} ({comment})" if comment else f"{words} {number}"
        for key, values in metabase.dump().items():
            path = values.get("Path")
            if isinstance(path, str) and path and is_beneath(key.upper(), f"{site}/ROOT".upper()):
                virtual = key[len(f"{site}/ROOT") :]
                found.append(ApplicationDirectory(path, name, f"virtual directory {virtual}" if virtual else "root"))
    return found
