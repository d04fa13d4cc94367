"""Change notification: what ReadDirectoryChangesW tells a program about a directory.

Source: Microsoft's reference of ReadDirectoryChangesW and FILE_NOTIFY_INFORMATION: filter flags, actions, names
relative to the watched directory, and that a buffer which overflows is thrown away whole, so that the program has to
look itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag
from typing import TYPE_CHECKING, Literal

from bodydouble.vocabulary.operations import (
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
    Truncate,
    Write,
)
from bodydouble_sim.storage.names import fold, units

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import AnyOperation

Action = Literal["added", "removed", "modified", "renamed from", "renamed to"]


class Notify(Flag):
    """Which changes a program wants to hear of."""

    FILE_NAME = 0x1
    DIRECTORY_NAME = 0x2
    ATTRIBUTES = 0x4
    SIZE = 0x8
    LAST_WRITE = 0x10
    SECURITY = 0x100


EVERYTHING = Notify(0x11F)
_MODIFIED: dict[type, Notify] = {
    Write: Notify.LAST_WRITE | Notify.SIZE,
    Truncate: Notify.LAST_WRITE | Notify.SIZE,
    PunchHole: Notify.LAST_WRITE,
    SetMetadata: Notify.ATTRIBUTES | Notify.SECURITY,
    SetTimes: Notify.LAST_WRITE,
}
_NAMES: dict[type, tuple[Notify, Action]] = {
    CreateFile: (Notify.FILE_NAME, "added"),
    MakeDirectory: (Notify.DIRECTORY_NAME, "added"),
    MakeHardLink: (Notify.FILE_NAME, "added"),
    MakeSymbolicLink: (Notify.DIRECTORY_NAME, "added"),
    RemoveFile: (Notify.FILE_NAME, "removed"),
    RemoveDirectory: (Notify.DIRECTORY_NAME, "removed"),
}
_HEADER = 12
_ALIGNMENT = 4


@dataclass(frozen=True, slots=True)
class Change:
    """One record.

    Attributes:
        action: what happened.
        name: the path below the watched directory, ``/`` separated.
    """

    action: Action
    name: str

    @property
    def size(self) -> int:
        """Bytes that it takes in the buffer."""
        return _HEADER + -(-2 * units(self.name) // _ALIGNMENT) * _ALIGNMENT


class Watcher:
    """A directory handle that somebody reads changes from.

    Args:
        root: the directory.
        subtree: also what happens further below.
        wanted: which changes.
        buffer: bytes that are kept until they are read.
        close: how the volume forgets it.
    """

    def __init__(
        self, root: str, wanted: Notify, buffer: int, close: Callable[[Watcher], None], *, subtree: bool
    ) -> None:
        self._root = fold(root) + "/"
        self._subtree = subtree
        self._wanted = wanted
        self._room = self._buffer = buffer
        self._close = close
        self._changes: list[Change] = []
        self._overflowed = False

    def read(self) -> list[Change] | None:
        """What happened since the last call; None when the buffer overflowed and what it held is lost."""
        changes = None if self._overflowed else self._changes
        self._changes, self._room, self._overflowed = [], self._buffer, False
        return changes

    def close(self) -> None:
        """Watch no more. Idempotent."""
        self._close(self)

    def follow(self, operation: AnyOperation, *, directory: bool, fresh: bool) -> None:
        """The volume changed.

        Args:
            operation: what was done.
            directory: whether to a directory.
            fresh: whether it made something that was not there.
        """
        kind = type(operation)
        if isinstance(operation, Rename):
            wanted = Notify.DIRECTORY_NAME if directory else Notify.FILE_NAME
            inside = self._relative(operation.path), self._relative(operation.new_path)
            if wanted & self._wanted:
                self._add("renamed from" if inside[1] else "removed", inside[0])
                self._add("renamed to" if inside[0] else "added", inside[1])
        elif kind in _NAMES and (fresh or kind in (RemoveFile, RemoveDirectory)):
            flag, action = _NAMES[kind]
            if flag & self._wanted:
                self._add(action, self._relative(operation.path))
        elif _MODIFIED.get(kind, Notify.ATTRIBUTES | Notify.SECURITY) & self._wanted:
            self._add("modified", self._relative(operation.path))

    def _relative(self, path: str) -> str:
        if fold(path[: len(self._root)]) != self._root:
            return ""
        name = path[len(self._root) :]
        return name if self._subtree or "/" not in name else ""

    def _add(self, action: Action, name: str) -> None:
        if not name or self._overflowed:
            return
        change = Change(action, name)
        self._room -= change.size
        if self._room < 0:
            self._overflowed = True
        else:
            self._changes.append(change)
