"""Pairing: which of the replica's entries in a directory is which of the source's.

Names that are equal belong together. Where one side ignores case, what is left belongs together by its folded name, and
of the source's names that differ in case only the target has room for one: the one that it has already, or the first
that it gets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bodydouble.replication.comparison import keeps_link
from bodydouble.replication.rules import fold
from bodydouble.vocabulary import paths

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bodydouble.ports import FileSystem
    from bodydouble.replication.protocol import ListedEntry
    from bodydouble.replication.questions import Questions
    from bodydouble.replication.rules import Selection
    from bodydouble.replication.touches import Touches
    from bodydouble.vocabulary.capabilities import Capabilities
    from bodydouble.vocabulary.operations import Entry


class Pair(msgspec.Struct, frozen=True):
    """An entry of the source, and what of the target's belongs to it.

    Attributes:
        here: the source's.
        there: the target's, perhaps spelled in another case.
        beside: what of the source has the place on the target, because its name differs from this one's in case only.
        nameless: the target's volume can have no such name.
    """

    here: Entry
    there: ListedEntry | None
    beside: Entry | None = None
    nameless: bool = False

    @property
    def why(self) -> str:
        """Why the target cannot have it, in words; empty when it can."""
        return "its volume can have no such name" if self.nameless else why_not_beside(self.beside)


def why_not_beside(other: Entry | None) -> str:
    """Why the target cannot have something that differs from ``other`` in case only, in words."""
    return "" if other is None else f"there is {paths.name(other.path)}, and case tells no names apart"


def pair(
    listing: list[Entry], children: dict[str, ListedEntry], kept: Capabilities
) -> tuple[list[Pair], list[ListedEntry]]:
    """The source's entries in their order, and what only the target has.

    Args:
        listing: the source's entries in a directory.
        children: the target's, by name; those that have an equal are taken out.
        kept: what both volumes keep.
    """
    exact = [Pair(entry, children.pop(paths.name(entry.path), None)) for entry in listing]
    if kept.case_sensitive or (not children and all(each.there is not None for each in exact)):
        return exact, list(children.values())
    return _by_folded_names(exact, children, kept)


def _by_folded_names(
    exact: list[Pair], children: dict[str, ListedEntry], kept: Capabilities
) -> tuple[list[Pair], list[ListedEntry]]:
    rest: dict[str, ListedEntry] = {}
    for name, listed in children.items():
        rest.setdefault(fold(name), listed)
    taken = _places(each.here for each in exact if each.there is not None and _has_place(each.here, kept))
    pairs: list[Pair] = []
    for each in exact:
        key = fold(paths.name(each.here.path))
        beside = taken.get(key)
        if each.there is not None or not _has_place(each.here, kept):
            pairs.append(each)
        elif not kept.keeps_name(paths.name(each.here.path)):
            pairs.append(Pair(each.here, None, nameless=True))
        elif beside is not None:
            pairs.append(Pair(each.here, None, beside))
        elif (there := rest.pop(key, None)) is not None:
            taken[key] = each.here
            pairs.append(Pair(each.here, there))
        else:
            pairs.append(each)  # if the target gets several of these, it decides
    # What is spelled like something here in another case could not be here beside it: that it is not says nothing.
    mine = _places(each.here for each in exact)
    return pairs, [listed for name, listed in children.items() if fold(name) not in mine]


def _places(entries: Iterable[Entry]) -> dict[str, Entry]:
    return {fold(paths.name(entry.path)): entry for entry in entries}


def _has_place(entry: Entry, kept: Capabilities) -> bool:
    """Whether it is on the target at all."""
    return entry.kind != "link" or keeps_link(entry, kept)


class Pairing:
    """Pairs of a mirror, which trusts the target's answers only as far as nothing was done since.

    Args:
        questions: to the target.
        file_system: the source's.
        selection: the rules.
        touches: kept up to date by the connection.
        begun: the moment, in ``touches``, from which operations count as during this mirror.
    """

    def __init__(
        self, questions: Questions, file_system: FileSystem, selection: Selection, touches: Touches, begun: int
    ) -> None:
        self._questions = questions
        self._file_system = file_system
        self._selection = selection
        self._touches = touches
        self._begun = begun

    async def look(self, path: str) -> tuple[ListedEntry | None, Entry | None]:
        """What of the target's belongs to one path, and what of the source has its place; see `Pair`."""
        there = await self._questions.look(path)
        if there is None or not self.is_other(path, there) or path in self._selection.roots:
            return there, None
        other = await self._file_system.stat(paths.join(paths.parent(path), paths.name(there.entry.path)))
        if other is None or not self._selection.replicates(other.path):
            return there, None
        return None, other

    def is_other(self, path: str, there: ListedEntry) -> bool:
        """Whether the source could have a file of each name."""
        return self._selection.key(paths.name(path)) != self._selection.key(paths.name(there.entry.path))

    def trusted(self, pair: Pair) -> Pair:
        """The pair without what an application has changed since the target was asked: then the target decides."""
        there, beside = pair.there, pair.beside
        if beside is None and (there is None or there.entry.path == pair.here.path):
            return pair
        if there is not None and self.is_other(pair.here.path, there) and self._changed(there.entry.path):
            there = None
        if beside is not None and self._changed(beside.path):
            beside = None
        return msgspec.structs.replace(pair, there=there, beside=beside)

    def _changed(self, path: str) -> bool:
        return self._touches.since(path, self._begun)
