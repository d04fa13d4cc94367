"""Mapping: from the source's paths, which a stream speaks, to where the target keeps things, and back. Pure.

A mapping begins at a root of the set or above one, never inside of one: what lies inside a root stays together.
Where a symbolic link or a junction leads is data and is not mapped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import InputError, PathError
from bodydouble.vocabulary import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bodydouble.vocabulary.mapping import PathMapping

    Key = Callable[[str], str]

MAX_MAPPINGS = 1000


class PathMap:
    """Where each root of a set is on the target.

    Args:
        roots: of the set, none beneath another.
        mapping: from a root, or a directory above.
        base: for what ``mapping`` does not name; empty: One To One.
        key: the form in which paths of the source are compared.
    """

    def __init__(self, roots: Sequence[str], mapping: Sequence[PathMapping], base: str, key: Key) -> None:
        self._key = key
        self.one_to_one = not mapping and not base
        self.places = [(root, self._place(root, mapping, base)) for root in roots]
        self.foreign = any(paths.has_drive(root) != paths.has_drive(place) for root, place in self.places)
        """Whether source and target name their files in different ways, so that neither's security means anything."""

    def _place(self, root: str, mapping: Sequence[PathMapping], base: str) -> str:
        fitting = [each for each in mapping if paths.is_beneath(self._key(root), self._key(each.source))]
        if fitting:
            chosen = max(fitting, key=lambda each: len(each.source))
            return within(chosen.target, root[len(chosen.source) :])
        return within(base, readable(root)) if base else root

    @property
    def targets(self) -> list[str]:
        """The roots as the target has them."""
        return [place for _, place in self.places]

    def there(self, path: str) -> str | None:
        """Where ``path`` is on the target; None when it is in no root."""
        if self.one_to_one:
            return path
        found = self._find(path)
        return None if found is None else within(found[1], path[len(found[0]) :])

    def here(self, place: str, key: Key) -> str | None:
        """What the source calls ``place`` on the target (where ``key`` compares); None when it is no part of it."""
        for root, target in self.places:
            if paths.is_beneath(key(place), key(target)):
                return within(root, place[len(target) :])
        return None

    def together(self, one: str, other: str) -> bool:
        """Whether two paths are surely on one volume of the target, if they are on the source's."""
        if self.one_to_one:
            return True
        first, second = self._find(one), self._find(other)
        return first is not None and second is not None and self._shift(first) == self._shift(second)

    def _find(self, path: str) -> tuple[str, str] | None:
        key = self._key(path)
        return next((each for each in self.places if paths.is_beneath(key, self._key(each[0]))), None)

    @staticmethod
    def _shift(place: tuple[str, str]) -> tuple[str, str]:
        """What the root and its place do not have in common at their ends."""
        source, target = place[0].split("/"), place[1].split("/")
        while source and target and source[-1] == target[-1]:
            source.pop()
            target.pop()
        return "/".join(source), "/".join(target)


def within(directory: str, rest: str) -> str:
    """``rest``, with or without a slash before it, inside ``directory``."""
    rest = rest.strip("/")
    return f"{directory.rstrip('/')}/{rest}" if rest else directory


def readable(path: str) -> str:
    """A path as part of another one: ``C:/InetPub`` as ``C/InetPub``, ``/srv`` as ``srv``."""
    return path[0] + path[2:] if paths.has_drive(path) else path[1:]


def check_mapping(roots: Sequence[str], mapping: Sequence[PathMapping], base: str, key: Key) -> None:
    """Refuse a mapping that does not fit the set.

    Raises:
        InputError: a malformed path, a mapping that names nothing of the set, one from inside a root, one path mapped
            twice, two roots in one place.
    """
    if len(mapping) > MAX_MAPPINGS:
        raise InputError(f"mapping: {len(mapping)} entries, at most {MAX_MAPPINGS} are allowed")
    try:
        for path in [*(each.source for each in mapping), *(each.target for each in mapping), *([base] if base else [])]:
            paths.check(path)
    except PathError as error:
        raise InputError(f"mapping: {error}") from error
    seen: dict[str, None] = {}
    for each in mapping:
        _check_source(each, roots, key)
        if key(each.source) in seen:
            raise InputError(f"mapping: {each.source} is mapped twice")
        seen[key(each.source)] = None
    _check_places(PathMap(roots, mapping, base, key).targets)


def _check_source(mapping: PathMapping, roots: Sequence[str], key: Key) -> None:
    source = key(mapping.source)
    if any(paths.is_beneath(key(root), source) for root in roots):
        return
    inside = next((root for root in roots if paths.is_beneath(source, key(root))), None)
    if inside is not None:
        raise InputError(
            f"mapping: {mapping.source} is inside {inside}: a mapping begins at a root of the set or above"
        )
    raise InputError(f"mapping: nothing of the replication set is at {mapping.source}; its roots: {', '.join(roots)}")


def _check_places(places: Sequence[str]) -> None:
    for at, one in enumerate(places):
        for other in places[at + 1 :]:
            if overlap([one], [other], str.casefold):
                raise InputError(f"mapping: {one} and {other} are one place on the target: two roots need two")


def overlap(some: Sequence[str], others: Sequence[str], key: Key) -> bool:
    """Whether a directory of the one list is, holds or lies in one of the other."""
    return any(paths.is_beneath(key(a), key(b)) or paths.is_beneath(key(b), key(a)) for a in some for b in others)
