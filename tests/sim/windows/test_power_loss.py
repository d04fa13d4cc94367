from __future__ import annotations

import random
from typing import TYPE_CHECKING

from bodydouble.vocabulary.operations import CreateFile, Metadata, Rename, Write
from bodydouble_sim.storage.content import LAZY_WRITE_NS, PAGE
from bodydouble_sim.storage.disk import SECTOR
from bodydouble_sim.storage.ntfs import NtfsVolume

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import AnyOperation

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


def test_unflushed_write_may_vanish_at_power_loss(clock: Clock) -> None:
    outcomes = {overwritten(clock, seed) for seed in range(40)}
    assert OLD in outcomes
    assert NEW in outcomes
    assert any(outcome not in (OLD, NEW) for outcome in outcomes)


def test_every_sector_is_the_old_or_the_new_one(clock: Clock) -> None:
    for seed in range(40):
        assert set(sectors(overwritten(clock, seed))) <= {b"o" * SECTOR, b"n" * SECTOR}


def test_bytes_that_never_reached_the_platter_read_as_zeros_and_the_length_survives(clock: Clock) -> None:
    seen = set()
    for seed in range(40):
        volume = NtfsVolume("C", clock)
        volume.create("C:/a")
        volume.write("C:/a", 0, NEW)
        volume.power_loss(random.Random(seed))
        data = volume.read("C:/a")
        assert len(data) == len(NEW)
        seen |= set(sectors(data))
    assert seen == {bytes(SECTOR), b"n" * SECTOR}


def test_a_flushed_file_survives(volume: NtfsVolume) -> None:
    volume.create("C:/a")
    volume.write("C:/a", 0, NEW)
    volume.flush("C:/a")
    assert volume.power_loss(random.Random(1)) == 0
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


def test_metadata_is_journaled(volume: NtfsVolume) -> None:
    volume.mkdir("C:/d")
    volume.create("C:/d/a")
    volume.set_metadata("C:/d/a", Metadata(2, b"acl"))
    volume.rename("C:/d/a", "C:/d/b")
    volume.power_loss(random.Random(1))
    entry = volume.stat("C:/d/b")
    assert entry is not None
    assert entry.metadata == Metadata(2, b"acl")


def test_the_lazy_writer_reaches_a_page_in_time(volume: NtfsVolume, advance: Advance) -> None:
    volume.create("C:/a")
    volume.write("C:/a", 0, NEW)
    advance(LAZY_WRITE_NS + 1)
    assert volume.power_loss(random.Random(1)) == 0


def test_a_page_written_again_after_the_lazy_writer_falls_back_to_what_that_wrote(
    clock: Clock, advance: Advance
) -> None:
    outcomes = set()
    for seed in range(20):
        volume = NtfsVolume("C", clock)
        volume.create("C:/a")
        volume.write("C:/a", 0, b"1" * SECTOR)
        advance(LAZY_WRITE_NS + 1)
        volume.write("C:/a", 0, b"2" * SECTOR)
        volume.power_loss(random.Random(seed))
        outcomes.add(volume.read("C:/a"))
    assert outcomes == {b"1" * SECTOR, b"2" * SECTOR}


def test_truncated_bytes_never_come_back(clock: Clock) -> None:
    for seed in range(20):
        volume = NtfsVolume("C", clock)
        volume.create("C:/a")
        volume.write("C:/a", 0, OLD)
        volume.flush()
        volume.write("C:/a", 0, NEW)
        volume.truncate("C:/a", 100)
        volume.truncate("C:/a", PAGE)
        volume.power_loss(random.Random(seed))
        assert volume.read("C:/a")[100:] == bytes(PAGE - 100)


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
