"""An independent copy of a volume, kept up to date operation by operation, with a running hash of each subtree.

Each node's hash is that of its name, kind, attributes, security, target (of a junction), streams, size and the sum
(mod 2**128) of what is in it: the hashes of a file's 4 KiB pages, or of a directory's entries. An operation changes the
pages it touches and the nodes above them, so that it costs as much as its own bytes, however large the tree is. Times
are not part of it.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeStream,
    MakeSymbolicLink,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    RemoveStream,
    Rename,
    SetMetadata,
    SetTimes,
    StreamOperation,
    Truncate,
    TruncateStream,
    Write,
    WriteStream,
)
from bodydouble_labs.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bodydouble.vocabulary.operations import AnyOperation, Entry, Metadata

PAGE = 4096
_MASK = (1 << 128) - 1


class _Node:
    __slots__ = (
        "attributes", "children", "data", "hash", "inner", "name", "pages", "parent", "security", "streams", "target",
    )  # fmt: skip

    def __init__(self, name: str, parent: _Node | None, *, directory: bool) -> None:
        self.name = name
        self.parent = parent
        self.children: dict[str, _Node] | None = {} if directory else None
        self.data = bytearray()
        self.pages: list[int] = []
        self.attributes = 0
        self.security = b""
        self.target = ""
        self.streams: dict[str, bytearray] = {}
        self.inner = 0
        """Sum of what is inside: pages, or entries."""
        self.hash = 0
        """This node's part in its parent's sum."""


class Shadow:
    """The copy. Names are found in any case, as on NTFS, and hashed in theirs."""

    def __init__(self, root: str) -> None:
        self._root = _Node(root, None, directory=True)

    def fill(self, entries: Iterable[tuple[Entry, bytes, dict[str, bytes]]]) -> None:
        """Take over what a volume holds: entries, their bytes and streams, each directory before what is in it."""
        for entry, data, streams in entries:
            node = self._make(entry.path, directory=entry.directory)
            node.data[:] = data
            node.target = entry.target or ""
            node.streams.update((name, bytearray(content)) for name, content in streams.items())
            self._hash_pages(node, 0)
            self._set(node, entry.metadata)

    def value(self, path: str) -> int:
        """The hash of everything beneath a directory, 0 when it is empty or not there."""
        node = self._find(path)
        return 0 if node is None else node.inner

    @property
    def digest(self) -> int:
        """64 bits of the hash of the whole volume."""
        return self._root.inner >> 64

    def apply(self, operation: AnyOperation) -> None:
        """Follow one operation that has taken effect on the volume.

        Raises:
            LabError: it does not fit what is here: the copy has lost the thread.
        """
        _FOLLOW[type(operation)](self, operation)

    # --- one method for each operation ------------------------------------------------------------------------------

    def _make_directory(self, operation: MakeDirectory) -> None:
        self._set(self._find(operation.path) or self._make(operation.path, directory=True), operation.metadata)

    def _create_file(self, operation: CreateFile) -> None:
        self._set(self._find(operation.path) or self._make(operation.path, directory=False), operation.metadata)

    def _write(self, operation: Write) -> None:
        node = self._get(operation.path)
        if not operation.data:
            return  # Windows: a write of no bytes changes nothing, wherever it is
        old, end = len(node.data), operation.offset + len(operation.data)
        if end > old:
            node.data.extend(bytes(end - old))
        node.data[operation.offset : end] = operation.data
        self._hash_pages(node, min(old, operation.offset), end)
        self._refresh(node)

    def _truncate(self, operation: Truncate) -> None:
        node = self._get(operation.path)
        old = len(node.data)
        if operation.size < old:
            del node.data[operation.size :]
        else:
            node.data.extend(bytes(operation.size - old))
        self._hash_pages(node, min(old, operation.size))
        self._refresh(node)

    def _punch_hole(self, operation: PunchHole) -> None:
        node = self._get(operation.path)
        end = min(operation.offset + operation.size, len(node.data))
        if operation.offset < end:
            node.data[operation.offset : end] = bytes(end - operation.offset)
            self._hash_pages(node, operation.offset, end)
            self._refresh(node)

    def _make_hard_link(self, operation: MakeHardLink) -> None:
        """Names are followed each for itself: a volume tells a change to a file once for every name."""
        file, other = self._get(operation.existing), self._find(operation.path)
        if other is file:
            return
        if other is not None:
            self._detach(other)
        node = self._make(operation.path, directory=False)
        node.data[:], node.pages[:], node.inner = file.data, file.pages, file.inner
        node.attributes, node.security = file.attributes, file.security
        node.streams.update((name, bytearray(data)) for name, data in file.streams.items())
        self._refresh(node)

    def _make_symbolic_link(self, operation: MakeSymbolicLink) -> None:
        node = self._find(operation.path) or self._make(operation.path, directory=True)
        node.target = operation.target
        self._set(node, operation.metadata)

    def _rename(self, operation: Rename) -> None:
        node = self._get(operation.path)
        other = self._find(operation.new_path)
        if other is not None and other is not node:
            self._detach(other)
        self._detach(node)
        directory, _, node.name = operation.new_path.rpartition("/")
        self._attach(node, self._get(directory))
        self._refresh(node)

    def _remove(self, operation: RemoveFile | RemoveDirectory) -> None:
        self._detach(self._get(operation.path))

    def _change_stream(self, operation: StreamOperation) -> None:
        node = self._get(operation.path)
        streams, name = node.streams, operation.stream
        if isinstance(operation, MakeStream):
            streams[name] = bytearray()
        elif isinstance(operation, RemoveStream):
            node.streams = {each: data for each, data in streams.items() if name and each.upper() != name.upper()}
        elif name not in streams:
            raise LabError(f"the lab's copy of the volume has no {operation.path}:{name}")
        elif isinstance(operation, WriteStream) and operation.data:  # of no bytes: as for a file's own
            streams[name].extend(bytes(max(0, operation.offset - len(streams[name]))))
            streams[name][operation.offset : operation.offset + len(operation.data)] = operation.data
        elif isinstance(operation, TruncateStream):
            streams[name] = streams[name][: operation.size].ljust(operation.size, b"\0")
        self._refresh(node)

    def _set_metadata(self, operation: SetMetadata) -> None:
        self._set(self._get(operation.path), operation.metadata)

    def _ignore(self, operation: SetTimes) -> None:
        self._get(operation.path)

    # --- nodes ------------------------------------------------------------------------------------------------------

    def _find(self, path: str) -> _Node | None:
        node = self._root
        for part in path.upper().split("/")[1:]:
            below = node.children.get(part) if node.children else None
            if below is None:
                return None
            node = below
        return node

    def _get(self, path: str) -> _Node:
        node = self._find(path)
        if node is None:
            raise LabError(f"the lab's copy of the volume has no {path}")
        return node

    def _make(self, path: str, *, directory: bool) -> _Node:
        above, _, name = path.rpartition("/")
        if not above:
            return self._root
        node = _Node(name, None, directory=directory)
        self._attach(node, self._get(above))
        return node

    @staticmethod
    def _attach(node: _Node, parent: _Node) -> None:
        if parent.children is None:
            raise LabError(f"the lab's copy of the volume has a file for the directory {parent.name}")
        parent.children[node.name.upper()] = node
        node.parent = parent

    def _detach(self, node: _Node) -> None:
        parent = node.parent
        if parent is None or parent.children is None:
            raise LabError("the lab's copy of the volume cannot lose its root")
        del parent.children[node.name.upper()]
        self._add(parent, -node.hash)
        node.parent, node.hash = None, 0

    # --- hashes -----------------------------------------------------------------------------------------------------

    def _set(self, node: _Node, metadata: Metadata) -> None:
        node.attributes, node.security = metadata.attributes, metadata.security
        self._refresh(node)

    @staticmethod
    def _hash_pages(node: _Node, begin: int, end: int | None = None) -> None:
        """Hash the pages of ``begin`` up to ``end`` anew, and drop or add pages where the length has changed."""
        size = len(node.data)
        count = -(-size // PAGE)
        for gone in node.pages[count:]:
            node.inner = (node.inner - gone) & _MASK
        del node.pages[count:]
        last = count if end is None else min(count, -(-end // PAGE))
        for number in range(begin // PAGE, last):
            page = bytes(node.data[number * PAGE : (number + 1) * PAGE])
            value = int.from_bytes(blake2b(page, digest_size=16, salt=number.to_bytes(16, "big")).digest(), "big")
            if number < len(node.pages):
                node.inner -= node.pages[number]
                node.pages[number] = value
            else:
                node.pages.append(value)
            node.inner = (node.inner + value) & _MASK

    def _refresh(self, node: _Node) -> None:
        """This node's hash and those above it."""
        parent = node.parent
        if parent is None:
            return
        value = _node_hash(node)
        change = value - node.hash
        node.hash = value
        self._add(parent, change)

    def _add(self, node: _Node, change: int) -> None:
        node.inner = (node.inner + change) & _MASK
        self._refresh(node)


def _node_hash(node: _Node) -> int:
    kind = b"f" if node.children is None else b"d"
    name = node.name.encode("utf-16-le", "surrogatepass")
    head = b"%b %d %d %d %d " % (kind, node.attributes, len(node.data), len(name), len(node.security))
    inner = node.inner.to_bytes(16, "big")
    whole = head + name + node.security + inner + node.target.encode()
    for stream, data in sorted(node.streams.items()):
        whole += stream.encode() + b":" + blake2b(data, digest_size=16).digest()
    digest = blake2b(whole, digest_size=16).digest()
    return int.from_bytes(digest, "big")


_FOLLOW: dict[type, Callable[..., None]] = {
    MakeDirectory: Shadow._make_directory,  # noqa: SLF001 - this class's own table
    CreateFile: Shadow._create_file,  # noqa: SLF001
    Write: Shadow._write,  # noqa: SLF001
    Truncate: Shadow._truncate,  # noqa: SLF001
    PunchHole: Shadow._punch_hole,  # noqa: SLF001
    Rename: Shadow._rename,  # noqa: SLF001
    RemoveFile: Shadow._remove,  # noqa: SLF001
    RemoveDirectory: Shadow._remove,  # noqa: SLF001
    SetMetadata: Shadow._set_metadata,  # noqa: SLF001
    SetTimes: Shadow._ignore,  # noqa: SLF001
    **dict.fromkeys((MakeStream, WriteStream, TruncateStream, RemoveStream), Shadow._change_stream),  # noqa: SLF001
    MakeHardLink: Shadow._make_hard_link,  # noqa: SLF001
    MakeSymbolicLink: Shadow._make_symbolic_link,  # noqa: SLF001
}
