"""Carrying out a batch of operations in order, and making what it touched durable at the end."""

from __future__ import annotations

import errno
import os
import stat as modes
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from bodydouble.adapters.posix.codes import on_path
from bodydouble.adapters.posix.durability import make_durable
from bodydouble.adapters.posix.holes import punch
from bodydouble.adapters.posix.metadata import replicable, set_link_metadata, set_metadata
from bodydouble.adapters.posix.tree import open_file
from bodydouble.errors import FileSystemError
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    StreamOperation,
    Truncate,
    Write,
    paths_of,
)

if TYPE_CHECKING:
    from bodydouble.adapters.posix.tree import Tree
    from bodydouble.vocabulary.operations import Metadata

#: Descriptors held open at once by one batch.
_MOST_OPEN = 64
_ANY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(slots=True)
class _Held:
    """An open file or directory; ``mtime_ns`` is still to be set once its run of writes is over.

    Names of one file share one, so that the last of their operations decides its time.
    """

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
        self._linked: dict[tuple[int, int], _Held] = {}

    def carry_out(self, operation: AnyOperation) -> None:
        """Do one operation.

        Raises:
            FileSystemError: it failed.
            PathError: its path is not in product form.
        """
        for path in paths_of(operation):
            paths.check(path)
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
            if self._durable:
                with on_path("/"):
                    make_durable([each.fd for each in self._held() if each.dirty])
        finally:
            self.close()

    def close(self) -> None:
        """Close everything without making it durable. Idempotent."""
        for held in self._held():
            os.close(held.fd)
        self._files.clear()
        self._directories.clear()
        self._parked.clear()
        self._linked.clear()

    def _held(self) -> list[_Held]:
        """Everything open, once."""
        held = (*self._files.values(), *self._directories.values(), *self._parked)
        return list({each.fd: each for each in held}.values())

    def _dispatch(self, operation: AnyOperation) -> None:
        match operation:
            case Write():
                self._write(operation)
            case Truncate():
                file = self._file(operation.path)
                os.ftruncate(file.fd, operation.size)
                file.mtime_ns = operation.mtime_ns
            case PunchHole():
                file = self._file(operation.path)
                punch(file.fd, operation.offset, operation.size)
                file.mtime_ns = operation.mtime_ns
            case CreateFile():
                self._create(operation)
            case SetMetadata() | SetTimes():
                self._set(operation)
            case _:
                self._change_names(operation)

    def _change_names(self, operation: AnyOperation) -> None:
        match operation:
            case MakeDirectory():
                self._make_directory(operation.path, operation.metadata)
            case Rename():
                self._rename(operation.path, operation.new_path)
            case RemoveFile():
                self._remove(operation.path)
            case RemoveDirectory():
                self._remove_directory(operation.path)
            case MakeHardLink():
                self._make_hard_link(operation.existing, operation.path)
            case MakeSymbolicLink():
                self._make_symbolic_link(operation)
            case StreamOperation():
                raise FileSystemError("denied", operation.path, f"{operation.stream}: this host has no named streams")

    def _set(self, operation: SetMetadata | SetTimes) -> None:
        path = operation.path
        if path not in self._files and path not in self._directories and self._is_link(path):
            self._set_link(operation)
            return
        held = self._existing(path)
        if isinstance(operation, SetMetadata):
            set_metadata(held.fd, operation.metadata, path)
        else:
            _set_mtime(held.fd, operation.mtime_ns)
            held.mtime_ns = None

    def _set_link(self, operation: SetMetadata | SetTimes | MakeSymbolicLink) -> None:
        parent, name = self._directory(paths.parent(operation.path)), paths.name(operation.path)
        if isinstance(operation, SetMetadata | MakeSymbolicLink):
            set_link_metadata(name, parent.fd, operation.metadata, operation.path)
        if isinstance(operation, SetTimes | MakeSymbolicLink):
            atime_ns = os.stat(name, dir_fd=parent.fd, follow_symlinks=False).st_atime_ns
            os.utime(name, ns=(atime_ns, operation.mtime_ns), dir_fd=parent.fd, follow_symlinks=False)
        parent.dirty = True

    def _is_link(self, path: str) -> bool:
        if path == "/":
            return False
        status = os.stat(paths.name(path), dir_fd=self._directory(paths.parent(path)).fd, follow_symlinks=False)
        return modes.S_ISLNK(status.st_mode)

    def _status_if_any(self, path: str) -> os.stat_result | None:
        parent = self._directory(paths.parent(path))
        try:
            return os.stat(paths.name(path), dir_fd=parent.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _make_hard_link(self, existing: str, path: str) -> None:
        source, target = self._directory_of_other(existing), self._directory(paths.parent(path))
        self._let_go(existing)
        there, here = self._status_if_any(existing), self._status_if_any(path)
        if there is None or not replicable(there) or modes.S_ISDIR(there.st_mode):
            raise FileSystemError("not_found", existing, "no file to give another name to")
        if here is not None:
            if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
                return
            if modes.S_ISDIR(here.st_mode):
                raise FileSystemError("exists", path, "is a directory")
            self._remove(path)
        names = paths.name(existing), paths.name(path)
        os.link(*names, src_dir_fd=source.fd, dst_dir_fd=target.fd, follow_symlinks=False)
        target.dirty = True

    def _let_go(self, path: str) -> None:
        """Close what may have been opened while it had one name, so that its names share what is opened next."""
        self._settle(path)
        self._park(path)

    def _make_symbolic_link(self, operation: MakeSymbolicLink) -> None:
        path, parent = operation.path, self._directory(paths.parent(operation.path))
        here, name = self._status_if_any(path), paths.name(path)
        if here is not None and modes.S_ISDIR(here.st_mode) and operation.junction:
            self._remove_directory(path)
            here = None
        if here is not None and not modes.S_ISLNK(here.st_mode):
            raise FileSystemError("exists", path, "not a symbolic link")
        if here is None or os.readlink(name, dir_fd=parent.fd) != operation.target:
            if here is not None:
                os.unlink(name, dir_fd=parent.fd)
            os.symlink(operation.target, name, dir_fd=parent.fd)
        self._set_link(operation)

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
        source, target = self._directory(paths.parent(old)), self._directory_of_other(new)
        self._let_go(old)
        self._let_go(new)
        if self._changes_case(old, new):
            self._spell(paths.name(old), paths.name(new), source.fd)
            source.dirty = True
            return
        try:
            os.rename(paths.name(old), paths.name(new), src_dir_fd=source.fd, dst_dir_fd=target.fd)
        except (IsADirectoryError, NotADirectoryError) as error:
            raise FileSystemError("exists", new, "a file cannot replace a directory, nor the reverse") from error
        if old != new and self._status_if_any(old) is not None:
            # rename(2) leaves two names of one file as they are; the operation says that the old one goes.
            os.unlink(paths.name(old), dir_fd=source.fd)
        source.dirty = target.dirty = True

    def _changes_case(self, old: str, new: str) -> bool:
        """Whether the volume takes both names for one: then they lead to one thing that has no two names."""
        if old == new or old.casefold() != new.casefold() or paths.parent(old) != paths.parent(new):
            return False
        here, there = self._status_if_any(old), self._status_if_any(new)
        if here is None or there is None or (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
            return False
        return modes.S_ISDIR(here.st_mode) or here.st_nlink == 1

    @staticmethod
    def _spell(name: str, spelled: str, directory: int) -> None:
        """Give a thing another spelling. By way of a third name: rename(2) does nothing when both lead to one thing."""
        between = next(each for each in (f".bodydouble-{number}" for number in count()) if _is_free(each, directory))
        os.rename(name, between, src_dir_fd=directory, dst_dir_fd=directory)
        os.rename(between, spelled, src_dir_fd=directory, dst_dir_fd=directory)

    def _directory_of_other(self, path: str) -> _Held:
        with on_path(path):
            return self._directory(paths.parent(path))

    def _remove(self, path: str) -> None:
        parent = self._directory(paths.parent(path))
        file = self._files.get(path)
        if file is not None and os.fstat(file.fd).st_nlink > 1:
            self._let_go(path)
        elif file is not None:
            # Its bytes are gone with it: nothing of the file itself is left to settle or to sync.
            del self._files[path]
            self._linked = {key: held for key, held in self._linked.items() if held is not file}
            if file not in self._parked:
                os.close(file.fd)
        os.unlink(paths.name(path), dir_fd=parent.fd)
        parent.dirty = True

    def _remove_directory(self, path: str) -> None:
        parent = self._directory(paths.parent(path))
        if (held := self._directories.pop(path, None)) is not None:
            os.close(held.fd)
        try:
            os.rmdir(paths.name(path), dir_fd=parent.fd)
        except NotADirectoryError:
            if not self._is_link(path):
                raise
            os.unlink(paths.name(path), dir_fd=parent.fd)  # what a junction is here
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
                self._files[path] = self._shared(open_file(paths.name(path), parent.fd, os.O_RDWR, path))
            except OSError as error:
                if error.errno == errno.EISDIR:
                    raise FileSystemError(wrong_kind, path, "is a directory") from error
                raise
        self._files[path].dirty = True
        return self._files[path]

    def _shared(self, fd: int) -> _Held:
        """What the other names of the file use, when it has any."""
        status = os.fstat(fd)
        if status.st_nlink == 1:
            return _Held(fd)
        held = self._linked.setdefault((status.st_dev, status.st_ino), _Held(fd))
        if held.fd != fd:
            os.close(fd)
        return held

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


def _is_free(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return True
    return False
