"""What a target carries out, judged element by element, whether a mirror runs or not.

- It carries out what its source queued: each element as it was queued, in the order of the numbers, none left out.
- Whatever changes in the replica is the doing of one of the elements that are being carried out.
- Only while a mirror runs may an operation be passed over, and only if the replica lacks what it is about (or the
  target remembers that it has to be looked at again).
- An orphan that is removed is of another kind than what the source has there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from tests.campaign.changes import ROOT

from bodydouble.replication.protocol import Orphans, RemoveTree
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import (
    MakeSymbolicLink,
    Metadata,
    Operation,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    Rename,
    StreamOperation,
    Truncate,
    Write,
    changes_names,
    paths_of,
)
from bodydouble_labs.providers.sim_order import touches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.campaign.elements import QueuedElements
    from tests.campaign.station import Station

    from bodydouble.replication.protocol import Body, Item
    from bodydouble.replication.replica import Replica
    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble_sim.storage.volume import Volume


_ON_FILES = (Write, Truncate, PunchHole, RemoveFile)


class Carrying:
    """Follows one target's replica.

    Args:
        target: whose.
        elements: of the source.
        problem: hears what may not be.

    Attributes:
        judged: how many changes of the replica were traced to an element.
        handed: somebody else changes the replica at this moment.
    """

    def __init__(self, target: Station, elements: QueuedElements, problem: Callable[[str], None]) -> None:
        self.judged = 0
        self.handed = True
        self._target = target
        self._elements = elements
        self._problem = problem
        self._bodies: list[Body] | None = None
        self._at = -1
        self._done: set[int] = set()
        self._echoes = 0
        self._last: AnyOperation | None = None
        """A change, and how often it may be told once more: under each further name of its file."""
        self._mirroring = False
        target.witness.listeners.append(self._follow)

    def stop(self) -> None:
        """The daemon is another one from now on: what it was at is cut off."""
        self._bodies = None

    def begin(self, replica: Replica, items: Sequence[Item]) -> None:
        """These elements are about to be carried out."""
        self._bodies, self._at, self._done, self._echoes = [item.body for item in items], -1, set(), 0
        self._mirroring = replica.mirroring
        expected = replica.applied
        for item in items:
            expected += 1
            queued = self._elements.find(replica.stream, item.sequence)
            if item.sequence != expected:
                self._problem(f"element {item.sequence} is carried out, the next one is {expected}")
                return
            if queued is None or queued.body != item.body:
                said = "nothing" if queued is None else _named(queued.body)
                self._problem(f"element {item.sequence} is carried out as {_named(item.body)}, queued was {said}")
            elif isinstance(item.body, Orphans):
                self._check_orphans(queued.kinds)

    def _check_orphans(self, kinds: Mapping[str, str]) -> None:
        """What is removed as an orphan may only have the name of something else that the source has."""
        for path, kind in kinds.items():
            entry = self._target.volumes["C"].stat(path)
            if entry is not None and entry.kind == kind:
                self._problem(f"{path} is removed as an orphan, and when that was queued the source had that {kind}")

    def end(self, replica: Replica, *, complete: bool) -> None:
        """They were; ``complete``: for the first time, and nobody's hands were in the replica."""
        bodies, self._bodies = self._bodies or [], None
        done = [bodies[at] for at in self._done]
        for at, body in enumerate(bodies):
            if not isinstance(body, Operation) or self._is_among(body, done) or not (self._mirroring or complete):
                continue
            if not self._passed_over(replica, bodies, at):
                self._problem(f"{_named(body)} was not carried out, and the replica has {body.path}")

    def _is_among(self, body: Body, done: Sequence[Body]) -> bool:
        """Whether an operation was done, perhaps under another name of its file."""
        volume, own = self._target.volumes["C"], getattr(body, "path", "")
        alike = [each.path for each in done if isinstance(each, Operation) and is_same_change(each, body)]
        return any(path.upper() == own.upper() or is_one_file(volume, path, own) for path in alike)

    def _passed_over(self, replica: Replica, bodies: Sequence[Body], at: int) -> bool:
        """Whether an operation could not be carried out, or need not be."""
        body = bodies[at]
        assert isinstance(body, Operation)
        if not self._mirroring:
            return isinstance(body, RemoveDirectory)  # something is in it that is not the source's to remove
        if replica._overflow or any(path in replica._skipped for path in paths_of(body)):
            return True
        if any(self._lacks(path, body) for path in paths_of(body)):
            return True
        return any(_near(body, later) for later in bodies[at + 1 :])  # it came to be behind it

    def _lacks(self, path: str, body: Operation) -> bool:
        entry = self._target.volumes["C"].stat(path)
        if entry is None or not isinstance(body, StreamOperation):
            return (
                entry is None
                or (isinstance(body, _ON_FILES) and entry.directory)
                or (isinstance(body, RemoveDirectory) and not entry.directory)
            )
        return body.stream.upper() not in [name.upper() for name, _ in entry.streams]

    # --- the replica's volume ---

    def _follow(self, operation: AnyOperation) -> None:
        if self.handed or not touches(operation, ROOT):
            return
        if self._bodies is None:
            self._problem(f"{_named(operation)} was done in the replica, and nothing is being carried out")
            return
        self.judged += 1
        if self._echoes and self._last is not None and is_same_change(self._last, operation):
            self._echoes -= 1
            return
        at = next((at for at in self._candidates() if self._explains(self._bodies[at], operation)), None)
        if at is None:
            self._problem(f"{_named(operation)} was done in the replica, and no element says it (any more)")
            return
        self._at = at
        self._done.add(at)
        entry = None if changes_names(operation) else self._target.volumes["C"].stat(operation.path)
        self._echoes, self._last = 0 if entry is None else entry.links - 1, operation

    def _candidates(self) -> list[int]:
        """From the next one on; while a mirror runs, what was done before something failed is done again one by one."""
        assert self._bodies is not None
        same = self._at >= 0 and isinstance(self._bodies[self._at], RemoveTree | Orphans)  # it removes many
        begin = self._at if same else self._at + 1
        again = [at for at in range(begin) if at in self._done] if self._mirroring else []
        return [*again, *range(begin, len(self._bodies))]

    def _explains(self, body: Body, operation: AnyOperation) -> bool:
        if isinstance(body, RemoveTree | Orphans):
            beneath = paths.is_beneath(operation.path.upper(), body.path.upper())
            return beneath and isinstance(operation, RemoveFile | RemoveDirectory)
        if not is_same_change(body, operation):
            return False
        assert isinstance(body, Operation)
        return body.path.upper() == operation.path.upper() or (
            not changes_names(body) and is_one_file(self._target.volumes["C"], body.path, operation.path)
        )


def is_same_change(one: Body, other: Body) -> bool:
    """Whether two operations say the same, of whatever path."""
    return isinstance(one, Operation) and type(one) is type(other) and _essence(one) == _essence(other)


def is_one_file(volume: Volume, one: str, other: str) -> bool:
    """Whether two names mean one file: a change to it is told under each."""
    found = [volume.stat(path) for path in (one, other)]
    return bool(found[0] and found[1] and found[0].identity and found[0].identity == found[1].identity)


def _essence(operation: Any) -> tuple[Any, ...]:
    """What an operation says besides its path, as far as a volume carries it out as it is."""
    values: list[Any] = []
    for field in msgspec.structs.fields(operation):
        value = getattr(operation, field.name)
        if field.name in ("path", "created_ns") or (field.name == "size" and isinstance(operation, PunchHole)):
            continue
        if field.name == "mtime_ns":
            value //= 100
        elif isinstance(value, Metadata):
            value = value.attributes
        elif isinstance(value, str) and not isinstance(operation, MakeSymbolicLink):
            value = value.upper()
        values.append(bytes(value) if isinstance(value, bytes | bytearray | memoryview) else value)
    return tuple(values)


def _near(body: Operation, later: Body) -> bool:
    """Whether a later element is about the same path, one above it or one beneath it."""
    if isinstance(later, Operation):
        others = paths_of(later)
    elif isinstance(later, RemoveTree | Orphans):
        others = (later.path,)
    else:
        return False
    pairs = [(path.upper(), other.upper()) for path in paths_of(body) for other in others]
    return any(paths.is_beneath(one, other) or paths.is_beneath(other, one) for one, other in pairs)


def _named(body: Any) -> str:
    renamed = f" to {body.new_path}" if isinstance(body, Rename) else ""
    return f"{type(body).__name__} {getattr(body, 'path', '')}{renamed}"
