from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
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
from bodydouble_labs.errors import LabError
from bodydouble_labs.history import History
from bodydouble_labs.providers.sim_order import OrderWatch, SourceStates, VolumeWitness, touches
from bodydouble_labs.providers.sim_shadow import PAGE, Shadow
from bodydouble_sim.storage.ntfs import NtfsVolume

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import AnyOperation

ROOT = "C:/InetPub"


class Pair:
    """A source and a replica of it, with the watch between them."""

    def __init__(self) -> None:
        self.history = History()
        self.source, self.target = (NtfsVolume("C", lambda: 1_000_000_000) for _ in range(2))
        self.operations: list[AnyOperation] = []
        for volume in (self.source, self.target):
            volume.mkdir(ROOT)
        self.source.add_observer(self.operations.append)
        self.source_witness, self.target_witness = VolumeWitness(self.source), VolumeWitness(self.target)
        self.states = SourceStates(self.source_witness, ROOT)
        self.standing_in = False
        self.watch: OrderWatch | None = None

    def begin(self) -> None:
        self.watch = OrderWatch(self.states, self.target_witness, self.history, lambda: 7.0, lambda: self.standing_in)
        self.target.add_filter(ROOT, self.watch.application_wrote)

    def work(self) -> None:
        self.source.mkdir(f"{ROOT}/wwwroot")
        self.source.create(f"{ROOT}/wwwroot/a.htm")
        self.source.write(f"{ROOT}/wwwroot/a.htm", 0, b"one")
        self.source.write(f"{ROOT}/wwwroot/a.htm", 3, b"two" * PAGE)
        self.source.create(f"{ROOT}/wwwroot/b.htm")
        self.source.write(f"{ROOT}/wwwroot/b.htm", 0, b"three")
        self.source.rename(f"{ROOT}/wwwroot", f"{ROOT}/Site")
        self.source.set_metadata(f"{ROOT}/Site/b.htm", Metadata(1, b"D:(A;;GR;;;WD)"))

    def replay(self, operations: list[AnyOperation]) -> None:
        self.target.apply(operations)


def test_an_ordered_replica_is_a_prefix_after_every_operation() -> None:
    pair = Pair()
    pair.begin()
    pair.work()
    pair.replay(pair.operations)
    assert pair.history.order_violations == []
    assert pair.history.order_checked == len(pair.operations) + 1


def test_a_replica_may_lag_behind_when_the_watch_begins() -> None:
    pair = Pair()
    pair.work()
    pair.begin()
    pair.replay(pair.operations)
    assert pair.history.order_violations == []


@pytest.mark.parametrize("index", [2, 3, 6, 7])
def test_a_lost_operation_is_seen(index: int) -> None:
    pair = Pair()
    pair.begin()
    pair.work()
    operations = list(pair.operations)
    del operations[index]
    if index == 6:  # without the rename nothing after it finds its file
        operations = [*operations[:6], SetMetadata(f"{ROOT}/wwwroot/b.htm", Metadata(1, b"D:(A;;GR;;;WD)"))]
    else:
        operations.append(SetTimes(ROOT, 5))
    pair.replay([*operations, MakeDirectory(f"{ROOT}/more", Metadata())])
    assert pair.history.order_violations
    assert pair.history.order_violations[0].at == 7.0


def test_two_swapped_operations_are_seen() -> None:
    pair = Pair()
    pair.begin()
    pair.work()
    operations = list(pair.operations)
    operations[3], operations[4] = operations[4], operations[3]
    pair.replay(operations)
    (violation,) = pair.history.order_violations
    assert violation.detail == f"after CreateFile {ROOT}/wwwroot/b.htm the replica is no state that the source ever had"


def test_a_step_back_in_the_sources_history_is_seen() -> None:
    pair = Pair()
    pair.begin()
    pair.source.create(f"{ROOT}/a")
    pair.source.create(f"{ROOT}/b")
    pair.replay(pair.operations)
    pair.replay([RemoveFile(f"{ROOT}/b")])
    (violation,) = pair.history.order_violations
    assert "goes back to an earlier state" in violation.detail


def test_a_state_that_the_source_comes_back_to_is_no_step_back() -> None:
    pair = Pair()
    pair.begin()
    for _ in range(3):
        pair.source.create(f"{ROOT}/a")
        pair.source.remove(f"{ROOT}/a")
    pair.replay(pair.operations)
    assert pair.history.order_violations == []


@pytest.mark.parametrize("change", [Metadata(2, b""), Metadata(0, b"other")])
def test_attributes_and_security_count(change: Metadata) -> None:
    pair = Pair()
    pair.begin()
    pair.source.create(f"{ROOT}/a")
    pair.replay(pair.operations)
    pair.replay([SetMetadata(f"{ROOT}/a", change)])
    assert len(pair.history.order_violations) == 1


def test_the_case_of_a_name_counts() -> None:
    pair = Pair()
    pair.begin()
    pair.source.create(f"{ROOT}/a")
    pair.replay([Rename(op.path, op.path) if isinstance(op, Rename) else op for op in pair.operations])
    pair.replay([Rename(f"{ROOT}/a", f"{ROOT}/A")])
    assert len(pair.history.order_violations) == 1


def test_times_do_not_count_and_other_directories_are_not_looked_at() -> None:
    pair = Pair()
    pair.begin()
    pair.replay([SetTimes(ROOT, 99), MakeDirectory("C:/InetPub2", Metadata()), MakeDirectory("C:/WINNT", Metadata())])
    assert pair.history.order_violations == []
    assert pair.history.order_checked == 2


def test_the_watch_ends_when_the_stand_in_is_written_to() -> None:
    pair = Pair()
    pair.begin()
    checked = pair.history.order_checked
    pair.standing_in = True
    pair.target.create(f"{ROOT}/by a client")
    pair.target.create(f"{ROOT}/by another")
    assert pair.history.order_violations == []
    assert pair.history.lab_errors == []
    assert pair.history.order_checked == checked


def test_an_application_in_a_watched_replica_is_the_labs_error() -> None:
    pair = Pair()
    pair.begin()
    pair.target.create(f"{ROOT}/by hand")
    assert "an application wrote C:/InetPub/by hand" in pair.history.lab_errors[0]


def test_after_a_power_loss_the_sources_history_begins_anew() -> None:
    pair = Pair()
    pair.source.create(f"{ROOT}/a")
    pair.source.write(f"{ROOT}/a", 0, b"x" * 10_000)
    for seed in range(50):
        if pair.source.power_loss(random.Random(seed)):
            break
        pair.source.write(f"{ROOT}/a", 0, b"%d" % seed * 5_000)
    pair.source_witness.restart()
    assert pair.source_witness.shadow.value(ROOT) == VolumeWitness(pair.source).shadow.value(ROOT)
    pair.target.apply([CreateFile(f"{ROOT}/a", Metadata(32, pair.source.stat(f"{ROOT}/a").metadata.security), 0)])  # type: ignore[union-attr]
    pair.target.apply([Write(f"{ROOT}/a", 0, pair.source.read(f"{ROOT}/a"), 0)])
    pair.begin()
    assert pair.history.order_violations == []


def test_touches_knows_where_a_root_ends() -> None:
    assert touches(RemoveFile("c:/inetpub/x"), ROOT)
    assert touches(RemoveDirectory(ROOT), ROOT)
    assert touches(Rename("C:/x", "C:/InetPub/x"), ROOT)
    assert not touches(RemoveFile("C:/InetPubs"), ROOT)


def test_a_copy_that_lost_the_thread_says_so() -> None:
    shadow = Shadow("C:")
    with pytest.raises(LabError, match="has no C:/nothing"):
        shadow.apply(Write("C:/nothing", 0, b"x", 0))
    shadow.apply(CreateFile("C:/file", Metadata(), 0))
    with pytest.raises(LabError, match="has a file for the directory file"):
        shadow.apply(CreateFile("C:/file/x", Metadata(), 0))


NAMES = st.sampled_from(["a", "B", "dir/c", "dir", "dir/e", "Other"])
PATHS = NAMES.map(lambda name: f"{ROOT}/{name}")
METADATA = st.builds(Metadata, st.sampled_from([0, 1, 32]), st.sampled_from([b"", b"x"]))
OPERATIONS = st.one_of(
    st.builds(MakeDirectory, PATHS, METADATA),
    st.builds(CreateFile, PATHS, METADATA, st.just(0)),
    st.builds(Write, PATHS, st.integers(0, 3 * PAGE), st.binary(max_size=40).map(lambda data: data * 200), st.just(0)),
    st.builds(Truncate, PATHS, st.integers(0, 3 * PAGE), st.just(0)),
    st.builds(PunchHole, PATHS, st.integers(0, 3 * PAGE), st.integers(0, 2 * PAGE), st.just(0)),
    st.builds(Rename, PATHS, PATHS),
    st.builds(RemoveFile, PATHS),
    st.builds(RemoveDirectory, PATHS),
    st.builds(SetMetadata, PATHS, METADATA),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(OPERATIONS, max_size=25))
def test_the_running_hash_is_that_of_the_volume_read_anew(operations: list[AnyOperation]) -> None:
    volume = NtfsVolume("C", lambda: 0)
    volume.mkdir(ROOT)
    witness = VolumeWitness(volume)
    for operation in operations:
        try:
            volume.apply([operation])
        except FileSystemError:
            continue
        running = witness.shadow.value(ROOT)
        witness.restart()
        assert running == witness.shadow.value(ROOT)


@pytest.mark.parametrize(
    "planted",
    [
        WriteStream(f"{ROOT}/a", "s", 1, b"X"),
        TruncateStream(f"{ROOT}/a", "s", 2),
        RemoveStream(f"{ROOT}/a", "s"),
        MakeStream(ROOT + "/d", "another"),
        PunchHole(f"{ROOT}/a", 1, 2, 0),
        MakeSymbolicLink(f"{ROOT}/d", "C:/elsewhere", Metadata(), 0, junction=True),
    ],
    ids=lambda operation: type(operation).__name__,
)
def test_streams_holes_and_junctions_count(planted: AnyOperation) -> None:
    pair = Pair()
    pair.begin()
    pair.source.create(f"{ROOT}/a")
    pair.source.write(f"{ROOT}/a", 0, b"bytes")
    pair.source.create(f"{ROOT}/a:s")
    pair.source.write(f"{ROOT}/a:s", 0, b"stream")
    pair.source.mkdir(f"{ROOT}/d")
    pair.replay(pair.operations)
    assert pair.history.order_violations == []
    pair.replay([planted])
    assert len(pair.history.order_violations) == 1
