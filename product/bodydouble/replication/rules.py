"""Rule matching: which paths a replication set selects. Pure.

The most specific rule that matches decides, and exclude wins at a tie; no guide settles it, ARCHITECTURE.md records
the choice. A rule is the more specific the more components its path has, then if it has no wildcard, then by its
literal characters. A recursive rule covers everything beneath what it matches; a rule that is not covers its path
and, when it has no wildcard, what lies directly inside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from bodydouble.errors import InputError, PathError
from bodydouble.vocabulary import paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.records import ReplicationSet, Rule

MAX_RULES = 1000
_CACHE = 8192


def fold(path: str) -> str:
    """The form in which a case-insensitive file system compares names: each character upper-cased on its own."""
    if path.isascii():
        return path.upper()
    return "".join(upper if len(upper := each.upper()) == 1 else each for each in path)


def same(path: str) -> str:
    """The form in which a file system compares names that tells case: the name itself."""
    return path


@dataclass(frozen=True, slots=True)
class _Pattern:
    include: bool
    recursive: bool
    path: str
    depth: int
    wildcard: re.Pattern[str] | None
    specificity: tuple[int, bool, int]

    def matches(self, path: str) -> bool:
        depth = _depth(path)
        if depth < self.depth:
            return False
        if self.wildcard is None:
            reach = depth == self.depth or self.recursive or depth == self.depth + 1
            return reach and paths.is_beneath(path, self.path)
        if depth > self.depth and not self.recursive:
            return False
        return self.wildcard.match(path) is not None


def _component(pattern: str) -> str:
    """A component with wildcards as a regular expression that never looks back.

    What stands between two ``*`` may be taken at the first place where it fits, so each is an atomic group: a peer's
    rule must not be able to make matching take for ever.
    """
    first, *middle = [re.escape(part).replace(r"\?", "[^/]") for part in pattern.split("*")]
    if not middle:
        return first
    last = middle.pop()
    return first + "".join(f"(?>[^/]*?{part})" for part in middle) + f"[^/]*{last}"


def _depth(path: str) -> int:
    return 0 if path.endswith("/") else path.count("/")


def _compile(rule: Rule, path: str) -> _Pattern:
    literal = len(path) - path.count("*") - path.count("?")
    specificity = (_depth(path), not has_wildcard(path), literal)
    wildcard = None
    if has_wildcard(path):
        wildcard = re.compile(re.escape(path[: path.rindex("/") + 1]) + _component(paths.name(path)) + "(?:/|$)")
    return _Pattern(rule.include, rule.recursive, path, _depth(path), wildcard, specificity)


def has_wildcard(path: str) -> bool:
    """Whether a rule's path has ``*`` or ``?`` in it."""
    return "*" in path or "?" in path


def check_set(replication_set: ReplicationSet) -> None:
    """Refuse a set that cannot be replicated.

    Raises:
        InputError: no name, no include rule, too many rules, a malformed path, a wildcard before the last component.
    """
    if not replication_set.name or len(replication_set.name) > 255:  # noqa: PLR2004 - stated in the message
        raise InputError("replication set: a name of 1 to 255 characters is needed")
    if not any(rule.include for rule in replication_set.rules) or len(replication_set.rules) > MAX_RULES:
        raise InputError(f"replication set {replication_set.name!r}: 1 to {MAX_RULES} rules, one of them an include")
    for rule in replication_set.rules:
        try:
            paths.check(rule.path)
        except PathError as error:
            raise InputError(f"replication set {replication_set.name!r}: {error}") from error
        if has_wildcard(paths.parent(rule.path)):
            raise InputError(f"replication set {replication_set.name!r}: {rule.path}: wildcards only in the last part")


class Selection:
    """What a replication set selects on a file system.

    Names that are not text, have control characters or make a path too long, and names that Windows takes for something
    else (`paths.check_file`), cannot be said to a target: such files are left out.

    Args:
        replication_set: checked by `check_set`.
        case_sensitive: as the file system says.
        protected: directories never selected: the daemon's own state.

    Attributes:
        key: the form in which the file system compares paths.
        names: the form in which names here and names on the other side are compared.
        together: whether two paths of the set may be names of one file, or one be renamed to the other, on the other
            side as well. Where a mapping takes them apart a rename is a removal here and an appearance there.
    """

    def __init__(self, replication_set: ReplicationSet, *, case_sensitive: bool, protected: list[str]) -> None:
        self.key = same if case_sensitive else fold
        self.names = self.key
        self.together: Callable[[str, str], bool] = _always
        self._protected = [self.key(path) for path in protected]
        self._patterns = sorted(
            (_compile(rule, self.key(rule.path)) for rule in replication_set.rules),
            key=lambda pattern: (pattern.specificity, not pattern.include),
            reverse=True,
        )
        self.roots = roots_of(replication_set, self.key)
        self._root_keys = [self.key(root) for root in self.roots]
        self._decide = lru_cache(maxsize=_CACHE)(self._decide_key)

    def selects(self, path: str) -> bool:
        """Whether ``path`` itself is in the set."""
        return self._decide(self.key(path))[0]

    def replicates(self, path: str) -> bool:
        """Whether ``path`` is in the set, or a directory on the way from a root to what is."""
        selected, scaffold, _ = self._decide(self.key(path))
        return selected or scaffold

    def moves_whole(self, old: str, new: str) -> bool:
        """Whether a rename changes nothing but names: the same part of the tree is in the set before and after."""
        shape = self._shape(old)
        return shape[:2] == (True, True) and shape == self._shape(new) and self.together(old, new)

    def _shape(self, path: str) -> tuple[bool, bool, bool, bool]:
        selected, _, uniform = self._decide(self.key(path))
        child = paths.join(path, "-")
        return selected, uniform, self.selects(child), self.selects(paths.join(child, "-"))

    def replicates_nothing(self, path: str) -> bool:
        """Whether neither ``path`` nor anything that could ever be beneath it is in the set."""
        selected, scaffold, uniform = self._decide(self.key(path))
        return not selected and not scaffold and uniform

    def within_roots(self, path: str) -> bool:
        """Whether ``path`` is at or beneath a root."""
        key = self.key(path)
        return any(paths.is_beneath(key, root) for root in self._root_keys)

    def protects(self, path: str) -> bool:
        """Whether ``path`` is the daemon's own."""
        return self._is_protected(self.key(path))

    def _is_protected(self, key: str) -> bool:
        return any(paths.is_beneath(key, own) for own in self._protected)

    def _included(self, key: str) -> bool:
        return next((pattern.include for pattern in self._patterns if pattern.matches(key)), False)

    def _decide_key(self, key: str) -> tuple[bool, bool, bool]:
        """(selected, scaffold, uniform) for a path already in comparison form."""
        if self._is_protected(key) or not _is_sendable(key):
            return False, False, True
        selected = self._included(key)
        inside = [p for p in self._patterns if p.path != key and paths.is_beneath(p.path, key)]
        # A rule that is not recursive may leave out a directory and not what is deeper inside.
        deeper = any(p.include for p in inside) or any(self._included(paths.join(key, p)) for p in ("-", "-/-"))
        scaffold = deeper and any(paths.is_beneath(key, root) for root in self._root_keys)
        uniform = not inside and not any(paths.is_beneath(own, key) for own in self._protected)
        return selected, scaffold, uniform


def _is_sendable(path: str) -> bool:
    """Whether a path can be said at all: POSIX names may hold bytes that are no text, and control characters."""
    try:
        path.encode()
        paths.check_file(path)
    except (PathError, UnicodeEncodeError):
        return False
    return True


def _always(_one: str, _other: str) -> bool:
    return True


def _static(rule_path: str) -> str:
    return paths.parent(rule_path) if has_wildcard(rule_path) else rule_path


def roots_of(replication_set: ReplicationSet, key: Callable[[str], str]) -> list[str]:
    """The topmost directories of the set's include rules."""
    return _minimal([_static(rule.path) for rule in replication_set.rules if rule.include], key)


def _minimal(candidates: list[str], key: Callable[[str], str]) -> list[str]:
    """The candidates that lie beneath no other."""
    kept: list[str] = []
    for path in sorted(candidates, key=lambda each: (len(each), key(each))):
        if not any(paths.is_beneath(key(path), key(other)) for other in kept):
            kept.append(path)
    return kept
