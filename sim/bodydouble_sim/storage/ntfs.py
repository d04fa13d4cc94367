"""The NTFS volume: names, directories, attributes, security, 100 ns times, and who gets to see a change.

Modelled after reference/windows-iis.md, "File systems": names keep their case and ignore it, up to 255 characters;
metadata is journaled and survives power loss; times have a resolution of 100 ns. Not modelled: named streams,
compression, 8.3 aliases, sharing modes of open files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import (
    CreateFile,
    Entry,
    MakeDirectory,
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    Write,
)
from bodydouble_sim.storage import security, short_names
from bodydouble_sim.storage.content import FileContent
from bodydouble_sim.storage.disk import Disk
from bodydouble_sim.storage.sharing import HoldTable, Share

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble_sim.storage.security import Want
    from bodydouble_sim.storage.sharing import Hold

READONLY, HIDDEN, SYSTEM, ARCHIVE = 1, 2, 4, 32
EVERYONE_FULL_CONTROL = b"O:BAG:SYD:(A;OICI;FA;;;WD)"
MAX_NAME = 255

Entries = list[Entry]

_BAD_NAME = re.compile(r'[\x00-\x1f<>:"\\|?*]|[. ]$')


class _Node:
    """A file (``content`` set) or a directory (``children`` set)."""

    __slots__ = ("attributes", "children", "content", "mtime_ns", "name", "parent", "security")

    def __init__(self, name: str, parent: _Node | None, metadata: Metadata, mtime_ns: int, *, directory: bool) -> None:
        self.name = name
        self.parent = parent
        self.attributes = metadata.attributes
        self.security = metadata.security
        self.mtime_ns = mtime_ns
        self.children: dict[str, _Node] | None = {} if directory else None
        self.content: FileContent | None = None if directory else FileContent()

    @property
    def path(self) -> str:
        """The path with every component spelled as it was created."""
        parts = [self.name]
        node = self.parent
        while node is not None:
            parts.append(node.name)
            node = node.parent
        return "/".join(reversed(parts))

    @property
    def metadata(self) -> Metadata:
        return Metadata(self.attributes, self.security)


class _Filter:
    """One attached sink: product form root, upper case."""

    def __init__(self, root: str, sink: Callable[[AnyOperation], None]) -> None:
        self.root = root.upper().rstrip("/")
        self.sink = sink

    def sees(self, operation: AnyOperation) -> bool:
        if self._beneath(operation.path):
            return True
        return isinstance(operation, Rename) and self._beneath(operation.new_path)

    def _beneath(self, path: str) -> bool:
        path = path.upper()
        return path.startswith(self.root) and (len(path) == len(self.root) or path[len(self.root)] == "/")


class NtfsVolume:
    """An NTFS volume behind one drive letter. Synchronous: every call takes effect before it returns.

    The methods named after file calls (`create`, `write`, `rename` ...) are what *applications* do: they are stopped by
    READONLY and seen by filters. `apply` is the product's way in. Observers see both.

    Args:
        letter: drive letter; the root's product form is ``C:``.
        clock: nanoseconds since 1970 UTC.
        disk: what the volume lies on; a default one when omitted.
    """

    def __init__(self, letter: str, clock: Callable[[], int], disk: Disk | None = None) -> None:
        self.root = f"{letter.upper()}:"
        self.disk = disk or Disk()
        self.label = ""
        self.serial = 0x1A2B3C00 + ord(letter.upper())
        self._holds = HoldTable()
        self._clock = clock
        self._root = _Node(self.root, None, Metadata(0, EVERYONE_FULL_CONTROL), self._stamp(), directory=True)
        self._found: dict[str, _Node] = {}
        self._dirty: dict[_Node, None] = {}
        self._filters: list[_Filter] = []
        self._observers: list[Callable[[AnyOperation], None]] = []
        self._perform: dict[type, Callable[[AnyOperation], AnyOperation]] = {
            MakeDirectory: self._make_directory,
            CreateFile: self._create_file,
            Write: self._write,
            Truncate: self._truncate,
            Rename: self._rename,
            RemoveFile: self._remove_file,
            RemoveDirectory: self._remove_directory,
            SetMetadata: self._set_metadata,
            SetTimes: self._set_times,
        }

    # --- reading ----------------------------------------------------------------------------------------------------

    def stat(self, path: str) -> Entry | None:
        """The entry at ``path``, or None."""
        node = self._find(path)
        return None if node is None else _entry(node, node.path)

    def list(self, path: str) -> Entries:
        """Entries directly inside a directory, sorted by name.

        Raises:
            FileSystemError: ``not_found``, also when ``path`` is a file; ``io``.
        """
        self._check_disk(path)
        node = self._find(path)
        if node is None or node.children is None:
            raise FileSystemError("not_found", path, "no such directory")
        base = node.path
        return sorted((_entry(child, f"{base}/{child.name}") for child in node.children.values()), key=_path_of)

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """Up to ``size`` bytes from ``offset``, to the end of the file when None.

        Raises:
            FileSystemError: ``not_found``, ``io``.
        """
        self._check_disk(path)
        data = self._content(self._file(path)).data
        return bytes(data[offset:] if size is None else data[offset : offset + size])

    def free_space(self) -> int:
        """Bytes still free."""
        return self.disk.free

    # --- what applications do ---------------------------------------------------------------------------------------

    def create(self, path: str) -> None:
        """Make ``path`` an empty file; an existing one loses its bytes.

        Raises:
            FileSystemError: ``not_found`` (no such directory), ``exists`` (a directory is there), ``denied``, ``io``.
        """
        node = self._find(path)
        if node is None:
            metadata = Metadata(ARCHIVE, self._parent(path).security)
            self._commit(CreateFile(path, metadata, self._stamp()))
        elif self._content(self._writable(path)).data:
            self._commit(Truncate(path, 0, self._stamp()))

    def write(self, path: str, offset: int, data: bytes) -> None:
        """Write at ``offset`` of an existing file.

        Raises:
            FileSystemError: ``not_found``, ``denied`` (read-only), ``no_space``, ``io``.
        """
        node = self._writable(path)
        self._commit(Write(path, offset, bytes(data), self._stamp()))
        if not node.attributes & ARCHIVE:
            self._commit(SetMetadata(path, Metadata(node.attributes | ARCHIVE, node.security)))

    def append(self, path: str, data: bytes) -> None:
        """Write at the end of an existing file; errors as `write`."""
        self.write(path, len(self._content(self._writable(path)).data), data)

    def truncate(self, path: str, size: int) -> None:
        """Set the length; errors as `write`."""
        self._writable(path)
        self._commit(Truncate(path, size, self._stamp()))

    def rename(self, path: str, new_path: str) -> None:
        """Rename; an existing file or empty directory at ``new_path`` is replaced atomically.

        Raises:
            FileSystemError: ``not_found``, ``not_empty``, ``denied`` (into itself, or a read-only file is in the way).
        """
        if (other := self._find(new_path)) is not None and other is not self._find(path):
            self._refuse_readonly(other)
        self._commit(Rename(path, new_path))

    def remove(self, path: str) -> None:
        """Remove a file.

        Raises:
            FileSystemError: ``not_found``, ``denied`` (read-only).
        """
        self._writable(path)
        self._commit(RemoveFile(path))

    def mkdir(self, path: str) -> None:
        """Make a directory.

        Raises:
            FileSystemError: ``exists``, ``not_found`` (no parent), ``denied`` (a name that NTFS does not allow).
        """
        if self._find(path) is not None:
            raise FileSystemError("exists", path)
        self._commit(MakeDirectory(path, Metadata(0, self._parent(path).security)))

    def rmdir(self, path: str) -> None:
        """Remove an empty directory.

        Raises:
            FileSystemError: ``not_found``, ``not_empty``.
        """
        self._commit(RemoveDirectory(path))

    def set_metadata(self, path: str, metadata: Metadata) -> None:
        """Replace attributes and security.

        Raises:
            FileSystemError: ``not_found``.
        """
        self._commit(SetMetadata(path, metadata))

    def set_times(self, path: str, mtime_ns: int) -> None:
        """Set the time of the last write (kept to 100 ns).

        Raises:
            FileSystemError: ``not_found``.
        """
        self._commit(SetTimes(path, mtime_ns))

    # --- what else Windows keeps of a file --------------------------------------------------------------------------

    file_system = "ntfs"

    @property
    def capacity(self) -> int:
        """Size in bytes."""
        return self.disk.capacity

    def attributes(self, path: str) -> int:
        """Attribute bits; ``not_found``."""
        return self._existing(path).attributes

    def set_attributes(self, path: str, attributes: int) -> None:
        """Replace the attribute bits that programs may set; ``not_found``."""
        node = self._existing(path)
        self._commit(SetMetadata(path, Metadata(attributes & 0x27, node.security)))

    def security(self, path: str) -> bytes:
        """The security descriptor; ``not_found``."""
        return self._existing(path).security

    def set_security(self, path: str, descriptor: bytes) -> None:
        """Replace the security descriptor; ``not_found``."""
        node = self._existing(path)
        self._commit(SetMetadata(path, Metadata(node.attributes, descriptor)))

    def short_name(self, path: str) -> str:
        """The 8.3 alias of the last component; ``not_found``."""
        name = self._existing(path).name
        return name if short_names.is_short(name) else short_names.alias(name, ())

    def hold(self, path: str, share: Share, uses: Share = Share.READ) -> Hold:
        """Open a handle; ``not_found``, ``sharing``."""
        node = self._file(path)
        return self._holds.add(node, node.path, share, uses)

    def access(self, path: str, account: str | None, groups: Sequence[str], want: Want) -> bool:
        """The access check; ``not_found``."""
        return security.allows(self._existing(path).security, account, groups, want)

    # --- durability -------------------------------------------------------------------------------------------------

    def flush(self, path: str | None = None) -> None:
        """Make a file's contents durable (all files' when None). A path that is gone needs no flush."""
        self._check_disk(path or self.root)
        nodes = list(self._dirty) if path is None else [self._find(path)]
        for node in nodes:
            self._flush_node(node)

    def power_loss(self, stream: random.Random) -> int:
        """The power is gone: contents keep a legal subset (see `FileContent`), all filters are unloaded.

        Returns:
            The number of sectors whose last write did not survive.
        """
        now = self._clock()
        lost = sum(node.content.lose(stream, now) for node in self._dirty if node.content is not None)
        self._dirty.clear()
        self._filters.clear()
        return lost

    # --- the product's way in, and the witnesses --------------------------------------------------------------------

    def apply(self, operations: Sequence[AnyOperation], *, bypass_filter: bool = True, durable: bool = False) -> None:
        """Carry out operations in order with backup privilege: READONLY does not stop them.

        Args:
            operations: as `bodydouble.ports.FileSystem.apply` takes them.
            bypass_filter: False shows the changes to filters, as an application's.
            durable: flush every file that was written.

        Raises:
            FileSystemError: the first operation that failed; earlier ones stay.
        """
        for operation in operations:
            self._commit(operation, application=not bypass_filter)
        if durable:
            self.flush_written(operations)

    def flush_written(self, operations: Sequence[AnyOperation]) -> None:
        """Make the contents that ``operations`` wrote durable, under the names the files have after them."""
        written: dict[str, None] = {}
        for operation in operations:
            if isinstance(operation, Rename):
                written = dict.fromkeys(_moved(path, operation) for path in written)
            else:
                written[operation.path] = None
        if written:
            self._check_disk(self.root)
        for path in written:
            self._flush_node(self._find(path))

    def _flush_node(self, node: _Node | None) -> None:
        if node is not None and node.content is not None:
            node.content.flush()
            self._dirty.pop(node, None)

    def add_filter(self, root: str, sink: Callable[[AnyOperation], None]) -> Callable[[], None]:
        """Call ``sink`` after each change that an application makes at or beneath ``root``; returns how to stop it."""
        entry = _Filter(root, sink)
        self._filters.append(entry)

        def detach() -> None:
            if entry in self._filters:
                self._filters.remove(entry)

        return detach

    def add_observer(self, observer: Callable[[AnyOperation], None]) -> Callable[[], None]:
        """Call ``observer`` after *every* change, whoever made it; returns how to stop it. Survives power loss."""
        self._observers.append(observer)

        def detach() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return detach

    # --- inside -----------------------------------------------------------------------------------------------------

    def _stamp(self) -> int:
        now = self._clock()
        return now - now % 100

    def _commit(self, operation: AnyOperation, *, application: bool = True) -> None:
        self._check_disk(operation.path)
        done = self._perform[type(operation)](operation)
        for observer in self._observers:
            observer(done)
        if application and self._filters:
            for entry in tuple(self._filters):
                if entry.sees(done):
                    entry.sink(done)

    def _check_disk(self, path: str) -> None:
        if self.disk.failing:
            raise FileSystemError("io", path, "the disk does not answer")

    def _find(self, path: str) -> _Node | None:
        if (known := self._found.get(path)) is not None:
            return known
        parts = path.upper().split("/")
        if parts[0] != self.root:
            raise FileSystemError("not_found", path, f"not on volume {self.root}")
        node = self._root
        for part in parts[1:]:
            below = node.children.get(part) if node.children is not None and part else None
            if below is None:
                return node if not part else None
            node = below
        self._found[path] = node
        return node

    def _file(self, path: str) -> _Node:
        node = self._find(path)
        if node is None or node.content is None:
            raise FileSystemError("not_found", path, "no such file")
        return node

    @staticmethod
    def _content(node: _Node) -> FileContent:
        assert node.content is not None
        return node.content

    def _writable(self, path: str) -> _Node:
        node = self._find(path)
        if node is not None and node.content is None:
            raise FileSystemError("exists", path, "a directory has that name")
        node = self._file(path)
        self._refuse_readonly(node)
        return node

    @staticmethod
    def _refuse_readonly(node: _Node) -> None:
        if node.content is not None and node.attributes & READONLY:
            raise FileSystemError("denied", node.path, "the file is read-only")

    def _parent(self, path: str) -> _Node:
        parent = self._find(path.rpartition("/")[0])
        if parent is None or parent.children is None:
            raise FileSystemError("not_found", path, "no such directory")
        return parent

    def _enter(self, path: str, metadata: Metadata, mtime_ns: int, *, directory: bool) -> _Node:
        parent, name = self._parent(path), path.rpartition("/")[2]
        if len(name) > MAX_NAME or _BAD_NAME.search(name):
            raise FileSystemError("denied", path, "NTFS does not allow the name")
        assert parent.children is not None
        node = _Node(name, parent, metadata, mtime_ns, directory=directory)
        parent.children[name.upper()] = node
        parent.mtime_ns = self._stamp()
        return node

    def _leave(self, node: _Node) -> None:
        assert node.parent is not None
        assert node.parent.children is not None
        del node.parent.children[node.name.upper()]
        node.parent.mtime_ns = self._stamp()
        self._found.clear()

    def _forget_content(self, node: _Node) -> None:
        if node.content is not None:
            self.disk.resize(len(node.content.data), 0)
            self._dirty.pop(node, None)

    def _make_directory(self, operation: AnyOperation) -> AnyOperation:
        assert isinstance(operation, MakeDirectory)
        node = self._find(operation.path)
        if node is None:
            node = self._enter(operation.path, operation.metadata, self._stamp(), directory=True)
        elif node.children is None:
            raise FileSystemError("exists", operation.path, "a file has that name")
        node.attributes, node.security = operation.metadata.attributes, operation.metadata.security
        return MakeDirectory(node.path, operation.metadata)

    def _create_file(self, operation: AnyOperation) -> AnyOperation:
        assert isinstance(operation, CreateFile)
        mtime_ns = operation.mtime_ns - operation.mtime_ns % 100
        node = self._find(operation.path)
        if node is None:
            node = self._enter(operation.path, operation.metadata, mtime_ns, directory=False)
        elif node.content is None:
            raise FileSystemError("exists", operation.path, "a directory has that name")
        node.attributes, node.security = operation.metadata.attributes, operation.metadata.security
        node.mtime_ns = mtime_ns
        return CreateFile(node.path, operation.metadata, mtime_ns)

    def _write(self, operation: AnyOperation) -> AnyOperation:
        assert isinstance(operation, Write)
        node = self._file(operation.path)
        content = self._content(node)
        size = len(content.data)
        self._allocate(operation.path, size, max(size, operation.offset + len(operation.data)))
        content.write(operation.offset, operation.data, self._clock())
        node.mtime_ns = operation.mtime_ns - operation.mtime_ns % 100
        self._dirty[node] = None
        return Write(node.path, operation.offset, operation.data, node.mtime_ns)

    def _allocate(self, path: str, old: int, new: int) -> None:
        if not self.disk.resize(old, new):
            raise FileSystemError("no_space", path, f"{self.disk.free} bytes free on {self.root}")

    def _truncate(self, operation: AnyOperation) -> AnyOperation:
        assert isinstance(operation, Truncate)
        node = self._file(operation.path)
        content = self._content(node)
        self._allocate(operation.path, len(content.data), operation.size)
        content.truncate(operation.size)
        node.mtime_ns = operation.mtime_ns - operation.mtime_ns % 100
        return Truncate(node.path, operation.size, node.mtime_ns)

    def _rename(self, operation: AnyOperation) -> AnyOperation:
        assert isinstance(operation, Rename)
        node = self._find(operation.path)
        if node is None or node is self._root:
            raise FileSystemError("not_found", operation.path)
        old_path, parent, name = node.path, self._parent(operation.new_path), operation.new_path.rpartition("/")[2]
        if len(name) > MAX_NAME or _BAD_NAME.search(name) or _inside(parent, node):
            raise FileSystemError("denied", operation.new_path, "NTFS does not allow the name")
        self._make_way(node, operation.new_path)
        self._leave(node)
        assert parent.children is not None
        node.name, node.parent = name, parent
        parent.children[name.upper()] = node
        parent.mtime_ns = self._stamp()
        return Rename(old_path, node.path)

    def _make_way(self, node: _Node, new_path: str) -> None:
        other = self._find(new_path)
        if other is None or other is node:
            return
        if other.children:
            raise FileSystemError("not_empty", new_path)
        if (other.content is None) != (node.content is None):
            raise FileSystemError("exists", new_path, "a file cannot replace a directory, nor a directory a file")
        self._forget_content(other)
        self._leave(other)

    def _remove_file(self, operation: AnyOperation) -> AnyOperation:
        node = self._file(operation.path)
        done = RemoveFile(node.path)
        self._forget_content(node)
        self._leave(node)
        return done

    def _remove_directory(self, operation: AnyOperation) -> AnyOperation:
        node = self._find(operation.path)
        if node is None or node.children is None:
            raise FileSystemError("not_found", operation.path, "no such directory")
        if node.children:
            raise FileSystemError("not_empty", operation.path)
        if node is self._root:
            raise FileSystemError("denied", operation.path, "the root stays")
        done = RemoveDirectory(node.path)
        self._leave(node)
        return done

    def _set_metadata(self, operation: AnyOperation) -> AnyOperation:
        assert isinstance(operation, SetMetadata)
        node = self._existing(operation.path)
        node.attributes, node.security = operation.metadata.attributes, operation.metadata.security
        return SetMetadata(node.path, operation.metadata)

    def _set_times(self, operation: AnyOperation) -> AnyOperation:
        assert isinstance(operation, SetTimes)
        node = self._existing(operation.path)
        node.mtime_ns = operation.mtime_ns - operation.mtime_ns % 100
        return SetTimes(node.path, node.mtime_ns)

    def _existing(self, path: str) -> _Node:
        node = self._find(path)
        if node is None:
            raise FileSystemError("not_found", path)
        return node


def _inside(node: _Node | None, directory: _Node) -> bool:
    while node is not None:
        if node is directory:
            return True
        node = node.parent
    return False


def _moved(path: str, rename: Rename) -> str:
    """Where ``path`` is after a rename of it or of a directory above it."""
    old = rename.path.upper()
    if path.upper() == old or path.upper().startswith(old + "/"):
        return rename.new_path + path[len(old) :]
    return path


def _path_of(entry: Entry) -> str:
    return entry.path


def _entry(node: _Node, path: str) -> Entry:
    size = 0 if node.content is None else len(node.content.data)
    return Entry(path, node.content is None, size, node.mtime_ns, node.metadata)
