"""What a pair comes to by name, after each thing that goes wrong: states, events, and convergence once it is healed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.campaign.changes import ROOT
from tests.campaign.pictures import differences
from tests.campaign.station import wanting
from tests.campaign.watch import OPERATOR, SOURCE
from tests.campaign.workload import KIB, Workload

from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeSymbolicLink,
    Metadata,
    RemoveDirectory,
    Rename,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.campaign.station import Station

SETTINGS: dict[str, Any] = {
    "queue_bytes": 200 * KIB,
    "disk_queue_bytes": 0,
    "queue_full": "disconnect",
    "target_queue_bytes": None,
    "mirror_window_bytes": 80 * KIB,
    "receive_bytes": 1024 * KIB,
}


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {**SETTINGS, **getattr(request, "param", {})}


@pytest.fixture
def pair(settings: dict[str, Any]) -> Iterator[Workload]:
    """Two machines whose mirror is complete; healed at the end, and then they have to be equal."""
    workload = Workload()
    workload.begin(seed=1, explore=False, settings=settings, kind="checksum", stale=[], hands=True, early=False)
    yield workload
    workload.teardown()


def codes(station: Station) -> list[int]:
    return [each.code for each in station.told if not isinstance(each, str)]


def state(pair: Workload) -> str:
    return "" if pair.source.connection is None else pair.source.connection.state


def flood_while_the_target_is_away(pair: Workload) -> None:
    """480 KiB of changes, while nothing is acknowledged."""
    pair.target.machine.nics[0].disconnect()
    for number in range(12):
        pair.change(Write(f"{ROOT}/a", 0, bytes([number + 1]) * 40_000, 1), pause=0.05)


def back(pair: Workload, seconds: float = 20.0) -> None:
    pair.target.machine.nics[0].connect()
    pair.run(asyncio.sleep(seconds))


# --- the queue is exhausted, and each of the four things that may follow ----------------------------------------------


@pytest.mark.parametrize("settings", [{"queue_full": "disconnect"}], indirect=True)
def test_exhausted_disconnect_drops_the_queue_reconnects_and_mirrors(pair: Workload) -> None:
    flood_while_the_target_is_away(pair)
    pair.run(asyncio.sleep(5))
    told = codes(pair.source)
    assert told.index(EventCode.AUTO_DISCONNECT) < told.index(EventCode.AUTO_DISCONNECTED)
    assert state(pair) == "retrying"
    back(pair)
    assert state(pair) == "replicating"
    assert codes(pair.source).count(EventCode.MIRROR_COMPLETE) == 2


@pytest.mark.parametrize("settings", [{"queue_full": "pause"}], indirect=True)
def test_exhausted_pause_sends_what_is_queued_and_then_mirrors(pair: Workload) -> None:
    flood_while_the_target_is_away(pair)
    assert EventCode.QUEUE_EXHAUSTED in codes(pair.source)
    back(pair)
    assert state(pair) == "replicating"
    told = codes(pair.source)
    assert EventCode.AUTO_DISCONNECT not in told
    assert told.count(EventCode.MIRROR_COMPLETE) == 2


@pytest.mark.parametrize("settings", [{"queue_full": "stop"}], indirect=True)
def test_exhausted_stop_waits_for_an_operator(pair: Workload) -> None:
    flood_while_the_target_is_away(pair)
    back(pair, 60.0)
    assert state(pair) == "mirror-required"
    told = codes(pair.source)
    assert EventCode.QUEUE_EXHAUSTED in told
    assert EventCode.MIRROR_REQUIRED in told
    pair.run(pair._order_mirror())
    pair.run(asyncio.sleep(20))
    assert state(pair) == "replicating"
    assert OPERATOR in pair.source.told


@pytest.mark.parametrize("settings", [{"disk_queue_bytes": None}], indirect=True)
def test_what_memory_does_not_hold_goes_to_disk_and_needs_no_mirror(pair: Workload) -> None:
    flood_while_the_target_is_away(pair)
    assert pair.source.connection is not None
    assert pair.source.connection.stream is not None
    assert pair.source.connection.stream.queue.on_disk > 0
    back(pair)
    assert state(pair) == "replicating"
    assert codes(pair.source).count(EventCode.MIRROR_STARTED) == 1
    assert EventCode.QUEUE_ALERT not in codes(pair.source)


# --- the target -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hard", [True, False], ids=["power cut", "killed"])
def test_target_stopped_hard_applies_what_it_acknowledged_and_goes_on_without_a_mirror(
    pair: Workload, *, hard: bool
) -> None:
    operations = [CreateFile(f"{ROOT}/new", Metadata(), 1), Write(f"{ROOT}/new", 0, b"placed", 1)]
    pair.fall_with_a_full_queue(operations=operations, hard=hard, pause=1.0)
    pair.run(asyncio.sleep(20))
    assert state(pair) == "replicating"
    assert codes(pair.source).count(EventCode.MIRROR_STARTED) == 1
    assert EventCode.RESUMED in codes(pair.source)
    assert EventCode.TARGET_QUEUE_REPLAYED in codes(pair.target)


def test_edited_on_the_target_so_that_an_operation_fails_is_found_and_mirrored(pair: Workload) -> None:
    pair.edit_on_the_target(operation=Rename(f"{ROOT}/a", f"{ROOT}/elsewhere"))
    pair.change(Write(f"{ROOT}/a", 0, b"more", 1), pause=20.0)
    assert any("diverged" in each.text for each in pair.target.told if not isinstance(each, str))
    assert EventCode.REPLICATION_ERROR in codes(pair.source)
    assert codes(pair.source).count(EventCode.MIRROR_COMPLETE) == 2
    assert pair.source.picture() == pair.target.picture()


def test_edited_on_the_target_unseen_is_mended_by_the_operators_next_mirror(pair: Workload) -> None:
    pair.edit_on_the_target(operation=Write(f"{ROOT}/a", 0, b"by hand", 1))
    pair.run(asyncio.sleep(20))
    assert state(pair) == "replicating"  # nobody watches the replica: that is what verification is for
    assert pair.source.picture() != pair.target.picture()
    pair.run(pair._order_mirror())
    pair.run(asyncio.sleep(20))
    assert pair.source.picture() == pair.target.picture()


def test_directory_made_while_a_mirror_begins_takes_the_place_of_a_junction_of_the_replica(pair: Workload) -> None:
    place, volume = f"{ROOT}/j", pair.source.volumes["C"]
    pair.change(MakeSymbolicLink(place, "D:/elsewhere", Metadata(), 1, junction=True), pause=5.0)
    assert pair.target.picture()[place]["kind"] == "link"
    pair.source.power_off(hard=False)
    volume.apply([RemoveDirectory(place)], durable=True)
    volume.disk.slowness = 200.0
    pair.source.power_on()
    pair.run(wanting(lambda: not volume._filters, 60, step=0.001))
    pair.change(MakeDirectory(place, Metadata()), CreateFile(f"{place}/b", Metadata(), 1), pause=60.0)
    assert state(pair) == "replicating"
    assert differences(pair.source.picture(), pair.target.picture()) == []


def test_files_that_a_mirror_found_equal_survive_a_power_cut_once_it_is_complete(pair: Workload) -> None:
    volume, path = pair.target.volumes["C"], f"{ROOT}/a"
    entry, data = volume.stat(path), volume.read(path)
    assert entry is not None
    pair.watch.carrying.handed = True
    volume.apply([Write(path, 0, b"?" * len(data), 1)], durable=True)
    volume.apply([Write(path, 0, data, entry.mtime_ns)])  # by hand, as the source has it, and in the cache only
    pair.watch.carrying.handed = False
    pair.run(pair._order_mirror())
    pair.wait_for("the mirror", lambda: codes(pair.source).count(EventCode.MIRROR_COMPLETE) < 2)
    pair.target.power_off(hard=True)
    assert volume.read(path) == data
    pair.target.power_on()


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("seconds", [-7200, 86_400])
def test_a_clock_that_jumps_changes_nothing(pair: Workload, side: str, seconds: int) -> None:
    pair.set_the_clock(side=side, seconds=seconds)
    pair.change(Write(f"{ROOT}/a", 0, b"after", 1), pause=20.0)
    assert state(pair) == "replicating"
    assert EventCode.AUTO_RECONNECTING not in codes(pair.source)
    assert codes(pair.source).count(EventCode.MIRROR_STARTED) == 1
    assert pair.watch.settled()


# --- full disks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"disk_queue_bytes": None}], indirect=True)
def test_full_state_volume_of_the_source_exhausts_the_queue(pair: Workload) -> None:
    pair.fill_or_empty_a_disk(side="source", letter="D", leave=0)
    flood_while_the_target_is_away(pair)
    pair.run(asyncio.sleep(1))
    told = [each.text for each in pair.source.told if not isinstance(each, str)]
    assert any("stay free" in text for text in told)
    assert EventCode.AUTO_DISCONNECT in codes(pair.source)
    pair.fill_or_empty_a_disk(side="source", letter="D", leave=0)
    back(pair)
    assert state(pair) == "replicating"


def test_full_data_volume_of_the_target_waits_and_goes_on(pair: Workload) -> None:
    pair.fill_or_empty_a_disk(side="target", letter="C", leave=0)
    pair.change(CreateFile(f"{ROOT}/new", Metadata(), 1), Write(f"{ROOT}/new", 0, b"x" * 40_000, 1), pause=10.0)
    assert codes(pair.target).count(EventCode.APPLYING_WAITS) == 1
    replica = pair.target.replica(SOURCE)
    assert replica is not None
    assert pair.target.service is not None
    assert "no_space" in pair.target.service.registry.detail(replica)
    assert pair.target.service.registry.standing(replica) == "retrying"
    pair.fill_or_empty_a_disk(side="target", letter="C", leave=0)
    pair.run(asyncio.sleep(20))
    assert codes(pair.target).count(EventCode.APPLYING_RESUMED) == 1
    assert codes(pair.source).count(EventCode.MIRROR_STARTED) == 1
    assert pair.watch.settled()


def test_full_state_volume_of_the_target_holds_the_source_back(pair: Workload) -> None:
    pair.fill_or_empty_a_disk(side="target", letter="D", leave=0)
    pair.change(Write(f"{ROOT}/a", 0, b"x" * 4000, 1), pause=10.0)
    assert pair.source.connection is not None
    assert pair.source.connection.target_state == "queue-full"
    assert EventCode.TARGET_QUEUE_FULL in codes(pair.source)
    pair.fill_or_empty_a_disk(side="target", letter="D", leave=0)
    pair.run(asyncio.sleep(20))
    assert EventCode.TARGET_QUEUE_HAS_ROOM in codes(pair.target)
    assert codes(pair.source).count(EventCode.MIRROR_STARTED) == 1
    assert pair.watch.settled()
