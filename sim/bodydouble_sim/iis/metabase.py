r"""The metabase: what IIS is configured to do, in one file that belongs to one machine.

Source: reference/windows-iis.md, "Names": metabase.bin lives in System32\inetsrv, is read at start and written at
stop, records the name it was set up under and is bound to its machine. The file's format is this model's own (JSON).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble_sim.windows.service import ServiceFailedError

if TYPE_CHECKING:
    from bodydouble_sim.windows.system import WindowsSystem

METABASE = "C:/WINNT/system32/inetsrv/metabase.bin"
LOG_FILES = "C:/WINNT/system32/LogFiles"
NAME_DIFFERS = 1
FOREIGN_METABASE = 2
DAMAGED_METABASE = 3


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One web or FTP site.

    Attributes:
        number: counts from 1; names the log directory (``W3SVC1``).
        address: the address it is bound to; ``0.0.0.0`` is "(All Unassigned)".
        home: its home directory, product form.
        virtual_directories: path in the site (``/records``) to directory.
        default_documents: file names tried, in order, for a directory.
    """

    number: int = 1
    address: str = "0.0.0.0"  # noqa: S104 - IIS's own default, "(All Unassigned)"
    port: int
    home: str
    virtual_directories: dict[str, str] = {}
    default_documents: list[str] = []

    def directory_for(self, path: str) -> tuple[str, str]:
        """The directory that serves ``path`` (``/a/b``), and the rest of the path inside it."""
        best, base = "", self.home
        for prefix, directory in self.virtual_directories.items():
            inside = path.lower() == prefix.lower() or path.lower().startswith(prefix.lower() + "/")
            if inside and len(prefix) > len(best):
                best, base = prefix, directory
        return base, path[len(best) :]


class Metabase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything IIS keeps. ``server_name`` and ``machine`` are those of set-up; a port of 0 means not installed."""

    format: int = 1
    version: str
    server_name: str
    machine: str
    web: list[Site]
    ftp: list[Site]
    smtp_port: int
    nntp_port: int


def write(system: WindowsSystem, metabase: Metabase) -> None:
    """Write the metabase through to the disk.

    Raises:
        FileSystemError: the volume refused.
    """
    system.write_file(METABASE, msgspec.json.format(msgspec.json.encode(metabase)), durable=True)


def read(system: WindowsSystem) -> Metabase:
    """Read the metabase and check that it may be used here and now.

    Raises:
        ServiceFailedError: missing or damaged, from another machine, or set up under a name that is not active.
    """
    try:
        metabase = msgspec.json.decode(system.files.read(METABASE), type=Metabase)
    except (FileSystemError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ServiceFailedError(DAMAGED_METABASE, f"The metabase cannot be read: {error}") from error
    if metabase.machine != system.machine_id:
        raise ServiceFailedError(FOREIGN_METABASE, "The metabase belongs to another machine.")
    active = system.names.active
    if metabase.server_name.upper() != active.upper():
        raise ServiceFailedError(
            NAME_DIFFERS, f"IIS was set up under the name {metabase.server_name}; the active name is {active}."
        )
    return metabase
