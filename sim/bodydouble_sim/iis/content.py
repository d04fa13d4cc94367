"""Where a virtual directory's files are: on a drive of the machine, or behind a UNC path on another one.

Both are asked in the same asynchronous words, so that the servers have one way to serve. Local files never suspend
their caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bodydouble.errors import FileSystemError

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.iis.host import Identity, Redirector, Want
    from bodydouble_sim.windows.files import HostFiles
    from bodydouble_sim.windows.system import WindowsSystem

from bodydouble_sim.iis import host


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
    """Files on another machine's share. They can be read, listed and written; the rest is refused as denied.

    Who may do what is decided over there.
    """

    def __init__(self, redirector: Redirector) -> None:
        self._redirector = redirector

    async def stat(self, path: str) -> Entry | None:
        """See `Content.stat`."""
        return await self._redirector.stat(unc(path))

    async def list(self, path: str) -> list[Entry]:
        """See `Content.list`."""
        return await self._redirector.list(unc(path))

    async def read(self, path: str, offset: int, size: int) -> bytes:
        """See `Content.read`."""
        return await self._redirector.read(unc(path), offset, size)

    async def create(self, path: str) -> None:
        """See `Content.create`."""
        await self._redirector.write(unc(path), 0, b"")

    async def write(self, path: str, offset: int, data: bytes) -> None:
        """See `Content.write`."""
        await self._redirector.write(unc(path), offset, data)

    async def rename(self, path: str, new_path: str) -> None:  # noqa: ARG002 - the protocol's signature
        """Refused."""
        raise FileSystemError("denied", path, "files on a share cannot be renamed through IIS")

    async def remove(self, path: str) -> None:
        """Refused."""
        raise FileSystemError("denied", path, "files on a share cannot be removed through IIS")

    async def mkdir(self, path: str) -> None:
        """Refused."""
        raise FileSystemError("denied", path, "directories on a share cannot be made through IIS")

    async def rmdir(self, path: str) -> None:
        """Refused."""
        raise FileSystemError("denied", path, "directories on a share cannot be removed through IIS")

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


def content_of(system: WindowsSystem, path: str) -> Content:
    """Where the files beneath ``path`` are.

    Raises:
        FileSystemError: it is a UNC path and the machine has no way to other machines.
    """
    if not is_unc(path):
        return LocalContent(system)
    redirector = host.redirector(system)
    if redirector is None:
        raise FileSystemError("not_found", path, "the network path was not found")
    return UncContent(redirector)
