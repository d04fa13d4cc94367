r"""metabase.bin: the metabase on disk, in one file that belongs to one machine.

Source: reference/windows-iis.md, "Names" (in System32\inetsrv, read at start, written at stop and now and then, bound
to its machine, set up under a name); KB 332106 (IIS 4.0 and 5.0 keep their configuration in Metabase.bin there). The
form of the file is this model's own: one line with a checksum, then JSON. It is replaced by a rename, so that a power
cut leaves the old or the new one.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import FileSystemError, InputError
from bodydouble_sim.iis.metabase import Dump, Metabase
from bodydouble_sim.windows.service import ServiceFailedError

if TYPE_CHECKING:
    from bodydouble_sim.windows.system import WindowsSystem

METABASE = "C:/WINNT/system32/inetsrv/metabase.bin"
LOG_FILES = "C:/WINNT/system32/LogFiles"
NAME_DIFFERS = 1
FOREIGN_METABASE = 2
DAMAGED_METABASE = 3
_MAGIC = b"METABASE 2 "
_FORMAT = 2


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int = _FORMAT
    version: str
    server_name: str
    machine: str
    keys: dict[str, dict[str, bool | int | str | list[str]]]


def encode(metabase: Metabase) -> bytes:
    """The bytes of metabase.bin."""
    keys: Dump = metabase.dump()
    document = _Document(
        version=metabase.version, server_name=metabase.server_name, machine=metabase.machine, keys=keys
    )
    body = msgspec.json.format(msgspec.json.encode(document))
    return _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode(data: bytes) -> Metabase:
    """The metabase in the bytes of metabase.bin.

    Raises:
        InputError: they are damaged, or of another version.
    """
    head, _, body = data.partition(b"\n")
    if head != _MAGIC + hashlib.sha256(body).hexdigest().encode():
        raise InputError("its checksum is wrong")
    try:
        document = msgspec.json.decode(body, type=_Document)
    except msgspec.MsgspecError as error:
        raise InputError(str(error)) from error
    metabase = Metabase(document.version, document.server_name, document.machine)
    metabase.load(document.keys)
    return metabase


def write(system: WindowsSystem, metabase: Metabase) -> None:
    """Replace metabase.bin, through to the disk.

    Raises:
        FileSystemError: the volume refused; the old file stays.
    """
    fresh = f"{METABASE}.tmp"
    system.write_file(fresh, encode(metabase), durable=True)
    system.files.rename(fresh, METABASE)
    system.files.flush(METABASE)  # a rename that is not flushed can be undone by a power cut


def read(system: WindowsSystem) -> Metabase:
    """Read metabase.bin and check that it may be used here and now.

    Raises:
        ServiceFailedError: missing or damaged, from another machine, or set up under a name that is not active.
    """
    try:
        metabase = decode(system.files.read(METABASE))
    except (FileSystemError, InputError) as error:
        raise ServiceFailedError(DAMAGED_METABASE, f"The metabase cannot be read: {error}") from error
    if metabase.machine != system.machine_id:
        raise ServiceFailedError(FOREIGN_METABASE, "The metabase belongs to another machine.")
    active = system.names.active
    if metabase.server_name.upper() != active.upper():
        raise ServiceFailedError(
            NAME_DIFFERS, f"IIS was set up under the name {metabase.server_name}; the active name is {active}."
        )
    return metabase
