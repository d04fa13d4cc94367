"""What a source queues, judged at the moment at which it is queued, whether a mirror runs or not.

- What an application does is queued at once, as it was done: in its order, and nothing is missing. A daemon that was
  started again queues what happened before out of the filter's records, as of the moment at which it was done.
- What the product adds (a mirror's elements, times of directories) says what the source has at that moment: a mirror
  reads while applications write, and may queue only what is still so.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from tests.campaign.changes import ROOT
from tests.campaign.truth import untrue

from bodydouble.replication.protocol import Orphans, RemoveTree
from bodydouble.replication.stream import SourceStream
from bodydouble.replication.translate import translate
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import Operation, Rename
from bodydouble_labs.providers.sim_order import touches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.campaign.station import Station

    from bodydouble.replication.protocol import Body
    from bodydouble.vocabulary.operations import AnyOperation


_MOST_PARTS = 4
"""More elements than one operation becomes in a campaign, but for the last."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a stream as it was queued.

    Attributes:
        body: what was queued.
        moment: the number of the source's state then.
        application: an application did it; otherwise it is the product's own.
        kinds: what the source had where the element removes something, by path.
    """

    body: Body
    moment: int
    application: bool
    kinds: Mapping[str, str] = field(default_factory=dict)


class QueuedElements:
    """Remembers every element of every stream of one source.

    Args:
        source: whose.
        moment: the number of its state now.
        problem: hears what may not be.

    Attributes:
        judged: how many elements of the product's own were held against the source.
    """

    def __init__(self, source: Station, moment: Callable[[], int], problem: Callable[[str], None]) -> None:
        self.judged = 0
        self._source = source
        self._moment = moment
        self._problem = problem
        self._streams: dict[str, dict[int, Element]] = {}
        self._offering = False
        self._told: int | None = None
        self._moments: dict[int, tuple[AnyOperation, int]] = {}
        self._due: AnyOperation | None = None
        self._stack = ExitStack()
        source.witness.listeners.append(self._done)

    def find(self, stream: str, number: int) -> Element | None:
        """An element by its number in its stream."""
        return self._streams.get(stream, {}).get(number)

    # --- listening ---

    def open(self) -> None:
        """Hear of everything that is queued, until `close`."""
        offer, queue = SourceStream._offer, SourceStream._queue_operation

        def offered(stream: SourceStream, root: str, operation: AnyOperation, **how: bool) -> None:
            self._due = None if operation == self._due else self._due
            self._offering, before = True, stream.queue.generated
            self._told = self._moments[id(operation)][1] if id(operation) in self._moments else None
            recalled = _recalls(stream)
            try:
                offer(stream, root, operation, **how)
            finally:
                self._offering, self._told = False, None
            if not recalled or stream.queue.generated > before:
                self._check_offered(stream, operation, before - (_MOST_PARTS if recalled else 0))

        def queued(stream: SourceStream, body: Body) -> bool:
            done = queue(stream, body)
            if done:
                self._note(stream, body)
            return done

        self._stack.enter_context(patch.object(SourceStream, "_offer", offered))
        self._stack.enter_context(patch.object(SourceStream, "_queue_operation", queued))

    def close(self) -> None:
        """Hear of nothing more."""
        self._stack.close()

    # --- judging ---

    def _live(self) -> SourceStream | None:
        """The stream that has to hear of what applications do now."""
        connection = self._source.connection
        stream = None if connection is None else connection.stream
        return stream if stream is not None and stream.alive and not stream.halted and stream._attachments else None

    def _done(self, operation: AnyOperation) -> None:
        """The source's volume did something."""
        self.check()
        self._moments[id(operation)] = operation, self._moment()
        if touches(operation, ROOT) and self._live() is not None:
            self._due = operation

    def check(self) -> None:
        """Whatever an application did was queued before anything else happens."""
        if self._due is not None and self._live() is not None:
            self._problem(f"{_named(self._due)} was done on the source and is not in its stream")
        self._due = None

    def _check_offered(self, stream: SourceStream, operation: AnyOperation, before: int) -> None:
        if not stream.alive or stream.halted:
            return  # it says so itself: the queue was exhausted
        elements = self._streams[stream.name]
        numbers = range(before + 1, stream.queue.generated + 1)
        queued = [elements[number].body for number in numbers if number in elements]
        if missing := [each for each in _expected(operation) if each not in queued]:
            self._problem(f"{_named(operation)} was done on the source, and its stream lacks {_named(missing[0])}")

    def _note(self, stream: SourceStream, body: Body) -> None:
        volume = self._source.volumes["C"]
        kinds = {path: found.kind for path in _removed(body) if (found := volume.stat(path)) is not None}
        element = Element(body, self._told or self._moment(), self._offering, kinds)
        self._streams.setdefault(stream.name, {})[stream.queue.generated] = element
        if not self._offering and isinstance(body, Operation):
            self.judged += 1
            if why := untrue(body, volume):
                self._problem(f"{_named(body)} was queued by the product, and that is not what the source has: {why}")


def _recalls(stream: SourceStream) -> bool:
    """Whether the stream is being told of what the filter has kept; of that the target may have a part."""
    return stream._translate is not translate


def _expected(operation: AnyOperation) -> list[Body]:
    """What has to be queued of an operation, at least."""
    if not isinstance(operation, Rename):
        return [operation]
    inside = [paths.is_beneath(path.upper(), ROOT.upper()) for path in (operation.path, operation.new_path)]
    if all(inside):
        return [operation]
    return [RemoveTree(operation.path if inside[0] else operation.new_path)]


def _removed(body: Body) -> list[str]:
    if isinstance(body, Orphans):
        return [paths.join(body.path, name) if name else body.path for name in body.names]
    return [body.path] if isinstance(body, RemoveTree) else []


def _named(body: Any) -> str:
    return f"{type(body).__name__} {body.path}"


__all__ = ["Element", "QueuedElements"]
