"""Disks that fail, each in its way, and what counts it."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from tests.sim.storage.volumes import KINDS, fails, new_volume, put

from bodydouble.vocabulary.operations import CreateFile, Metadata
from bodydouble_sim.ports.file_system import SimFileSystem
from bodydouble_sim.storage.content import PAGE
from bodydouble_sim.storage.disk import CLUSTER, SECTOR
from bodydouble_sim.storage.ntfs import NtfsVolume

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim.storage.volumes import Clock

    from bodydouble_sim.storage.volume import Volume

DATA = b"d" * (2 * PAGE)


@pytest.fixture(params=KINDS)
def any_volume(request: pytest.FixtureRequest, clock: Clock) -> Volume:
    return new_volume(request.param, clock)


def test_a_lost_disk_answers_nothing_and_counts_it(any_volume: Volume) -> None:
    put(any_volume, "C:/a", DATA)
    any_volume.disk.failing = True
    calls: list[Callable[[], object]] = [
        lambda: any_volume.read("C:/a"),
        lambda: any_volume.list("C:"),
        lambda: any_volume.write("C:/a", 0, b"x"),
        lambda: any_volume.create("C:/b"),
        lambda: any_volume.flush("C:/a"),
        any_volume.free_space,
    ]
    for call in calls:
        fails("io", call)
    assert any_volume.disk.touched["refused"] == len(calls)


def test_a_sector_that_cannot_be_read_fails_only_reads_of_it(any_volume: Volume) -> None:
    put(any_volume, "C:/a", DATA)
    any_volume.flush()
    any_volume.disk.break_sector(any_volume.sector_of("C:/a", PAGE + SECTOR), writes=False)
    assert any_volume.read("C:/a", 0, PAGE) == DATA[:PAGE]
    fails("io", lambda: any_volume.read("C:/a", PAGE, PAGE))
    fails("io", lambda: any_volume.read("C:/a"))
    assert any_volume.disk.touched["bad_reads"] == 2


def test_what_is_still_in_the_cache_is_read_from_there(volume: NtfsVolume) -> None:
    put(volume, "C:/a", DATA)
    volume.disk.break_sector(volume.sector_of("C:/a", 0))
    assert volume.read("C:/a") == DATA


@pytest.mark.behaviour("Windows 2000 Resource Kit: Cluster Remapping")
@pytest.mark.parametrize("release", [4, 5])
def test_ntfs_writes_around_a_bad_sector(clock: Clock, release: int) -> None:
    volume = NtfsVolume("C", clock, release=4 if release == 4 else 5)
    put(volume, "C:/a", DATA)
    volume.flush()
    volume.disk.break_sector(volume.sector_of("C:/a", SECTOR))
    fails("io", lambda: volume.read("C:/a"))
    volume.write("C:/a", 0, b"n" * CLUSTER)
    assert volume.read("C:/a", 0, CLUSTER) == b"n" * CLUSTER
    assert (volume.disk.touched["remapped"], volume.disk.bad) == (1, {})


@pytest.mark.behaviour("Windows 2000 Resource Kit: Cluster Remapping (NTFS only)")
def test_fat_cannot_write_to_a_bad_sector(clock: Clock) -> None:
    volume = new_volume("fat32", clock)
    put(volume, "C:/a", DATA)
    volume.disk.break_sector(volume.sector_of("C:/a", 0), reads=False)
    fails("io", lambda: volume.write("C:/a", 0, b"x"))
    volume.write("C:/a", SECTOR, b"x")
    assert volume.read("C:/a", 0, 1) == b"d"
    assert volume.disk.touched["bad_writes"] == 1


def test_a_full_disk_refuses_what_needs_space(any_volume: Volume) -> None:
    put(any_volume, "C:/a", DATA)
    any_volume.disk.fill(leave=CLUSTER)
    any_volume.write("C:/a", 0, b"x")
    any_volume.append("C:/a", b"x" * CLUSTER)
    fails("no_space", lambda: any_volume.append("C:/a", b"x"))
    assert any_volume.disk.touched["full"] == 1
    any_volume.disk.unfill()
    any_volume.append("C:/a", b"x")


def test_a_disk_that_lies_about_a_flush_loses_what_it_acknowledged(clock: Clock) -> None:
    lost = 0
    for seed in range(20):
        volume = NtfsVolume("C", clock)
        volume.disk.lying = True
        put(volume, "C:/a", DATA)
        volume.flush("C:/a")
        volume.apply([CreateFile("C:/b", Metadata(), 0)], durable=True)
        assert volume.disk.touched["lied"] == 2
        lost += volume.power_loss(random.Random(seed)) + volume.lost_changes
    assert lost


def test_a_flipped_bit_shows_when_the_cache_is_dropped(any_volume: Volume) -> None:
    put(any_volume, "C:/a", DATA)
    any_volume.flush()
    assert any_volume.disk.flip(any_volume.sector_of("C:/a", PAGE), byte=3, bit=0)
    assert any_volume.read("C:/a") == DATA
    any_volume.disk.drop_cache()
    assert any_volume.read("C:/a") == DATA[: PAGE + 3] + b"e" + DATA[PAGE + 4 :]
    assert any_volume.disk.touched["flipped"] == 1
    assert not any_volume.disk.flip(any_volume.sector_of("C:/a", 0) + 1000, byte=0, bit=0)


def test_a_flipped_bit_does_not_show_through_a_page_that_waits_in_the_cache(volume: NtfsVolume) -> None:
    put(volume, "C:/a", DATA)
    volume.flush()
    volume.write("C:/a", 0, b"x")
    volume.disk.flip(volume.sector_of("C:/a", 0), byte=1, bit=0)
    volume.disk.drop_cache()
    assert volume.read("C:/a") == b"x" + DATA[1:]


def test_a_flipped_bit_is_gone_when_its_page_was_written_over(volume: NtfsVolume) -> None:
    put(volume, "C:/a", DATA)
    volume.flush()
    volume.disk.flip(volume.sector_of("C:/a", 0), byte=0, bit=0)
    volume.write("C:/a", 0, b"x")
    volume.flush()
    volume.disk.drop_cache()
    assert volume.read("C:/a") == b"x" + DATA[1:]


def test_corruption_is_drawn_from_the_seed(clock: Clock) -> None:
    def corrupted(seed: int) -> list[bytes]:
        volume = NtfsVolume("C", clock)
        for name in "abc":
            put(volume, f"C:/{name}", DATA)
        volume.flush()
        assert volume.disk.corrupt(random.Random(seed)) is not None
        volume.power_loss(random.Random(seed))
        return [volume.read(f"C:/{name}") for name in "abc"]

    assert corrupted(1) == corrupted(1)
    assert corrupted(1) != corrupted(2)
    assert sum(data != DATA for data in corrupted(1)) == 1


def test_an_empty_disk_has_nothing_to_corrupt(volume: NtfsVolume) -> None:
    assert volume.disk.corrupt(random.Random(1)) is None


def test_a_slow_disk_makes_the_product_wait(clock: Clock) -> None:
    async def seconds(slowness: float) -> float:
        volume = NtfsVolume("C", clock)
        volume.disk.slowness = slowness
        files = SimFileSystem({"C": volume}, random.Random(1))
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await files.apply([CreateFile("C:/a", Metadata(), 0)])
        assert volume.disk.touched["slowed"] == (slowness != 1)
        return loop.time() - begun

    assert asyncio.run(seconds(50)) > 0.05 > asyncio.run(seconds(1))
