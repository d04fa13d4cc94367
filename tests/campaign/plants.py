"""Defects to plant in the product: what each campaign must see."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from tests.campaign.changes import ROOT

from bodydouble.replication import translate
from bodydouble.replication.applier import Applier
from bodydouble.replication.directory_times import DirectoryTimes
from bodydouble.replication.mirror import Mirror
from bodydouble.replication.protocol import RemoveTree
from bodydouble.replication.queue import Queued, SourceQueue
from bodydouble.replication.replica import Replica
from bodydouble.replication.stream import SourceStream
from bodydouble.replication.target_queue import TargetQueue
from bodydouble.replication.touches import FileWatch, Touches
from bodydouble.vocabulary.operations import Metadata, Operation, SetMetadata, SetTimes, Truncate
from bodydouble_sim.ports.file_system import SimFileSystem
from bodydouble_sim.storage.attached_filter import AttachedFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from bodydouble.replication.groups import Window
    from bodydouble.replication.protocol import Item, ListedEntry
    from bodydouble.vocabulary.operations import AnyOperation, Entry

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

    async def forgetful(self: Applier, applied: int, *, mirroring: bool, stream: str) -> None:
        if not applied:
            await record(self, applied, mirroring=mirroring, stream=stream)

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


def hidden_from_the_stream(patch: pytest.MonkeyPatch) -> None:
    """The filter keeps some changes to itself."""
    sees = AttachedFilter.sees
    patch.setattr(AttachedFilter, "sees", lambda self, done: not isinstance(done, SetMetadata) and sees(self, done))


def lost_on_the_way_into_the_stream(patch: pytest.MonkeyPatch) -> None:
    """Some changes are taken for nothing."""
    split = translate._split
    patch.setattr(translate, "_split", lambda each: [] if isinstance(each, Truncate) else split(each))


def times_of_before(patch: pytest.MonkeyPatch) -> None:
    """What is done in a directory while its time is read is not noticed."""
    settle = DirectoryTimes._send

    async def late(self: DirectoryTimes, path: str) -> None:
        put = self._put
        entry = await self._file_system.stat(path)
        await asyncio.sleep(1.0)
        if entry is not None and entry.kind == "directory":
            put(SetTimes(path, entry.mtime_ns))
        await settle(self, path)

    patch.setattr(DirectoryTimes, "_send", late)


def left_out_of_a_group(patch: pytest.MonkeyPatch) -> None:
    """An element is passed over before it is carried out."""
    following = TargetQueue.following

    async def short(self: TargetQueue, window: Window) -> list[Item]:
        items = await following(self, window)
        return items[1:] if len(items) > 2 else items

    patch.setattr(TargetQueue, "following", short)


def passed_over_while_mirroring(patch: pytest.MonkeyPatch) -> None:
    """While a mirror runs, the last of several operations is not carried out."""
    tolerantly = Replica._apply_tolerantly

    async def but_one(self: Replica, operations: list[AnyOperation]) -> None:
        await tolerantly(self, operations[:-1] if len(operations) > 1 else operations)

    patch.setattr(Replica, "_apply_tolerantly", but_one)


def backwards_while_mirroring(patch: pytest.MonkeyPatch) -> None:
    """While a mirror runs, operations are carried out from the last to the first."""
    tolerantly = Replica._apply_tolerantly

    async def backwards(self: Replica, operations: list[AnyOperation]) -> None:
        await tolerantly(self, operations[::-1])

    patch.setattr(Replica, "_apply_tolerantly", backwards)


def changed_out_of_turn(patch: pytest.MonkeyPatch) -> None:
    """The target changes the replica by itself."""
    flush = Replica.flush

    async def meddling(self: Replica) -> None:
        await self._file_system.apply([SetMetadata(ROOT, Metadata(2))], durable=False)
        await flush(self)

    patch.setattr(Replica, "flush", meddling)


def taken_for_equal(patch: pytest.MonkeyPatch) -> None:
    """A mirror takes every file that the replica has for equal."""

    async def same(_self: Mirror, _here: Entry, there: ListedEntry | None, _mark: int) -> bool:
        return there is not None

    patch.setattr(Mirror, "_is_same", same)


def taken_for_orphans(patch: pytest.MonkeyPatch) -> None:
    """A mirror has files removed that the source has."""
    match = Mirror._match

    async def removing(self: Mirror, here: Entry, there: ListedEntry | None, mark: int) -> None:
        if there is not None and here.kind == "file":
            await self._orphans.take(there.entry, mark)
        await match(self, here, there, mark)

    patch.setattr(Mirror, "_match", removing)


class Planted(NamedTuple):
    """A defect, the rules of a workload that concern it (the campaign has them all), and what has to be said of it."""

    plant: Plant
    rules: tuple[str, ...]
    seen: str


MIRRORS = ("flood", "fall", "write_while_it_is_mirrored")
PLANTS: dict[str, Planted] = {
    each.plant.__name__: each
    for each in (
        Planted(swapped, (), "is carried out as"),
        Planted(acknowledged_too_early, ("fall_with_a_full_queue",), "acknowledged|nothing says why"),
        Planted(
            applied_twice,
            ("fall",),
            "earlier state|never had|not what the source was|removed as an orphan|recorded as applied",
        ),
        Planted(dropped_at_reconnect, ("restart", "pull_the_cable"), "is carried out as"),
        Planted(mirrored_over_newer, ("write_while_it_is_mirrored",), "that is not what the source has"),
        Planted(exhausted_in_silence, ("flood",), "lacks|is not in its stream"),
        Planted(hidden_from_the_stream, MIRRORS, "SetMetadata .* is not in its stream"),
        Planted(lost_on_the_way_into_the_stream, MIRRORS, "its stream lacks Truncate"),
        Planted(times_of_before, MIRRORS, "SetTimes .* that is not what the source has"),
        Planted(left_out_of_a_group, (), "is carried out, the next one is"),
        Planted(passed_over_while_mirroring, MIRRORS, "was not carried out, and the replica has"),
        Planted(backwards_while_mirroring, MIRRORS, "no element says it"),
        Planted(changed_out_of_turn, (), "nothing is being carried out|no element says it"),
        Planted(taken_for_equal, MIRRORS, "not what the source was when that was queued"),
        Planted(taken_for_orphans, MIRRORS, "is removed as an orphan"),
    )
}
