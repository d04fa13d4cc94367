"""Where a virtual directory's files are: on a drive of the machine, or behind a UNC path on another one.

Both are asked in the same asynchronous words, so that the servers have one way to serve. Local files never suspend
their caller.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import msgspec

from bodydouble_sim.iis import host
from bodydouble_sim.storage import names

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.iis.host import Identity
    from bodydouble_sim.storage.security import Want
    from bodydouble_sim.windows.files import HostFiles
    from bodydouble_sim.windows.redirector import Redirector
    from bodydouble_sim.windows.system import WindowsSystem

_CORRECTED = 6


class Content(Protocol):
    """Files, by product form path (``C:/InetPub/wwwroot``) or UNC path with slashes (``//SERVER/share/web``)."""

    async def stat(self, path: str) -> Entry | None:
        """The entry, or None."""

    async def list(self, path: str) -> list[Entry]:
        """Entries of a directory, sorted by name."""

    async def read(self, path: str, offset: int, size: int) -> bytes:
        """Bytes of a file."""

    async def create(self, path: str) -> None:
        """Make an empty file, or empty an existing one."""

    async def write(self, path: str, offset: int, data: bytes) -> None:
        """Write into a file."""

    async def rename(self, path: str, new_path: str) -> None:
        """Rename a file or directory."""

    async def remove(self, path: str) -> None:
        """Remove a file."""

    async def mkdir(self, path: str) -> None:
        """Make a directory."""

    async def rmdir(self, path: str) -> None:
        """Remove an empty directory."""

    def may(self, path: str, who: Identity, want: Want) -> bool:
        """Whether the access list lets an account in."""


class LocalContent:
    """Files on the machine's drives."""

    def __init__(self, system: WindowsSystem) -> None:
        self._system = system
        self._files: HostFiles = system.files

    async def stat(self, path: str) -> Entry | None:
        """See `Content.stat`."""
        return self._files.stat(path)

    async def list(self, path: str) -> list[Entry]:
        """See `Content.list`."""
        return self._files.list(path)

    async def read(self, path: str, offset: int, size: int) -> bytes:
        """See `Content.read`."""
        return self._files.read(path, offset, size)

    async def create(self, path: str) -> None:
        """See `Content.create`."""
        self._files.create(path)

    async def write(self, path: str, offset: int, data: bytes) -> None:
        """See `Content.write`."""
        self._files.write(path, offset, data)

    async def rename(self, path: str, new_path: str) -> None:
        """See `Content.rename`."""
        self._files.rename(path, new_path)

    async def remove(self, path: str) -> None:
        """See `Content.remove`."""
        self._files.remove(path)

    async def mkdir(self, path: str) -> None:
        """See `Content.mkdir`."""
        self._files.mkdir(path)

    async def rmdir(self, path: str) -> None:
        """See `Content.rmdir`."""
        self._files.rmdir(path)

    def may(self, path: str, who: Identity, want: Want) -> bool:
        """See `Content.may`."""
        return host.may(self._system, path, who, want)


class UncContent:
    """Files on another machine's share. Who may do what is decided over there.

    Args:
        redirector: the way there.
        root: the share and directory that the virtual directory is on.
        account: what the virtual directory says is to be used there (UNCUserName); nobody in particular when empty.
        password: its password.
    """

    def __init__(self, redirector: Redirector, root: str, account: str = "", password: str = "") -> None:
        self._redirector = redirector
        self._root = root
        self._account = account
        self._password = password

    async def _ready(self, path: str) -> str:
        if self._account:
            await self._redirector.connect(unc(self._root), self._account, self._password)
            self._account = ""  # from now on it is used there
        return unc(path)

    async def stat(self, path: str) -> Entry | None:
        """See `Content.stat`."""
        entry = await self._redirector.stat(await self._ready(path))
        return None if entry is None else msgspec.structs.replace(entry, path=path)

    async def list(self, path: str) -> list[Entry]:
        """See `Content.list`."""
        entries = await self._redirector.list(await self._ready(path))
        return [msgspec.structs.replace(entry, path=f"{path}/{entry.path.rpartition('/')[2]}") for entry in entries]

    async def read(self, path: str, offset: int, size: int) -> bytes:
        """See `Content.read`."""
        return await self._redirector.read(await self._ready(path), offset, size)

    async def create(self, path: str) -> None:
        """See `Content.create`."""
        await self._redirector.create(await self._ready(path))

    async def write(self, path: str, offset: int, data: bytes) -> None:
        """See `Content.write`."""
        await self._redirector.write(await self._ready(path), offset, data)

    async def rename(self, path: str, new_path: str) -> None:
        """See `Content.rename`."""
        await self._redirector.rename(await self._ready(path), unc(new_path))

    async def remove(self, path: str) -> None:
        """See `Content.remove`."""
        await self._redirector.remove(await self._ready(path))

    async def mkdir(self, path: str) -> None:
        """See `Content.mkdir`."""
        await self._redirector.mkdir(await self._ready(path))

    async def rmdir(self, path: str) -> None:
        """See `Content.rmdir`."""
        await self._redirector.rmdir(await self._ready(path))

    def may(self, path: str, who: Identity, want: Want) -> bool:  # noqa: ARG002 - the protocol's signature
        """Always: the other machine decides."""
        return True


def is_unc(path: str) -> bool:
    """Whether a path names another machine's share."""
    return path.startswith(("//", "\\\\"))


def unc(path: str) -> str:
    r"""A UNC path as Windows writes it, ``\\SERVER\share\web``."""
    return path.replace("/", "\\")


def product_path(path: str) -> str:
    r"""A ``Path`` property (``C:\InetPub\wwwroot``, ``\\SERVER\share``) with slashes, without one at its end."""
    return path.replace("\\", "/").rstrip("/")


def plain_path(path: str) -> str:
    """A path of a site without what the file system does not see: trailing dots and spaces, separators again."""
    return re.sub("/{2,}", "/", names.win32(path))


def has_alias(system: WindowsSystem, path: str) -> bool:
    """Whether a path may be one of 8.3 aliases, whose files' settings are those of the long names.

    Source: KB 179148: settings of a long name were not applied to its alias; corrected in Service Pack 6 of Windows
    NT 4.0. A machine with an earlier one has that hole here, too.
    """
    return "~" in path and not (system.version.is_nt4 and system.service_pack < _CORRECTED)


def long_path(files: HostFiles, base: str, inside: str) -> str:
    """What ``inside`` a directory is called in full: the names of what is there, and the rest as it is."""
    found, missing = inside.rstrip("/"), ""
    while found:
        entry, top = files.stat(base + found), files.stat(base)
        if entry is not None and top is not None:
            found = entry.path[len(top.path.rstrip("/")) :]
            break
        found, _, last = found.rpartition("/")
        missing = f"/{last}{missing}"
    return found + missing + ("/" if inside.endswith("/") else "")


def content_of(system: WindowsSystem, path: str, account: str = "", password: str = "") -> Content:
    """Where the files beneath ``path`` are.

    Args:
        system: the machine.
        path: a virtual directory's, product form or UNC with slashes.
        account: used at another machine (UNCUserName).
        password: its password.
    """
    if not is_unc(path):
        return LocalContent(system)
    return UncContent(system.redirector, path, account, password)
