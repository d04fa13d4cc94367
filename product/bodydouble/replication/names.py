"""Names of one file, as a mirror meets them on both sides. Pure.

A mirror walks names, and several of them may mean one file, on the source, on the replica, or on both in different
ways. Bytes are sent under the first name that comes along; the further ones become hard links to it. Where the replica
has one file for names that the source keeps apart, the link must go before anything is written through it, and the
other name was perhaps written through it already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.vocabulary import paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import Entry


_REFUSALS = 2
"""A link that was refused so many times more is not tried again."""


@dataclass(slots=True)
class _Group:
    """A file of the source with several names: the name that carries the bytes, how many were met, how many exist."""

    first: str
    met: dict[str, None]
    links: int


class NameGroups:
    """The files with several names that one mirror has met.

    Args:
        key: the form in which the file system compares paths.
    """

    def __init__(self, key: Callable[[str], str]) -> None:
        self._key = key
        self._here: dict[str, _Group] = {}
        self._there: dict[str, tuple[str, str]] = {}
        self._refused: dict[str, int] = {}
        self._fresh: dict[str, None] = {}

    def first(self, entry: Entry) -> str | None:
        """The name under which the source's file was sent; None when ``entry`` is the first one met."""
        if not entry.identity:
            return None
        group = self._here.setdefault(entry.identity, _Group(entry.path, {}, entry.links))
        group.met[entry.path] = None
        group.links = entry.links
        return None if group.first == entry.path else group.first

    def refuse(self, path: str) -> None:
        """The replica could not do something with ``path``; if it was to become a link, the other name failed it."""
        self._refused[path] = self._refused.get(path, 0) + 1
        self._fresh[path] = None

    def leads(self, path: str) -> bool:
        """Whether ``path`` must carry the bytes, because a link to the first name was just refused."""
        fresh = path in self._fresh
        self._fresh.pop(path, None)
        return fresh

    def alone(self, path: str) -> bool:
        """Whether ``path`` is refused as a link for good: it is sent as a file of its own."""
        return self._refused.get(path, 0) > _REFUSALS

    def lead(self, entry: Entry) -> list[str]:
        """``entry`` is the name that carries the bytes from now on; those met before, which must become links to it."""
        group = self._here[entry.identity]
        before = [name for name in dict.fromkeys([group.first, *group.met]) if name != entry.path]
        self._here[entry.identity] = _Group(entry.path, {entry.path: None}, entry.links)
        return before

    def others(self, entry: Entry) -> list[str]:
        """Further names of the source's file that were met."""
        group = self._here.get(entry.identity)
        return [] if group is None else [name for name in group.met if name != entry.path]

    def complete(self, here: Entry, there: Entry) -> bool:
        """Whether all names of the replica's file are known: it has one, or the mirror met them, this one before."""
        if not there.identity:
            return True
        group = self._here.get(here.identity)
        if group is None or here.path not in group.met:
            return False
        return there.links <= sum(not self.alone(name) for name in group.met)

    def renamed(self, old: str, new: str) -> None:
        """A file, or a directory with all in it, has a new name."""
        for group in self._here.values():
            group.first = self._moved(group.first, old, new)
            group.met = dict.fromkeys(self._moved(name, old, new) for name in group.met)

    def _moved(self, name: str, old: str, new: str) -> str:
        return new + name[len(old) :] if paths.is_beneath(self._key(name), self._key(old)) else name

    def strayed(self, here: Entry, there: Entry) -> str | None:
        """A name of the replica's file ``there`` that means another file on the source; None when all is well."""
        if not there.identity:
            return None
        mine = here.identity or here.path
        owner, name = self._there.setdefault(there.identity, (mine, here.path))
        return None if owner == mine else name

    def outside(self) -> int:
        """How many files have names that the mirror has not met: changes made through these are not seen."""
        return sum(len(group.met) < group.links for group in self._here.values())


class SameNames:
    """Whether names that mean one file on the source mean one file on the replica as well, and no other names do."""

    def __init__(self) -> None:
        self._here: dict[str, tuple[str, str]] = {}
        self._there: dict[str, tuple[str, str]] = {}

    def compare(self, here: Entry, there: Entry) -> tuple[str, str]:
        """What is different, in words, and the name that was met first; empty when nothing is."""
        mine, theirs = here.identity or here.path, there.identity or here.path
        first, expected = self._here.setdefault(mine, (here.path, theirs))
        if first != here.path and (expected != theirs or not there.identity):
            return f"the same file as {first}, on the target another one", first
        name, owner = self._there.setdefault(theirs, (here.path, mine))
        if name != here.path and owner != mine:
            return f"another file than {name}, on the target the same one", name
        return "", ""

    def clear(self) -> None:
        """Begin anew: names came or went."""
        self._here.clear()
        self._there.clear()
