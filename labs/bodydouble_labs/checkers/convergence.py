"""Checker 2: with the network healed and the source quiet, the replica equals the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_labs.checkers import story
from bodydouble_labs.checkers.check import Check, count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble_labs.history import History, Tree, TreeEntry
    from bodydouble_labs.scenario.model import Expectations, Scenario

NAME = "convergence"
SHOWN = 5
"""Differences that the detail spells out."""


def check(history: History, expect: Expectations, scenario: Scenario) -> Check:
    """Check that the final trees of source and target are the same.

    Claimed on ``pass``: the protected roots hold the same names (letter case included) and, name by name, the same
    kind, size, bytes (SHA-256), named streams, target of a link, attributes, security and extended attributes, and
    the same names mean one file; the same last-write time as well when the scenario expects it. A tree that
    was not taken, or two empty ones, is ``invalid``.
    """
    names = (story.source(scenario), story.target(scenario))
    missing = [name for name in names if name not in history.trees]
    if missing:
        return Check(NAME, "invalid", f"no final tree of {' and '.join(missing)} was taken")
    source, target = (history.trees[name] for name in names)
    if not source and not target:
        return Check(NAME, "invalid", "both final trees are empty, so nothing was compared")
    found = list(differences(source, target, times=expect.same_times))
    if found:
        more = f"; and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
        return Check(NAME, "fail", f"{count(len(found), 'difference')}: {'; '.join(found[:SHOWN])}{more}")
    files = sum(not entry.directory for entry in source.values())
    return Check(NAME, "pass", f"{count(files, 'file')} and {len(source) - files:,} directories are equal on both")


def differences(source: Tree, target: Tree, *, times: bool = False) -> Iterator[str]:
    """What differs, one line a path, in order of paths."""
    for path in sorted(source.keys() | target.keys()):
        if path not in target:
            yield f"{path}: only on the source"
        elif path not in source:
            yield f"{path}: only on the target"
        elif changed := list(_changes(source[path], target[path], times=times)):
            yield f"{path}: {', '.join(changed)}"


def _changes(source: TreeEntry, target: TreeEntry, *, times: bool) -> Iterator[str]:
    if source.directory != target.directory:
        yield f"{_kind(source)} on the source, {_kind(target)} on the target"
        return
    if source.size != target.size:
        yield f"size {source.size} against {target.size}"
    elif source.digest != target.digest:
        yield f"content {source.digest[:12]} against {target.digest[:12]}"
    for what, here, there in (
        ("leads to", source.target or "none", target.target or "none"),
        ("attributes", source.attributes, target.attributes),
        ("security", source.security, target.security),
        ("the same file as", source.same_as or "none", target.same_as or "none"),
    ):
        if here != there:
            yield f"{what} {here} against {there}"
    yield from (f"stream {name}" for name in _unlike(source.streams, target.streams))
    yield from (f"extended attribute {name}" for name in _unlike(source.extended, target.extended))
    if times and source.mtime_ns != target.mtime_ns:
        yield f"last write {source.mtime_ns} ns against {target.mtime_ns} ns"


def _unlike(source: dict[str, str], target: dict[str, str]) -> list[str]:
    """Names whose values are not the same on both."""
    return [name for name in sorted(source.keys() | target.keys()) if source.get(name) != target.get(name)]


def _kind(entry: TreeEntry) -> str:
    return "directory" if entry.directory else "file"
