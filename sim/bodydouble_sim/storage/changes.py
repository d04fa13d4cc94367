"""What each operation of the vocabulary does to a volume, common to all file systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeStream,
    MakeSymbolicLink,
    Metadata,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    RemoveStream,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    TruncateStream,
    Write,
    WriteStream,
)
from bodydouble_sim.storage import names
from bodydouble_sim.storage.disk import CLUSTER
from bodydouble_sim.storage.node import EVERYONE_FULL_CONTROL, Node
from bodydouble_sim.storage.tree import Tree, inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble_sim.storage.content import FileContent
    from bodydouble_sim.storage.disk import Disk
    from bodydouble_sim.storage.journal import Journal
    from bodydouble_sim.storage.node import Link

Done = tuple["AnyOperation", "Link"]
"""An operation as it was carried out (canonical path, times as they are kept), and the name that it concerned."""


class Changes:
    """The operations, one method each. What differs between file systems is a method that they override.

    Args:
        letter: drive letter; the root's product form is ``C:``.
        clock: nanoseconds since 1970 UTC.
        disk: what the volume lies on.
        cluster: bytes of one cluster.
    """

    def __init__(self, letter: str, clock: Callable[[], int], disk: Disk, cluster: int = CLUSTER) -> None:
        self.root = f"{letter.upper()}:"
        self.disk = disk
        self.cluster = cluster
        self._clock = clock
        now = self._now = clock()
        top = Node(self._metadata(Metadata(0, EVERYONE_FULL_CONTROL)), self._write_time(now), now, directory=True)
        self._tree = Tree(self.root, disk, top)
        self._journal: Journal = self._new_journal()
        self._perform: dict[type, Callable[[AnyOperation], Done]] = {
            MakeDirectory: self._make_directory,
            CreateFile: self._create_file,
            Write: self._write,
            Truncate: self._truncate,
            PunchHole: self._punch_hole,
            Rename: self._rename,
            RemoveFile: self._remove_file,
            RemoveDirectory: self._remove_directory,
            SetMetadata: self._set_metadata,
            SetTimes: self._set_times,
            MakeHardLink: self._make_hard_link,
            MakeSymbolicLink: self._make_symbolic_link,
            MakeStream: self._change_stream,
            WriteStream: self._change_stream,
            TruncateStream: self._change_stream,
            RemoveStream: self._change_stream,
        }

    # --- what file systems do differently ---------------------------------------------------------------------------

    largest_file = (1 << 44) - (1 << 16)
    """Bytes that a file can have."""

    def _new_journal(self) -> Journal:
        raise NotImplementedError

    def _write_time(self, ns: int) -> int:
        """A time of last write as it is kept."""
        return ns - ns % 100

    def _create_time(self, ns: int) -> int:
        """A time of creation as it is kept."""
        return ns - ns % 100

    def _access_time(self, ns: int) -> int:
        """A time of last access as it is kept."""
        return ns - ns % 100

    def _metadata(self, metadata: Metadata) -> Metadata:
        """Metadata as they are kept."""
        return metadata

    def _kept(self, operation: MakeDirectory | CreateFile | SetMetadata | MakeSymbolicLink) -> Metadata:
        """What an operation leaves a file with."""
        return self._metadata(operation.metadata)

    def _check_entry(self, parent: Node, name: str, path: str) -> None:  # noqa: ARG002 - FAT counts entries
        """Refuse a name that the file system does not take, or a directory that takes no more."""
        problem = names.problem(name)
        if problem:
            raise FileSystemError("denied", path, problem)

    def _meet_bad_sectors(self, link: Link, begin: int, end: int) -> None:
        """A write to broken sectors."""
        content = link.node.content
        assert content is not None
        if self.disk.broken(content, begin, end, write=True):
            self.disk.touched["bad_writes"] += 1
            raise FileSystemError("io", self._tree.path(link), "the sector cannot be written")

    # --- finding ----------------------------------------------------------------------------------------------------

    def _existing(self, path: str) -> Link:
        link = self._tree.find(path)
        if link is None:
            raise FileSystemError("not_found", path)
        return link

    def _file(self, path: str) -> Link:
        link = self._tree.find(path)
        if link is None or link.node.content is None:
            raise FileSystemError("not_found", path, "no such file")
        return link

    def _parent(self, path: str) -> Node:
        parent = self._tree.find(path.rpartition("/")[0])
        if parent is None or parent.node.children is None or parent.node.target:
            # Nothing is ever in a junction: the I/O manager leads a path through one elsewhere.
            raise FileSystemError("not_found", path, "no such directory")
        return parent.node

    # --- names ------------------------------------------------------------------------------------------------------

    def _enter(self, path: str, metadata: Metadata, mtime_ns: int, *, directory: bool) -> Link:
        parent, name = self._parent(path), path.rpartition("/")[2]
        self._check_entry(parent, name, path)
        node = Node(metadata, mtime_ns, self._create_time(self._now), directory=directory)
        node.accessed_ns = self._access_time(self._now)
        return self._put(self._tree.new_link(parent, name, node))

    def _put(self, link: Link) -> Link:
        parent = link.parent
        assert parent is not None
        before = parent.mtime_ns
        self._tree.enter(link)
        self._journal.entered(link, before)
        if not link.stream:
            parent.mtime_ns = self._write_time(self._now)
        return link

    def _leave(self, link: Link, *, freed: bool) -> None:
        parent = link.parent
        assert parent is not None
        self._journal.leaving(link, parent.mtime_ns, freed=freed and not link.node.others)
        self._tree.leave(link)
        if not link.stream:
            parent.mtime_ns = self._write_time(self._now)

    # --- space ------------------------------------------------------------------------------------------------------

    def _rounded(self, size: int) -> int:
        return -(-size // self.cluster) * self.cluster

    def _allocate(self, path: str, node: Node, content: FileContent, size: int) -> None:  # noqa: ARG002 - NTFS needs it
        """Get space for a file that will have ``size`` bytes, or give some back."""
        if size > self.largest_file:
            raise FileSystemError("no_space", path, f"no file is larger than {self.largest_file} bytes here")
        wanted = self._rounded(size)
        change = wanted - content.allocated
        if change and not self.disk.take(change):
            raise FileSystemError("no_space", path, f"{self.disk.free} bytes free on {self.root}")
        content.allocated = wanted

    def _settle(self, node: Node, content: FileContent) -> None:
        """Account anew for a file whose bytes are what they are."""
        wanted = self._rounded(len(content.data))
        self.disk.used += wanted - content.allocated if node.link is not None else 0
        content.allocated = wanted

    # --- one method for each operation ------------------------------------------------------------------------------

    def _make_directory(self, operation: AnyOperation) -> Done:
        assert isinstance(operation, MakeDirectory)
        metadata = self._kept(operation)
        link = self._tree.find(operation.path)
        if link is None:
            link = self._enter(operation.path, metadata, self._write_time(self._now), directory=True)
        elif link.node.children is None:
            raise FileSystemError("exists", operation.path, "a file has that name")
        elif link.node.target:
            raise FileSystemError("exists", operation.path, "a junction has that name")
        else:
            self._journal.changing(link)
            link.node.metadata = metadata
        self._set_created(link.node, operation.created_ns)
        return MakeDirectory(self._tree.path(link), metadata, link.node.created_ns), link

    def _create_file(self, operation: AnyOperation) -> Done:
        assert isinstance(operation, CreateFile)
        metadata, mtime_ns = self._kept(operation), self._write_time(operation.mtime_ns)
        link = self._tree.find(operation.path)
        if link is None:
            link = self._enter(operation.path, metadata, mtime_ns, directory=False)
        elif link.node.content is None:
            raise FileSystemError("exists", operation.path, "a directory has that name")
        else:
            self._journal.changing(link)
            link.node.metadata = metadata
            link.node.mtime_ns = mtime_ns
        self._set_created(link.node, operation.created_ns)
        return CreateFile(self._tree.path(link), metadata, mtime_ns, link.node.created_ns), link

    def _write(self, operation: AnyOperation) -> Done:
        assert isinstance(operation, Write)
        link = self._file(operation.path)
        node = link.node
        content = node.content
        assert content is not None
        data, offset = operation.data, operation.offset
        size, end = len(content.data), offset + len(data)
        if self.disk.bad:
            self._meet_bad_sectors(link, offset, end)
        if data and (end > size or node.units is not None):
            self._allocate(operation.path, node, content, max(size, end))
        self._journal.changing(link)
        content.write(offset, data, self._now)
        if data and end > size:
            self._journal.resized(link, size, None)
        if node.units is not None:
            self._settle(node, content)
        node.mtime_ns = self._write_time(operation.mtime_ns)
        self._tree.dirty[content] = None
        return Write(self._tree.path(link), offset, data, node.mtime_ns), link

    def _truncate(self, operation: AnyOperation) -> Done:
        assert isinstance(operation, Truncate)
        link = self._file(operation.path)
        node = link.node
        content = node.content
        assert content is not None
        size = len(content.data)
        self._allocate(operation.path, node, content, operation.size)
        self._journal.changing(link)
        self._journal.resized(link, size, content.resize(operation.size))
        if node.units is not None:
            self._settle(node, content)
        node.mtime_ns = self._write_time(operation.mtime_ns)
        return Truncate(self._tree.path(link), operation.size, node.mtime_ns), link

    def _punch_hole(self, operation: AnyOperation) -> Done:
        """Zeros are written: a file system that keeps holes gives their space back."""
        assert isinstance(operation, PunchHole)
        content = self._file(operation.path).node.content
        assert content is not None
        size = max(0, min(operation.size, len(content.data) - operation.offset))
        done, link = self._write(Write(operation.path, operation.offset, bytes(size), operation.mtime_ns))
        return PunchHole(done.path, operation.offset, size, link.node.mtime_ns), link

    def _rename(self, operation: AnyOperation) -> Done:
        assert isinstance(operation, Rename)
        link = self._tree.find(operation.path)
        if link is None or link is self._tree.top:
            raise FileSystemError("not_found", operation.path)
        parent, name = self._parent(operation.new_path), operation.new_path.rpartition("/")[2]
        self._check_rename(link, parent, name, operation.new_path)
        old_path = self._tree.path(link)
        other = self._tree.find(operation.new_path)
        if other is not None and other is not link:
            self._make_way(link.node, other, operation.new_path)
        self._leave(link, freed=False)
        new = self._put(self._tree.new_link(parent, name, link.node))
        return Rename(old_path, self._tree.path(new)), new

    def _check_rename(self, link: Link, parent: Node, name: str, new_path: str) -> None:
        self._check_entry(parent, name, new_path)
        if inside(parent, link.node):
            raise FileSystemError("denied", new_path, "a directory cannot be moved into itself")
        if link.parent is None or link.stream:
            raise FileSystemError("denied", new_path, "a stream has no other name")

    def _make_way(self, node: Node, other: Link, new_path: str) -> None:
        if other.node.children:
            raise FileSystemError("not_empty", new_path)
        if (other.node.content is None) != (node.content is None):
            raise FileSystemError("exists", new_path, "a file cannot replace a directory, nor a directory a file")
        self._leave(other, freed=True)

    def _remove_file(self, operation: AnyOperation) -> Done:
        link = self._file(operation.path)
        done = RemoveFile(self._tree.path(link))
        self._leave(link, freed=True)
        return done, link

    def _remove_directory(self, operation: AnyOperation) -> Done:
        link = self._tree.find(operation.path)
        if link is None or link.node.children is None:
            raise FileSystemError("not_found", operation.path, "no such directory")
        if link.node.children:
            raise FileSystemError("not_empty", operation.path)
        if link is self._tree.top:
            raise FileSystemError("denied", operation.path, "the root stays")
        done = RemoveDirectory(self._tree.path(link))
        self._leave(link, freed=True)
        return done, link

    def _make_hard_link(self, operation: AnyOperation) -> Done:
        raise FileSystemError("denied", operation.path, "the file system has no hard links")

    def _make_symbolic_link(self, operation: AnyOperation) -> Done:
        raise FileSystemError("denied", operation.path, "the file system has no symbolic links")

    def _change_stream(self, operation: AnyOperation) -> Done:
        raise FileSystemError("denied", operation.path, "the file system has no named streams")

    def _set_metadata(self, operation: AnyOperation) -> Done:
        assert isinstance(operation, SetMetadata)
        link = self._existing(operation.path)
        self._journal.changing(link)
        link.node.metadata = metadata = self._kept(operation)
        return SetMetadata(self._tree.path(link), metadata), link

    def _set_times(self, operation: AnyOperation) -> Done:
        assert isinstance(operation, SetTimes)
        link = self._existing(operation.path)
        self._journal.changing(link)
        link.node.mtime_ns = self._write_time(operation.mtime_ns)
        self._set_created(link.node, operation.created_ns)
        told = link.node.created_ns if operation.created_ns else 0
        return SetTimes(self._tree.path(link), link.node.mtime_ns, told), link

    def _set_created(self, node: Node, created_ns: int) -> None:
        if created_ns:
            node.created_ns = self._create_time(created_ns)
