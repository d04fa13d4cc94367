"""A volume behind a drive letter: what programs, the product and a lab's witnesses do with it.

What the product's vocabulary has no word for (compression) is carried out and is *not* reported to the product's filter
or to observers of operations: it would have to be an operation that the product can apply elsewhere. Whoever wants to
know hears of it as a `Note`. What programs do to ``file:stream`` is both. A change to a file with several names is
reported once for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.capabilities import Capabilities
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    Metadata,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    StreamOperation,
    Truncate,
    Write,
    changes_names,
)
from bodydouble_sim.storage import security
from bodydouble_sim.storage.attached_filter import AttachedFilter
from bodydouble_sim.storage.changes import Changes
from bodydouble_sim.storage.content import PAGE
from bodydouble_sim.storage.names import fold
from bodydouble_sim.storage.node import ARCHIVE, READONLY, SETTABLE, Entries, entry
from bodydouble_sim.storage.notification import EVERYTHING, Watcher
from bodydouble_sim.storage.power import lose_pages
from bodydouble_sim.storage.sharing import HoldTable, Share
from bodydouble_sim.storage.stream_operations import in_stream
from bodydouble_sim.storage.tree import links

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from bodydouble.vocabulary.operations import AnyOperation, Entry
    from bodydouble_sim.storage.disk import Disk
    from bodydouble_sim.storage.filter_memory import FilterMemory
    from bodydouble_sim.storage.node import Link
    from bodydouble_sim.storage.notification import Notify
    from bodydouble_sim.storage.security import Want
    from bodydouble_sim.storage.sharing import Hold

_HOUR_NS = 3_600_000_000_000
_NEEDS: dict[type, Share] = {
    Write: Share.WRITE,
    Truncate: Share.WRITE,
    PunchHole: Share.WRITE,
    Rename: Share.DELETE,
    RemoveFile: Share.DELETE,
}
"""What an open handle must share for an operation on its file."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the vocabulary of operations has no word for.

    Attributes:
        kind: what was done (``stream``, ``compression``, ``sparse``, ``check``).
        path: to what, in product form.
        detail: further words.
    """

    kind: str
    path: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Times:
    """A file's times in nanoseconds since 1970 UTC, to the file system's resolution."""

    created_ns: int
    accessed_ns: int
    mtime_ns: int


class Volume(Changes):
    """Synchronous: every call takes effect before it returns.

    The methods named after file calls (`create`, `write`, `rename` ...) are what *applications* do: they are stopped by
    READONLY and seen by filters. `apply` is the product's way in. Observers see both. Open handles stop everybody.

    Attributes:
        file_system: ``ntfs``, ``fat32`` or ``fat16``; None when there is none.
        label: the volume's name.
        serial: its serial number.
        lost_changes: metadata changes that the latest power loss took.
        needs_check: it was not taken down in good order: `check` has something to do.
        filter_memory: what the product's filter driver keeps; None before it is loaded.
    """

    file_system: str | None = None
    inherits = False
    """Whether files have security, and new ones get it from their directory."""

    hard_links = False
    """Whether several names may mean one file; elsewhere that is damage."""

    junctions = False
    """Whether there may be a junction: looking for one costs."""

    def __init__(self, letter: str, clock: Callable[[], int], disk: Disk, cluster: int, label: str = "") -> None:
        super().__init__(letter, clock, disk, cluster)
        self.label = label
        self.serial = (self._now // 1000 * 0x9E3779B1 ^ ord(letter.upper()) << 24) & 0xFFFFFFFF
        self.lost_changes = 0
        self.needs_check = False
        self._filters: list[AttachedFilter] = []
        self.filter_memory: FilterMemory | None = None
        self._observers: list[Callable[[AnyOperation], None]] = []
        self._note_observers: list[Callable[[Note], None]] = []
        self._watchers: list[Watcher] = []
        self._holds = HoldTable()

    # --- reading ----------------------------------------------------------------------------------------------------

    def stat(self, path: str) -> Entry | None:
        """The entry at ``path``, or None."""
        link = self._tree.find(path)
        return None if link is None else entry(link, self._tree.path(link))

    def list(self, path: str) -> Entries:
        """Entries directly inside a directory, sorted by name.

        Raises:
            FileSystemError: ``not_found``, also when ``path`` is a file; ``io``.
        """
        self._check_disk(path)
        link = self._tree.find(path)
        if link is None or link.node.children is None:
            raise FileSystemError("not_found", path, "no such directory")
        base = self._tree.path(link)
        found = [entry(child, f"{base}/{child.name}") for child in link.node.children.values()]
        return sorted(found, key=_path_of)

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """Up to ``size`` bytes from ``offset``, to the end of the file when None.

        Raises:
            FileSystemError: ``not_found``, ``sharing``, ``io``.
        """
        self._check_disk(path)
        link = self._tree.find(path)
        if link is None or (content := link.node.content) is None:
            raise FileSystemError("not_found", path, "no such file")
        node = link.node
        if self._holds.open:
            self._holds.check(node, path, Share.READ)
        data = content.data
        if self.disk.bad:
            self._read_bad_sectors(link, offset, len(data) if size is None else min(len(data), offset + size))
        now = self._clock()
        if now - node.accessed_ns > _HOUR_NS:
            node.accessed_ns = self._access_time(now)
        return bytes(data[offset:] if size is None else data[offset : offset + size])

    def _read_bad_sectors(self, link: Link, begin: int, end: int) -> None:
        content = link.node.content
        assert content is not None
        for sector in self.disk.broken(content, begin, end, write=False):
            if not content.waits((sector - content.place) * 512 // PAGE):
                self.disk.touched["bad_reads"] += 1
                raise FileSystemError("io", self._tree.path(link), "data error: the sector cannot be read")

    def find_data(self, path: str, offset: int) -> tuple[int, int] | None:
        """The first run of bytes with space on the volume, from ``offset`` on; None when there is none; as `read`."""
        self._check_disk(path)
        content = self._file(path).node.content
        assert content is not None
        return (offset, len(content.data)) if offset < len(content.data) else None

    def capabilities(self) -> Capabilities:
        """What the product can have the volume keep."""
        return Capabilities(
            security=False, attributes=SETTABLE, extended=(), hard_links=False, symbolic_links=False, junctions=False,
            holes=False, time_grain_ns=100, largest_file=self.largest_file, streams=False, created_grain_ns=100,
            case_sensitive=False,
        )  # fmt: skip

    def free_space(self) -> int:
        """Bytes still free."""
        self._check_disk(self.root)
        return self.disk.free

    @property
    def capacity(self) -> int:
        """Size in bytes."""
        return self.disk.capacity

    # --- what applications do ---------------------------------------------------------------------------------------

    def create(self, path: str) -> None:
        """Make ``path`` an empty file; an existing one loses its bytes.

        Raises:
            FileSystemError: ``not_found`` (no such directory), ``exists`` (a directory is there), ``denied``,
                ``sharing``, ``no_space``, ``io``.
        """
        link = self._tree.find(path)
        if link is None:
            self._commit(CreateFile(path, Metadata(ARCHIVE, self._given(path, directory=False)), self._clock()))
            return
        content = self._writable(path).node.content
        assert content is not None
        if self._holds.open:
            self._holds.check(link.node, path, Share.WRITE)
        if content.data:
            self._commit(Truncate(path, 0, self._clock()))

    def write(self, path: str, offset: int, data: bytes) -> None:
        """Write at ``offset`` of an existing file.

        Raises:
            FileSystemError: ``not_found``, ``denied`` (read-only), ``sharing``, ``no_space``, ``io``.
        """
        self._writable(path)
        self._commit(Write(path, offset, bytes(data), self._clock()))
        metadata = self._existing(path).node.metadata
        if not metadata.attributes & ARCHIVE:
            self._commit(SetMetadata(path, Metadata(metadata.attributes | ARCHIVE, metadata.security)))

    def append(self, path: str, data: bytes) -> None:
        """Write at the end of an existing file; errors as `write`."""
        content = self._writable(path).node.content
        assert content is not None
        self.write(path, len(content.data), data)

    def truncate(self, path: str, size: int) -> None:
        """Set the length; errors as `write`."""
        self._writable(path)
        self._commit(Truncate(path, size, self._clock()))

    def rename(self, path: str, new_path: str) -> None:
        """Rename; an existing file or empty directory at ``new_path`` is replaced atomically.

        Raises:
            FileSystemError: ``not_found``, ``not_empty``, ``exists``, ``sharing``, ``denied`` (into itself, or a
                read-only file is in the way).
        """
        if (other := self._tree.find(new_path)) is not None and other is not self._tree.find(path):
            self._refuse_readonly(other)
        self._commit(Rename(path, new_path))

    def remove(self, path: str) -> None:
        """Remove a file.

        Raises:
            FileSystemError: ``not_found``, ``denied`` (read-only), ``sharing``.
        """
        self._writable(path)
        self._commit(RemoveFile(path))

    def mkdir(self, path: str) -> None:
        """Make a directory.

        Raises:
            FileSystemError: ``exists``, ``not_found`` (no parent), ``denied`` (a name that is not allowed).
        """
        if self._tree.find(path) is not None:
            raise FileSystemError("exists", path)
        self._commit(MakeDirectory(path, Metadata(0, self._given(path, directory=True))))

    def rmdir(self, path: str) -> None:
        """Remove an empty directory.

        Raises:
            FileSystemError: ``not_found``, ``not_empty``.
        """
        self._commit(RemoveDirectory(path))

    def set_metadata(self, path: str, metadata: Metadata) -> None:
        """Replace attributes and security; ``not_found``."""
        self._commit(SetMetadata(path, metadata))

    def set_times(self, path: str, mtime_ns: int, created_ns: int = 0) -> None:
        """Set the time of the last write, and of the creation when it is given; ``not_found``."""
        self._commit(SetTimes(path, mtime_ns, created_ns))

    def set_attributes(self, path: str, attributes: int) -> None:
        """Replace the attribute bits that programs may set; ``not_found``."""
        security_text = self._existing(path).node.metadata.security
        self._commit(SetMetadata(path, Metadata(attributes & SETTABLE, security_text)))

    def set_security(self, path: str, descriptor: bytes) -> None:
        """Replace the security descriptor; ``not_found``, ``denied`` where the file system keeps none.

        What lies below a directory keeps the descriptor it has: that is what SetFileSecurity does, on both versions.
        """
        attributes = self._existing(path).node.metadata.attributes
        if not self.inherits:
            raise FileSystemError("denied", path, "the file system keeps no permissions")
        self._commit(SetMetadata(path, Metadata(attributes, descriptor)))

    def _given(self, path: str, *, directory: bool) -> bytes:
        parent = self._parent(path).metadata.security
        return self._inherited(parent, directory=directory)

    def _inherited(self, parent: bytes, *, directory: bool) -> bytes:  # noqa: ARG002 - file systems with security use it
        return b""

    # --- what Windows keeps of a file -------------------------------------------------------------------------------

    def attributes(self, path: str) -> int:
        """Attribute bits; ``not_found``."""
        node = self._existing(path).node
        return node.metadata.attributes | node.flags

    def security(self, path: str) -> bytes:
        """The security descriptor, empty where the file system has none; ``not_found``."""
        return self._existing(path).node.metadata.security

    def times(self, path: str) -> Times:
        """Times of creation, last access and last write; ``not_found``."""
        node = self._existing(path).node
        return Times(node.created_ns, node.accessed_ns, node.mtime_ns)

    def short_name(self, path: str) -> str:
        """The 8.3 alias of the last component; ``not_found``."""
        link = self._existing(path)
        return link.short or link.name

    def allocated(self, path: str) -> int:
        """Bytes of clusters that a file occupies; ``not_found``."""
        content = self._file(path).node.content
        assert content is not None
        return content.allocated

    def sector_of(self, path: str, offset: int) -> int:
        """The number of the disk's sector that holds a byte of a file; ``not_found``."""
        content = self._file(path).node.content
        assert content is not None
        return content.place + offset // 512

    def access(self, path: str, account: str | None, groups: Sequence[str], want: Want) -> bool:
        """The access check: True where the file system keeps no permissions; ``not_found``."""
        link = self._existing(path)
        if not self.inherits:
            return True
        above = (link.parent or link.node).metadata.security
        return security.may(link.node.metadata.security, above, account, groups, want)

    def hold(self, path: str, share: Share, uses: Share = Share.READ) -> Hold:
        """Open a handle on a file.

        Raises:
            FileSystemError: ``not_found``, ``sharing``.
        """
        link = self._file(path)
        return self._holds.add(link.node, self._tree.path(link), share, uses)

    def through_junction(self, path: str, *, last: bool = True) -> str | None:
        """Where the first junction on a path leads, with the rest of the path; None when there is none.

        Args:
            path: product form.
            last: whether the last component counts, too.
        """
        parts = path.split("/")
        for end in range(2, len(parts) + (1 if last else 0)):
            link = self._tree.find("/".join(parts[:end]))
            if link is None:
                return None
            if link.node.target:
                return "/".join([link.node.target, *parts[end:]])
        return None

    def watch(self, path: str, *, subtree: bool = False, wanted: Notify = EVERYTHING, buffer: int = 4096) -> Watcher:
        """Be told of changes in a directory; ``not_found``."""
        link = self._existing(path)
        if link.node.children is None:
            raise FileSystemError("not_found", path, "no such directory")
        watcher = Watcher(self._tree.path(link), wanted, buffer, self._unwatch, subtree=subtree)
        self._watchers.append(watcher)
        return watcher

    def _unwatch(self, watcher: Watcher) -> None:
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    # --- durability -------------------------------------------------------------------------------------------------

    def flush(self, path: str | None = None) -> None:
        """Make a file's contents and metadata durable (everything when None). A path that is gone needs no flush."""
        self._check_disk(path or self.root)
        if self._lied():
            return
        link = None if path is None else self._tree.find(path)
        if path is None:
            self._flush_contents()
            self._journal.flush(None)
        elif link is not None:
            self._flush_link(link)
            self._journal.flush(link)

    def _lied(self) -> bool:
        if self.disk.lying:
            self.disk.touched["lied"] += 1
        return self.disk.lying

    def _flush_contents(self) -> None:
        for content in list(self._tree.dirty):
            content.flush()
        self._tree.dirty.clear()

    def _flush_link(self, link: Link | None) -> None:
        if link is not None:
            for content in link.node.contents():
                content.flush()
                self._tree.dirty.pop(content, None)

    def power_loss(self, stream: random.Random) -> int:
        """The power is gone: metadata and contents keep a legal subset; filters, watchers and handles are gone.

        Returns:
            The number of sectors whose last write did not survive.
        """
        now = self._clock()
        self.lost_changes = self._journal.lose_before_pages(stream, now)
        lost = lose_pages(list(self._tree.dirty), stream, now)
        self._tree.dirty.clear()
        self.lost_changes += self._journal.lose_after_pages(stream, now)
        self.disk.drop_cache()
        self._filters.clear()
        self.filter_memory = None
        self._watchers.clear()
        self._holds.clear()
        self.needs_check = True
        return lost

    def check(self) -> tuple[str, ...]:
        """What the system does to the volume at the next start, if it was not taken down in good order.

        Returns:
            What it has to say, line by line; nothing when there was nothing to do.
        """
        if not self.needs_check:
            return ()
        self.needs_check = False
        return self._repair()

    def _repair(self) -> tuple[str, ...]:
        raise NotImplementedError

    # --- the product's way in, and the witnesses --------------------------------------------------------------------

    def apply(self, operations: Sequence[AnyOperation], *, bypass_filter: bool = True, durable: bool = False) -> None:
        """Carry out operations in order with backup privilege: READONLY and permissions do not stop them.

        Args:
            operations: as `bodydouble.ports.FileSystem.apply` takes them.
            bypass_filter: False shows the changes to filters, as an application's.
            durable: flush every file that was written, and all metadata.

        Raises:
            FileSystemError: the first operation that failed; earlier ones stay.
        """
        for operation in operations:
            self._commit(operation, application=not bypass_filter)
        if durable:
            self.flush_written(operations)

    def flush_written(self, operations: Sequence[AnyOperation]) -> None:
        """Make what ``operations`` changed durable: contents under the names that they have now, and all metadata."""
        if not operations:
            return
        self._check_disk(self.root)
        if self._lied():
            return
        written: dict[str, None] = {}
        for operation in operations:
            if isinstance(operation, Rename):
                written = dict.fromkeys(_moved(path, operation) for path in written)
                written[operation.new_path] = None
            else:
                written[operation.path] = None
        for path in written:
            self._flush_link(self._tree.find(path))
        self._journal.flush(None)

    def add_filter(self, root: str, sink: Callable[[AnyOperation], None]) -> Callable[[], None]:
        """Call ``sink`` after each change that an application makes at or beneath ``root``; returns how to stop it."""
        attached = AttachedFilter(root, sink)
        self._filters.append(attached)

        def detach() -> None:
            if attached in self._filters:
                self._filters.remove(attached)

        return detach

    def add_observer(self, observer: Callable[[AnyOperation], None]) -> Callable[[], None]:
        """Call ``observer`` after *every* operation, whoever made it; returns how to stop it. Survives power loss."""
        self._observers.append(observer)

        def detach() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return detach

    def add_note_observer(self, observer: Callable[[Note], None]) -> None:
        """Call ``observer`` after every change that is no operation."""
        self._note_observers.append(observer)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _commit(self, operation: AnyOperation, *, application: bool = True) -> None:
        path = operation.path
        self._check_disk(path)
        if self._holds.open:
            self._check_holds(operation)
        fresh = self._watchers and self._tree.find(path) is None
        self._now = now = self._clock()
        self._journal.begin(now)
        done, link = self._perform[type(operation)](operation)
        if link.stream:
            self._note("stream", done.path, type(done).__name__)
            done, link = in_stream(done, link)
        for each in self._under_every_name(done, link) if self.hard_links and link.node.others else (done,):
            self._tell(each, application=application)
        if self._watchers and not isinstance(done, StreamOperation):
            for watcher in tuple(self._watchers):
                watcher.follow(done, directory=link.node.children is not None, fresh=bool(fresh))

    def _tell(self, done: AnyOperation, *, application: bool) -> None:
        for observer in self._observers:
            observer(done)
        if application and self.filter_memory is not None:
            self.filter_memory.append(done)
        if application and self._filters:
            for attached in tuple(self._filters):
                if attached.sees(done):
                    attached.sink(done)

    def _under_every_name(self, done: AnyOperation, link: Link) -> tuple[AnyOperation, ...]:
        """A change to a file with several names, as it is told: once for each name."""
        if changes_names(done):
            return (done,)
        named = sorted(self._tree.path(each) for each in links(link.node))
        return tuple(msgspec.structs.replace(done, path=path) for path in named)

    def _check_holds(self, operation: AnyOperation) -> None:
        wanted = _NEEDS.get(type(operation))
        if wanted is None:
            return
        paths = [operation.path, operation.new_path] if isinstance(operation, Rename) else [operation.path]
        for path in paths:
            link = self._tree.find(path)
            if link is not None:
                self._holds.check(link.node, path, wanted)

    def _note(self, kind: str, path: str, detail: str = "") -> None:
        for observer in self._note_observers:
            observer(Note(kind, path, detail))

    def _check_disk(self, path: str) -> None:
        if self.disk.failing:
            self.disk.touched["refused"] += 1
            raise FileSystemError("io", path, "the disk does not answer")

    def _writable(self, path: str) -> Link:
        link = self._tree.find(path)
        if link is not None and link.node.content is None:
            raise FileSystemError("exists", path, "a directory has that name")
        link = self._file(path)
        self._refuse_readonly(link)
        return link

    def _refuse_readonly(self, link: Link) -> None:
        if link.node.content is not None and link.node.metadata.attributes & READONLY:
            raise FileSystemError("denied", self._tree.path(link), "the file is read-only")


def _moved(path: str, rename: Rename) -> str:
    """Where ``path`` is after a rename of it or of a directory above it."""
    old = fold(rename.path)
    if fold(path) == old or fold(path).startswith(old + "/"):
        return rename.new_path + path[len(old) :]
    return path


def _path_of(found: Entry) -> str:
    return found.path
