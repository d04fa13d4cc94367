"""A host's drives seen from outside: the directories beneath the FUSE filter, which no product process can colour."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import InputError, PathError
from bodydouble.vocabulary.paths import normalise
from bodydouble_labs.history import Tree, TreeEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble_labs.history import WrittenRecord


_MEANT_EVERYWHERE = ("user.", "trusted.", "system.posix_acl_", "security.capability")


class Drives:
    """The directory that holds a host's drives, one subdirectory a letter."""

    def __init__(self, directory: Path) -> None:
        """Look at ``directory`` (``.../drives``)."""
        self._directory = directory

    def locate(self, path: str) -> PurePosixPath:
        """A Windows path as a path relative to the drives' directory.

        Windows finds names without regard to case, Linux does not: components that exist are spelled as they are on
        the volume, others as given.

        Raises:
            InputError: no drive letter, or a malformed path.
        """
        try:
            drive, _, rest = normalise(path).partition("/")
        except PathError as error:
            raise InputError(str(error)) from error
        if not drive.endswith(":"):
            raise InputError(f"{path!r}: expected a Windows path with a drive (C:\\InetPub)")
        found = PurePosixPath(drive[0])
        for name in filter(None, rest.split("/")):
            found /= self._spelling(found, name)
        return found

    def outside(self, path: str) -> Path:
        """Where a Windows path lies, seen from the lab."""
        return self._directory / self.locate(path)

    def tree(self, root: str) -> Tree:
        """The tree beneath a Windows path, with the SHA-256 of every file; empty when the path is no directory."""
        top = self.outside(root)
        names: dict[tuple[int, int], str] = {}
        tree: Tree = {}
        for path in _beneath(top):
            name, entry = path.relative_to(top).as_posix(), _entry(path)
            status = path.lstat()
            first = name if entry.directory else names.setdefault((status.st_dev, status.st_ino), name)
            tree[name] = msgspec.structs.replace(entry, same_as="" if first == name else first)
        return tree

    def _spelling(self, parent: PurePosixPath, name: str) -> str:
        directory = self._directory / parent
        if (directory / name).exists() or not directory.is_dir():
            return name
        return next((other.name for other in sorted(directory.iterdir()) if other.name.lower() == name.lower()), name)


class IntactRecords:
    """Finds the writers' records that lie intact in a replica; a file that did not change is not read again."""

    def __init__(self, drives: Drives) -> None:
        """Look at ``drives``."""
        self._drives = drives
        self._digests: dict[str, tuple[tuple[int, int], str]] = {}
        self._places: dict[str, Path] = {}

    def present(self, records: list[WrittenRecord]) -> list[str]:
        """Keys of the records whose file has the right size and bytes, in the order given.

        Looked at from the newest to the oldest, since this takes time while the replica grows: a record that arrives
        meanwhile can only be missed together with all newer ones, never leave a hole before one that is there.
        """
        return [record.key for record in reversed(records) if self._intact(record)][::-1]

    def _intact(self, record: WrittenRecord) -> bool:
        path = self._places.get(record.key) or self._drives.outside(record.path)
        try:
            status = path.stat()
            if status.st_size != record.size:
                return False
            self._places[record.key] = path
            return self._digest(path, (status.st_size, status.st_mtime_ns)) == record.digest
        except FileNotFoundError:
            return False

    def _digest(self, path: Path, version: tuple[int, int]) -> str:
        known = self._digests.get(str(path))
        if known is None or known[0] != version:
            known = self._digests[str(path)] = (version, hashlib.sha256(path.read_bytes()).hexdigest())
        return known[1]


def _beneath(top: Path) -> Iterator[Path]:
    for directory, directories, files in os.walk(top):
        directories.sort()
        for name in sorted([*directories, *files]):
            yield Path(directory, name)


def _extended(path: Path) -> dict[str, str]:
    """Extended attributes that mean the same on another host."""
    found = [name for name in sorted(os.listxattr(path, follow_symlinks=False)) if name.startswith(_MEANT_EVERYWHERE)]
    return {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in found}


def _entry(path: Path) -> TreeEntry:
    status = path.lstat()
    regular = stat.S_ISREG(status.st_mode)
    return TreeEntry(
        directory=stat.S_ISDIR(status.st_mode),
        size=status.st_size if regular else 0,
        digest=hashlib.sha256(path.read_bytes()).hexdigest() if regular else "",
        attributes=0,
        security=f"{status.st_uid}:{status.st_gid}:{stat.S_IMODE(status.st_mode):o}",
        mtime_ns=status.st_mtime_ns,
        target=str(path.readlink()) if stat.S_ISLNK(status.st_mode) else "",
        extended=_extended(path),
    )
