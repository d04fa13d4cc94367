"""The files as applications on a Windows system see them: IIS, the command interpreter, chngname."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bodydouble.errors import FileSystemError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.storage.ntfs import Entries, NtfsVolume


class HostFiles(Protocol):
    """Synchronous file calls with paths in product form (``C:/InetPub/wwwroot``).

    Every method raises `bodydouble.errors.FileSystemError` with the codes that its text names.
    """

    def stat(self, path: str) -> Entry | None:
        """The entry at ``path``, or None."""

    def list(self, path: str) -> Entries:
        """Entries of a directory, sorted by name; ``not_found``."""

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes from ``offset``; ``not_found``."""

    def create(self, path: str) -> None:
        """Make ``path`` an empty file, emptying an existing one; ``not_found``, ``exists``, ``denied``."""

    def write(self, path: str, offset: int, data: bytes) -> None:
        """Write into an existing file; ``not_found``, ``denied``, ``no_space``."""

    def append(self, path: str, data: bytes) -> None:
        """Write at the end of an existing file; as `write`."""

    def rename(self, path: str, new_path: str) -> None:
        """Rename, replacing a file; ``not_found``, ``not_empty``, ``denied``."""

    def remove(self, path: str) -> None:
        """Remove a file; ``not_found``, ``denied``."""

    def mkdir(self, path: str) -> None:
        """Make a directory; ``exists``, ``not_found``, ``denied``."""

    def rmdir(self, path: str) -> None:
        """Remove an empty directory; ``not_found``, ``not_empty``."""

    def flush(self, path: str) -> None:
        """Make a file's contents survive power loss."""


def make_directories(files: HostFiles, path: str) -> None:
    """Make ``path`` and whatever is missing above it; what exists stays.

    Raises:
        FileSystemError: ``exists`` when a file is in the way.
    """
    entry = files.stat(path)
    if entry is not None and entry.directory:
        return
    if "/" in path:
        make_directories(files, path.rpartition("/")[0])
    files.mkdir(path)


def write_file(files: HostFiles, path: str, data: bytes, *, durable: bool = False) -> None:
    """Make ``path`` hold exactly ``data``.

    Raises:
        FileSystemError: as `HostFiles.create` and `HostFiles.write`.
    """
    files.create(path)
    files.write(path, 0, data)
    if durable:
        files.flush(path)


class VolumeFiles:
    """`HostFiles` over simulated volumes, one a drive letter. All changes count as an application's."""

    def __init__(self, volumes: Mapping[str, NtfsVolume]) -> None:
        self._volumes = volumes

    def _on(self, path: str) -> NtfsVolume:
        volume = self._volumes.get(path[:1].upper()) if path[1:2] == ":" else None
        if volume is None:
            raise FileSystemError("not_found", path, "no such drive")
        return volume

    def stat(self, path: str) -> Entry | None:
        """See `HostFiles.stat`; None on a drive that does not exist."""
        return self._on(path).stat(path) if path[:1].upper() in self._volumes else None

    def list(self, path: str) -> Entries:
        """See `HostFiles.list`."""
        return self._on(path).list(path)

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """See `HostFiles.read`."""
        return self._on(path).read(path, offset, size)

    def create(self, path: str) -> None:
        """See `HostFiles.create`."""
        self._on(path).create(path)

    def write(self, path: str, offset: int, data: bytes) -> None:
        """See `HostFiles.write`."""
        self._on(path).write(path, offset, data)

    def append(self, path: str, data: bytes) -> None:
        """See `HostFiles.append`."""
        self._on(path).append(path, data)

    def rename(self, path: str, new_path: str) -> None:
        """See `HostFiles.rename`; across drives it is ``denied``."""
        if self._on(path) is not self._on(new_path):
            raise FileSystemError("denied", new_path, "a rename stays on its drive")
        self._on(path).rename(path, new_path)

    def remove(self, path: str) -> None:
        """See `HostFiles.remove`."""
        self._on(path).remove(path)

    def mkdir(self, path: str) -> None:
        """See `HostFiles.mkdir`."""
        self._on(path).mkdir(path)

    def rmdir(self, path: str) -> None:
        """See `HostFiles.rmdir`."""
        self._on(path).rmdir(path)

    def flush(self, path: str) -> None:
        """See `HostFiles.flush`."""
        self._on(path).flush(path)
