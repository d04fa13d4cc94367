"""Composing the ports of a Linux host from its settings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import msgspec

from bodydouble.adapters.applications import ConfiguredApplications
from bodydouble.adapters.clock import SystemClock
from bodydouble.adapters.entropy import SystemEntropy
from bodydouble.adapters.fuse.filter import FuseFilter
from bodydouble.adapters.inventory import LinuxInventory
from bodydouble.adapters.network.active_name import LinuxActiveName
from bodydouble.adapters.no_filter import NoFilter
from bodydouble.adapters.pinger import IcmpPinger
from bodydouble.adapters.posix.backing import Backing
from bodydouble.adapters.posix.file_system import PosixFileSystem
from bodydouble.adapters.scripts import ScriptRunner
from bodydouble.adapters.services import CommandService, CommandServices
from bodydouble.errors import IdentityError, InputError, PathError
from bodydouble.ports import Host
from bodydouble.state.store import StateStore
from bodydouble.vocabulary import paths

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from bodydouble.ports import FileFilter, Identity, OwnName

#: Threads for calls that block: a long fsync must not hold up scanning.
_THREADS = 6
_MOST_ROOTS = 64
_LEAST_RING, _MOST_RING = 16 << 20, 1 << 32


class FilterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[host.filter]``: how changes are seen.

    Attributes:
        kind: ``fuse`` mounts over the root; ``none`` sees nothing, which is enough for a target.
        roots: directories to protect with ``fuse``, none of them beneath another.
        extended_attributes: whether applications may use extended attributes and access control lists there. Without,
            they are refused, which saves one request of the kernel for each file that is written to.
        ring_bytes: memory for changes that wait for the daemon, at least 16 MiB. When applications are so far ahead of
            it that this is full, changes are not recorded, and a mirror follows. What of it was read stays until it is
            written over: out of it a source whose daemon was started again resumes without a mirror.
        stay_mounted: the mounts stay when the daemon is stopped in order, too, as they do when it is killed.
    """

    kind: Literal["fuse", "none"] = "none"
    roots: list[str] = []
    extended_attributes: bool = True
    ring_bytes: int = 64 << 20
    stay_mounted: bool = False


class IdentitySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[host.identity]``: whether to answer NetBIOS name queries on UDP port 137 (needs root)."""

    netbios: bool = False


class ScriptsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[host.scripts]``: interpreters by suffix, such as ``".bat" = ["wine", "cmd", "/c"]``."""

    interpreters: dict[str, list[str]] = {}


class LinuxHostSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[host]``: everything about the host that the product runs on.

    Attributes:
        filter: how changes are seen.
        identity: names.
        scripts: interpreters.
        services: those that are defined by commands.
        protected_directories: what applications here keep data in; whoever saves or connects a replication set is
            warned of those that it does not hold.
    """

    filter: FilterSettings = FilterSettings()
    identity: IdentitySettings = IdentitySettings()
    scripts: ScriptsSettings = ScriptsSettings()
    services: list[CommandService] = []
    protected_directories: list[str] = []


@asynccontextmanager
async def open_host(settings: LinuxHostSettings, state_directory: str = "") -> AsyncIterator[Host]:
    """Open this Linux host; leaving the context stops answering for names and unmounts the filter, unless that stays.

    ``state_directory`` is where the host's own name is kept while it runs under another one; without it, the name
    cannot be changed.

    With ``kind = "none"`` and ``netbios = false`` it needs neither root nor extras beyond ``linux``; changing addresses
    then raises `IdentityError`.

    Raises:
        InputError: the settings contradict themselves.
        FilterError: the filter cannot be mounted.
        IdentityError: the name service cannot be started, or pyroute2 is missing.
    """
    roots = _filter_roots(settings.filter)
    _check_scripts(settings.scripts)
    directories = _protected(settings.protected_directories)
    async with AsyncExitStack() as stack:
        executor = stack.enter_context(ThreadPoolExecutor(_THREADS, thread_name_prefix="bodydouble-io"))
        backing = Backing()
        stack.callback(backing.close)
        file_system = PosixFileSystem(backing, executor)
        active_name = (
            LinuxActiveName(StateStore(file_system, state_directory, SystemClock())) if state_directory else None
        )
        own = await active_name.original() if active_name is not None else None
        identity, own_name = await _open_identity(settings.identity, own or "", executor, stack)
        yield Host(
            file_system=file_system,
            file_filter=await _open_filter(roots, settings.filter, backing, executor, stack),
            identity=identity,
            services=CommandServices(settings.services),
            scripts=ScriptRunner(file_system, settings.scripts.interpreters),
            pinger=IcmpPinger(),
            clock=SystemClock(),
            entropy=SystemEntropy(),
            applications=ConfiguredApplications(directories),
            active_name=active_name,
            own_name=own_name,
            inventory=LinuxInventory(settings.services),
        )


@contextmanager
def open_active_name(state_directory: Path) -> Iterator[LinuxActiveName]:
    """The active name of this host alone, for a console without a daemon."""
    with ThreadPoolExecutor(1, thread_name_prefix="bodydouble-io") as executor:
        backing = Backing()
        try:
            store = StateStore(PosixFileSystem(backing, executor), str(state_directory), SystemClock())
            yield LinuxActiveName(store)
        finally:
            backing.close()


def _filter_roots(settings: FilterSettings) -> list[str]:
    if settings.kind == "none":
        if settings.roots:
            raise InputError('host.filter.roots: expected no roots with kind = "none"; set kind = "fuse" to use them')
        return []
    if not 0 < len(settings.roots) <= _MOST_ROOTS:
        raise InputError(
            f"host.filter.roots: expected 1 to {_MOST_ROOTS} directories such as /srv/www, got {len(settings.roots)}"
        )
    if settings.ring_bytes % 4096 or not _LEAST_RING <= settings.ring_bytes <= _MOST_RING:
        raise InputError(
            f"host.filter.ring_bytes: expected a multiple of 4096 from {_LEAST_RING} to {_MOST_RING}, got "
            f"{settings.ring_bytes}"
        )
    roots = sorted(paths.normalise(root) for root in settings.roots)
    for root in roots:
        if root == "/" or not root.startswith("/"):
            raise InputError(f"host.filter.roots: {root!r} cannot be filtered; name a directory such as /srv/www")
    for above, root in combinations(roots, 2):
        if paths.is_beneath(root, above):
            raise InputError(f"host.filter.roots: {root!r} lies beneath {above!r}, which is enough")
    return roots


def _protected(directories: list[str]) -> list[str]:
    try:
        return [paths.normalise(each) for each in directories]
    except PathError as error:
        raise InputError(f"host.protected_directories: {error}") from error


def _check_scripts(settings: ScriptsSettings) -> None:
    for suffix, command in settings.interpreters.items():
        if not suffix.startswith(".") or not command:
            raise InputError(
                f"host.scripts.interpreters: {suffix!r} = {command!r}: expected a suffix with its dot and a command, "
                'like ".bat" = ["wine", "cmd", "/c"]'
            )


async def _open_filter(
    roots: list[str], settings: FilterSettings, backing: Backing, executor: ThreadPoolExecutor, stack: AsyncExitStack
) -> FileFilter:
    if not roots:
        return NoFilter()
    file_filter = FuseFilter(
        roots, backing, executor, extended_attributes=settings.extended_attributes, ring_bytes=settings.ring_bytes
    )
    await file_filter.start()
    stack.push_async_callback(file_filter.leave if settings.stay_mounted else file_filter.stop)
    return file_filter


async def _open_identity(
    settings: IdentitySettings, permanent: str, executor: ThreadPoolExecutor, stack: AsyncExitStack
) -> tuple[Identity, OwnName]:
    try:
        from bodydouble.adapters.network.identity import LinuxIdentity, LinuxOwnName  # noqa: PLC0415 - the extra may be missing
    except ImportError as error:
        raise IdentityError("addresses need the 'linux' extra: pip install 'bodydouble[linux]'") from error
    identity = LinuxIdentity(executor, netbios=settings.netbios, permanent=permanent)
    await identity.start()
    stack.push_async_callback(identity.stop)
    return identity, LinuxOwnName(identity)
