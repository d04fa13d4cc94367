"""Walking from a held root to a path, one component at a time, without following a symbolic link anywhere."""

from __future__ import annotations

import errno
import os
import stat as modes
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from bodydouble.adapters.posix.backing import DIRECTORY
from bodydouble.adapters.posix.codes import on_path
from bodydouble.adapters.posix.extended import place_in
from bodydouble.adapters.posix.libc import open_beneath, syncfs
from bodydouble.adapters.posix.metadata import entry_of, replicable
from bodydouble.adapters.posix.names import link_target, speakable
from bodydouble.adapters.posix.volumes import capabilities_of, mounted_beneath
from bodydouble.errors import FileSystemError
from bodydouble.vocabulary import paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble.adapters.posix.backing import Backing
    from bodydouble.vocabulary.capabilities import Capabilities
    from bodydouble.vocabulary.operations import Entry

_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: O_NONBLOCK: a FIFO in the way must not hang the caller before it is seen and refused.
_AS_A_WALK = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EMFILE, errno.ENFILE)
"""What opening at once fails with as a walk would."""
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Tree:
    """Looks things up on the volumes. Blocking; used inside pool threads only."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing

    def open_directory(self, path: str) -> int:
        """A descriptor of the directory at ``path``; the caller closes it.

        Raises:
            OSError: a component is missing or is not a directory (a symbolic link is not one).
        """
        fd, components = self._backing.resolve(path)
        if not components:
            return os.open(".", DIRECTORY, dir_fd=fd)
        try:
            return open_beneath(fd, "/".join(components), DIRECTORY)
        except OSError as error:
            if error.errno in _AS_A_WALK:
                raise
        return self._walk(fd, components)

    @staticmethod
    def _walk(fd: int, components: list[str]) -> int:
        """The same, one component after the other: where the system cannot do it at once, or says ELOOP for a link."""
        held = fd
        try:
            for component in components:
                following = os.open(component, _STEP, dir_fd=fd)
                if fd != held:
                    os.close(fd)
                fd = following
            return os.open(".", DIRECTORY, dir_fd=fd)
        finally:
            if fd != held:
                os.close(fd)

    def list_directory(self, path: str) -> list[Entry]:
        """Files, directories and symbolic links directly inside ``path``, sorted by name.

        Raises:
            FileSystemError: as the port says.
        """
        with on_path(path), _closing(self.open_directory(path)) as fd:
            names = os.listdir(fd)  # noqa: PTH208 - of a descriptor, not of a path
            entries = (self._entry(paths.join(path, name), name, fd) for name in sorted(names) if speakable(name))
            return [entry for entry in entries if entry is not None]

    def stat(self, path: str) -> Entry | None:
        """The entry at ``path``, None when there is none or it is not replicable.

        Raises:
            FileSystemError: ``denied`` or ``io``.
        """
        try:
            with on_path(path):
                if not self._backing.resolve(path)[1]:
                    with _closing(self.open_directory(path)) as fd:
                        return entry_of(path, os.fstat(fd), fd)
                with _closing(self.open_directory(paths.parent(path))) as fd:
                    return self._entry(path, paths.name(path), fd)
        except FileSystemError as error:
            if error.code == "not_found":
                return None
            raise

    def read(self, path: str, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``offset``.

        Raises:
            FileSystemError: as the port says.
        """
        with on_path(path), self._opened(path) as fd:
            return _read_fully(fd, offset, size)

    def find_data(self, path: str, offset: int) -> tuple[int, int] | None:
        """The first run of data from ``offset`` on.

        Raises:
            FileSystemError: as the port says.
        """
        with on_path(path), self._opened(path) as fd:
            try:
                begin = os.lseek(fd, offset, os.SEEK_DATA)
                return begin, os.lseek(fd, begin, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # no data, or no file, from there on
                    return None
                raise

    @contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        """A file, open for reading."""
        paths.check(path)
        with (
            _closing(self.open_directory(paths.parent(path))) as directory,
            _closing(open_file(paths.name(path), directory, os.O_RDONLY, path)) as fd,
        ):
            yield fd

    def free_space(self, path: str) -> int:
        """Free bytes on the volume of ``path``, or of its nearest existing ancestor.

        Raises:
            FileSystemError: ``denied`` or ``io``.
        """
        with on_path(path), self._nearest(path) as fd:
            status = os.fstatvfs(fd)
            return status.f_bavail * status.f_frsize

    def capabilities(self, path: str) -> Capabilities:
        """What the volume of ``path``, or of its nearest existing ancestor, keeps.

        Raises:
            FileSystemError: ``denied`` or ``io``.
        """
        with on_path(path), self._nearest(path) as fd:
            return capabilities_of(fd)

    def flush(self, path: str) -> None:
        """Make everything on the volume of ``path`` (or of its nearest existing ancestor) survive power loss.

        The same for volumes that are mounted beneath: what is applied there is flushed by nobody else. One that cannot
        be opened holds nothing that was applied.

        A descriptor that is opened now still hears of write-back errors before, unless somebody else asked first.

        Raises:
            FileSystemError: the volume could not write.
        """
        with on_path(path), self._nearest(path) as fd:
            syncfs(fd)
        for place in mounted_beneath(path):
            with on_path(place), suppress(PermissionError, FileNotFoundError, NotADirectoryError):
                held = self.open_directory(place)
                with _closing(held):
                    syncfs(held)

    @contextmanager
    def _nearest(self, path: str) -> Iterator[int]:
        """The directory at ``path``, or the nearest existing one above."""
        while True:
            try:
                fd = self.open_directory(path)
            except (FileNotFoundError, NotADirectoryError):
                path = paths.parent(path)
                continue
            with _closing(fd):
                yield fd
            return

    @staticmethod
    def _entry(path: str, name: str, directory: int) -> Entry | None:
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            target = link_target(name, directory, status)
            if not replicable(status) or (target is None and modes.S_ISLNK(status.st_mode)):
                return None
            return entry_of(path, status, place_in(directory, name), target)
        except FileNotFoundError:
            return None


def sayable(name: str, directory: int, status: os.stat_result) -> bool:
    """Whether the product can replicate what a name in an open directory means.

    Raises:
        OSError: the system refused.
    """
    if modes.S_ISLNK(status.st_mode):
        return link_target(name, directory, status) is not None
    return replicable(status)


def open_file(name: str, directory: int, flags: int, path: str, mode: int = 0o600) -> int:
    """Open a regular file inside an open directory; the caller closes it.

    Raises:
        FileSystemError: ``denied`` when it is something else (directory, FIFO, device).
        OSError: the system refused.
    """
    fd = os.open(name, flags | _FILE, mode, dir_fd=directory)
    if not modes.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileSystemError("denied", path, "not a regular file")
    return fd


def _read_fully(fd: int, offset: int, size: int) -> bytes:
    pieces = []
    while size > 0 and (piece := os.pread(fd, size, offset)):
        pieces.append(piece)
        offset, size = offset + len(piece), size - len(piece)
    return b"".join(pieces)


@contextmanager
def _closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)
