"""The pass-through: each request of the kernel carried out on the backing directory, then reported.

Handlers run on the product's event loop and their system calls block it. That is wanted: one thread that makes a change
and reports it before it takes the next request is what makes the order of reports the order of effects, with no lock
and no reordering to undo. The calls are short, since they end in the page cache; those that wait for the disk (fsync,
synchronous writes) go to a thread. A handler never awaits between a change and its report.

Refused, so that nothing changes unreported: special files (EPERM), RENAME_EXCHANGE (EINVAL), fallocate and
copy_file_range (the kernel or the C library falls back to writes), names and targets of symbolic links that product
form cannot say (EINVAL). What of these exists already is not shown. A file may have further names outside of the mount;
what is written through those is written beneath it.

The kernel enforces access control lists, the backing volume keeps mode and list in step and hands default lists down.
The umask of whoever makes a file counts even where a default list says that it does not: the kernel applies it before
it asks.
"""

from __future__ import annotations

import errno
import os
import stat as modes
from typing import TYPE_CHECKING

import pyfuse3

from bodydouble.adapters.fuse.answers import answering, attributes, known_name, new_name
from bodydouble.adapters.fuse.directories import Directories
from bodydouble.adapters.fuse.extended import CAPABILITY, ExtendedAttributes
from bodydouble.adapters.fuse.hard_links import pin_names
from bodydouble.adapters.fuse.nodes import Node, NodeTable, key_of
from bodydouble.adapters.fuse.open_directories import OpenDirectories
from bodydouble.adapters.fuse.open_files import OpenFiles
from bodydouble.adapters.posix.extended import DEFAULT_LIST, place_in, read_value
from bodydouble.adapters.posix.libc import RENAME_NOREPLACE, rename_without_replacing
from bodydouble.adapters.posix.names import sayable_target
from bodydouble.adapters.posix.tree import sayable
from bodydouble.vocabulary.paths import MAX_PATH_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from bodydouble.adapters.fuse.hard_links import Name
    from bodydouble.adapters.fuse.reporter import Reporter

_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class PassThrough(pyfuse3.Operations):  # type: ignore[misc]  # pyfuse3 is untyped here: the extra may be missing
    """Request handlers over one backing directory.

    Args:
        root: descriptor of the backing directory; not closed here.
        reporter: told of every change.
        executor: for calls that wait for the disk.
        on_ready: called when the kernel's first request has come.
    """

    supports_dot_lookup = False
    enable_writeback_cache = False
    enable_acl = True

    def __init__(self, root: int, reporter: Reporter, executor: Executor, on_ready: Callable[[], None]) -> None:
        super().__init__()
        self._root = root
        self._reporter = reporter
        self._on_ready = on_ready
        self._nodes = NodeTable(os.fstat(root))
        self._directories = Directories(root)
        self._files = OpenFiles(self._directories, reporter, executor)
        self._extended = ExtendedAttributes(self._directories, self._files, reporter)
        self._listings = OpenDirectories(self._directories, self._nodes, executor)

    def init(self) -> None:
        """The session is up."""
        self._on_ready()

    def learn(self, groups: list[list[Name]]) -> None:
        """Know the names of files that have several, as `hard_links.find_names` found them.

        Raises:
            OSError: a name is gone already.
        """
        pin_names(self._nodes, self._root, groups)

    def close(self) -> None:
        """Close everything once the session is over."""
        self._files.close()
        self._listings.close()
        self._directories.close()

    # --- names ------------------------------------------------------------------------------------------------------

    @answering
    async def lookup(self, parent: int, name: bytes, _context: object) -> pyfuse3.EntryAttributes:
        """Find a name in a directory."""
        directory, text = self._nodes.get(parent), known_name(name)
        status = self._status_in(directory, text)
        return attributes(self._nodes.looked_up(directory, text, status), status)

    async def forget(self, inodes: Sequence[tuple[int, int]]) -> None:
        """The kernel drops nodes."""
        for number, lookups in inodes:
            node = self._nodes.forget(number, lookups)
            if node is not None:
                self._directories.drop(node)

    @answering
    async def mkdir(self, parent: int, name: bytes, mode: int, context: pyfuse3.RequestContext) -> object:
        """Make a directory."""
        directory, text = self._nodes.get(parent), self._new_name(parent, name)
        fd = self._directories.descriptor(directory)
        listed = _hands_down(fd)
        os.mkdir(text, mode if listed else 0o700, dir_fd=fd)
        inherited = modes.S_ISGID if os.fstat(fd).st_mode & modes.S_ISGID else 0
        made = os.open(text, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        try:
            status = self._own(made, fd, None if listed else mode | inherited, context)
            node = self._nodes.looked_up(directory, text, status)
            self._reporter.made_directory(node, status, made)
        except OSError:
            os.rmdir(text, dir_fd=fd)
            raise
        finally:
            os.close(made)
        return attributes(node, status)

    @answering
    async def create(self, parent: int, name: bytes, mode: int, flags: int, context: pyfuse3.RequestContext) -> object:
        """Create a file and open it; one that appeared beneath the mount meanwhile is opened as it is."""
        directory, text = self._nodes.get(parent), self._new_name(parent, name)
        try:
            node, fd = self._create(directory, text, mode, context)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
            status = self._status_in(directory, text)
            node = self._nodes.looked_up(directory, text, status)
            return self._files.open(node, flags), attributes(node, self._status(node))
        return self._files.admit(node, fd, flags), attributes(node, os.fstat(fd))

    @answering
    async def mknod(self, parent: int, name: bytes, mode: int, _rdev: int, context: pyfuse3.RequestContext) -> object:
        """Create a regular file without opening it; special files are refused."""
        if not modes.S_ISREG(mode):
            raise pyfuse3.FUSEError(errno.EPERM)
        node, fd = self._create(self._nodes.get(parent), self._new_name(parent, name), mode, context)
        try:
            return attributes(node, os.fstat(fd))
        finally:
            os.close(fd)

    @answering
    async def unlink(self, parent: int, name: bytes, _context: object) -> None:
        """Remove a file's name."""
        self._remove(parent, known_name(name), directory=False)

    @answering
    async def rmdir(self, parent: int, name: bytes, _context: object) -> None:
        """Remove an empty directory."""
        self._remove(parent, known_name(name), directory=True)

    @answering
    async def rename(
        self, old_parent: int, old_name: bytes, new_parent: int, new_name_: bytes, flags: int, _context: object
    ) -> None:
        """Rename, replacing unless told not to."""
        if flags & ~RENAME_NOREPLACE:
            raise pyfuse3.FUSEError(errno.EINVAL)
        source, target = self._nodes.get(old_parent), self._nodes.get(new_parent)
        old, new = known_name(old_name), self._new_name(new_parent, new_name_)
        moved, replaced = self._status_in(source, old), self._status_if_any(target, new)
        paths = self._reporter.path(source, old), self._reporter.path(target, new)
        self._rename(source, old, target, new, replacing=not flags)
        if replaced is not None:
            if key_of(replaced) == key_of(moved):
                return  # two names of one file: rename(2) leaves both
            self._nodes.removed(replaced, target, new)
        self._nodes.moved(moved, (source, old), (target, new))
        self._reporter.renamed(*paths)

    @answering
    async def link(self, inode: int, parent: int, name: bytes, _context: object) -> object:
        """Give a file one more name."""
        node, directory, text = self._nodes.get(inode), self._nodes.get(parent), self._new_name(parent, name)
        if node.orphaned or node.parent is None:
            raise pyfuse3.FUSEError(errno.ENOENT)
        existing, status = self._reporter.path(node), self._link(node, node.parent, directory, text)
        self._nodes.looked_up(directory, text, status)
        self._reporter.linked(self._reporter.path(directory, text), existing)
        return attributes(node, status)

    @answering
    async def symlink(self, parent: int, name: bytes, target: bytes, context: pyfuse3.RequestContext) -> object:
        """Make a symbolic link."""
        directory, text, leads = self._nodes.get(parent), self._new_name(parent, name), os.fsdecode(target)
        if not sayable_target(leads):
            raise pyfuse3.FUSEError(errno.EINVAL)
        fd = self._directories.descriptor(directory)
        os.symlink(leads, text, dir_fd=fd)
        above = os.fstat(fd)
        group = above.st_gid if above.st_mode & modes.S_ISGID else context.gid
        os.chown(text, context.uid, group, dir_fd=fd, follow_symlinks=False)
        status = self._status_in(directory, text)
        node = self._nodes.looked_up(directory, text, status)
        self._reporter.made_link(node, leads, status, place_in(fd, text))
        return attributes(node, status)

    @answering
    async def readlink(self, inode: int, _context: object) -> bytes:
        """Where a symbolic link leads."""
        node = self._nodes.get(inode)
        if node.orphaned or node.parent is None:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return os.fsencode(os.readlink(node.name, dir_fd=self._directories.descriptor(node.parent)))

    # --- attributes -------------------------------------------------------------------------------------------------

    @answering
    async def getattr(self, inode: int, _context: object) -> pyfuse3.EntryAttributes:
        """Attributes, always fresh from the backing file."""
        node = self._nodes.get(inode)
        return attributes(node, self._status(node))

    @answering
    async def setattr(
        self,
        inode: int,
        wanted: pyfuse3.EntryAttributes,
        fields: pyfuse3.SetattrFields,
        handle: int | None,
        _context: object,
    ) -> pyfuse3.EntryAttributes:
        """Length, then owner and mode, then times; each reported as it takes effect."""
        node = self._nodes.get(inode)
        if fields.update_size:
            self._files.truncate(node, handle, wanted.st_size)
        if modes.S_ISLNK(node.key[2]):
            return attributes(node, self._set_link(node, wanted, fields))
        with self._files.descriptor(node, handle, os.O_RDONLY) as fd:
            if fields.update_uid or fields.update_gid or fields.update_mode:
                _set_owner_and_mode(fd, wanted, fields)
                self._reporter.metadata(node, os.fstat(fd), fd)
            if fields.update_mtime or fields.update_atime:
                _set_times(fd, wanted, fields)
            if fields.update_mtime:
                self._reporter.times(node, os.fstat(fd))
            return attributes(node, os.fstat(fd))

    @answering
    async def statfs(self, _context: object) -> pyfuse3.StatvfsData:
        """The backing volume's figures."""
        answer, status = pyfuse3.StatvfsData(), os.fstatvfs(self._root)
        for name in ("bsize", "frsize", "blocks", "bfree", "bavail", "files", "ffree", "favail", "namemax"):
            setattr(answer, f"f_{name}", getattr(status, f"f_{name}"))
        return answer

    async def getxattr(self, inode: int, name: bytes, context: object) -> bytes:
        """One extended attribute. The kernel asks for a file's capability before each write: that must be quick."""
        if name == CAPABILITY and self._nodes.get(inode).without_capability:
            raise pyfuse3.FUSEError(errno.ENODATA)
        return await self._getxattr(inode, name, context)

    @answering
    async def _getxattr(self, inode: int, name: bytes, _context: object) -> bytes:
        return self._extended.get(self._nodes.get(inode), os.fsdecode(name))

    @answering
    async def listxattr(self, inode: int, _context: object) -> list[bytes]:
        """The names of all extended attributes."""
        return [os.fsencode(name) for name in self._extended.names(self._nodes.get(inode))]

    @answering
    async def setxattr(self, inode: int, name: bytes, value: bytes, _context: object) -> None:
        """Set an extended attribute."""
        self._extended.set(self._nodes.get(inode), os.fsdecode(name), value)

    @answering
    async def removexattr(self, inode: int, name: bytes, _context: object) -> None:
        """Remove an extended attribute."""
        self._extended.remove(self._nodes.get(inode), os.fsdecode(name))

    # --- contents ---------------------------------------------------------------------------------------------------

    @answering
    async def open(self, inode: int, flags: int, _context: object) -> pyfuse3.FileInfo:
        """Open a file."""
        return self._files.open(self._nodes.get(inode), flags)

    @answering
    async def read(self, handle: int, offset: int, size: int) -> bytes:
        """Read."""
        return self._files.read(handle, offset, size)

    @answering
    async def write(self, handle: int, offset: int, data: bytes) -> int:
        """Write; also what the kernel writes back from shared mappings."""
        return await self._files.write(handle, offset, data)

    async def flush(self, _handle: int) -> None:
        """A descriptor was closed: nothing is buffered here."""

    @answering
    async def fsync(self, handle: int, _data_only: bool) -> None:
        """Make a file durable."""
        await self._files.synchronise(handle)

    @answering
    async def release(self, handle: int) -> None:
        """The last descriptor was closed."""
        self._files.release(handle)

    @answering
    async def opendir(self, inode: int, _context: object) -> int:
        """Open a directory."""
        return self._listings.open(self._nodes.get(inode))

    @answering
    async def readdir(self, handle: int, start: int, token: pyfuse3.ReaddirToken) -> None:
        """List a directory from a position on."""
        self._listings.read(handle, start, token)

    @answering
    async def releasedir(self, handle: int) -> None:
        """Close a directory."""
        self._listings.release(handle)

    @answering
    async def fsyncdir(self, handle: int, _data_only: bool) -> None:
        """Make a directory durable."""
        await self._listings.synchronise(handle)

    # --- parts ------------------------------------------------------------------------------------------------------

    def _new_name(self, parent: int, name: bytes) -> str:
        text = new_name(name)
        path = self._reporter.path(self._nodes.get(parent), text)
        if path is not None and len(path) > MAX_PATH_CHARACTERS:
            raise pyfuse3.FUSEError(errno.ENAMETOOLONG)
        return text

    def _status_in(self, directory: Node, name: str) -> os.stat_result:
        status = os.stat(name, dir_fd=self._directories.descriptor(directory), follow_symlinks=False)
        if not sayable(name, self._directories.descriptor(directory), status):
            raise pyfuse3.FUSEError(errno.ENOENT)
        return status

    def _status_if_any(self, directory: Node, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self._directories.descriptor(directory), follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _status(self, node: Node) -> os.stat_result:
        if node.descriptors:
            return os.fstat(node.descriptors[-1])
        if modes.S_ISDIR(node.key[2]) or node.parent is None:
            return os.fstat(self._directories.descriptor(node))
        status = self._status_in(node.parent, node.name)
        if node.orphaned or key_of(status) != node.key:
            raise pyfuse3.FUSEError(errno.ESTALE)
        return status

    def _create(self, directory: Node, name: str, mode: int, context: pyfuse3.RequestContext) -> tuple[Node, int]:
        parent = self._directories.descriptor(directory)
        listed = _hands_down(parent)
        fd = os.open(name, _NEW_FILE, mode if listed else 0o600, dir_fd=parent)
        try:
            status = self._own(fd, parent, None if listed else mode, context)
        except OSError:
            os.close(fd)
            os.unlink(name, dir_fd=parent)
            raise
        node = self._nodes.looked_up(directory, name, status)
        self._reporter.created(node, status, fd)
        return node, fd

    @staticmethod
    def _own(fd: int, parent: int, mode: int | None, context: pyfuse3.RequestContext) -> os.stat_result:
        """Give what was just made to whoever asked for it; a set-group-ID directory passes its group on.

        Without a mode it stays with what a default access control list has made of it.
        """
        above = os.fstat(parent)
        os.fchown(fd, context.uid, above.st_gid if above.st_mode & modes.S_ISGID else context.gid)
        if mode is not None:
            os.fchmod(fd, modes.S_IMODE(mode))
        return os.fstat(fd)

    def _remove(self, parent: int, name: str, *, directory: bool) -> None:
        holder = self._nodes.get(parent)
        status, path = self._status_in(holder, name), self._reporter.path(holder, name)
        fd = self._directories.descriptor(holder)
        if directory:
            os.rmdir(name, dir_fd=fd)
        else:
            os.unlink(name, dir_fd=fd)
        self._nodes.removed(status, holder, name)
        self._reporter.removed(path, directory=directory)

    def _link(self, node: Node, holder: Node, directory: Node, name: str) -> os.stat_result:
        old_fd, new_fd = self._directories.descriptor(holder), self._directories.descriptor(directory)
        os.link(node.name, name, src_dir_fd=old_fd, dst_dir_fd=new_fd, follow_symlinks=False)
        status = os.stat(name, dir_fd=new_fd, follow_symlinks=False)
        if key_of(status) != node.key:
            os.unlink(name, dir_fd=new_fd)
            raise pyfuse3.FUSEError(errno.ESTALE)
        return status

    def _set_link(self, node: Node, wanted: pyfuse3.EntryAttributes, fields: pyfuse3.SetattrFields) -> os.stat_result:
        """Owner and times of a symbolic link; it has no mode of its own."""
        status = self._status(node)
        if node.parent is None:
            return status
        name, fd = node.name, self._directories.descriptor(node.parent)
        if fields.update_uid or fields.update_gid:
            owner = wanted.st_uid if fields.update_uid else -1, wanted.st_gid if fields.update_gid else -1
            os.chown(name, *owner, dir_fd=fd, follow_symlinks=False)
            self._reporter.metadata(node, self._status(node), place_in(fd, name))
        if fields.update_mtime or fields.update_atime:
            os.utime(name, ns=_times(status, wanted, fields), dir_fd=fd, follow_symlinks=False)
        if fields.update_mtime:
            self._reporter.times(node, self._status(node))
        return self._status(node)

    def _rename(self, source: Node, old: str, target: Node, new: str, *, replacing: bool) -> None:
        old_fd, new_fd = self._directories.descriptor(source), self._directories.descriptor(target)
        if replacing:
            os.rename(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd)
        else:
            rename_without_replacing(old, old_fd, new, new_fd)


class PlainPassThrough(PassThrough):
    """Without extended attributes: after ENOSYS the kernel never asks for one again."""

    enable_acl = False

    async def getxattr(self, _inode: int, _name: bytes, _context: object) -> bytes:
        """Refuse."""
        raise pyfuse3.FUSEError(errno.ENOSYS)

    async def listxattr(self, _inode: int, _context: object) -> list[bytes]:
        """Refuse."""
        raise pyfuse3.FUSEError(errno.ENOSYS)

    async def setxattr(self, _inode: int, _name: bytes, _value: bytes, _context: object) -> None:
        """Refuse."""
        raise pyfuse3.FUSEError(errno.ENOSYS)

    async def removexattr(self, _inode: int, _name: bytes, _context: object) -> None:
        """Refuse."""
        raise pyfuse3.FUSEError(errno.ENOSYS)


def _hands_down(directory: int) -> bool:
    """Whether what is made in an open directory gets an access control list from it."""
    return read_value(place_in(directory, "."), DEFAULT_LIST) is not None


def _set_owner_and_mode(fd: int, wanted: pyfuse3.EntryAttributes, fields: pyfuse3.SetattrFields) -> None:
    if fields.update_uid or fields.update_gid:
        os.fchown(fd, wanted.st_uid if fields.update_uid else -1, wanted.st_gid if fields.update_gid else -1)
    if fields.update_mode:
        os.fchmod(fd, modes.S_IMODE(wanted.st_mode))


def _set_times(fd: int, wanted: pyfuse3.EntryAttributes, fields: pyfuse3.SetattrFields) -> None:
    os.utime(fd, ns=_times(os.fstat(fd), wanted, fields))


def _times(status: os.stat_result, wanted: pyfuse3.EntryAttributes, fields: pyfuse3.SetattrFields) -> tuple[int, int]:
    return (
        wanted.st_atime_ns if fields.update_atime else status.st_atime_ns,
        wanted.st_mtime_ns if fields.update_mtime else status.st_mtime_ns,
    )
