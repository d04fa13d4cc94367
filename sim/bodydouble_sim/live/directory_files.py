"""`HostFiles` over real directories, one a drive: ``C:/InetPub`` is ``DRIVES/C/InetPub``.

Plain ``os`` calls, so that whatever file system is mounted there (the product's FUSE filter) sees each of them. A name
that does not exist as written is looked for in any case.
"""

# Single system calls on strings and descriptors, on the hot path of every request:
# ruff: noqa: PTH102, PTH105, PTH106, PTH108, PTH116, PTH123, PTH208

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import Entry, Metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bodydouble_sim.storage.ntfs import Entries

_CODES = {
    errno.ENOENT: "not_found",
    errno.ENOTDIR: "not_found",
    errno.EEXIST: "exists",
    errno.EISDIR: "exists",
    errno.ENOTEMPTY: "not_empty",
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EROFS: "denied",
    errno.ENAMETOOLONG: "denied",
}
_MODE = 0o644


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileSystemError(_CODES.get(error.errno or 0, "io"), path, error.strerror or "") from error


class DirectoryFiles:
    """Drives beneath one directory.

    Args:
        drives: the directory that holds a directory for each drive letter.
    """

    def __init__(self, drives: Path) -> None:
        self._drives = str(drives)

    def _real(self, path: str) -> str:
        """The real path; components that exist are found in any case, missing ones stay as written."""
        parts = path.split("/")
        if len(parts[0]) != 2 or parts[0][1] != ":" or any(part in ("", ".", "..") for part in parts):  # noqa: PLR2004
            raise FileSystemError("not_found", path, "not a path on a drive")
        exact = "/".join([self._drives, parts[0][0].upper(), *parts[1:]])
        if os.path.lexists(exact):
            return exact
        real = f"{self._drives}/{parts[0][0].upper()}"
        for part in parts[1:]:
            real = f"{real}/{_spelled(real, part)}"
        return real

    def product_path(self, real: str) -> str | None:
        """The product form of a real path beneath the drives, None for one elsewhere."""
        inside = os.path.relpath(real, self._drives)
        drive, _, rest = inside.partition("/")
        return f"{drive}:/{rest}" if len(drive) == 1 and drive.isalpha() else None

    def stat(self, path: str) -> Entry | None:
        """See `bodydouble_sim.windows.files.HostFiles.stat`."""
        try:
            real = self._real(path)
            found = os.stat(real)
        except (OSError, FileSystemError):
            return None
        drive = len(self._drives) + 1
        shown = f"{real[drive]}:{real[drive + 1 :]}"
        return _entry(shown, found)

    def list(self, path: str) -> Entries:
        """See `bodydouble_sim.windows.files.HostFiles.list`."""
        with _translated(path), os.scandir(self._real(path)) as found:
            entries = [_entry(f"{path}/{item.name}", item.stat()) for item in found]
        return sorted(entries, key=lambda entry: entry.path)

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """See `bodydouble_sim.windows.files.HostFiles.read`."""
        with _translated(path), open(self._real(path), "rb", buffering=0) as file:
            file.seek(offset)
            if size is None:
                return file.readall()
            return _read_fully(file.fileno(), offset, size)

    def create(self, path: str) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.create`."""
        with _translated(path):
            os.close(os.open(self._real(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE))

    def write(self, path: str, offset: int, data: bytes) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.write`."""
        with _translated(path):
            handle = os.open(self._real(path), os.O_WRONLY)
            try:
                view = memoryview(data)
                while view:
                    written = os.pwrite(handle, view, offset)
                    offset += written
                    view = view[written:]
            finally:
                os.close(handle)

    def append(self, path: str, data: bytes) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.append`."""
        with _translated(path):
            size = os.stat(self._real(path)).st_size
        self.write(path, size, data)

    def rename(self, path: str, new_path: str) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.rename`."""
        with _translated(path):
            os.replace(self._real(path), self._real(new_path))

    def remove(self, path: str) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.remove`."""
        with _translated(path):
            os.unlink(self._real(path))

    def mkdir(self, path: str) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.mkdir`."""
        with _translated(path):
            os.mkdir(self._real(path))

    def rmdir(self, path: str) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.rmdir`."""
        with _translated(path):
            os.rmdir(self._real(path))

    def flush(self, path: str) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.flush`."""
        with _translated(path):
            handle = os.open(self._real(path), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _spelled(directory: str, name: str) -> str:
    if os.path.lexists(f"{directory}/{name}"):
        return name
    try:
        names = os.listdir(directory)
    except OSError:
        return name
    upper = name.upper()
    return next((known for known in sorted(names) if known.upper() == upper), name)


def _read_fully(handle: int, offset: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = os.pread(handle, size - len(data), offset + len(data))
        if not chunk:
            break
        data += chunk
    return data


def _entry(path: str, found: os.stat_result) -> Entry:
    directory = stat.S_ISDIR(found.st_mode)
    return Entry(path, directory, 0 if directory else found.st_size, found.st_mtime_ns, Metadata())
