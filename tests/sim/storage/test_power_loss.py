from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.sim.storage.power_cuts import snapshot
from tests.sim.storage.volumes import new_volume, put

from bodydouble.vocabulary.operations import CreateFile, MakeDirectory, Metadata, Rename, Write
from bodydouble_sim.storage.content import LAZY_WRITE_NS, PAGE, FileContent
from bodydouble_sim.storage.disk import SECTOR
from bodydouble_sim.storage.ntfs import NtfsVolume
from bodydouble_sim.storage.ntfs_log import LOG_WRITE_NS
from bodydouble_sim.storage.power import lose_pages

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble_sim.storage.ntfs import Release
    from bodydouble_sim.storage.volume import Volume

    Clock = Callable[[], int]
    Advance = Callable[[int], None]

OLD, NEW = b"o" * (2 * PAGE), b"n" * (2 * PAGE)


def sectors(data: bytes) -> list[bytes]:
    return [data[at : at + SECTOR] for at in range(0, len(data), SECTOR)]


def overwritten(clock: Clock, seed: int) -> bytes:
    volume = NtfsVolume("C", clock)
    volume.create("C:/a")
    volume.write("C:/a", 0, OLD)
    volume.flush("C:/a")
    volume.write("C:/a", 0, NEW)
    volume.power_loss(random.Random(seed))
    return volume.read("C:/a")


@pytest.mark.behaviour("reference: File systems, user-data loss after a power cut is normal for un-flushed bytes")
def test_unflushed_write_may_vanish_at_power_loss(clock: Clock) -> None:
    outcomes = {overwritten(clock, seed) for seed in range(40)}
    assert OLD in outcomes
    assert NEW in outcomes
    assert any(outcome not in (OLD, NEW) for outcome in outcomes)


def torn(data: bytes) -> list[bytes]:
    return [sector for sector in sectors(data) if len(set(sector)) > 1]


def test_every_sector_is_the_old_or_the_new_one_but_the_one_under_the_head(clock: Clock) -> None:
    most = 0
    for seed in range(80):
        mixed = torn(overwritten(clock, seed))
        most = max(most, len(mixed))
        assert len(mixed) <= 1
        for sector in mixed:
            assert sector == b"n" * sector.count(b"n") + b"o" * sector.count(b"o")
    assert most == 1


@pytest.mark.behaviour("reference: File systems, un-flushed contents may be zeros after a power cut")
def test_bytes_that_never_reached_the_platter_read_as_zeros(clock: Clock, advance: Advance) -> None:
    """The length is in the log since some seconds, the bytes wait for the lazy writer."""
    seen = set()
    for seed in range(40):
        volume = NtfsVolume("C", clock)
        volume.create("C:/a")
        volume.write("C:/a", 0, NEW)
        advance(LOG_WRITE_NS + 1)
        volume.power_loss(random.Random(seed))
        data = volume.read("C:/a")
        assert len(data) == len(NEW)
        seen |= {sector for sector in sectors(data) if sector not in torn(data)}
    assert seen == {bytes(SECTOR), b"n" * SECTOR}


@pytest.mark.behaviour("reference: File systems; FlushFileBuffers")
def test_flushed_write_survives_power_loss(volume: NtfsVolume) -> None:
    volume.create("C:/a")
    volume.write("C:/a", 0, NEW)
    volume.flush("C:/a")
    assert volume.power_loss(random.Random(1)) == 0
    assert volume.lost_changes == 0
    assert volume.read("C:/a") == NEW


def test_a_durable_apply_survives_under_its_new_name(volume: NtfsVolume) -> None:
    volume.mkdir("C:/d")
    batch: list[AnyOperation] = [
        CreateFile("C:/d/a.tmp", Metadata(), 0),
        Write("C:/d/a.tmp", 0, NEW, 0),
        Rename("C:/d/a.tmp", "C:/d/a"),
        Rename("C:/d", "C:/e"),
    ]
    volume.apply(batch, durable=True)
    assert volume.power_loss(random.Random(1)) == 0
    assert volume.read("C:/e/a") == NEW


def test_a_durable_apply_that_forgot_to_flush_would_be_caught(clock: Clock) -> None:
    lost = 0
    for seed in range(10):
        volume = NtfsVolume("C", clock)
        volume.apply([CreateFile("C:/a", Metadata(), 0), Write("C:/a", 0, NEW, 0)], durable=False)
        lost += volume.power_loss(random.Random(seed))
    assert lost


@pytest.mark.behaviour("reference: File systems, journaled metadata; NT 4.0 Resource Kit: NTFS Recoverability")
def test_only_the_last_changes_of_metadata_vanish(clock: Clock) -> None:
    outcomes = set()
    for seed in range(60):
        volume = NtfsVolume("C", clock)
        volume.mkdir("C:/d")
        volume.create("C:/d/a")
        volume.set_metadata("C:/d/a", Metadata(2, b"acl"))
        volume.rename("C:/d/a", "C:/d/b")
        volume.power_loss(random.Random(seed))
        outcomes.add(tuple(sorted((path, seen[2]) for path, seen in snapshot(volume).items())))
    assert outcomes == {
        (),
        (("C:/d", 0),),
        (("C:/d", 0), ("C:/d/a", 32)),
        (("C:/d", 0), ("C:/d/a", 2)),
        (("C:/d", 0), ("C:/d/b", 2)),
    }


@pytest.mark.behaviour("NT 4.0 Resource Kit: NTFS Recoverability")
def test_metadata_that_the_log_has_survive_power_loss(clock: Clock, advance: Advance) -> None:
    for seed in range(20):
        volume = NtfsVolume("C", clock)
        volume.mkdir("C:/d")
        volume.create("C:/d/a")
        volume.rename("C:/d/a", "C:/d/b")
        advance(LOG_WRITE_NS + 1)
        volume.power_loss(random.Random(seed))
        assert volume.lost_changes == 0
        assert set(snapshot(volume)) == {"C:/d", "C:/d/b"}


def test_a_flush_of_one_file_writes_the_log_with_all_that_went_before(clock: Clock) -> None:
    for seed in range(20):
        volume = NtfsVolume("C", clock)
        volume.mkdir("C:/d")
        put(volume, "C:/other", b"1")
        volume.rename("C:/other", "C:/d/moved")
        volume.create("C:/a")
        volume.flush("C:/a")
        volume.power_loss(random.Random(seed))
        assert set(snapshot(volume)) == {"C:/a", "C:/d", "C:/d/moved"}


def replaced(make: Callable[[], Volume], seed: int) -> Volume:
    """A file that a new version, complete and flushed, is renamed over when the power goes."""
    volume = make()
    put(volume, "C:/page.htm", OLD)
    put(volume, "C:/page.tmp", NEW)
    volume.flush()
    volume.rename("C:/page.tmp", "C:/page.htm")
    volume.power_loss(random.Random(seed))
    volume.check()
    return volume


@pytest.mark.behaviour("reference: File systems; NT 4.0 Resource Kit: NTFS Recoverability")
@pytest.mark.parametrize("release", [4, 5])
def test_rename_is_atomic_on_ntfs(clock: Clock, release: Release) -> None:
    seen = set()
    for seed in range(60):
        volume = replaced(lambda: NtfsVolume("C", clock, release=release), seed)
        names = set(snapshot(volume))
        assert (names, volume.read("C:/page.htm")) in (
            ({"C:/page.htm", "C:/page.tmp"}, OLD),
            ({"C:/page.htm"}, NEW),
        )
        seen.add(len(names))
    assert seen == {1, 2}


@pytest.mark.behaviour("reference: File systems, FAT: no journal, lost clusters")
@pytest.mark.parametrize("kind", ["fat32", "fat16"])
def test_rename_may_lose_a_file_on_fat(clock: Clock, kind: str) -> None:
    seen = set()
    for seed in range(200):
        volume = replaced(lambda: new_volume(kind, clock), seed)
        names = {path for path in snapshot(volume) if path.count("/") == 1}
        contents = {path: volume.read(path)[: len(NEW)] for path in snapshot(volume) if path.endswith(".CHK")}
        if "C:/page.tmp" not in names and volume.read("C:/page.htm") != NEW:
            assert NEW in contents.values()
            seen.add("only in FOUND.000")
        if "C:/page.tmp" in names and volume.read("C:/page.tmp") == volume.read("C:/page.htm") == NEW:
            seen.add("cross-linked")
    assert seen == {"only in FOUND.000", "cross-linked"}


@pytest.mark.behaviour("reference: File systems, FAT: chkdsk, lost clusters")
def test_a_lost_chain_becomes_a_chk_file(clock: Clock) -> None:
    for seed in range(40):
        volume = new_volume("fat32", clock)
        put(volume, "C:/a", NEW)
        volume.power_loss(random.Random(seed))
        said = volume.check()
        if volume.stat("C:/a") is None and volume.stat("C:/FOUND.000") is not None:
            assert len(volume.read("C:/FOUND.000/FILE0000.CHK")) == len(NEW)
            assert "Convert lost chains to files (Y/N)? Yes" in said
            return
    pytest.fail("no power cut left a lost chain")


@pytest.mark.behaviour("chkdsk's message: The size of the entry is not valid")
def test_chkdsk_fits_a_length_to_its_chain(clock: Clock) -> None:
    sizes = set()
    for seed in range(60):
        volume = new_volume("fat32", clock)
        volume.create("C:/a")
        volume.flush()
        volume.append("C:/a", b"x" * 5000)
        volume.power_loss(random.Random(seed))
        said = volume.check()
        entry = volume.stat("C:/a")
        assert entry is not None
        sizes.add((entry.size, any("is not valid" in line for line in said)))
    assert sizes == {(0, False), (5000, False), (0, True), (8192, True)}


@pytest.mark.behaviour("chkdsk's message: Cross link resolved by copying")
def test_chkdsk_gives_cross_linked_files_clusters_of_their_own(clock: Clock) -> None:
    for seed in range(60):
        volume = new_volume("fat16", clock)
        put(volume, "C:/a", b"1234")
        volume.flush()
        volume.rename("C:/a", "C:/b")
        volume.power_loss(random.Random(seed))
        if "Cross link resolved by copying." in volume.check():
            volume.write("C:/a", 0, b"x")
            assert (volume.read("C:/a"), volume.read("C:/b")) == (b"x234", b"1234")
            return
    pytest.fail("no power cut left two entries for one chain")


def test_chkdsk_is_seen_by_observers_as_operations(clock: Clock) -> None:
    for seed in range(40):
        volume = new_volume("fat32", clock)
        volume.mkdir("C:/d")
        put(volume, "C:/d/a", NEW)
        volume.power_loss(random.Random(seed))
        before = {path: seen[:2] for path, seen in snapshot(volume).items()}
        seen: list[AnyOperation] = []
        volume.add_observer(seen.append)
        volume.check()
        after = {path for path in snapshot(volume) if path not in before}
        assert after == {operation.path for operation in seen if isinstance(operation, CreateFile | MakeDirectory)}


def test_a_volume_that_was_taken_down_in_good_order_needs_no_check(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"1")
    volume.flush()
    assert volume.check() == ()


@pytest.mark.behaviour("reference: File systems, NTFS journals its metadata")
def test_the_log_is_replayed_once(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"1")
    volume.power_loss(random.Random(3))
    assert len(volume.check()) == 1
    assert volume.check() == ()


def test_the_lazy_writer_reaches_a_page_in_time(volume: NtfsVolume, advance: Advance) -> None:
    volume.create("C:/a")
    volume.write("C:/a", 0, NEW)
    advance(LAZY_WRITE_NS + 1)
    assert volume.power_loss(random.Random(1)) == 0


def test_a_page_written_again_after_the_lazy_writer_falls_back_to_what_that_wrote(
    clock: Clock, advance: Advance
) -> None:
    outcomes = set()
    for seed in range(40):
        volume = NtfsVolume("C", clock)
        volume.create("C:/a")
        volume.write("C:/a", 0, b"1" * SECTOR)
        advance(LAZY_WRITE_NS + 1)
        volume.write("C:/a", 0, b"2" * SECTOR)
        volume.power_loss(random.Random(seed))
        outcomes.add(volume.read("C:/a"))
    assert {outcome for outcome in outcomes if not torn(outcome)} == {b"1" * SECTOR, b"2" * SECTOR}
    assert all(b"\0" not in outcome for outcome in outcomes)


def test_truncated_bytes_never_come_back_once_the_log_has_it(clock: Clock, advance: Advance) -> None:
    for seed in range(20):
        volume = NtfsVolume("C", clock)
        volume.create("C:/a")
        volume.write("C:/a", 0, OLD)
        volume.flush()
        volume.write("C:/a", 0, NEW)
        volume.truncate("C:/a", 100)
        volume.truncate("C:/a", PAGE)
        advance(LOG_WRITE_NS + 1)
        volume.power_loss(random.Random(seed))
        assert volume.read("C:/a")[100:] == bytes(PAGE - 100)


def test_a_truncation_that_the_log_lost_did_not_happen(clock: Clock) -> None:
    sizes = set()
    for seed in range(40):
        volume = NtfsVolume("C", clock)
        put(volume, "C:/a", OLD)
        volume.flush()
        volume.truncate("C:/a", 100)
        volume.append("C:/a", NEW)
        volume.power_loss(random.Random(seed))
        data = volume.read("C:/a")
        sizes.add(len(data))
        if len(data) == len(OLD):
            assert data == OLD
    assert sizes == {100, 100 + len(NEW), len(OLD)}


def test_a_removed_file_comes_back_whole_when_the_log_lost_its_removal(clock: Clock) -> None:
    outcomes = set()
    for seed in range(20):
        volume = NtfsVolume("C", clock)
        put(volume, "C:/a", OLD)
        volume.flush()
        volume.remove("C:/a")
        assert volume.free_space() == volume.capacity
        volume.power_loss(random.Random(seed))
        there = volume.stat("C:/a") is not None
        outcomes.add(there)
        if there:
            assert volume.read("C:/a") == OLD
        assert volume.free_space() == volume.capacity - (len(OLD) if there else 0)
    assert outcomes == {True, False}


def test_the_same_seed_loses_the_same(clock: Clock) -> None:
    assert overwritten(clock, 5) == overwritten(clock, 5)


def test_power_loss_unloads_filters_and_keeps_observers(volume: NtfsVolume) -> None:
    filtered: list[object] = []
    observed: list[object] = []
    volume.add_filter("C:", filtered.append)
    volume.add_observer(observed.append)
    volume.power_loss(random.Random(1))
    volume.create("C:/a")
    assert filtered == []
    assert len(observed) == 1


def test_power_loss_ends_change_notification(volume: NtfsVolume) -> None:
    watcher = volume.watch("C:")
    volume.power_loss(random.Random(1))
    volume.create("C:/a")
    assert watcher.read() == []


def test_a_flush_of_a_file_makes_its_streams_durable(clock: Clock) -> None:
    for seed in range(20):
        volume = NtfsVolume("C", clock)
        put(volume, "C:/a:stream", NEW)
        volume.flush("C:/a")
        volume.power_loss(random.Random(seed))
        assert volume.read("C:/a:stream") == NEW


def test_what_was_cut_off_a_page_reads_as_zeros_where_the_file_grows_again(clock: Clock, advance: Advance) -> None:
    kept = set()
    for seed in range(40):
        volume = NtfsVolume("C", clock)
        put(volume, "C:/a", OLD[:PAGE])
        volume.flush("C:/a")
        volume.write("C:/a", 0, b"n")
        volume.truncate("C:/a", 100)
        volume.truncate("C:/a", PAGE)
        advance(LOG_WRITE_NS + 1)
        volume.power_loss(random.Random(seed))
        assert volume.read("C:/a", 100) == bytes(PAGE - 100)
        kept.add(volume.read("C:/a", 0, 1))
    assert kept == {b"o", b"n"}, "what is left of the page still waits for the disk"


def test_what_waited_before_a_truncation_that_is_undone_can_still_be_lost(clock: Clock, advance: Advance) -> None:
    outcomes = set()
    for seed in range(80):
        volume = NtfsVolume("C", clock)
        put(volume, "C:/a", OLD)
        volume.flush("C:/a")
        volume.write("C:/a", 0, NEW)
        advance(LOG_WRITE_NS + 1)
        volume.truncate("C:/a", 0)
        volume.power_loss(random.Random(seed))
        outcomes.add(volume.read("C:/a"))
    assert {b"", NEW} <= outcomes
    assert any(b"o" in outcome for outcome in outcomes)


def test_a_directorys_time_goes_back_with_a_removal_that_the_log_lost(clock: Clock, advance: Advance) -> None:
    came_back = 0
    for seed in range(20):
        volume = NtfsVolume("C", clock)
        volume.mkdir("C:/d")
        put(volume, "C:/d/a", OLD)
        volume.flush()
        before = volume.times("C:/d").mtime_ns
        advance(1_000_000_000)
        volume.remove("C:/d/a")
        volume.power_loss(random.Random(seed))
        if volume.stat("C:/d/a") is not None:
            came_back += 1
            assert volume.times("C:/d").mtime_ns == before
    assert came_back


class InOrder(random.Random):
    """Draws the mode in which the cache is written in order."""

    def choice(self, seq: Any) -> Any:
        """The prefix, where there is a choice of modes."""
        return "prefix" if "prefix" in seq else super().choice(seq)


def test_pages_reach_the_platter_in_the_order_in_which_they_became_dirty_across_files() -> None:
    for seed in range(20):
        first, second = FileContent(), FileContent()
        for content in (first, second):
            content.write(0, OLD, 0)
            content.flush()
        first.write(0, NEW[:PAGE], 1)
        second.write(0, NEW[:PAGE], 2)
        first.write(PAGE, NEW[:PAGE], 3)
        lose_pages([first, second], InOrder(seed), 4)
        kept = [first.data[:PAGE], second.data[:PAGE], first.data[PAGE:]]
        survived = [data == NEW[:PAGE] for data in kept]
        assert survived == sorted(survived, reverse=True)


@pytest.mark.parametrize("kind", ["fat32", "fat16"])
def test_two_names_never_share_an_alias_after_a_power_cut(clock: Clock, kind: str) -> None:
    both = 0
    for seed in range(60):
        volume = new_volume(kind, clock)
        put(volume, "C:/long name one.txt", b"1")
        volume.flush()
        volume.remove("C:/long name one.txt")
        put(volume, "C:/long name two.txt", b"2")
        volume.power_loss(random.Random(seed))
        volume.check()
        there = [entry.path for entry in volume.list("C:") if entry.path.startswith("C:/long")]
        both += len(there) == 2
        assert len({volume.short_name(path) for path in there}) == len(there)
    assert both


@pytest.mark.parametrize("removed", [False, True])
def test_holes_of_a_sparse_file_are_where_its_bytes_are_zeros_after_a_power_loss(
    clock: Clock, *, removed: bool
) -> None:
    """What zeros had been written over, and came back, is no hole; nor is it when the file itself came back."""
    seen = set()
    for seed in range(60):
        volume = NtfsVolume("C", clock)
        put(volume, "C:/a", OLD)
        volume.set_sparse("C:/a")
        volume.flush()
        volume.zero("C:/a", 0, len(OLD))
        if removed:
            volume.remove("C:/a")
        volume.power_loss(random.Random(seed))
        if volume.stat("C:/a") is None:
            continue
        data = volume.read("C:/a")
        seen.add(data)
        begin, end = volume.find_data("C:/a", 0) or (len(data), len(data))
        assert data[:begin] + data[end:] == bytes(len(data) - (end - begin))
    assert OLD in seen
