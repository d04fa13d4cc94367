"""The files as applications on a Windows system see them: IIS, the command interpreter, chngname."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import Entry
from bodydouble_sim.storage import names
from bodydouble_sim.storage.names import fold
from bodydouble_sim.storage.sharing import Share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bodydouble.vocabulary.operations import Metadata
    from bodydouble_sim.storage.node import Entries
    from bodydouble_sim.storage.security import Want
    from bodydouble_sim.storage.sharing import Hold
    from bodydouble_sim.storage.volume import Volume

Letters = list[str]
Place = tuple["Volume", str]

_MOST_JUNCTIONS = 32
_DEVICE_STARTS = frozenset(name[:3] for name in names.DEVICES)


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


@lru_cache(maxsize=8192)
def _ordinary(path: str) -> bool:
    """Whether Win32 hands a path on as it is: most are, and are asked for again and again."""
    return not names.too_long(path) and names.win32(path) == path and not opened_device(path)


def opened_device(path: str) -> str:
    """The device that Win32 opens for a path, empty when the path is a file's."""
    name = path[path.rfind("/") + 1 :]
    return names.device(name) if name[:3].upper() in _DEVICE_STARTS else ""


def opens_null(path: str) -> bool:
    """Whether a path is the NUL device, which takes everything and holds nothing.

    Raises:
        FileSystemError: ``denied``: it is another device.
    """
    if _ordinary(path):
        return False
    device = opened_device(path)
    if device and device != "NUL":
        raise FileSystemError("denied", path, f"the device {device}")
    return bool(device)


class VolumeFiles:
    """`HostFiles` over simulated volumes, one a drive letter. All changes count as an application's.

    It is the Win32 side of a file system: trailing dots and spaces are dropped, device names open devices wherever they
    stand, paths have at most 259 characters (247 for a new directory), junctions lead on. Source: Microsoft's "Naming
    Files, Paths, and Namespaces".
    """

    def __init__(self, volumes: Mapping[str, Volume]) -> None:
        self._volumes = volumes

    def _on(self, path: str) -> Volume:
        """The volume behind a path's drive letter."""
        volume = self._volumes.get(path[:1].upper()) if path[1:2] == ":" else None
        if volume is None:
            raise FileSystemError("not_found", path, "no such drive")
        return volume

    def _at(self, path: str, *, last: bool = True) -> Place:
        """The volume that a path leads to, and the path on it.

        Args:
            path: as the caller has it.
            last: whether a junction that is the last component leads on, too.
        """
        volume = self._on(path)
        if not _ordinary(path):
            if names.too_long(path):
                raise FileSystemError("denied", path, "the file name is too long")
            path = names.win32(path)
        return self._through(volume, path, last=last) if volume.junctions else (volume, path)

    def _through(self, volume: Volume, path: str, *, last: bool) -> Place:
        for _ in range(_MOST_JUNCTIONS):
            through = volume.through_junction(path, last=last)
            if through is None:
                return volume, path
            path = through
            volume = self._on(path)
        raise FileSystemError("denied", path, "too many junctions on the way")

    def _plain(self, path: str, *, last: bool = True) -> Place:
        """As `_at`, for calls that devices do not take."""
        if not _ordinary(path) and (device := opened_device(path)):
            raise FileSystemError("denied", path, f"the device {device}")
        return self._at(path, last=last)

    def stat(self, path: str) -> Entry | None:
        """See `HostFiles.stat`; None on a drive that does not exist, and for a path that is too long.

        A device is in every directory that there is: ``if exist`` with ``nul`` asks for the directory.
        """
        try:
            volume, real = self._at(path)
        except FileSystemError:
            return None
        if not _ordinary(real) and (device := opened_device(real)):
            above = volume.stat(real.rpartition("/")[0])
            return None if above is None else Entry(f"{above.path}/{device}", *_rest(above, directory=False))
        found = volume.stat(real)
        if found is not None and self._on(path).junctions and fold(found.path) != fold(names.win32(path)):
            return Entry(path, *_rest(found))
        return found

    def list(self, path: str) -> Entries:
        """See `HostFiles.list`."""
        volume, real = self._at(path)
        found = volume.list(real)
        if self._on(path).junctions:
            return [Entry(f"{path}/{each.path.rpartition('/')[2]}", *_rest(each)) for each in found]
        return found

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """See `HostFiles.read`."""
        if opens_null(path):
            return b""
        volume, path = self._at(path)
        return volume.read(path, offset, size)

    def create(self, path: str) -> None:
        """See `HostFiles.create`."""
        if not opens_null(path):
            volume, path = self._at(path)
            volume.create(path)

    def write(self, path: str, offset: int, data: bytes) -> None:
        """See `HostFiles.write`."""
        if not opens_null(path):
            volume, path = self._at(path)
            volume.write(path, offset, data)

    def append(self, path: str, data: bytes) -> None:
        """See `HostFiles.append`."""
        if not opens_null(path):
            volume, path = self._at(path)
            volume.append(path, data)

    def rename(self, path: str, new_path: str) -> None:
        """See `HostFiles.rename`; across drives it is ``denied``."""
        volume, path = self._plain(path, last=False)
        new_volume, new_path = self._plain(new_path, last=False)
        if volume is not new_volume:
            raise FileSystemError("denied", new_path, "a rename stays on its drive")
        volume.rename(path, new_path)

    def remove(self, path: str) -> None:
        """See `HostFiles.remove`."""
        volume, path = self._plain(path)
        volume.remove(path)

    def mkdir(self, path: str) -> None:
        """See `HostFiles.mkdir`."""
        volume, real = self._plain(path)
        if len(real) >= names.MAX_DIRECTORY - 1 and names.too_long(real, directory=True):
            raise FileSystemError("denied", path, "the directory name is too long")
        volume.mkdir(real)

    def rmdir(self, path: str) -> None:
        """See `HostFiles.rmdir`; of a junction it removes the junction only."""
        volume, path = self._plain(path, last=False)
        volume.rmdir(path)

    def flush(self, path: str) -> None:
        """See `HostFiles.flush`."""
        if not opens_null(path):
            volume, path = self._at(path)
            volume.flush(path)

    def attributes(self, path: str) -> int:
        """See `HostFiles.attributes`; of a junction they are its own."""
        volume, path = self._plain(path, last=False)
        return volume.attributes(path)

    def set_attributes(self, path: str, attributes: int) -> None:
        """See `HostFiles.set_attributes`."""
        volume, path = self._plain(path, last=False)
        volume.set_attributes(path, attributes)

    def security(self, path: str) -> bytes:
        """See `HostFiles.security`."""
        volume, path = self._plain(path)
        return volume.security(path)

    def set_security(self, path: str, descriptor: bytes) -> None:
        """See `HostFiles.set_security`."""
        volume, path = self._plain(path)
        volume.set_security(path, descriptor)

    def set_times(self, path: str, mtime_ns: int) -> None:
        """See `HostFiles.set_times`."""
        volume, path = self._plain(path)
        volume.set_times(path, mtime_ns)

    def short_name(self, path: str) -> str:
        """See `HostFiles.short_name`."""
        volume, path = self._plain(path, last=False)
        return volume.short_name(path)

    def volume(self, path: str) -> VolumeInformation:
        """See `HostFiles.volume`."""
        volume = self._on(path)
        if volume.file_system is None:
            return VolumeInformation(None, "", 0, volume.capacity, 0)
        return VolumeInformation(volume.file_system, volume.label, volume.serial, volume.capacity, volume.free_space())

    def drives(self) -> Letters:
        """See `HostFiles.drives`."""
        return sorted(self._volumes)

    def hold(self, path: str, *, share: Share, uses: Share = Share.READ) -> Hold:
        """See `HostFiles.hold`."""
        volume, path = self._plain(path)
        return volume.hold(path, share, uses)

    def access(self, path: str, account: str | None, groups: Sequence[str], want: Want) -> bool:
        """See `HostFiles.access`."""
        volume, path = self._plain(path)
        return volume.access(path, account, groups, want)


def _rest(entry: Entry, *, directory: bool | None = None) -> tuple[bool, int, int, Metadata]:
    return entry.directory if directory is None else directory, entry.size, entry.mtime_ns, entry.metadata
