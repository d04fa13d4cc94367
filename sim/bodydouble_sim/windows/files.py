"""The files as applications on a Windows system see them: IIS, the command interpreter, chngname."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bodydouble.errors import FileSystemError
from bodydouble_sim.storage.sharing import Share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.storage.ntfs import Entries, NtfsVolume
    from bodydouble_sim.storage.security import Want
    from bodydouble_sim.storage.sharing import Hold

Letters = list[str]


@dataclass(frozen=True, slots=True)
class VolumeInformation:
    """What a drive is.

    Attributes:
        file_system: ``ntfs``, ``fat32`` or ``fat16``; None when there is none that this Windows knows.
        label: the volume's name, empty when it has none.
        serial: 32 bits, as ``dir`` and ``vol`` show them (``1A2B-3C4D``).
        capacity: size in bytes.
        free: bytes that can still be used.
    """

    file_system: str | None
    label: str
    serial: int
    capacity: int
    free: int


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

    def attributes(self, path: str) -> int:
        """READONLY 1, HIDDEN 2, SYSTEM 4, ARCHIVE 32, and where there are such COMPRESSED 0x800 ...; ``not_found``."""

    def set_attributes(self, path: str, attributes: int) -> None:
        """Replace READONLY, HIDDEN, SYSTEM and ARCHIVE; other bits are not this call's; ``not_found``."""

    def security(self, path: str) -> bytes:
        """The security descriptor as SDDL, empty where the file system has none; ``not_found``."""

    def set_security(self, path: str, descriptor: bytes) -> None:
        """Replace the security descriptor; ``not_found``, ``denied`` where the file system has none."""

    def set_times(self, path: str, mtime_ns: int) -> None:
        """Set the time of the last write, to the file system's resolution; ``not_found``."""

    def short_name(self, path: str) -> str:
        """The 8.3 alias of the last component, the component itself if it is one; ``not_found``."""

    def volume(self, path: str) -> VolumeInformation:
        """What the drive of ``path`` is; ``not_found`` when there is no such drive, ``io`` when it does not answer."""

    def drives(self) -> Letters:
        """The drive letters that there are, sorted."""

    def hold(self, path: str, *, share: Share, uses: Share = Share.READ) -> Hold:
        """Open a handle: until it is released, calls that it does not share end in ``sharing``; ``not_found``.

        Args:
            path: a file.
            share: what others may do meanwhile.
            uses: what the handle itself is for: it is refused (``sharing``) when an earlier one does not share that.
        """

    def access(self, path: str, account: str | None, groups: Sequence[str], want: Want) -> bool:
        """Whether the security descriptor lets an account in: always where there is none; ``not_found``.

        Args:
            path: a file or directory.
            account: None for the system itself.
            groups: what the account belongs to; Everyone is understood.
            want: ``read``, ``write``, ``delete`` or ``execute``.
        """


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

    def attributes(self, path: str) -> int:
        """See `HostFiles.attributes`."""
        return self._on(path).attributes(path)

    def set_attributes(self, path: str, attributes: int) -> None:
        """See `HostFiles.set_attributes`."""
        self._on(path).set_attributes(path, attributes)

    def security(self, path: str) -> bytes:
        """See `HostFiles.security`."""
        return self._on(path).security(path)

    def set_security(self, path: str, descriptor: bytes) -> None:
        """See `HostFiles.set_security`."""
        self._on(path).set_security(path, descriptor)

    def set_times(self, path: str, mtime_ns: int) -> None:
        """See `HostFiles.set_times`."""
        self._on(path).set_times(path, mtime_ns)

    def short_name(self, path: str) -> str:
        """See `HostFiles.short_name`."""
        return self._on(path).short_name(path)

    def volume(self, path: str) -> VolumeInformation:
        """See `HostFiles.volume`."""
        volume = self._on(path)
        return VolumeInformation(volume.file_system, volume.label, volume.serial, volume.capacity, volume.free_space())

    def drives(self) -> Letters:
        """See `HostFiles.drives`."""
        return sorted(self._volumes)

    def hold(self, path: str, *, share: Share, uses: Share = Share.READ) -> Hold:
        """See `HostFiles.hold`."""
        return self._on(path).hold(path, share, uses)

    def access(self, path: str, account: str | None, groups: Sequence[str], want: Want) -> bool:
        """See `HostFiles.access`."""
        return self._on(path).access(path, account, groups, want)
