"""The write-order watch: after every operation that the replica takes, is it equal to some earlier state of the source?

It sees what the volumes did through their observers and nothing of the product. The source's states are remembered by
hash since its last start; a replica's state is one look-up. States may only go forward in the source's history.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from bodydouble.vocabulary.operations import Rename
from bodydouble_labs.history import OrderViolation
from bodydouble_labs.providers.sim_shadow import Shadow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bodydouble.vocabulary.operations import AnyOperation, Entry
    from bodydouble_labs.history import History
    from bodydouble_sim.storage.volume import Volume

MOST_VIOLATIONS = 1000
"""Violations that are written down; a thousand tell as much as a million."""


class VolumeWitness:
    """Follows one volume from the moment it is made, and knows the hash of any directory on it."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self.listeners: list[Callable[[AnyOperation], None]] = []
        self.restarted: list[Callable[[], None]] = []
        self.shadow = Shadow(volume.root)
        self.restart()
        volume.add_observer(self._follow)

    def restart(self) -> None:
        """Read the volume again: a power loss changed it without an operation."""
        self.shadow = Shadow(self._volume.root)
        self.shadow.fill(_walk(self._volume, self._volume.root))
        for listener in self.restarted:
            listener()

    def _follow(self, operation: AnyOperation) -> None:
        self.shadow.apply(operation)
        for listener in self.listeners:
            listener(operation)


class SourceStates:
    """The states that a directory of the source went through since it was last started, by hash, numbered."""

    def __init__(self, witness: VolumeWitness, root: str) -> None:
        self._witness = witness
        self.root = root
        self._numbers: dict[int, list[int]] = {}
        self._last = 0
        self.restart()
        witness.listeners.append(self._follow)
        witness.restarted.append(self.restart)

    def restart(self) -> None:
        """Begin anew from the present state, as after a power loss."""
        self._numbers.clear()
        self._numbers[self._witness.shadow.value(self.root)] = [self._last]

    def find(self, state: int, begin: int) -> int | None:
        """The number of the first such state from ``begin`` on, None when there is none."""
        numbers = self._numbers.get(state, [])
        index = bisect_left(numbers, begin)
        return numbers[index] if index < len(numbers) else None

    def knows(self, state: int) -> bool:
        """Whether the source ever was in that state."""
        return state in self._numbers

    def _follow(self, operation: AnyOperation) -> None:
        if touches(operation, self.root):
            self._last += 1
            self._numbers.setdefault(self._witness.shadow.value(self.root), []).append(self._last)


class OrderWatch:
    """Compares a replica with the source's states until it is stopped or the replica's machine stands in.

    Args:
        source: the source's states.
        target: the replica's volume.
        elapsed: seconds since the run began.
        standing_in: whether applications may write to the replica now, because its machine stands in.
        place: where the replica is kept, if not where the source has it.
    """

    def __init__(
        self,
        source: SourceStates,
        target: VolumeWitness,
        history: History,
        elapsed: Callable[[], float],
        standing_in: Callable[[], bool],
        *,
        place: str = "",
    ) -> None:
        self._place = place or source.root
        self._source = source
        self._target = target
        self._history = history
        self._elapsed = elapsed
        self._standing_in = standing_in
        self._reached = 0
        self._violated = False
        self.active = True
        target.listeners.append(self._follow)
        self._compare("state when the mirror was complete")

    def stop(self) -> None:
        """Compare no more. Idempotent."""
        if self.active:
            self.active = False
            self._target.listeners.remove(self._follow)

    def application_wrote(self, operation: AnyOperation) -> None:
        """An application, not the product, changed the replica: that does not count, nor what follows.

        While nobody stands in, somebody's hands are in the replica and the watch is worth nothing: an error of the lab.
        """
        if not self.active:
            return
        self._history.order_checked -= 1
        if self._violated:
            self._history.order_violations.pop()
        self.stop()
        if not self._standing_in():
            problem = f"an application wrote {operation.path} on the replica while its order was watched"
            self._history.lab_errors.append(problem)

    def _follow(self, operation: AnyOperation) -> None:
        if touches(operation, self._place):
            self._compare(f"{type(operation).__name__} {operation.path}")

    def _compare(self, after: str) -> None:
        state = self._target.shadow.value(self._place)
        number = self._source.find(state, self._reached)
        self._history.order_checked += 1
        self._violated = number is None and len(self._history.order_violations) < MOST_VIOLATIONS
        if number is not None:
            self._reached = number
        elif self._violated:
            known = self._source.knows(state)
            what = "goes back to an earlier state of the source" if known else "is no state that the source ever had"
            violation = OrderViolation(self._elapsed(), f"after {after} the replica {what}")
            self._history.order_violations.append(violation)


def touches(operation: AnyOperation, root: str) -> bool:
    """Whether an operation changes something beneath ``root`` (in any case)."""
    return _beneath(operation.path, root) or (isinstance(operation, Rename) and _beneath(operation.new_path, root))


def _beneath(path: str, root: str) -> bool:
    size = len(root)
    return path[:size].upper() == root.upper() and path[size : size + 1] in ("", "/")


def _walk(volume: Volume, path: str) -> Iterator[tuple[Entry, bytes, dict[str, bytes]]]:
    for entry in volume.list(path):
        streams = {name: volume.read(f"{entry.path}:{name}") for name, _ in entry.streams}
        yield entry, b"" if entry.directory else volume.read(entry.path), streams
        if entry.directory:
            yield from _walk(volume, entry.path)
