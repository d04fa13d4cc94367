from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.storage.volumes import fails, put

from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    Metadata,
    RemoveFile,
    Rename,
    SetMetadata,
    Truncate,
    Write,
)
from bodydouble_sim.storage.disk import CLUSTER, Disk
from bodydouble_sim.storage.node import ARCHIVE, READONLY
from bodydouble_sim.storage.ntfs import NtfsVolume

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import AnyOperation


def test_names_keep_their_case_and_ignore_it(volume: NtfsVolume) -> None:
    volume.mkdir("C:/InetPub")
    put(volume, "c:/inetpub/Default.HTM", b"x")
    entry = volume.stat("C:/INETPUB/default.htm")
    assert entry is not None
    assert entry.path == "C:/InetPub/Default.HTM"
    assert [e.path for e in volume.list("C:/inetpub")] == ["C:/InetPub/Default.HTM"]


def test_a_rename_may_change_only_the_case(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"x")
    volume.rename("C:/a", "C:/A")
    assert [e.path for e in volume.list("C:")] == ["C:/A"]


def test_times_have_a_resolution_of_100_ns(volume: NtfsVolume) -> None:
    volume.create("C:/a")
    volume.set_times("C:/a", 1_234_567_891)
    entry = volume.stat("C:/a")
    assert entry is not None
    assert entry.mtime_ns == 1_234_567_800


def test_a_gap_before_a_write_reads_as_zeros(volume: NtfsVolume) -> None:
    volume.create("C:/a")
    volume.write("C:/a", 5, b"xy")
    assert volume.read("C:/a") == b"\0\0\0\0\0xy"
    assert volume.read("C:/a", 4, 2) == b"\0x"


def test_a_rename_replaces_a_file_but_not_a_full_directory(volume: NtfsVolume) -> None:
    put(volume, "C:/new", b"new")
    put(volume, "C:/old", b"old")
    volume.rename("C:/new", "C:/old")
    assert volume.read("C:/old") == b"new"
    assert volume.stat("C:/new") is None
    volume.mkdir("C:/d")
    volume.mkdir("C:/e")
    put(volume, "C:/e/f", b"")
    fails("not_empty", lambda: volume.rename("C:/d", "C:/e"))
    fails("exists", lambda: volume.rename("C:/old", "C:/d"))
    fails("denied", lambda: volume.rename("C:/e", "C:/e/inside"))


def test_a_renamed_directory_takes_its_files_along(volume: NtfsVolume) -> None:
    volume.mkdir("C:/a")
    put(volume, "C:/a/f", b"1")
    assert volume.read("C:/a/f") == b"1"
    volume.rename("C:/a", "C:/b")
    assert volume.read("C:/b/f") == b"1"
    assert volume.stat("C:/a/f") is None


def test_errors_carry_the_ports_codes(volume: NtfsVolume) -> None:
    put(volume, "C:/f", b"1")
    volume.mkdir("C:/d")
    put(volume, "C:/d/f", b"1")
    fails("not_found", lambda: volume.read("C:/none"))
    fails("not_found", lambda: volume.list("C:/f"))
    fails("not_found", lambda: volume.create("C:/none/f"))
    fails("not_found", lambda: volume.read("D:/f"))
    fails("exists", lambda: volume.mkdir("C:/d"))
    fails("exists", lambda: volume.create("C:/d"))
    fails("not_empty", lambda: volume.rmdir("C:/d"))
    fails("denied", lambda: volume.create("C:/what?"))
    fails("denied", lambda: volume.create("C:/" + "x" * 256))
    volume.disk.failing = True
    fails("io", lambda: volume.read("C:/f"))
    fails("io", lambda: volume.write("C:/f", 0, b"2"))


def test_a_full_disk_refuses_the_write_and_changes_nothing(clock: Callable[[], int]) -> None:
    volume = NtfsVolume("C", clock, Disk(2 * CLUSTER))
    put(volume, "C:/a", bytes(CLUSTER))
    volume.create("C:/b")
    fails("no_space", lambda: volume.write("C:/b", 0, bytes(CLUSTER + 1)))
    assert volume.read("C:/b") == b""
    assert volume.free_space() == CLUSTER
    volume.remove("C:/a")
    assert volume.free_space() == 2 * CLUSTER


def test_readonly_stops_applications_but_not_the_product(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"1")
    volume.set_metadata("C:/a", Metadata(READONLY, b"s"))
    fails("denied", lambda: volume.write("C:/a", 0, b"2"))
    fails("denied", lambda: volume.remove("C:/a"))
    volume.apply([Write("C:/a", 0, b"2", 0)])
    assert volume.read("C:/a") == b"2"


def test_an_observer_sees_every_change_with_bytes_and_canonical_paths(volume: NtfsVolume) -> None:
    seen: list[AnyOperation] = []
    volume.mkdir("C:/InetPub")
    volume.add_observer(seen.append)
    put(volume, "C:/inetpub/a.txt", b"one")
    volume.append("C:/INETPUB/A.TXT", b"two")
    volume.apply([Truncate("C:/InetPub/a.txt", 1, 500)])
    volume.rename("C:/InetPub/a.txt", "C:/InetPub/b.txt")
    volume.remove("C:/inetpub/B.txt")
    kinds = [type(op) for op in seen]
    assert kinds == [CreateFile, Write, Write, Truncate, Rename, RemoveFile]
    assert {op.path for op in seen[:4]} == {"C:/InetPub/a.txt"}
    second = seen[2]
    assert isinstance(second, Write)
    assert (second.offset, second.data) == (3, b"two")
    assert seen[3] == Truncate("C:/InetPub/a.txt", 1, 500)


def test_replaying_what_the_observer_saw_gives_the_same_tree(volume: NtfsVolume, clock: Callable[[], int]) -> None:
    seen: list[AnyOperation] = []
    volume.add_observer(seen.append)
    volume.mkdir("C:/d")
    put(volume, "C:/d/a", b"12345")
    volume.truncate("C:/d/a", 3)
    volume.set_metadata("C:/d/a", Metadata(0, b"sec"))
    volume.write("C:/d/a", 1, b"x")
    put(volume, "C:/d/b", b"b")
    volume.rename("C:/d/b", "C:/d/c")
    copy = NtfsVolume("C", clock)
    copy.apply(seen)
    assert [(e.path, e.size, e.mtime_ns, e.metadata) for e in copy.list("C:/d")] == [
        (e.path, e.size, e.mtime_ns, e.metadata) for e in volume.list("C:/d")
    ]
    assert copy.read("C:/d/a") == b"1x3"


def test_a_write_by_an_application_sets_the_archive_bit_again(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"1")
    volume.set_metadata("C:/a", Metadata(0, b"s"))
    seen: list[AnyOperation] = []
    volume.add_observer(seen.append)
    volume.write("C:/a", 0, b"2")
    assert seen[1] == SetMetadata("C:/a", Metadata(ARCHIVE, b"s"))


def test_a_filter_sees_applications_under_its_root_only(volume: NtfsVolume) -> None:
    volume.mkdir("C:/InetPub")
    volume.mkdir("C:/InetPubX")
    seen: list[AnyOperation] = []
    detach = volume.add_filter("c:/inetpub", seen.append)
    put(volume, "C:/InetPub/a", b"1")
    put(volume, "C:/InetPubX/b", b"1")
    volume.apply([Write("C:/InetPub/a", 0, b"2", 0)])
    volume.rename("C:/InetPubX/b", "C:/InetPub/b")
    volume.rename("C:/InetPub/b", "C:/out")
    volume.apply([MakeDirectory("C:/InetPub/d", Metadata())], bypass_filter=False)
    assert [type(op) for op in seen] == [CreateFile, Write, Rename, Rename, MakeDirectory]
    detach()
    detach()
    put(volume, "C:/InetPub/c", b"1")
    assert len(seen) == 5


def test_operations_before_a_failing_one_stay(volume: NtfsVolume) -> None:
    fails(
        "not_found",
        lambda: volume.apply([CreateFile("C:/a", Metadata(), 0), RemoveFile("C:/b"), RemoveFile("C:/a")]),
    )
    assert volume.stat("C:/a") is not None


def test_creating_what_exists_keeps_bytes_and_takes_metadata(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"1")
    volume.apply([CreateFile("C:/a", Metadata(2, b"s"), 700)])
    entry = volume.stat("C:/a")
    assert entry is not None
    assert (entry.size, entry.mtime_ns, entry.metadata) == (1, 700, Metadata(2, b"s"))
