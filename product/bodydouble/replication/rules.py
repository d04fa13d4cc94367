"""Rule matching: which paths a replication set selects. Pure.

The most specific rule that matches decides, and exclude wins at a tie; no guide settles it, ARCHITECTURE.md records
the choice. A rule is the more specific the more components its path has, then the fewer of them have wildcards, then
the more literal characters it has. A recursive rule covers everything beneath what it matches; a rule that is not
covers what it matches and, when its last component has no wildcard, what lies directly inside.

A wildcard stands for characters of one component. What a path means to the rules beneath it is a `_State`: which rules
have matched, and which may still. Two paths of one state are interchangeable for everything beneath them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from bodydouble.errors import InputError, PathError
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.sets import Explanation

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.records import ReplicationSet, Rule

Extent = Literal["whole", "partly", "outside"]

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
    """A rule, made ready.

    Attributes:
        rule: as it is in the set.
        parts: its components; those with wildcards as what a whole component has to match.
        inside: it covers what lies directly inside of what it matches, and nothing deeper.
    """

    rule: Rule
    parts: list[str | re.Pattern[str]]
    inside: bool

    def fits(self, depth: int, component: str) -> bool:
        part = self.parts[depth]
        return part == component if isinstance(part, str) else part.fullmatch(component) is not None

    def covers(self, components: list[str]) -> bool:
        deeper = len(components) - len(self.parts)
        reach = self.rule.recursive or deeper == 0 or (self.inside and deeper == 1)
        return deeper >= 0 and reach and all(self.fits(depth, components[depth]) for depth in range(len(self.parts)))


def _component(pattern: str) -> re.Pattern[str]:
    """A component with wildcards as a regular expression that never looks back.

    What stands between two ``*`` may be taken at the first place where it fits, so each is an atomic group: a peer's
    rule must not be able to make matching take for ever.
    """
    first, *middle = [re.escape(part).replace(r"\?", ".") for part in pattern.split("*")]
    if not middle:
        return re.compile(first, re.DOTALL)
    last = middle.pop()
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle) + f".*{last}", re.DOTALL)


def _components(path: str) -> list[str]:
    """``/srv/www`` as ``""``, ``srv``, ``www``; ``C:/InetPub`` as ``C:``, ``InetPub``."""
    return path.removesuffix("/").split("/")


def _compile(rule: Rule, path: str) -> _Pattern:
    parts: list[str | re.Pattern[str]] = [
        _component(part) if has_wildcard(part) else part for part in _components(path)
    ]
    return _Pattern(rule, parts, inside=not rule.recursive and isinstance(parts[-1], str))


def specificity(rule: Rule) -> tuple[int, int, int]:
    """What makes a rule the more specific one of two: the greater of these."""
    parts = _components(rule.path)
    literal = len(rule.path) - rule.path.count("*") - rule.path.count("?")
    return len(parts), -sum(map(has_wildcard, parts)), literal


def has_wildcard(path: str) -> bool:
    """Whether a rule's path has ``*`` or ``?`` in it."""
    return "*" in path or "?" in path


def check_set(replication_set: ReplicationSet) -> None:
    """Refuse a set that cannot be replicated.

    Raises:
        InputError: no name, no include rule, too many rules, a malformed path.
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


@dataclass(frozen=True, slots=True)
class _State:
    """How far the rules have matched on the way from the top to a path. Rules are numbered, the most specific first.

    Attributes:
        depth: components on the way.
        alive: rules that have matched so far, and have components left.
        covering: the first recursive rule that matched here or above.
        here: the first rule that is not recursive and matches exactly here.
        inside: the first of these that covers what lies directly inside as well.
        around: ``inside`` of the directory above.
    """

    depth: int
    alive: tuple[int, ...]
    covering: int
    here: int
    inside: int
    around: int

    @property
    def deciding(self) -> int:
        """The rule that decides."""
        return min(self.covering, self.here, self.around)


@dataclass(frozen=True, slots=True)
class _Decision:
    """What the rules say of a path.

    Attributes:
        selected: it is in the set.
        directly, deeper: what lies directly inside, and what lies deeper, is in the set, if no rule says otherwise.
        alive: rules that may say otherwise, with how far they have matched.
        potential: something beneath may be in the set.
    """

    selected: bool
    directly: bool = False
    deeper: bool = False
    alive: tuple[int, ...] = ()
    potential: bool = False


_NOTHING = _Decision(selected=False)


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
        fits: whether the other side can have a path at all; what it cannot have is in no set.
        together: whether two paths of the set may be names of one file, or one be renamed to the other, on the other
            side as well. Where a mapping takes them apart a rename is a removal here and an appearance there.
    """

    def __init__(self, replication_set: ReplicationSet, *, case_sensitive: bool, protected: list[str]) -> None:
        self.key = same if case_sensitive else fold
        self.together: Callable[[str, str], bool] = _always
        self.fits: Callable[[str], bool] = _anything
        self._protected = [self.key(path) for path in protected]
        ordered = sorted(replication_set.rules, key=lambda rule: (specificity(rule), not rule.include), reverse=True)
        self._patterns = [_compile(rule, self.key(rule.path)) for rule in ordered]
        self._none = len(self._patterns)
        self.roots = roots_of(replication_set, self.key)
        self._root_keys = [self.key(root) for root in self.roots]
        self._walk = lru_cache(maxsize=_CACHE)(self._walk_key)
        self._decide = lru_cache(maxsize=_CACHE)(self._decide_key)

    def selects(self, path: str) -> bool:
        """Whether ``path`` itself is in the set."""
        return self._decide(self.key(path)).selected

    def replicates(self, path: str) -> bool:
        """Whether ``path`` is in the set, or a directory on the way from a root to what is or may be."""
        decision = self._decide(self.key(path))
        return decision.selected or (decision.potential and self.within_roots(path))

    def moves_whole(self, old: str, new: str) -> bool:
        """Whether a rename changes nothing but names: the same part of the tree is in the set before and after."""
        before, after = self._decide(self.key(old)), self._decide(self.key(new))
        guarded = any(paths.is_beneath(own, self.key(path)) for own in self._protected for path in (old, new))
        return before.selected and before == after and not guarded and self.together(old, new)

    def replicates_nothing(self, path: str) -> bool:
        """Whether neither ``path`` nor anything that could ever be beneath it is in the set."""
        decision = self._decide(self.key(path))
        return not decision.selected and not decision.potential

    def within_roots(self, path: str) -> bool:
        """Whether ``path`` is at or beneath a root."""
        key = self.key(path)
        return any(paths.is_beneath(key, root) for root in self._root_keys)

    def extent(self, path: str) -> Extent:
        """How much of a directory is in the set, apart from what more specific rules say of parts of it."""
        decision = self._decide(self.key(path))
        if decision.selected and decision.directly and decision.deeper:
            return "whole"
        return "partly" if decision.selected or decision.potential else "outside"

    def parts(self, path: str) -> list[str]:
        """Where the set begins at or beneath ``path``: there, or at the roots that ``path`` is above of."""
        if self.within_roots(path):
            return [] if self.replicates_nothing(path) else [path]
        key = self.key(path)
        return [root for root in self.roots if paths.is_beneath(self.key(root), key)]

    def protects(self, path: str) -> bool:
        """Whether ``path`` is the daemon's own."""
        return self._is_protected(self.key(path))

    def explain(self, path: str) -> Explanation:
        """Which rule decides about ``path``, and why it is the one."""
        if self.protects(path):
            return Explanation(path, selected=False, reason="the daemon's own directory is never replicated")
        try:
            _check_sendable(path)
        except (PathError, UnicodeEncodeError) as error:
            return Explanation(path, selected=False, reason=f"cannot be named to a target: {error}")
        on_the_way = not self.selects(path) and self.replicates(path)
        matching = self._matching(self.key(path))
        if not matching:
            return Explanation(path, selected=False, reason="no rule matches", on_the_way=on_the_way)
        reason = "the only rule that matches" if len(matching) == 1 else "the most specific rule that matches"
        rule, *others = matching
        return Explanation(path, rule.include, reason, rule=rule, others=tuple(others), on_the_way=on_the_way)

    def _matching(self, key: str) -> list[Rule]:
        """All rules that match, the most specific first."""
        components = _components(key)
        return [pattern.rule for pattern in self._patterns if pattern.covers(components)]

    def deciding(self, path: str) -> Rule | None:
        """The rule that decides about ``path``; None when none matches."""
        number = self._walk(self.key(path)).deciding
        return None if number == self._none else self._patterns[number].rule

    def _is_protected(self, key: str) -> bool:
        return any(paths.is_beneath(key, own) for own in self._protected)

    def _walk_key(self, key: str) -> _State:
        state = _State(0, tuple(range(self._none)), self._none, self._none, self._none, self._none)
        for component in _components(key):
            state = self._step(state, component)
        return state

    def _step(self, state: _State, component: str) -> _State:
        depth = state.depth + 1
        alive = []
        covering, here, inside = state.covering, self._none, self._none
        for number in state.alive:
            pattern = self._patterns[number]
            if not pattern.fits(state.depth, component):
                continue
            if len(pattern.parts) > depth:
                alive.append(number)
            elif pattern.rule.recursive:
                covering = min(covering, number)
            else:
                here = min(here, number)
                inside = min(inside, number) if pattern.inside else inside
        return _State(depth, tuple(alive), covering, here, inside, state.inside)

    def _include(self, number: int) -> bool:
        return number != self._none and self._patterns[number].rule.include

    def _decide_key(self, key: str) -> _Decision:
        """The decision for a path already in comparison form."""
        if self._is_protected(key) or not _is_sendable(key) or not self.fits(key):
            return _NOTHING
        above = paths.parent(key)
        state = self._walk(key) if above == key else self._step(self._walk(above), paths.name(key))
        directly = self._include(min(state.covering, state.inside))
        deeper = self._include(state.covering)
        return _Decision(
            selected=self._include(state.deciding),
            directly=directly,
            deeper=deeper,
            alive=(state.depth, *state.alive) if state.alive else (),
            potential=directly or deeper or any(self._include(number) for number in state.alive),
        )


def _check_sendable(path: str) -> None:
    path.encode()
    paths.check_file(path)


def _is_sendable(path: str) -> bool:
    """Whether a path can be said at all: POSIX names may hold bytes that are no text, and control characters."""
    try:
        _check_sendable(path)
    except (PathError, UnicodeEncodeError):
        return False
    return True


def _anything(_path: str) -> bool:
    return True


def _always(_one: str, _other: str) -> bool:
    return True


def _static(rule_path: str) -> str:
    """The directory beneath which everything lies that a rule's path may match."""
    while has_wildcard(rule_path):
        rule_path = paths.parent(rule_path)
    return rule_path


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
