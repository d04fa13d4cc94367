"""Carrying out a batch of operations in order, and making what it touched durable at the end."""

from __future__ import annotations

import errno
import os
import stat as modes
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.adapters.posix.codes import on_path
from bodydouble.adapters.posix.durability import make_durable
from bodydouble.adapters.posix.metadata import replicable, set_metadata
from bodydouble.adapters.posix.tree import open_file
from bodydouble.errors import FileSystemError
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    MakeDirectory,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    Write,
)

if TYPE_CHECKING:
    from bodydouble.adapters.posix.tree import Tree
    from bodydouble.vocabulary.operations import Metadata

#: Descriptors held open at once by one batch.
_MOST_OPEN = 64
_ANY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(slots=True)
class _Held:
    """An open file or directory; ``mtime_ns`` is still to be set once its run of writes is over."""

    fd: int
    mtime_ns: int | None = None
    dirty: bool = False


class Batch:
    """One ordered batch. Blocking; lives inside one pool thread.

    Files and directories stay open for the batch, so that a run of writes costs one open and one fsync. A file's
    last-write time is set once, when its run of writes ends or just before something else touches its name: setting it
    at each write would double the system calls, and the next write would move it again anyway.
    """

    def __init__(self, tree: Tree, *, durable: bool) -> None:
        self._tree = tree
        self._durable = durable
        self._files: dict[str, _Held] = {}
        self._directories: dict[str, _Held] = {}
        self._parked: list[_Held] = []

    def carry_out(self, operation: AnyOperation) -> None:
        """Do one operation.

        Raises:
            FileSystemError: it failed.
            PathError: its path is not in product form.
        """
        paths.check(operation.path)
        if isinstance(operation, Rename):
            paths.check(operation.new_path)
        if len(self._files) + len(self._directories) + len(self._parked) >= _MOST_OPEN:
            self.finish()
        with on_path(operation.path):
            self._dispatch(operation)

    def finish(self) -> None:
        """Set outstanding times, make everything touched durable if asked to, and close.

        Raises:
            FileSystemError: the volume could not write.
        """
        try:
            self._settle("/")
            held = [*self._files.values(), *self._directories.values(), *self._parked]
            if self._durable:
                with on_path("/"):
                    make_durable([each.fd for each in held if each.dirty])
        finally:
            self.close()

    def close(self) -> None:
        """Close everything without making it durable. Idempotent."""
        for held in (*self._files.values(), *self._directories.values(), *self._parked):
            os.close(held.fd)
        self._files.clear()
        self._directories.clear()
        self._parked.clear()

    def _dispatch(self, operation: AnyOperation) -> None:
        match operation:
            case Write():
                self._write(operation)
            case Truncate():
                file = self._file(operation.path)
                os.ftruncate(file.fd, operation.size)
                file.mtime_ns = operation.mtime_ns
            case CreateFile():
                self._create(operation)
            case MakeDirectory():
                self._make_directory(operation.path, operation.metadata)
            case Rename():
                self._rename(operation.path, operation.new_path)
            case RemoveFile():
                self._remove(operation.path)
            case RemoveDirectory():
                self._remove_directory(operation.path)
            case SetMetadata():
                held = self._existing(operation.path)
                set_metadata(held.fd, operation.metadata, operation.path)
            case SetTimes():
                held = self._existing(operation.path)
                _set_mtime(held.fd, operation.mtime_ns)
                held.mtime_ns = None

    def _write(self, operation: Write) -> None:
        file = self._file(operation.path)
        view, offset = memoryview(operation.data), operation.offset
        while view:
            written = os.pwrite(file.fd, view, offset)
            view, offset = view[written:], offset + written
        file.mtime_ns = operation.mtime_ns

    def _create(self, operation: CreateFile) -> None:
        path = operation.path
        parent = self._directory(paths.parent(path))
        try:
            fd = open_file(paths.name(path), parent.fd, os.O_RDWR | os.O_CREAT | os.O_EXCL, path)
        except FileExistsError:
            file = self._file(path, wrong_kind="exists")
        else:
            file = self._files[path] = _Held(fd)
            parent.dirty = True
        set_metadata(file.fd, operation.metadata, path)
        file.mtime_ns, file.dirty = operation.mtime_ns, True

    def _make_directory(self, path: str, metadata: Metadata) -> None:
        if path != "/":
            parent = self._directory(paths.parent(path))
            try:
                os.mkdir(paths.name(path), 0o700, dir_fd=parent.fd)
                parent.dirty = True
            except FileExistsError:
                self._check_directory(path, parent.fd)
        held = self._directory(path)
        set_metadata(held.fd, metadata, path)
        held.dirty = True

    def _check_directory(self, path: str, parent: int) -> None:
        status = os.stat(paths.name(path), dir_fd=parent, follow_symlinks=False)
        if not modes.S_ISDIR(status.st_mode):
            raise FileSystemError("exists", path, "not a directory")

    def _rename(self, old: str, new: str) -> None:
        source, target = self._directory(paths.parent(old)), self._parent_of_new(new)
        self._settle(old)
        self._settle(new)
        self._park(old)
        self._park(new)
        try:
            os.rename(paths.name(old), paths.name(new), src_dir_fd=source.fd, dst_dir_fd=target.fd)
        except (IsADirectoryError, NotADirectoryError) as error:
            raise FileSystemError("exists", new, "a file cannot replace a directory, nor the reverse") from error
        source.dirty = target.dirty = True

    def _parent_of_new(self, new: str) -> _Held:
        with on_path(new):
            return self._directory(paths.parent(new))

    def _remove(self, path: str) -> None:
        parent = self._directory(paths.parent(path))
        # Its bytes are gone with it: nothing of the file itself is left to settle or to sync.
        if (file := self._files.pop(path, None)) is not None:
            os.close(file.fd)
        os.unlink(paths.name(path), dir_fd=parent.fd)
        parent.dirty = True

    def _remove_directory(self, path: str) -> None:
        parent = self._directory(paths.parent(path))
        if (held := self._directories.pop(path, None)) is not None:
            os.close(held.fd)
        os.rmdir(paths.name(path), dir_fd=parent.fd)
        parent.dirty = True

    def _directory(self, path: str) -> _Held:
        if path not in self._directories:
            self._directories[path] = _Held(self._tree.open_directory(path))
        return self._directories[path]

    def _file(self, path: str, wrong_kind: str = "denied") -> _Held:
        """The file at ``path``, open for writing, its bytes about to change."""
        if path not in self._files:
            parent = self._directory(paths.parent(path))
            try:
                self._files[path] = _Held(open_file(paths.name(path), parent.fd, os.O_RDWR, path))
            except OSError as error:
                if error.errno == errno.EISDIR:
                    raise FileSystemError(wrong_kind, path, "is a directory") from error
                raise
        self._files[path].dirty = True
        return self._files[path]

    def _existing(self, path: str) -> _Held:
        """The file or directory at ``path``, open for a change to what is not its bytes."""
        held = self._files.get(path) or self._directories.get(path)
        if held is None:
            held = self._open_any(path)
            status = os.fstat(held.fd)
            if not replicable(status):
                os.close(held.fd)
                raise FileSystemError("denied", path, "not a regular file or directory")
            # Opened for reading only: park it, so that no later write finds it.
            self._parked.append(held)
        held.dirty = True
        return held

    def _open_any(self, path: str) -> _Held:
        if path == "/":
            return _Held(self._tree.open_directory(path))
        return _Held(os.open(paths.name(path), _ANY, dir_fd=self._directory(paths.parent(path)).fd))

    def _settle(self, root: str) -> None:
        """Set the outstanding last-write times of files at or beneath ``root``."""
        for path, file in self._files.items():
            if file.mtime_ns is not None and paths.is_beneath(path, root):
                with on_path(path):
                    _set_mtime(file.fd, file.mtime_ns)
                file.mtime_ns = None

    def _park(self, root: str) -> None:
        """Forget names at or beneath ``root``, about to mean something else; what they were stays to be synced."""
        held: dict[str, _Held]
        for held in (self._files, self._directories):
            for path in [path for path in held if paths.is_beneath(path, root)]:
                self._parked.append(held.pop(path))


def _set_mtime(fd: int, mtime_ns: int) -> None:
    os.utime(fd, ns=(os.fstat(fd).st_atime_ns, mtime_ns))
