"""Received operations survive every power cut of the target, and applying them again never corrupts."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.product.replication.cuts import CuttableVolume, PowerLost
from tests.product.replication.memory import Body as FileBody
from tests.product.replication.memory import MemoryVolume, memory_host

from bodydouble.errors import FileSystemError
from bodydouble.replication import groups, target_queue
from bodydouble.replication.applier import Applier, PositionRecord
from bodydouble.replication.context import Context
from bodydouble.replication.groups import Group, Window
from bodydouble.replication.journal.journal import Journal
from bodydouble.replication.protocol import Item, ListRequest, MirrorComplete, MirrorStart, Placement, RemoveTree
from bodydouble.replication.replica import Replica, ReplicaRecord
from bodydouble.replication.rules import fold
from bodydouble.replication.settings import ReplicationSettings
from bodydouble.replication.target_queue import TargetQueue
from bodydouble.security.trust import Trust
from bodydouble.state.events import EventLog
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeStream,
    MakeSymbolicLink,
    Metadata,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    RemoveStream,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    TruncateStream,
    Write,
    WriteStream,
)
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from bodydouble.replication.protocol import Body

ROOT = "C:/w"
SET = ReplicationSet(name="w", rules=[Rule(path=ROOT)])
FILES = [f"{ROOT}/a", f"{ROOT}/b", f"{ROOT}/d/a", f"{ROOT}/d/b", f"{ROOT}/e/a"]
DIRECTORIES = [f"{ROOT}/d", f"{ROOT}/e"]
HIDDEN = Metadata(2)


class TargetMachine:
    """One replica with its queue on a volume that can lose its power; `load` is the daemon's start."""

    def __init__(self, volume: Any, *, tells_case: bool = False) -> None:
        self.volume = volume
        self.host = memory_host("TARGET", volume)
        self.store = StateStore(volume, "C:/state", self.host.clock)
        self.events = EventLog(volume, "C:/state", self.host.clock)
        settings = ReplicationSettings(retry_interval=0.001, settle_interval=0.0)
        trust = Trust(self.host, self.store, self.events)
        self.context = Context(self.host, settings, self.events, ["C:/state"], trust)
        record = ReplicaRecord(
            number=1, source="SOURCE", replication_set=SET, placement=Placement(case_sensitive=tells_case)
        )
        self.replica = Replica(self.context, record, _saved)
        journal = Journal(volume, "C:/state/target-queue-1", self.host.clock, 2000)
        self.queue = TargetQueue(journal, 3000, self.replica.selection.key)
        self.applier = Applier(self.context, self.replica, self.queue, self.store, _spawn)

    async def receive(self, bodies: Sequence[Body]) -> None:
        first = self.queue.received + 1
        await self.queue.put([Item(first + at, body) for at, body in enumerate(bodies)])

    async def apply(self) -> None:
        self.applier.wake()
        if self.applier._task is not None:
            await self.applier._task


async def _saved(_replica: Replica) -> None:
    """The record is not what these tests are about."""


def _spawn(part: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    return asyncio.create_task(part, name=name)


# --- operation sequences that a source could have sent ----------------------------------------------------------------


def valid(drawn: Sequence[AnyOperation], *, tells_case: bool = False) -> list[AnyOperation]:
    """Those of the drawn operations that a volume carries out; a created file is cut, as `translate` has it."""
    return modelled(drawn, tells_case=tells_case)[0]


def modelled(drawn: Sequence[AnyOperation], *, tells_case: bool) -> tuple[list[AnyOperation], MemoryVolume]:
    """The same, and what becomes of the volume."""
    model = MemoryVolume(case_sensitive=tells_case)
    made: list[AnyOperation] = []
    for path in ("C:", ROOT):
        model.nodes[model.key(path)] = dataclasses.replace(model.nodes["/"], path=path, body=FileBody(0))
    for operation in drawn:
        fresh = model.get(operation.path) is None
        if isinstance(operation, CreateFile | MakeDirectory) and not fresh:
            continue
        try:
            model.change(operation)
        except FileSystemError:
            continue
        made.append(operation)
        if isinstance(operation, CreateFile):
            made += [Truncate(operation.path, 0, operation.mtime_ns), RemoveStream(operation.path, "")]
    return made, model


paths_ = st.sampled_from(FILES)
places = st.sampled_from(FILES + DIRECTORIES)
contents = st.builds(lambda byte, size: bytes([byte]) * size, st.integers(1, 255), st.sampled_from([1, 600, 5000]))
streams = st.sampled_from(["s", "t"])
times = st.integers(1, 9).map(lambda n: n * 1_000_000_000)
operations = st.one_of(
    st.builds(CreateFile, paths_, st.just(Metadata()), times),
    st.builds(Write, paths_, st.sampled_from([0, 100, 4096]), contents, times),
    st.builds(Write, paths_, st.sampled_from([0, 100, 4096]), contents, times),
    st.builds(Truncate, paths_, st.sampled_from([0, 50, 4500]), times),
    st.builds(PunchHole, paths_, st.sampled_from([0, 50]), st.sampled_from([0, 20, 70_000]), times),
    st.builds(Rename, paths_, paths_),
    st.builds(MakeHardLink, paths_, paths_),
    st.builds(Rename, st.sampled_from(DIRECTORIES), st.sampled_from([*DIRECTORIES, f"{ROOT}/d/sub"])),
    st.builds(RemoveFile, paths_),
    st.builds(MakeDirectory, st.sampled_from(DIRECTORIES), st.just(Metadata())),
    st.builds(RemoveDirectory, st.sampled_from(DIRECTORIES)),
    st.builds(SetMetadata, places, st.just(HIDDEN)),
    st.builds(SetTimes, places, times, st.sampled_from([0, 1_000_000_000])),
    st.builds(MakeStream, places, streams),
    st.builds(WriteStream, places, streams, st.sampled_from([0, 100]), contents),
    st.builds(TruncateStream, places, streams, st.sampled_from([0, 50])),
    st.builds(RemoveStream, places, streams | st.just("")),
)
START: list[AnyOperation] = [
    MakeDirectory(f"{ROOT}/d", Metadata()),
    CreateFile(f"{ROOT}/a", Metadata(), 1_000_000_000),
    Write(f"{ROOT}/a", 0, b"old a" * 900, 2_000_000_000),
    MakeStream(f"{ROOT}/a", "s"),
    WriteStream(f"{ROOT}/a", "s", 0, b"old stream" * 90),
    CreateFile(f"{ROOT}/d/b", Metadata(), 1_000_000_000),
    Write(f"{ROOT}/d/b", 0, b"old b" * 2000, 2_000_000_000),
]


def picture(volume: CuttableVolume, directory: str = ROOT) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for entry in volume.volume.list(directory):
        data = b"" if entry.directory else volume.volume.read(entry.path)
        time = 0 if entry.directory else entry.mtime_ns
        hidden = {name: volume.volume.read(f"{entry.path}:{name}") for name, _ in entry.streams}
        found[entry.path] = (entry.directory, data, time, entry.metadata.attributes, hidden)
        if entry.directory:
            found.update(picture(volume, entry.path))
    return found


async def prepared(
    kind: str, seed: int, upfront: Sequence[AnyOperation], bodies: Sequence[Body], *, tells_case: bool = False
) -> TargetMachine:
    """A target that has applied ``upfront`` and received ``bodies``."""
    volume = CuttableVolume(kind, seed)
    for path in ("C:/state", ROOT):
        await volume.apply([MakeDirectory(path, Metadata())])
    machine = TargetMachine(volume, tells_case=tells_case)
    await machine.applier.begin("stream")
    if upfront:
        await machine.receive(upfront)
        await machine.apply()
    await machine.receive(bodies)
    return machine


async def cut_everywhere(kind: str, seed: int, drawn: Sequence[AnyOperation], second: int, part: int = 1024) -> int:
    """Apply with a power cut at each step in turn, and a second one during the replay; how many cuts there were.

    So many elements are applied at a time; what is settled is settled while the next ones are.
    """
    with patch.object(target_queue, "MAX_PART_ITEMS", part):
        return await _cut_everywhere(kind, seed, drawn, second)


async def _cut_everywhere(kind: str, seed: int, drawn: Sequence[AnyOperation], second: int) -> int:
    made = valid([*START, *drawn])
    upfront = valid(START)
    bodies = made[len(upfront) :]
    if not bodies:
        return 0
    whole = await prepared(kind, seed, upfront, bodies)
    await whole.apply()
    expected = picture(whole.volume)
    cut_at = 0
    while True:
        cut_at += 1
        machine = await prepared(kind, seed, upfront, bodies)
        if not await cut_while_applying(machine, cut_at):
            return cut_at - 1
        machine = TargetMachine(machine.volume)
        await machine.applier.load()
        await cut_while_applying(machine, second)
        machine = TargetMachine(machine.volume)
        await machine.applier.load()
        await machine.apply()
        assert machine.queue.applied == len(made)
        assert machine.replica.stream == "stream"
        assert picture(machine.volume) == expected


async def cut_while_applying(machine: TargetMachine, cut_at: int) -> bool:
    machine.volume.cut_at = machine.volume.steps + cut_at
    try:
        await machine.apply()
    except PowerLost:
        machine.volume.lose_power()
        return True
    machine.volume.cut_at = 0
    return False


@settings(max_examples=40, deadline=None)
@given(
    drawn=st.lists(operations, min_size=1, max_size=12),
    kind=st.sampled_from(["ntfs 4", "ntfs 5"]),
    seed=st.integers(0, 1 << 20),
    second=st.integers(1, 12),
    part=st.sampled_from([1, 2, 1024]),
)
@example([Write(FILES[0], 0, b"x", 3), Rename(FILES[0], FILES[1])], "ntfs 5", 1, 2, 1)
@example(
    [
        CreateFile(FILES[1], Metadata(), 1_000_000_000),
        Write(FILES[1], 0, b"new", 1_000_000_000),
        Rename(FILES[1], FILES[0]),
    ],
    "ntfs 5",
    3,
    4,
    1024,
)
@example([Rename(FILES[0], FILES[1]), Rename(FILES[3], FILES[0]), Rename(FILES[1], FILES[3])], "ntfs 5", 5, 3, 1)
def test_power_cut_at_any_step_of_applying_and_of_the_replay_leads_to_the_model(
    drawn: list[AnyOperation], kind: str, seed: int, second: int, part: int
) -> None:
    asyncio.run(cut_everywhere(kind, seed, drawn, second, part))


SWAP = [Rename(FILES[0], FILES[1]), Rename(FILES[3], FILES[0]), Rename(FILES[1], FILES[3])]
SAVE_OVER = [Write(FILES[0], 0, b"n" * 5000, 3_000_000_000), Rename(FILES[0], FILES[3])]
GONE = [Write(FILES[0], 0, b"n" * 5000, 3_000_000_000), RemoveFile(FILES[0])]


@pytest.mark.parametrize("drawn", [SWAP, SAVE_OVER, GONE], ids=["names swapped", "write and rename", "write, remove"])
def test_groups_without_borders_are_caught_by_the_power_cuts(
    drawn: list[AnyOperation], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def many() -> None:
        for seed in range(4):
            await cut_everywhere("ntfs 5", seed, drawn, 100)

    asyncio.run(many())
    monkeypatch.setattr(Group, "_fits", lambda _self, _body: True)
    with pytest.raises(AssertionError):
        asyncio.run(many())


def test_replay_that_takes_missing_names_for_errors_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_self: Replica, _operation: AnyOperation) -> bool:
        return False

    monkeypatch.setattr(Replica, "_was_done", never)
    with pytest.raises(AssertionError):
        asyncio.run(cut_everywhere("ntfs 5", 1, SWAP, 100))


def test_position_recorded_before_the_group_is_durable_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hasty(_self: Replica) -> None:
        """Say that it is durable, and do nothing for it."""

    monkeypatch.setattr(Replica, "flush", hasty)

    async def many() -> None:
        for seed in range(20):
            await cut_everywhere("ntfs 5", seed, [Write(FILES[0], 0, b"n" * 9000, 3_000_000_000), *SWAP], 100)

    with pytest.raises(AssertionError):
        asyncio.run(many())


def test_what_was_applied_during_a_settling_and_is_forgotten_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: Window) -> None:
        self._groups = [Group(fold)]

    busy: list[AnyOperation] = [
        Write(FILES[3], 0, b"x", 3_000_000_000),
        *SWAP,
        Write(FILES[0], 0, b"n" * 5000, 4_000_000_000),
        *SWAP,
    ]

    async def many() -> None:
        for seed in range(4):
            await cut_everywhere("ntfs 5", seed, busy, 100, part=1)

    asyncio.run(many())
    monkeypatch.setattr(Window, "settled", forgetful)
    with pytest.raises(AssertionError):
        asyncio.run(many())


def test_what_a_failed_flush_leaves_in_doubt_is_applied_again() -> None:
    async def scenario() -> None:
        bodies = valid([*START, Write(f"{ROOT}/a", 0, b"n" * 9000, 5_000_000_000), *SWAP])
        machine = await prepared("ntfs 5", 0, [], bodies)
        machine.volume.failing_flushes = 3
        await machine.apply()
        assert machine.queue.pending == 0
        whole = await prepared("ntfs 5", 0, [], bodies)
        await whole.apply()
        assert picture(machine.volume) == picture(whole.volume)
        assert len(machine.volume.applied) > len(whole.volume.applied)
        codes = [event.code for event in machine.events.after(0)]
        assert codes[0] == EventCode.APPLYING_WAITS
        assert codes[-1] == EventCode.APPLYING_RESUMED

    asyncio.run(scenario())


def test_position_follows_what_is_applied_and_an_orderly_stop_leaves_nothing_to_repeat() -> None:
    async def scenario() -> None:
        machine = await prepared("ntfs 5", 0, [], START)
        machine.context.settings = msgspec.structs.replace(machine.context.settings, settle_interval=1000.0)
        machine.applier.wake()
        await machine.applier.drained()
        assert machine.replica.applied == len(START)
        stored = await machine.store.load("target-position-1", PositionRecord)
        assert stored == PositionRecord("stream", 0)
        await machine.applier.stop()
        stored = await machine.store.load("target-position-1", PositionRecord)
        assert stored == PositionRecord("stream", len(START))

    asyncio.run(scenario())


# --- groups -----------------------------------------------------------------------------------------------------------


def grouped(*bodies: Body) -> list[int]:
    """Lengths of the groups that the elements fall into."""
    lengths: list[int] = []
    group = Group(fold)
    for body in bodies:
        if not lengths or not group.take(body):
            group = Group(fold)
            assert group.take(body)
            lengths.append(0)
        lengths[-1] += 1
    return lengths


def saved(name: str, over: str) -> list[Body]:
    """What an editor's save is."""
    made: list[Body] = [CreateFile(name, Metadata(), 1), Truncate(name, 0, 1), Write(name, 0, b"x", 1)]
    return [*made, Rename(name, over)]


W, R = "/w/x", "/w/y"


@pytest.mark.parametrize(
    ("bodies", "lengths"),
    [
        ([Write(W, 0, b"", 1), Truncate(W, 0, 1), SetTimes(W, 1)], [3]),
        ([Write(W, 0, b"", 1), Rename(W, R)], [1, 1]),
        ([Write(R, 0, b"", 1), Rename(W, R)], [1, 1]),
        ([Rename(W, R), Write(R, 0, b"", 1)], [1, 1]),
        ([Rename(W, R), CreateFile("/W/X", Metadata(), 1)], [1, 1]),
        ([Rename(W, R), Write(f"{R}/in/it", 0, b"", 1)], [1, 1]),
        ([Rename(W, R), SetMetadata("/w", Metadata())], [1, 1]),
        ([Write(f"{W}/in/it", 0, b"", 1), Rename(W, R)], [1, 1]),
        ([MakeDirectory("/w", Metadata()), Rename(W, R)], [2]),
        ([RemoveFile(f"{W}/a"), RemoveFile(f"{W}/b"), RemoveDirectory(W), RemoveTree(W)], [4]),
        ([RemoveFile(W), CreateFile(W, Metadata(), 1), Write(W, 0, b"", 1), Rename(W, R)], [4]),
        ([RemoveFile(W), MakeDirectory(W, Metadata())], [1, 1]),
        ([RemoveFile(W), MakeSymbolicLink(W, "x", Metadata(), 1)], [1, 1]),
        ([RemoveFile(W), Rename(R, W)], [1, 1]),
        ([Rename(R, W), RemoveFile(W)], [1, 1]),
        ([*saved("/w/t1", W), *saved("/w/t2", R)], [8]),
        ([*saved("/w/t1", W), *saved("/w/t2", W)], [8]),
        ([*saved("/w/t", W), *saved("/w/t", R)], [8]),
        ([*saved("/w/t", W), Write(W, 0, b"", 1), Rename(W, R), RemoveFile(R), *saved(R, W)], [11]),
        ([*saved("/w/t", W), Rename(R, W)], [4, 1]),
        ([*saved("/w/t", W), Rename(R, "/w/t")], [4, 1]),
        ([Write(R, 0, b"", 1), *saved("/w/t", R)], [4, 1]),
        ([*saved("/w/t", W)[:3], MakeHardLink(R, "/w/t"), Rename("/w/t", W)], [4, 1]),
        ([Write(W, 0, b"", 1), MakeHardLink(W, R)], [1, 1]),
        ([CreateFile(W, Metadata(), 1), Write(W, 0, b"", 1), Truncate(W, 0, 1), Rename(W, R)], [3, 1]),
        ([Write(W, 0, b"", 1), MirrorStart(), Write(W, 0, b"", 1), MirrorComplete()], [1, 1, 1, 1]),
        ([Write(W, 0, b"", 1), ListRequest(W, True, "", False), Write(R, 0, b"", 1)], [3]),
    ],
)
def test_groups_end_where_repeating_would_not_be_safe(bodies: list[Body], lengths: list[int]) -> None:
    assert grouped(*bodies) == lengths


@given(drawn=st.lists(operations, max_size=30))
def test_names_are_found_as_a_plain_search_finds_them(drawn: list[AnyOperation]) -> None:
    names = groups._Names()
    for operation in drawn:
        names.add(operation.path)
    for path in (*FILES, *DIRECTORIES, ROOT, "C:", f"{ROOT}/d/a/b"):
        inside = [each.path for each in drawn if each.path == path or each.path.startswith(path + "/")]
        around = [each.path for each in drawn if path.startswith(each.path + "/")]
        assert names.hold(path) == bool(inside)
        assert names.near(path) == bool(inside or around)


# --- the queue --------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_into_memory_is_applied_from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_queue, "MAX_PART_ITEMS", 7)

    async def scenario() -> None:
        many = [SetTimes(f"{ROOT}/a", n * 1_000_000_000) for n in range(1, 60)]
        machine = await prepared("ntfs 5", 0, START, many)
        assert len(machine.queue._window) < 20
        await machine.apply()
        assert [each for each in machine.volume.applied if isinstance(each, SetTimes)] == many
        assert machine.queue.pending == 0

    asyncio.run(scenario())


def test_full_volume_holds_the_queue_until_there_is_room_and_loses_nothing() -> None:
    async def scenario() -> None:
        bodies = valid([*START, Write(f"{ROOT}/a", 0, b"n" * 200_000, 5_000_000_000), *SWAP])
        machine = await prepared("ntfs 5", 0, [], bodies)
        machine.volume.volume.disk.fill(leave=8192)
        machine.applier.wake()
        await machine.applier.drained()
        assert "no_space" in machine.applier.waiting
        assert machine.queue.pending
        machine.volume.volume.disk.unfill()
        await machine.apply()
        assert machine.queue.pending == 0
        codes = [event.code for event in machine.events.after(0)]
        assert codes == [EventCode.APPLYING_WAITS, EventCode.APPLYING_RESUMED]

    asyncio.run(scenario())


def test_queue_that_was_damaged_on_disk_ends_in_a_divergence_with_an_event() -> None:
    async def scenario() -> None:
        machine = await prepared("ntfs 5", 0, [], [SetTimes(f"{ROOT}/a", n) for n in range(200)])
        for entry in machine.volume.volume.list("C:/state/target-queue-1"):
            machine.volume.volume.write(entry.path, 1500, b"damage")
        await machine.apply()
        assert machine.replica.stream == ""
        assert any("diverged" in event.text for event in machine.events.after(0))

    asyncio.run(scenario())


def test_interrupted_mirror_looks_at_everything_again_after_a_restart() -> None:
    async def scenario() -> None:
        machine = await prepared("ntfs 5", 0, [], [MirrorStart(), *START])
        await machine.apply()
        again = TargetMachine(machine.volume)
        await again.applier.load()
        assert again.replica.mirroring
        assert again.replica._overflow
        stored = await again.store.load("target-position-1", PositionRecord)
        assert stored == PositionRecord("stream", 1 + len(START), mirroring=True)

    asyncio.run(scenario())


# --- one stream after another -----------------------------------------------------------------------------------------


def refuse(monkeypatch: pytest.MonkeyPatch, of: object, name: str) -> None:
    async def full(*_arguments: object) -> None:
        raise FileSystemError("no_space", "C:/state")

    monkeypatch.setattr(of, name, full)


def test_stream_that_cannot_be_recorded_leaves_the_earlier_one_going_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        machine = await prepared("ntfs 5", 0, [], [MirrorStart(), *START])
        with monkeypatch.context() as patched:
            refuse(patched, machine.store, "save")
            with pytest.raises(FileSystemError):
                await machine.applier.begin("next")
        await machine.apply()
        stored = await machine.store.load("target-position-1", PositionRecord)
        assert stored == PositionRecord("stream", 1 + len(START), mirroring=True)

    asyncio.run(scenario())


def test_nothing_is_applied_of_a_queue_in_whose_place_no_other_could_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        machine = await prepared("ntfs 5", 0, [], START)
        with monkeypatch.context() as patched:
            refuse(patched, machine.queue, "begin")
            with pytest.raises(FileSystemError):
                await machine.applier.begin("next")
        await machine.apply()
        assert (machine.replica.stream, machine.replica.applied, machine.queue.pending) == ("", 0, 0)
        await machine.applier.begin("next")
        await machine.receive(START)
        await machine.apply()
        assert (machine.replica.stream, machine.replica.applied) == ("next", len(START))

    asyncio.run(scenario())


def test_what_an_earlier_stream_had_begun_excuses_nothing_in_the_next() -> None:
    """A file that is renamed and missing was renamed already only if this very element was begun before."""

    async def scenario() -> None:
        machine = await prepared("ntfs 5", 0, START, START)
        await machine.apply()
        await machine.applier.begin("next")
        await machine.receive([Rename(f"{ROOT}/missing", f"{ROOT}/a")])
        await machine.apply()
        assert any("diverged" in event.text for event in machine.events.after(0))

    asyncio.run(scenario())
