"""Defects to plant in the product: what each campaign must see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.campaign.changes import ROOT

from bodydouble.replication.applier import Applier
from bodydouble.replication.protocol import RemoveTree
from bodydouble.replication.queue import Queued, SourceQueue
from bodydouble.replication.stream import SourceStream
from bodydouble.replication.touches import FileWatch, Touches
from bodydouble.vocabulary.operations import Operation
from bodydouble_sim.ports.file_system import SimFileSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from bodydouble.vocabulary.operations import AnyOperation

    Plant = Callable[[pytest.MonkeyPatch], None]


def swapped(patch: pytest.MonkeyPatch) -> None:
    """The last two operations that are sent together change places."""
    take = SourceQueue.take

    def swapping(self: SourceQueue, max_bytes: int, max_operations: int) -> list[Queued]:
        taken = take(self, max_bytes, max_operations)
        if len(taken) > 1 and all(isinstance(each.body, Operation) for each in taken[-2:]):
            one, other = taken[-2:]
            taken[-2:] = [Queued(one.sequence, other.body, one.weight), Queued(other.sequence, one.body, other.weight)]
        return taken

    patch.setattr(SourceQueue, "take", swapping)


def acknowledged_too_early(patch: pytest.MonkeyPatch) -> None:
    """The target's queue is not flushed before it is acknowledged."""
    apply = SimFileSystem.apply

    async def lazily(self: SimFileSystem, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        await apply(self, operations, durable=durable and "/target-queue-" not in operations[0].path)

    patch.setattr(SimFileSystem, "apply", lazily)


def applied_twice(patch: pytest.MonkeyPatch) -> None:
    """How far a replica is is written down at the beginning of a stream only."""
    record = Applier._record_position

    async def forgetful(self: Applier, applied: int, *, mirroring: bool) -> None:
        if not applied:
            await record(self, applied, mirroring=mirroring)

    patch.setattr(Applier, "_record_position", forgetful)


def dropped_at_reconnect(patch: pytest.MonkeyPatch) -> None:
    """The first operation that is to be sent again is lost."""
    rewind = SourceQueue.rewind

    def losing(self: SourceQueue, position: int) -> bool:
        resumed = rewind(self, position)
        if resumed and self._unsent and isinstance(self._unsent[0].body, Operation):
            lost = self._unsent.popleft()
            self._unsent.appendleft(Queued(lost.sequence, RemoveTree(f"{ROOT}/nothing"), lost.weight))
        return resumed

    patch.setattr(SourceQueue, "rewind", losing)


def mirrored_over_newer(patch: pytest.MonkeyPatch) -> None:
    """A mirror sends what it read, whatever applications did meanwhile."""
    patch.setattr(FileWatch, "patch", lambda _self, data, _offset, _limit: data)
    patch.setattr(Touches, "since", lambda _self, _path, _mark: False)


def exhausted_in_silence(patch: pytest.MonkeyPatch) -> None:
    """What does not fit into a full queue is left out, and that is all."""
    patch.setattr(SourceStream, "_exhausted", lambda _self, _why: None)


PLANTS: dict[str, tuple[Plant, tuple[str, ...]]] = {
    plant.__name__: (plant, rules)
    for plant, rules in (
        (swapped, ()),
        (acknowledged_too_early, ("fall_with_a_full_queue",)),
        (applied_twice, ("fall",)),
        (dropped_at_reconnect, ("restart", "pull_the_cable")),
        (mirrored_over_newer, ("write_while_it_is_mirrored",)),
        (exhausted_in_silence, ("flood",)),
    )
}
"""Each with the rules of a workload that concern it; the campaign has them all."""
