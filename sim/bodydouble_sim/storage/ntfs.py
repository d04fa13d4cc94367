"""The NTFS volume of Windows NT 4.0 (NTFS 4) and Windows 2000 (NTFS 5).

Modelled after reference/windows-iis.md, "File systems": permissions, named streams and compression in both; sparse
files and reparse points (here: junctions) in 5; times of 100 ns; journaled metadata (`NtfsLog`). Not modelled:
encryption, quotas, the USN journal, names that differ in case only (POSIX).
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Literal

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.capabilities import EVERY_BIT, LARGEST
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeStream,
    MakeSymbolicLink,
    Metadata,
    PunchHole,
    RemoveStream,
    SetMetadata,
    StreamOperation,
    Truncate,
    TruncateStream,
    Write,
    WriteStream,
)
from bodydouble_sim.storage import security
from bodydouble_sim.storage.disk import CLUSTER, SECTOR, Disk
from bodydouble_sim.storage.names import fold, problem
from bodydouble_sim.storage.node import COMPRESSED, REPARSE, SPARSE, Link, Node
from bodydouble_sim.storage.ntfs_log import NtfsLog
from bodydouble_sim.storage.volume import Volume

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from bodydouble.vocabulary.capabilities import Capabilities
    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble_sim.storage.changes import Done
    from bodydouble_sim.storage.content import FileContent
    from bodydouble_sim.storage.journal import Journal

Release = Literal[4, 5]

MOST_LINKS = 1023
UNIT_CLUSTERS = 16
"""Clusters that are compressed together, and that a sparse file is made of."""


class NtfsVolume(Volume):
    """An NTFS volume.

    Args:
        letter: drive letter; the root's product form is ``C:``.
        clock: nanoseconds since 1970 UTC.
        disk: what the volume lies on; a default one when omitted.
        release: 4 as NT 4.0 makes it, 5 as Windows 2000 makes it.
        cluster: bytes of a cluster.
        label: the volume's name.
    """

    file_system = "ntfs"
    inherits = True
    hard_links = True

    def __init__(
        self,
        letter: str,
        clock: Callable[[], int],
        disk: Disk | None = None,
        *,
        release: Release = 5,
        cluster: int = CLUSTER,
        label: str = "",
    ) -> None:
        super().__init__(letter, clock, disk or Disk(), cluster, label)
        self.release: Release = release

    def _inherited(self, parent: bytes, *, directory: bool) -> bytes:
        marked = self.release >= 5  # noqa: PLR2004 - the release: only Windows 2000 marks what was inherited
        return security.inherited(parent, directory=directory, marked=marked)

    def _metadata(self, metadata: Metadata) -> Metadata:
        """Extended attributes of other systems have no place here; NTFS's own (for OS/2 programs) are not modelled."""
        return msgspec.structs.replace(metadata, extended=()) if metadata.extended else metadata

    def capabilities(self) -> Capabilities:
        """See `Volume.capabilities`. Larger files than NTFS has are refused as on a full volume."""
        five = self.release >= 5  # noqa: PLR2004 - the release
        kept = super().capabilities()
        return msgspec.structs.replace(
            kept,
            security=True,
            attributes=EVERY_BIT,
            hard_links=True,
            junctions=five,
            holes=five,
            largest_file=LARGEST,
            streams=True,
        )

    def _kept(self, operation: MakeDirectory | CreateFile | SetMetadata | MakeSymbolicLink) -> Metadata:
        """A file keeps the security that it has, or gets what its directory gives, when the operation knows of none."""
        metadata, path = self._metadata(operation.metadata), operation.path
        if metadata.security:
            return metadata
        link = self._tree.find(path)
        if link is not None:
            security_text = link.node.metadata.security
        else:
            directory = not isinstance(operation, CreateFile)
            security_text = b"" if path.find(":", 2) > 0 else self._given(path, directory=directory)
        return Metadata(metadata.attributes, security_text)

    def upgrade(self) -> None:
        """What Windows 2000 does to an NTFS 4 volume when it mounts it."""
        self.release = 5

    def _new_journal(self) -> Journal:
        return NtfsLog(self._tree, self._settle)

    def _repair(self) -> tuple[str, ...]:
        """The log was replayed when the volume was mounted: `power_loss` has worked out the result."""
        return (f"The log file of {self.root} was replayed: {self.lost_changes} changes had not been written to it.",)

    # --- named streams ----------------------------------------------------------------------------------------------

    def streams(self, path: str) -> tuple[str, ...]:
        """The names of a file's streams, sorted; ``not_found``."""
        return tuple(sorted(link.name for link in self._existing(path).node.streams.values()))

    def create(self, path: str) -> None:
        """See `Volume.create`; ``file:stream`` makes the file too when it is not there."""
        if path.find(":", 2) > 0 and self._tree.find(path.rpartition(":")[0]) is None:
            super().create(path.rpartition(":")[0])
        super().create(path)

    def _enter(self, path: str, metadata: Metadata, mtime_ns: int, *, directory: bool) -> Link:
        if path.find(":", 2) < 0:
            return super()._enter(path, metadata, mtime_ns, directory=directory)
        base_path, _, name = path.rpartition(":")
        base = self._existing(base_path)
        if directory or base.parent is None or base.stream or problem(name):
            raise FileSystemError("denied", path, "not the name of a stream")
        node = Node(base.node.metadata, mtime_ns, self._create_time(self._now), directory=False)
        return self._put(Link(name, fold(name), "", base.node, node, stream=True))

    def _existing(self, path: str) -> Link:
        """Attributes, security and times of a stream are those of its file."""
        link = super()._existing(path)
        if link.stream and link.parent is not None and link.parent.link is not None:
            return link.parent.link
        return link

    def _change_stream(self, operation: AnyOperation) -> Done:
        """An operation of the product on a stream, done as on a file of the name ``file:stream``."""
        assert isinstance(operation, StreamOperation)
        base = self._existing(operation.path)
        if isinstance(operation, RemoveStream):
            gone = [
                each
                for key, each in base.node.streams.items()
                if operation.stream in ("", each.name) or key == fold(operation.stream)
            ]
            for each in gone:
                self._leave(each, freed=True)
            return RemoveStream(self._tree.path(base), operation.stream), base
        place = f"{self._tree.path(base)}:{operation.stream}"
        link = self._tree.find(place)
        if isinstance(operation, MakeStream) and link is None:
            _, link = self._create_file(CreateFile(place, base.node.metadata, self._now))
        elif isinstance(operation, MakeStream):
            _, link = self._truncate(Truncate(place, 0, self._now))
        elif isinstance(operation, TruncateStream):
            _, link = self._truncate(Truncate(place, operation.size, self._now))
        elif isinstance(operation, WriteStream):
            _, link = self._write(Write(place, operation.offset, operation.data, self._now))
        assert link is not None
        return msgspec.structs.replace(operation, path=self._tree.path(base), stream=link.name), base

    # --- hard links and junctions -----------------------------------------------------------------------------------

    def hard_link(self, path: str, new_path: str) -> None:
        """Give a file one more name.

        NTFS has hard links since its beginning (the POSIX subsystem used them); the Win32 call is new in Windows 2000.

        Raises:
            FileSystemError: ``not_found``, ``exists``, ``denied`` (a directory, too many names).
        """
        self._check_disk(path)
        self._file(path)
        if self._tree.find(new_path) is not None:
            raise FileSystemError("exists", new_path)
        self._commit(MakeHardLink(new_path, path))

    def _make_hard_link(self, operation: AnyOperation) -> Done:
        assert isinstance(operation, MakeHardLink)
        link, other = self._file(operation.existing), self._tree.find(operation.path)
        if link.parent is None or link.stream:
            raise FileSystemError("denied", operation.existing, "a stream has no other name")
        existing = self._tree.path(link)
        if other is not None and other.node is link.node:
            return MakeHardLink(self._tree.path(other), existing), other
        if len(link.node.others) + 2 > MOST_LINKS:
            raise FileSystemError("denied", operation.existing, f"a file has at most {MOST_LINKS} names")
        parent, name = self._parent(operation.path), operation.path.rpartition("/")[2]
        self._check_entry(parent, name, operation.path)
        if other is not None:
            self._make_way(link.node, other, operation.path)
        new = self._put(self._tree.new_link(parent, name, link.node))
        return MakeHardLink(self._tree.path(new), existing), new

    def names(self, path: str) -> tuple[str, ...]:
        """The paths of all names of a file; ``not_found``."""
        node = self._file(path).node
        links = node.others if node.link is None else (node.link, *node.others)
        return tuple(sorted(self._tree.path(link) for link in links))

    def make_junction(self, path: str, target: str) -> None:
        """Turn an empty directory into a junction to another directory, on any volume of the machine.

        Source: reference/windows-iis.md, "File systems" (reparse points: 5 only). The volume itself does not follow it:
        `bodydouble_sim.windows.files.VolumeFiles` does, as the I/O manager. The product's port does not: there it is a
        symbolic link.

        Raises:
            FileSystemError: ``denied`` (NTFS 4), ``not_found`` (no such directory), ``not_empty``.
        """
        self._need_release_5(path)
        link = self._existing(path)
        if link.node.children is None:
            raise FileSystemError("not_found", path, "no such directory")
        self._commit(MakeSymbolicLink(path, target, link.node.metadata, self._clock(), junction=True))

    def _make_symbolic_link(self, operation: AnyOperation) -> Done:
        assert isinstance(operation, MakeSymbolicLink)
        self._need_release_5(operation.path)
        if not operation.junction:
            raise FileSystemError("denied", operation.path, "NTFS 5 knows junctions only")
        metadata, mtime_ns = self._kept(operation), self._write_time(operation.mtime_ns)
        link = self._tree.find(operation.path)
        if link is None:
            link = self._enter(operation.path, metadata, mtime_ns, directory=True)
        elif link.node.children is None:
            raise FileSystemError("exists", operation.path, "a file has that name")
        elif link.node.children:
            raise FileSystemError("not_empty", operation.path)
        node = link.node
        self._journal.changing(link)
        node.metadata, node.mtime_ns, node.target = metadata, mtime_ns, operation.target
        node.flags |= REPARSE
        self.junctions = True
        self._set_created(node, operation.created_ns)
        path = self._tree.path(link)
        return MakeSymbolicLink(path, node.target, metadata, mtime_ns, True, node.created_ns), link

    def _need_release_5(self, path: str) -> None:
        self._check_disk(path)
        if self.release < 5:  # noqa: PLR2004 - the release
            raise FileSystemError("denied", path, "NTFS 4 has no such thing")

    def _begin(self) -> None:
        self._now = self._clock()
        self._journal.begin(self._now)

    # --- compressed and sparse files --------------------------------------------------------------------------------

    def set_compressed(self, path: str, on: bool) -> None:
        """Compress a file, or no longer; on a directory it is what new files in it begin with.

        Raises:
            FileSystemError: ``not_found``, ``no_space`` (to decompress), ``denied`` (clusters over 4 KiB).
        """
        if self.cluster > CLUSTER:
            raise FileSystemError("denied", path, f"no compression with clusters over {CLUSTER} bytes")
        self._set_flag(path, COMPRESSED, on=on)
        self._note("compression", path, "on" if on else "off")

    def set_sparse(self, path: str) -> None:
        """Make a file sparse: units that hold nothing but zeros take no space; ``not_found``, ``denied`` (NTFS 4)."""
        self._need_release_5(path)
        node = self._file(path).node
        if not node.flags & SPARSE:
            self._commit(PunchHole(path, 0, 0, node.mtime_ns))
            self._note("sparse", path)

    def zero(self, path: str, offset: int, size: int) -> None:
        """Fill a range with zeros, as programs do to give a sparse file's space back; errors as `write`.

        Source: Microsoft's reference of FSCTL_SET_ZERO_DATA: only a sparse (or compressed) file gives space back.
        """
        node = self._writable(path).node
        end = min(offset + size, len(self.read(path)))
        if node.flags & SPARSE:
            self._commit(PunchHole(path, offset, max(0, end - offset), self._clock()))
        elif end > offset:
            self.write(path, offset, bytes(end - offset))

    def find_data(self, path: str, offset: int) -> tuple[int, int] | None:
        """See `Volume.find_data`: a sparse file's data come in units."""
        whole = super().find_data(path, offset)
        node = self._file(path).node
        if whole is None or not node.flags & SPARSE or node.units is None:
            return whole
        unit = UNIT_CLUSTERS * self.cluster
        begin = next((at for at in range(offset // unit, len(node.units)) if node.units[at]), None)
        if begin is None:
            return None
        end = next((at for at in range(begin, len(node.units)) if not node.units[at]), len(node.units))
        return max(offset, begin * unit), min(whole[1], end * unit)

    def _punch_hole(self, operation: AnyOperation) -> Done:
        """As FSCTL_SET_SPARSE and FSCTL_SET_ZERO_DATA; NTFS 4 has neither, and keeps the zeros."""
        assert isinstance(operation, PunchHole)
        if self.release >= 5:  # noqa: PLR2004 - the release
            link = self._file(operation.path)
            node, content = link.node, link.node.content
            assert content is not None
            if not node.flags & SPARSE:
                self._journal.changing(link)
                node.flags |= SPARSE
                self._settle(node, content)
        return super()._punch_hole(operation)

    def _set_flag(self, path: str, flag: int, *, on: bool) -> None:
        self._check_disk(path)
        link = self._existing(path)
        node = link.node
        self._begin()
        self._journal.changing(link)
        node.flags = node.flags | flag if on else node.flags & ~flag
        content = node.content
        if content is not None:
            if not node.flags & (COMPRESSED | SPARSE):
                node.units = None
                self._allocate(path, node, content, len(content.data))
            self._settle(node, content)

    def _create_file(self, operation: AnyOperation) -> Done:
        assert isinstance(operation, CreateFile)
        done, link = super()._create_file(operation)
        parent = link.parent
        if parent is not None and parent.flags & COMPRESSED and not link.node.flags and link.node.content is not None:
            link.node.flags = COMPRESSED
            link.node.units = []
        return done, link

    def _make_directory(self, operation: AnyOperation) -> Done:
        assert isinstance(operation, MakeDirectory)
        done, link = super()._make_directory(operation)
        if link.parent is not None:
            link.node.flags |= link.parent.flags & COMPRESSED
        return done, link

    def _allocate(self, path: str, node: Node, content: FileContent, size: int) -> None:
        """See `Changes._allocate`. For a compressed file the space that it may need is free, then `_settle` counts."""
        if node.units is None or size > self.largest_file:
            super()._allocate(path, node, content, size)
        elif not node.flags & COMPRESSED:
            return  # a sparse file needs space where it is written: see `_need_room`
        elif self._rounded(size) - content.allocated > self.disk.free:
            raise FileSystemError("no_space", path, f"{self.disk.free} bytes free on {self.root}")

    def _settle(self, node: Node, content: FileContent) -> None:
        flags = node.flags & (COMPRESSED | SPARSE)
        if not flags:
            node.units = None
            super()._settle(node, content)
            return
        unit = UNIT_CLUSTERS * self.cluster
        data = bytes(content.data)
        node.units = [
            self._unit_size(data[at : at + unit], compressed=bool(flags & COMPRESSED))
            for at in range(0, len(data), unit)
        ]
        wanted = sum(node.units)
        self.disk.used += wanted - content.allocated if node.link is not None else 0
        content.allocated = wanted

    def power_loss(self, stream: random.Random) -> int:
        """See `Volume.power_loss`. Where a sparse or compressed file has no space follows from the bytes it is left."""
        lost = super().power_loss(stream)
        for link in self._tree.walk():
            node = link.node
            if (
                node.units is not None and node.content is not None
            ):  # also one that is there again: its removal was lost
                self._settle(node, node.content)
        return lost

    def _unit_size(self, data: bytes, *, compressed: bool) -> int:
        """Bytes that a unit occupies; one that does not shrink by a cluster stays as is. zlib stands in for LZNT1."""
        if not data.strip(b"\0"):
            return 0
        whole = self._rounded(len(data))
        return min(whole, self._rounded(len(zlib.compress(data, 1)))) if compressed else whole

    # --- bad sectors ------------------------------------------------------------------------------------------------

    def _meet_bad_sectors(self, link: Link, begin: int, end: int) -> None:
        """A write that meets a bad sector goes to a fresh cluster instead, and no data are lost.

        Source: Windows NT 4.0 and Windows 2000 Resource Kits, "Cluster Remapping".
        """
        content = link.node.content
        assert content is not None
        for sector in self.disk.broken(content, begin, end, write=True):
            first = sector - (sector - content.place) % (self.cluster // SECTOR)
            for each in range(first, first + self.cluster // SECTOR):
                self.disk.mend_sector(each)
            self.disk.touched["remapped"] += 1

    def _write(self, operation: AnyOperation) -> Done:
        assert isinstance(operation, Write)
        self._need_room(operation)
        done, link = super()._write(operation)
        if self.disk.bad:
            self._reread(link, operation)
        return done, link

    def _need_room(self, operation: Write) -> None:
        """A write into a sparse file's holes needs space for the units that it reaches."""
        node = self._file(operation.path).node
        if node.units is None or node.flags & COMPRESSED or not operation.data.strip(b"\0"):
            return
        unit = UNIT_CLUSTERS * self.cluster
        end = operation.offset + len(operation.data)
        reached = range(operation.offset // unit, -(-end // unit))
        needed = sum(unit for at in reached if at >= len(node.units) or not node.units[at])
        if needed > self.disk.free:
            raise FileSystemError("no_space", operation.path, f"{self.disk.free} bytes free on {self.root}")

    def _reread(self, link: Link, operation: Write) -> None:
        """A sector that cannot be read can be written over: it is remapped, too."""
        content = link.node.content
        assert content is not None
        end = operation.offset + len(operation.data)
        for sector in self.disk.broken(content, operation.offset, end, write=False):
            begin = (sector - content.place) * SECTOR
            if operation.offset <= begin and begin + SECTOR <= end:
                self.disk.mend_sector(sector)
                self.disk.touched["remapped"] += 1
