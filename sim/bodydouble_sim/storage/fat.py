"""FAT16 and FAT32 volumes.

Modelled after reference/windows-iis.md, "File systems": no permissions, streams, links or compression; 2 s for the time
of last write, 10 ms for creation, a day for access; no journal (`FatTables`), chkdsk at the next start. Not modelled:
FAT12; times as local times; the space of directories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    Metadata,
    Truncate,
    Write,
)
from bodydouble_sim.storage.disk import CLUSTER, Disk
from bodydouble_sim.storage.fat_tables import Damage, FatTables
from bodydouble_sim.storage.names import units
from bodydouble_sim.storage.node import HIDDEN, SYSTEM, Link, Node
from bodydouble_sim.storage.short_names import is_short
from bodydouble_sim.storage.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bodydouble.vocabulary.capabilities import Capabilities
    from bodydouble_sim.storage.journal import Journal

Kind = Literal["fat16", "fat32"]

_TWO_SECONDS, _TEN_MS, _DAY = 2_000_000_000, 10_000_000, 86_400_000_000_000
LARGEST_FILE = {"fat16": 2 * 1024**3, "fat32": 4 * 1024**3 - 1}
ROOT_ENTRIES = 512
DIRECTORY_ENTRIES = 65_536
_UNITS_AN_ENTRY = 13


class FatVolume(Volume):
    """A FAT volume.

    Args:
        letter: drive letter; the root's product form is ``D:``.
        clock: nanoseconds since 1970 UTC.
        disk: what the volume lies on.
        kind: which FAT.
        cluster: bytes of a cluster.
        label: the volume's name.
    """

    def __init__(
        self,
        letter: str,
        clock: Callable[[], int],
        disk: Disk | None = None,
        *,
        kind: Kind = "fat32",
        cluster: int = CLUSTER,
        label: str = "",
    ) -> None:
        self.file_system: Kind = kind
        self.largest_file = LARGEST_FILE[kind]
        super().__init__(letter, clock, disk or Disk(2 * 1024**3), cluster, label)

    def _new_journal(self) -> Journal:
        self._tables = FatTables(self._tree, self.cluster)
        return self._tables

    # --- what FAT keeps ---------------------------------------------------------------------------------------------

    def _write_time(self, ns: int) -> int:
        """Two seconds, rounded up, as Microsoft's FAT driver (the published fastfat sample, timesup.c) does it."""
        return -(-ns // _TWO_SECONDS) * _TWO_SECONDS

    def capabilities(self) -> Capabilities:
        """See `Volume.capabilities`."""
        return msgspec.structs.replace(super().capabilities(), time_grain_ns=_TWO_SECONDS, created_grain_ns=_TEN_MS)

    def _create_time(self, ns: int) -> int:
        return ns - ns % _TEN_MS

    def _access_time(self, ns: int) -> int:
        return ns - ns % _DAY

    def _metadata(self, metadata: Metadata) -> Metadata:
        return Metadata(metadata.attributes) if metadata.security or metadata.extended else metadata

    def _check_entry(self, parent: Node, name: str, path: str) -> None:
        """A name, and that the directory has entries left for it.

        Source: KB 120138: the root directory of FAT16 has 512 entries, and a long name takes several.
        """
        super()._check_entry(parent, name, path)
        root = parent is self._tree.top.node
        if root and self.file_system == "fat32":
            return
        most = ROOT_ENTRIES if root else DIRECTORY_ENTRIES
        children = parent.children or {}
        if len(children) < most // (2 + 255 // _UNITS_AN_ENTRY):
            return
        used = sum(entries(link.name) for link in children.values()) + (1 if root and self.label else 0)
        if used + entries(name) > most:
            raise FileSystemError("no_space", path, "the directory has no entry left")

    # --- chkdsk -----------------------------------------------------------------------------------------------------

    def _repair(self) -> tuple[str, ...]:
        """What chkdsk does at the next start: lengths, cross links, lost chains.

        Observers see the repairs as operations.
        """
        damage, self._tables.damage = self._tables.damage, Damage()
        lines = [f"The type of the file system is {self.file_system.upper()}."]
        lines.extend(f"Folder {name} is cross-linked. Entry removed." for name in damage.folders)
        for node, chain in damage.lengths.items():
            lines.append(f"The size of the {self._shown(node)} entry is not valid.")
            self._repair_length(node, chain)
        lines.extend(self._repair_cross_links())
        lines.extend(self._recover(damage.lost))
        self.flush()
        found = len(lines) > 1
        lines.append("Windows has made corrections to the file system." if found else "Windows found no problems.")
        return tuple(lines)

    def _shown(self, node: Node) -> str:
        assert node.link is not None
        return self._tree.path(node.link)[2:].replace("/", "\\")

    def _repair_length(self, node: Node, chain: bytes) -> None:
        assert node.link is not None
        assert node.content is not None
        path, size = self._tree.path(node.link), len(node.content.data)
        if len(chain) < size:
            self._commit(Truncate(path, len(chain), node.mtime_ns), application=False)
        elif len(chain) > size and self.disk.free >= len(chain) - node.content.allocated:
            self._commit(Write(path, size, chain[size:], node.mtime_ns), application=False)

    def _cross_linked(self) -> Iterator[Link]:
        """Every name but the first of a file that several entries lead to."""
        for link in list(self._tree.walk()):
            if link.node.others and link is not link.node.link:
                yield link

    def _repair_cross_links(self) -> list[str]:
        """Each entry gets clusters of its own.

        Source: chkdsk's messages for FAT ("is cross-linked on allocation unit", "Cross link resolved by copying").
        """
        lines = []
        for link in self._cross_linked():
            content = link.node.content
            assert content is not None
            lines.append(
                f"{self._tree.path(link)[2:].replace('/', chr(92))} is cross-linked on allocation unit "
                f"{content.place >> 32}."
            )
            self._tree.leave(link)
            copy = Node(link.node.metadata, link.node.mtime_ns, link.node.created_ns, directory=False)
            assert copy.content is not None
            data = bytes(content.data) if self.disk.free >= content.allocated else b""
            lines.append("Cross link resolved by copying." if data or not content.data else "File being truncated.")
            copy.content.data[:] = data
            link.node = copy
            self._tree.enter(link)
            self._settle(copy, copy.content)
        return lines

    def _recover(self, lost: list[bytes]) -> list[str]:
        """Lost chains become files FILE0000.CHK and so on in FOUND.000."""
        if not lost:
            return []
        lines = ["Convert lost chains to files (Y/N)? Yes"]
        number = next(n for n in range(1000) if self._tree.find(f"{self.root}/FOUND.{n:03}") is None)
        folder = f"{self.root}/FOUND.{number:03}"
        size = 0
        try:
            self._commit(MakeDirectory(folder, Metadata(HIDDEN | SYSTEM)), application=False)
            for index, chain in enumerate(lost):
                path = f"{folder}/FILE{index:04}.CHK"
                self._commit(CreateFile(path, Metadata(), self._clock()), application=False)
                self._commit(Write(path, 0, chain, self._clock()), application=False)
                size += len(chain)
        except FileSystemError:
            lines.append("Insufficient disk space to recover lost data.")
        return [*lines, f"{-(-size // 1024)} KB in {len(lost)} recovered files."]


def entries(name: str) -> int:
    """Directory entries that a name takes: one, and for a long name one more for each 13 characters of it.

    A short name whose stem and extension are each in one case takes none more: NT keeps the case in a flag.
    """
    stem, _, extension = name.partition(".")
    if is_short(name) and all(part in (part.upper(), part.lower()) for part in (stem, extension)):
        return 1
    return 1 + -(-units(name) // _UNITS_AN_ENTRY)
