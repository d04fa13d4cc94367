"""Open handles and change notification."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tests.sim.storage.volumes import fails, put

from bodydouble.vocabulary.operations import CreateFile, Metadata, Truncate, Write
from bodydouble_sim.storage.notification import Change, Notify
from bodydouble_sim.storage.sharing import ALL, Share

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.storage.ntfs import NtfsVolume


@pytest.mark.behaviour("Microsoft: CreateFile, dwShareMode")
def test_a_handle_keeps_out_what_it_does_not_share(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"1")
    put(volume, "C:/b", b"2")
    hold = volume.hold("C:/A", Share.READ)
    assert volume.read("C:/a") == b"1"
    refused: list[Callable[[], None]] = [
        lambda: volume.write("C:/a", 0, b"x"),
        lambda: volume.create("C:/a"),
        lambda: volume.truncate("C:/a", 0),
        lambda: volume.rename("C:/a", "C:/c"),
        lambda: volume.rename("C:/b", "C:/a"),
        lambda: volume.remove("C:/a"),
    ]
    for call in refused:
        fails("sharing", call)
    hold.release()
    hold.release()
    volume.remove("C:/a")


@pytest.mark.behaviour("Microsoft: CreateFile, dwShareMode 0")
def test_a_handle_that_shares_nothing_keeps_readers_out_too(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"1")
    volume.hold("C:/a", Share.NONE)
    fails("sharing", lambda: volume.read("C:/a"))
    fails("sharing", lambda: volume.hold("C:/a", ALL))


@pytest.mark.behaviour("Microsoft: Creating and Opening Files (both handles must share what the other uses)")
def test_two_handles_agree_or_the_second_is_refused(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"1")
    volume.hold("C:/a", ALL, uses=Share.WRITE)
    volume.hold("C:/a", ALL, uses=Share.READ)
    fails("sharing", lambda: volume.hold("C:/a", Share.READ))


@pytest.mark.behaviour("the note: IIS services on the target are stopped, files in use cannot be replaced")
def test_the_product_meets_sharing_violations_too(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"1")
    volume.hold("C:/a", Share.READ)
    fails("sharing", lambda: volume.apply([Write("C:/a", 0, b"x", 0)]))
    fails("sharing", lambda: volume.apply([Truncate("C:/a", 0, 0)]))
    volume.apply([CreateFile("C:/b", Metadata(), 0)])


def test_handles_die_with_the_power(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"1")
    volume.flush()
    volume.hold("C:/a", Share.NONE)
    volume.power_loss(random.Random(1))
    assert volume.read("C:/a") == b"1"


@pytest.mark.behaviour("Microsoft: ReadDirectoryChangesW, FILE_NOTIFY_INFORMATION")
def test_a_watcher_hears_of_names_and_contents(volume: NtfsVolume) -> None:
    volume.mkdir("C:/d")
    watcher = volume.watch("C:/d")
    put(volume, "C:/d/a", b"x")
    volume.rename("C:/d/a", "C:/d/b")
    volume.set_attributes("C:/d/b", 2)
    volume.rename("C:/d/b", "C:/out")
    volume.rename("C:/out", "C:/d/in")
    volume.remove("C:/d/in")
    changes = watcher.read()
    assert changes is not None
    assert [(change.action, change.name) for change in changes] == [
        ("added", "a"),
        ("modified", "a"),
        ("renamed from", "a"),
        ("renamed to", "b"),
        ("modified", "b"),
        ("removed", "b"),
        ("added", "in"),
        ("removed", "in"),
    ]
    assert watcher.read() == []


@pytest.mark.behaviour("Microsoft: ReadDirectoryChangesW, bWatchSubtree")
def test_a_watcher_sees_below_only_when_asked_to(volume: NtfsVolume) -> None:
    volume.mkdir("C:/d")
    volume.mkdir("C:/d/sub")
    here, below = volume.watch("C:/d"), volume.watch("C:/d", subtree=True)
    volume.create("C:/d/sub/a")
    assert here.read() == []
    assert below.read() == [Change("added", "sub/a")]


@pytest.mark.behaviour("Microsoft: ReadDirectoryChangesW, dwNotifyFilter")
def test_a_watcher_hears_of_what_it_wants(volume: NtfsVolume) -> None:
    watcher = volume.watch("C:", wanted=Notify.DIRECTORY_NAME)
    put(volume, "C:/a", b"x")
    volume.mkdir("C:/d")
    volume.rename("C:/a", "C:/b")
    assert watcher.read() == [Change("added", "d")]
    watcher.close()
    watcher.close()
    volume.mkdir("C:/e")
    assert watcher.read() == []


@pytest.mark.behaviour("Microsoft: ReadDirectoryChangesW (a buffer that overflows is discarded whole)")
def test_a_buffer_that_overflows_is_lost_and_says_so(volume: NtfsVolume) -> None:
    watcher = volume.watch("C:", buffer=64)
    for number in range(5):
        volume.create(f"C:/file{number}")
    assert watcher.read() is None
    volume.create("C:/x")
    assert watcher.read() == [Change("added", "x")]


def test_a_watcher_hears_of_the_products_changes_too(volume: NtfsVolume) -> None:
    watcher = volume.watch("C:", wanted=Notify.FILE_NAME)
    volume.apply([CreateFile("C:/a", Metadata(), 0), CreateFile("C:/a", Metadata(), 1)])
    assert watcher.read() == [Change("added", "a")]
