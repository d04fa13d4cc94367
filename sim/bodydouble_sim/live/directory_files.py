"""`HostFiles` over real directories, one a drive: ``C:/InetPub`` is ``DRIVES/C/InetPub``.

Plain ``os`` calls, so that whatever file system is mounted there (the product's FUSE filter) sees each of them. A name
that does not exist as written is looked for in any case and among the 8.3 aliases.

What a Linux directory cannot hold: READONLY is the owner's write permission; HIDDEN, SYSTEM and ARCHIVE, security
descriptors and share modes are kept by this object for as long as it lives, and only its own callers meet them. Named
streams, hard links, junctions, compression and change notification are refused: a file that has them could not be shown
as such, and the product's filter could not see them.
"""

# Single system calls on strings and descriptors, on the hot path of every request:
# ruff: noqa: PTH102, PTH101, PTH105, PTH106, PTH108, PTH116, PTH121, PTH123, PTH208

from __future__ import annotations

import errno
import os
import stat
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import Entry, Metadata
from bodydouble_sim.storage import names, security, short_names
from bodydouble_sim.storage.node import ARCHIVE, EVERYONE_FULL_CONTROL, READONLY, SETTABLE
from bodydouble_sim.storage.sharing import HoldTable, Share
from bodydouble_sim.windows.files import VolumeInformation, opened_device, opens_null

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bodydouble_sim.storage.node import Entries
    from bodydouble_sim.storage.security import Want
    from bodydouble_sim.storage.sharing import Hold
    from bodydouble_sim.windows.files import Letters

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
_WRITABLE = 0o200

Inode = tuple[int, int]


@dataclass(slots=True)
class _Kept:
    """What Windows knows of a file and the directory underneath does not."""

    attributes: int = ARCHIVE
    security: bytes = EVERYONE_FULL_CONTROL


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
        self._kept: dict[Inode, _Kept] = {}
        self._holds = HoldTable()

    def _real(self, path: str) -> str:
        """The real path; components that exist are found in any case, missing ones stay as written."""
        if names.too_long(path):
            raise FileSystemError("denied", path, "the file name is too long")
        parts = names.win32(path).split("/")
        if len(parts[0]) != 2 or parts[0][1] != ":" or any(part in ("", ".", "..") for part in parts):  # noqa: PLR2004
            raise FileSystemError("not_found", path, "not a path on a drive")
        if ":" in path[2:]:
            raise FileSystemError("denied", path, "a live body has no named streams")
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
        if device := opened_device(path):
            above = self.stat(path.rpartition("/")[0])
            return None if above is None else Entry(f"{above.path}/{device}", False, 0, above.mtime_ns, above.metadata)
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
        if opens_null(path):
            return b""
        with _translated(path), open(self._real(path), "rb", buffering=0) as file:
            self._check_holds(path, file.fileno(), Share.READ)
            file.seek(offset)
            if size is None:
                return file.readall()
            return _read_fully(file.fileno(), offset, size)

    def create(self, path: str) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.create`."""
        if opens_null(path):
            return
        with _translated(path):
            real = self._real(path)
            try:
                handle = os.open(real, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
            except FileExistsError:
                handle = self._open_writable(path, real)
                self._emptied(handle)
                return
            self._kept.pop(_inode(os.fstat(handle)), None)
            os.close(handle)

    @staticmethod
    def _emptied(handle: int) -> None:
        try:
            os.ftruncate(handle, 0)
        finally:
            os.close(handle)

    def _open_writable(self, path: str, real: str) -> int:
        handle = os.open(real, os.O_WRONLY)
        try:
            self._refuse_readonly(path, os.fstat(handle))
            self._check_holds(path, handle, Share.WRITE)
        except BaseException:
            os.close(handle)
            raise
        return handle

    @staticmethod
    def _refuse_readonly(path: str, found: os.stat_result) -> None:
        if stat.S_ISREG(found.st_mode) and not found.st_mode & _WRITABLE:
            raise FileSystemError("denied", path, "the file is read-only")

    def _check_holds(self, path: str, handle: int | str, wanted: Share) -> None:
        if self._holds.open:
            self._holds.check(_inode(os.stat(handle)), path, wanted)

    def write(self, path: str, offset: int, data: bytes) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.write`."""
        if opens_null(path):
            return
        with _translated(path):
            handle = self._open_writable(path, self._real(path))
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
        if opens_null(path):
            return
        with _translated(path):
            size = os.stat(self._real(path)).st_size
        self.write(path, size, data)

    def rename(self, path: str, new_path: str) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.rename`."""
        _refuse_device(path, new_path)
        with _translated(path):
            real, new_real = self._real(path), self._real(new_path)
            self._check_holds(path, real, Share.DELETE)
            if os.path.lexists(new_real) and not os.path.samefile(real, new_real):
                self._removable(new_path, new_real)
            os.replace(real, new_real)

    def _removable(self, path: str, real: str) -> None:
        found = os.stat(real)
        self._refuse_readonly(path, found)
        self._check_holds(path, real, Share.DELETE)
        self._kept.pop(_inode(found), None)

    def remove(self, path: str) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.remove`."""
        _refuse_device(path)
        with _translated(path):
            real = self._real(path)
            self._removable(path, real)
            os.unlink(real)

    def mkdir(self, path: str) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.mkdir`."""
        _refuse_device(path)
        if names.too_long(path, directory=True):
            raise FileSystemError("denied", path, "the directory name is too long")
        with _translated(path):
            real = self._real(path)
            os.mkdir(real)
            self._kept.pop(_inode(os.stat(real)), None)

    def rmdir(self, path: str) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.rmdir`."""
        with _translated(path):
            os.rmdir(self._real(path))

    def flush(self, path: str) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.flush`."""
        if opens_null(path):
            return
        with _translated(path):
            handle = os.open(self._real(path), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _found(self, path: str) -> tuple[str, os.stat_result]:
        with _translated(path):
            real = self._real(path)
            return real, os.stat(real)

    def _keep(self, found: os.stat_result) -> _Kept:
        directory = stat.S_ISDIR(found.st_mode)
        return self._kept.setdefault(_inode(found), _Kept(0) if directory else _Kept())

    def attributes(self, path: str) -> int:
        """See `bodydouble_sim.windows.files.HostFiles.attributes`."""
        _, found = self._found(path)
        kept = self._keep(found).attributes
        return kept if found.st_mode & _WRITABLE else kept | READONLY

    def set_attributes(self, path: str, attributes: int) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.set_attributes`."""
        real, found = self._found(path)
        self._keep(found).attributes = attributes & SETTABLE & ~READONLY
        mode = stat.S_IMODE(found.st_mode)
        wanted = mode & ~0o222 if attributes & READONLY else mode | _WRITABLE
        if wanted != mode:
            with _translated(path):
                os.chmod(real, wanted)

    def security(self, path: str) -> bytes:
        """See `bodydouble_sim.windows.files.HostFiles.security`."""
        return self._keep(self._found(path)[1]).security

    def set_security(self, path: str, descriptor: bytes) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.set_security`."""
        self._keep(self._found(path)[1]).security = descriptor

    def set_times(self, path: str, mtime_ns: int) -> None:
        """See `bodydouble_sim.windows.files.HostFiles.set_times`; to 100 ns, as NTFS keeps them."""
        real, _ = self._found(path)
        mtime_ns -= mtime_ns % 100
        with _translated(path):
            os.utime(real, ns=(mtime_ns, mtime_ns))

    def short_name(self, path: str) -> str:
        """See `bodydouble_sim.windows.files.HostFiles.short_name`; aliases are counted in the order of names."""
        real, _ = self._found(path)
        directory, _, name = real.rpartition("/")
        if directory == self._drives or short_names.is_short(name):
            return name
        return next(alias for alias, known in _aliases(directory) if known == name)

    def volume(self, path: str) -> VolumeInformation:
        """See `bodydouble_sim.windows.files.HostFiles.volume`: it passes for NTFS, whatever is underneath."""
        letter = path[:1].upper()
        if path[1:2] != ":" or letter not in self.drives():
            raise FileSystemError("not_found", path, "no such drive")
        real = f"{self._drives}/{letter}"
        with _translated(path):
            space = os.statvfs(real)
        serial = zlib.crc32(real.encode())
        return VolumeInformation("ntfs", "", serial, space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize)

    def drives(self) -> Letters:
        """See `bodydouble_sim.windows.files.HostFiles.drives`."""
        found = sorted(os.listdir(self._drives))
        return [name for name in found if len(name) == 1 and name.isalpha() and name.isupper()]

    def hold(self, path: str, *, share: Share, uses: Share = Share.READ) -> Hold:
        """See `bodydouble_sim.windows.files.HostFiles.hold`; only callers of this object are kept out."""
        _, found = self._found(path)
        if stat.S_ISDIR(found.st_mode):
            raise FileSystemError("not_found", path, "no such file")
        return self._holds.add(_inode(found), path, share, uses)

    def access(self, path: str, account: str | None, groups: Sequence[str], want: Want) -> bool:
        """See `bodydouble_sim.windows.files.HostFiles.access`."""
        _, found = self._found(path)
        above = self._found(path.rpartition("/")[0])[1] if "/" in path else found
        return security.may(self._keep(found).security, self._keep(above).security, account, groups, want)


def _refuse_device(*paths: str) -> None:
    for path in paths:
        if device := opened_device(path):
            raise FileSystemError("denied", path, f"the device {device}")


def _inode(found: os.stat_result) -> Inode:
    return found.st_dev, found.st_ino


def _aliases(directory: str) -> Iterator[tuple[str, str]]:
    """The long names of a directory with their aliases."""
    known = sorted(os.listdir(directory))
    taken = {names.fold(name) for name in known}
    for name in known:
        if not short_names.is_short(name):
            alias = short_names.alias(name, taken)
            taken.add(alias)
            yield alias, name


def _spelled(directory: str, name: str) -> str:
    if os.path.lexists(f"{directory}/{name}"):
        return name
    try:
        known = os.listdir(directory)
    except OSError:
        return name
    upper = names.fold(name)
    for spelled in sorted(known):
        if names.fold(spelled) == upper:
            return spelled
    if "~" in upper:
        return next((spelled for alias, spelled in _aliases(directory) if alias == upper), name)
    return name


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
