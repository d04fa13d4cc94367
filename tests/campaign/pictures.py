"""What is beneath a directory of a volume, attribute by attribute, and how two of them differ, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.storage.volume import Volume

Picture = dict[str, dict[str, Any]]
"""Attributes by path. Not in it: times of directories, which follow a moment later."""

MOST = 20
"""Differences that a message lists."""


def take_picture(volume: Volume, root: str) -> Picture:
    """Everything beneath ``root``, times of files and groups of names included."""
    found: Picture = {}
    groups: dict[str, list[str]] = {}
    stack = [root]
    while stack:
        for entry in volume.list(stack.pop()):
            found[entry.path] = _attributes(volume, entry)
            if entry.identity:
                groups.setdefault(entry.identity, []).append(entry.path)
            stack += [entry.path] if entry.kind == "directory" else []
    for names in groups.values():
        for name in names:
            found[name]["further names"] = sorted(set(names) - {name})
    return found


def _attributes(volume: Volume, entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "bytes": None if entry.directory else volume.read(entry.path),
        "attributes": entry.metadata.attributes,
        "security": entry.metadata.security,
        "last write": None if entry.directory else entry.mtime_ns,
        "created": entry.created_ns,
        "target": entry.target,
        "streams": {name: volume.read(f"{entry.path}:{name}") for name, _ in entry.streams},
        "further names": [],
    }


def differences(source: Picture, replica: Picture) -> list[str]:
    """What differs: path, attribute, and both values; a path that one side lacks is one difference."""
    found: list[str] = []
    for path in sorted(source.keys() | replica.keys()):
        here, there = source.get(path), replica.get(path)
        if here is None or there is None:
            having, side = (there or here or {}), "replica" if here is None else "source"
            found.append(f"{path}: a {having['kind']}, only the {side} has it")
            continue
        for name, value in here.items():
            if value != there[name]:
                found.append(f"{path}: {name}: {_against(value, there[name])}")
    return found


def in_words(source: Picture, replica: Picture) -> str:
    """The differences, a line each."""
    found = differences(source, replica)
    more = [f"and {len(found) - MOST} more"] if len(found) > MOST else []
    return "".join(f"\n  {each}" for each in [*found[:MOST], *more]) or "\n  (nothing that a picture shows)"


def _against(value: Any, other: Any) -> str:
    if isinstance(value, bytes) and isinstance(other, bytes):
        return f"source {_bytes(value, other)}, replica {_bytes(other, value)}"
    if isinstance(value, dict) and isinstance(other, dict):
        names = sorted(name for name in value.keys() | other.keys() if value.get(name) != other.get(name))
        return "; ".join(f"{name}: {_against(value.get(name), other.get(name))}" for name in names)
    return f"source {_short(value)}, replica {_short(other)}"


def _bytes(data: bytes, other: bytes) -> str:
    """Where bytes begin to differ from others, and how."""
    both = zip(data, other, strict=False)
    at = next((number for number, (one, two) in enumerate(both) if one != two), min(len(data), len(other)))
    return f"{len(data)} bytes, {data[at : at + 12]!r} at {at}" if len(data) > 24 or len(other) > 24 else repr(data)


def _short(value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) and len(value) > 100 else repr(value)
