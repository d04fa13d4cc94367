"""Spelling: how a replica's volume that ignores case spells its names, so that no name is taken for another one.

A source whose file system tells case may have ``Readme`` and ``readme``; here there is room for one of them, and an
operation on the other one would change it. So each path is held against what the directories really hold. That is
remembered and kept up to date with what is carried out: a directory is listed once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble.replication.rules import fold
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    RemoveDirectory,
    RemoveFile,
    Rename,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.ports import FileSystem
    from bodydouble.vocabulary.operations import Entry

    Settle = Callable[[], Awaitable[None]]

Standing = Literal["there", "free", "taken", "nameless", "nowhere"]
"""Of a path: it is there by just this name; nothing is there; something else is in its place; it can have no such name;
it has no directory."""

MAX_NAMES = 200_000
"""That are remembered; beyond it they are looked up again."""


class Spelling:
    """The names in a replica's directories, as the volume spells them.

    Args:
        files: the replica's.
    """

    def __init__(self, files: FileSystem) -> None:
        self._files = files
        self._known: dict[str, dict[str, str]] = {}
        """By directory, by folded name. The directories above a known one are known."""
        self._count = 0

    def forget(self) -> None:
        """Look at the volume again: somebody else may have changed it."""
        self._known.clear()
        self._count = 0

    async def standing(self, path: str, root: str | None, settle: Settle) -> Standing:
        """How ``path`` stands.

        Args:
            path: what is asked about.
            root: the replica's root above it, by just this spelling; None: it has another one, and is elsewhere.
            settle: carries out what was noted and is not carried out yet, before the volume is looked at.
        """
        if root is None:
            return "nowhere"
        if path == root:
            return "there"
        names = await self._names(paths.parent(path), root, settle)
        if names is None:  # without its root an operation fails, and should
            return "there" if paths.parent(path) == root else "nowhere"
        name = paths.name(path)
        spelled = names.get(fold(name))
        if spelled is None:
            return await self._by_another_way(path, settle)
        return "there" if spelled == name else "taken"

    async def _by_another_way(self, path: str, settle: Settle) -> Standing:
        """A name that is not listed may all the same lead to something: as an 8.3 alias, or without its last dot."""
        if "~" in path or path.endswith("."):
            await settle()
            if await self._files.stat(path) is not None:
                return "taken"
        return "free"

    async def find(self, path: str, root: str | None) -> Entry | None:
        """What is in the place of ``path``, with the name that it has; None when nothing is."""
        standing = await self.standing(path, root, _nothing)
        known = self._known.get(paths.parent(path), {})
        name = known.get(fold(paths.name(path)), "")
        if standing == "taken" and name:
            path = paths.join(paths.parent(path), name)
        elif standing != "there":
            return None
        entry = await self._files.stat(path)
        return None if entry is None else msgspec.structs.replace(entry, path=path)

    async def _names(self, directory: str, root: str, settle: Settle) -> dict[str, str] | None:
        """What is in a directory; None when it is not there by just this name."""
        if (known := self._known.get(directory)) is not None:
            return known
        if directory != root and await self.standing(directory, root, settle) != "there":
            return None
        await settle()
        try:
            listed = await self._files.list_directory(directory)
        except FileSystemError as error:
            if error.code == "not_found":
                return None
            raise
        return self._remember(directory, listed)

    def _remember(self, directory: str, listed: list[Entry]) -> dict[str, str]:
        if self._count + len(listed) > MAX_NAMES:
            self._known = {each: names for each, names in self._known.items() if paths.is_beneath(directory, each)}
            self._count = sum(map(len, self._known.values()))
        names = (paths.name(entry.path) for entry in listed)
        known = self._known[directory] = {fold(name): name for name in names}
        self._count += len(known)
        return known

    # --- what is carried out ---

    def note(self, operation: AnyOperation) -> None:
        """It is going to be carried out."""
        if not self._known:
            return
        if isinstance(operation, MakeDirectory | CreateFile | MakeSymbolicLink | MakeHardLink):
            if self._add(operation.path) and isinstance(operation, MakeDirectory):
                self._known[operation.path] = {}
        elif isinstance(operation, RemoveFile | RemoveDirectory):
            self._drop(operation.path)
        elif isinstance(operation, Rename):
            self._drop(operation.path)
            self._drop(operation.new_path)
            self._add(operation.new_path)

    def _add(self, path: str) -> bool:
        """Whether it is known to be new."""
        known, name = self._known.get(paths.parent(path)), paths.name(path)
        if known is None or fold(name) in known:
            return False
        known[fold(name)] = name
        self._count += 1
        return True

    def _drop(self, path: str) -> None:
        known = self._known.get(paths.parent(path))
        if known is not None and known.pop(fold(paths.name(path)), None) is not None:
            self._count -= 1
        if path in self._known:
            for directory in [each for each in self._known if paths.is_beneath(each, path)]:
                self._count -= len(self._known.pop(directory))


async def _nothing() -> None:
    """Everything is carried out."""
