"""The control API's operation that gathers what a preflight judges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bodydouble import __version__
from bodydouble.control.backends import Backends
from bodydouble.control.routing import get
from bodydouble.errors import BodydoubleError, FileSystemError, PathError
from bodydouble.preflight import scripts
from bodydouble.state.store import read_file
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.inventory import HostInventory, ScriptFacts, ScriptProgram

if TYPE_CHECKING:
    from bodydouble.ports import FileSystem, Host
    from bodydouble.vocabulary.applications import ApplicationDirectory
    from bodydouble.vocabulary.inventory import HostFacts
    from bodydouble.vocabulary.records import MonitorStatus

MOST_SCRIPT_BYTES = 64 * 1024
_PROGRAM_SUFFIXES = ("", ".exe", ".com", ".bat", ".cmd")


@get("inventory")
async def inventory(backends: Backends) -> HostInventory:
    """What a preflight judges: system, services, sets, connections, monitors with what their scripts do."""
    host = backends.host
    facts, facts_trouble = await _facts(host)
    directories, directories_trouble = await _directories(host)
    monitors = backends.failover.monitors()
    return HostInventory(
        version=__version__,
        identity=await host.identity.query(),
        facts=facts,
        facts_trouble=facts_trouble,
        directories=directories,
        directories_trouble=directories_trouble,
        uncovered=await backends.replication.coverage.now(),
        sets=[each.name for each in backends.replication.sets()],
        connections=backends.replication.connections(),
        monitors=monitors,
        scripts=[await _script(host.file_system, path) for path in _paths(monitors)],
        chngname=host.active_name is not None,
    )


async def _facts(host: Host) -> tuple[HostFacts | None, str]:
    if host.inventory is None:
        return None, ""
    try:
        return await host.inventory.facts(), ""
    except BodydoubleError as error:
        return None, str(error)


async def _directories(host: Host) -> tuple[list[ApplicationDirectory] | None, str]:
    if host.applications is None:
        return None, ""
    try:
        return await host.applications.directories(), ""
    except BodydoubleError as error:
        return None, str(error)


def _paths(monitors: list[MonitorStatus]) -> list[str]:
    """The scripts of all monitors, each once."""
    named = [msgspec.structs.asdict(each.request.scripts).values() for each in monitors]
    return list(dict.fromkeys(path for each in named for path in each if path))


async def _script(file_system: FileSystem, path: str) -> ScriptFacts:
    try:
        entry = await file_system.stat(path)
        if entry is None or entry.directory:
            return ScriptFacts(path=path, trouble="there is no such file")
        if entry.size > MOST_SCRIPT_BYTES:
            return ScriptFacts(path=path, trouble=f"longer than {MOST_SCRIPT_BYTES} bytes")
        content = await read_file(file_system, path, entry.size)
    except (FileSystemError, PathError) as error:
        return ScriptFacts(path=path, trouble=f"cannot be read: {error}")
    read = scripts.read(path, content.decode("utf-8", errors="replace"))
    programs = dict.fromkeys(each.program for each in read.names)
    found = [ScriptProgram(path=each, there=await _there(file_system, each)) for each in programs]
    return msgspec.structs.replace(read, programs=found)


async def _there(file_system: FileSystem, program: str) -> bool | None:
    """Whether a program is there; None when only the search path would tell."""
    try:
        place = paths.normalise(program)
        return any([await file_system.stat(place + suffix) is not None for suffix in _PROGRAM_SUFFIXES])
    except (FileSystemError, PathError):
        return None
