"""What the file systems do differently: times, limits, streams, links, compression."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tests.sim.storage.volumes import fails, new_volume, put

from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeHardLink,
    MakeStream,
    MakeSymbolicLink,
    Metadata,
    PunchHole,
    RemoveStream,
    TruncateStream,
    Write,
    WriteStream,
)
from bodydouble_sim.storage.disk import CLUSTER, Disk
from bodydouble_sim.storage.fat import FatVolume, entries
from bodydouble_sim.storage.node import COMPRESSED, REPARSE, SPARSE
from bodydouble_sim.storage.ntfs import MOST_LINKS, NtfsVolume
from bodydouble_sim.windows.files import VolumeFiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim.storage.volumes import Clock

    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble_sim.storage.volume import Note, Volume

    Advance = Callable[[int], None]

HOUR, DAY = 3_600_000_000_000, 86_400_000_000_000
FAT = pytest.mark.parametrize("kind", ["fat16", "fat32"])
NTFS = pytest.mark.parametrize("kind", ["ntfs 4", "ntfs 5"])


@pytest.fixture
def fat(clock: Clock) -> FatVolume:
    return FatVolume("C", clock, Disk(1 << 30), kind="fat16")


# --- times ----------------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("reference: File systems, NTFS times of 100 ns")
@NTFS
def test_ntfs_keeps_times_to_100_ns(clock: Clock, kind: str) -> None:
    volume = new_volume(kind, clock)
    put(volume, "C:/a", b"x")
    times = volume.times("C:/a")
    assert all(ns % 100 == 0 and clock.now - ns < 1000 for ns in (times.created_ns, times.accessed_ns, times.mtime_ns))


@pytest.mark.behaviour("reference: File systems, FAT times; Microsoft's fastfat sample, timesup.c (rounding up)")
@FAT
def test_fat_keeps_writes_to_2_s_creation_to_10_ms_and_access_to_a_day(clock: Clock, kind: str) -> None:
    volume = new_volume(kind, clock)
    clock.now += 1_234_567_891
    before = clock.now
    put(volume, "C:/a", b"x")
    times = volume.times("C:/a")
    assert times.mtime_ns % 2_000_000_000 == 0
    assert 0 <= times.mtime_ns - before < 2_000_000_000
    assert times.created_ns % 10_000_000 == 0
    assert times.accessed_ns % DAY == 0


def test_the_filter_reports_the_time_as_it_is_kept(fat: FatVolume) -> None:
    seen: list[AnyOperation] = []
    fat.add_filter("C:", seen.append)
    put(fat, "C:/a", b"x")
    write = seen[-1]
    entry = fat.stat("C:/a")
    assert isinstance(write, Write)
    assert entry is not None
    assert write.mtime_ns == entry.mtime_ns


@pytest.mark.behaviour("Microsoft: File Times (NTFS notes the last access to within an hour)")
def test_ntfs_notes_an_access_after_an_hour(volume: NtfsVolume, advance: Advance) -> None:
    put(volume, "C:/a", b"x")
    made = volume.times("C:/a").accessed_ns
    advance(HOUR // 2)
    volume.read("C:/a")
    assert volume.times("C:/a").accessed_ns == made
    advance(HOUR)
    volume.read("C:/a")
    assert volume.times("C:/a").accessed_ns > made


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("reference: File systems, largest file")
@pytest.mark.parametrize(("kind", "largest"), [("fat16", 2 * 1024**3), ("fat32", 4 * 1024**3 - 1)])
def test_fat_has_a_largest_file_and_more_is_disk_full(clock: Clock, kind: str, largest: int) -> None:
    volume = new_volume(kind, clock, capacity=64 * 1024**3)
    volume.create("C:/a")
    fails("no_space", lambda: volume.write("C:/a", largest, b"x"))
    fails("no_space", lambda: volume.truncate("C:/a", largest + 1))
    assert volume.read("C:/a") == b""


@pytest.mark.behaviour("KB 120138")
def test_the_root_directory_of_fat16_has_512_entries(fat: FatVolume) -> None:
    for number in range(512):
        fat.create(f"C:/{number}")
    fails("no_space", lambda: fat.create("C:/more"))
    fails("no_space", lambda: fat.mkdir("C:/more"))
    fat.remove("C:/0")
    fat.mkdir("C:/more")
    fat.create("C:/more/and more")


@pytest.mark.behaviour("KB 120138")
def test_long_names_take_several_entries_of_the_root(fat: FatVolume) -> None:
    assert [entries(name) for name in ("README.TXT", "readme.txt", "Readme.txt", "x" * 13, "x" * 14)] == [1, 1, 2, 2, 3]
    for number in range(170):
        fat.create(f"C:/a name of 26 characters{number:03}")
    with pytest.raises(Exception, match="no entry left"):
        fat.create("C:/a name of 26 charactersxxx")
    fat.create("C:/SHORT")


@pytest.mark.behaviour("KB 120138: does not apply to FAT32")
def test_the_root_directory_of_fat32_has_no_such_limit(clock: Clock) -> None:
    volume = new_volume("fat32", clock)
    for number in range(600):
        volume.create(f"C:/{number}")
    assert len(volume.list("C:")) == 600


@pytest.mark.behaviour("KB 140365")
def test_a_small_file_takes_a_cluster(clock: Clock) -> None:
    volume = FatVolume("C", clock, Disk(1 << 30), kind="fat16", cluster=16384)
    put(volume, "C:/a", b"x")
    assert volume.allocated("C:/a") == 16384
    assert volume.free_space() == (1 << 30) - 16384


# --- named streams --------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("reference: File systems, named streams")
@NTFS
def test_a_named_stream_is_a_file_inside_a_file(clock: Clock, kind: str) -> None:
    volume = new_volume(kind, clock)
    assert isinstance(volume, NtfsVolume)
    put(volume, "C:/a.txt", b"main")
    put(volume, "C:/a.txt:summary", b"other")
    assert (volume.read("C:/A.TXT"), volume.read("C:/A.TXT:Summary")) == (b"main", b"other")
    assert [entry.path for entry in volume.list("C:")] == ["C:/a.txt"]
    assert volume.streams("C:/a.txt") == ("summary",)
    volume.remove("C:/a.txt:summary")
    assert volume.streams("C:/a.txt") == ()


@pytest.mark.behaviour("KB 188806 (::$DATA)")
def test_the_unnamed_stream_has_a_name_too(volume: NtfsVolume) -> None:
    put(volume, "C:/page.asp", b"<% secret %>")
    assert volume.read("C:/page.asp::$DATA") == b"<% secret %>"
    put(volume, "C:/page.asp:x", b"y")
    assert volume.read("C:/page.asp:x:$DATA") == b"y"


@pytest.mark.behaviour("Microsoft: File Streams")
def test_making_a_stream_makes_its_file(volume: NtfsVolume) -> None:
    put(volume, "C:/new:notes", b"1234")
    entry = volume.stat("C:/new")
    assert entry is not None
    assert entry.size == 0


def test_streams_take_space_and_go_with_their_file(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"x")
    put(volume, "C:/a:b", bytes(CLUSTER + 1))
    assert volume.free_space() == volume.capacity - 3 * CLUSTER
    volume.rename("C:/a", "C:/c")
    assert volume.read("C:/c:b") == bytes(CLUSTER + 1)
    volume.remove("C:/c")
    assert volume.free_space() == volume.capacity


def test_what_is_done_to_a_stream_is_an_operation_on_its_file_and_a_note(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"x")
    seen: list[AnyOperation] = []
    notes: list[Note] = []
    volume.add_filter("C:", seen.append)
    volume.add_note_observer(notes.append)
    put(volume, "C:/a:b", b"hidden")
    volume.truncate("C:/a:b", 3)
    volume.remove("C:/a:B")
    assert seen == [
        MakeStream("C:/a", "b"), WriteStream("C:/a", "b", 0, b"hidden"), TruncateStream("C:/a", "b", 3),
        RemoveStream("C:/a", "b"),
    ]  # fmt: skip
    assert [(note.kind, note.path) for note in notes] == [("stream", "C:/a:b")] * 4


@NTFS
def test_a_directory_has_streams_too(clock: Clock, kind: str) -> None:
    volume = new_volume(kind, clock)
    volume.mkdir("C:/d")
    assert isinstance(volume, NtfsVolume)
    put(volume, "C:/d/f", b"x")
    put(volume, "C:/d:s", b"of the directory")
    assert [entry.path for entry in volume.list("C:/d")] == ["C:/d/f"]
    assert volume.streams("C:/d") == ("s",)
    volume.rename("C:/d", "C:/e")
    assert volume.read("C:/e:S") == b"of the directory"
    volume.remove("C:/e/f")
    free = volume.free_space()
    volume.rmdir("C:/e")
    assert volume.free_space() == free + CLUSTER


def test_a_power_loss_takes_streams_as_it_takes_files(clock: Clock) -> None:
    seen = set()
    for seed in range(30):
        volume = NtfsVolume("C", clock)
        volume.mkdir("C:/d")
        volume.flush()
        put(volume, "C:/d:s", b"of the directory")
        volume.power_loss(random.Random(seed))
        seen.add(volume.streams("C:/d"))
        assert [entry.path for entry in volume.list("C:/d")] == []
    assert seen == {(), ("s",)}


def test_a_change_is_told_under_every_name_of_the_file(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"x")
    volume.mkdir("C:/d")
    seen: list[AnyOperation] = []
    observed: list[AnyOperation] = []
    volume.add_filter("C:/d", seen.append)
    volume.add_observer(observed.append)
    volume.hard_link("C:/a", "C:/d/b")
    volume.write("C:/a", 0, b"y")
    volume.remove("C:/a")
    assert [(type(each).__name__, each.path) for each in seen] == [("MakeHardLink", "C:/d/b"), ("Write", "C:/d/b")]
    assert [(type(each).__name__, each.path) for each in observed] == [
        ("MakeHardLink", "C:/d/b"),
        ("Write", "C:/a"),
        ("Write", "C:/d/b"),
        ("RemoveFile", "C:/a"),
    ]


def test_a_hard_link_takes_the_place_of_another_file_for_the_product(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"one")
    put(volume, "C:/b", b"two")
    volume.apply([MakeHardLink("C:/b", "C:/a"), MakeHardLink("C:/b", "C:/a")])
    assert volume.names("C:/a") == ("C:/a", "C:/b")
    found = volume.list("C:")
    assert {(entry.kind, entry.links, entry.identity) for entry in found} == {("file", 2, found[0].identity)}


@pytest.mark.behaviour("reference: File systems, FAT has no streams")
def test_fat_has_no_streams(fat: FatVolume) -> None:
    put(fat, "C:/a", b"x")
    fails("denied", lambda: fat.create("C:/a:b"))


# --- hard links and junctions ---------------------------------------------------------------------------------------


@pytest.mark.behaviour("Microsoft: Hard Links and Junctions")
@NTFS
def test_hard_links_are_names_of_one_file(clock: Clock, kind: str) -> None:
    volume = new_volume(kind, clock)
    assert isinstance(volume, NtfsVolume)
    put(volume, "C:/a", b"one")
    volume.mkdir("C:/d")
    volume.hard_link("C:/a", "C:/d/b")
    volume.write("C:/d/b", 0, b"two")
    volume.set_attributes("C:/d/b", 2)
    assert (volume.read("C:/a"), volume.attributes("C:/a")) == (b"two", 2)
    assert volume.names("C:/a") == ("C:/a", "C:/d/b")
    volume.remove("C:/a")
    assert volume.read("C:/d/b") == b"two"
    assert volume.free_space() == volume.capacity - CLUSTER
    volume.remove("C:/d/b")
    assert volume.free_space() == volume.capacity


def test_giving_a_file_a_name_that_it_has_already_tells_of_the_name_as_it_is_spelled(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"")
    volume.hard_link("C:/a", "C:/b")
    told: list[AnyOperation] = []
    volume.add_observer(told.append)
    volume.apply([MakeHardLink("C:/B", "C:/A")])
    assert told == [MakeHardLink("C:/b", "C:/a")]
    assert volume.names("C:/a") == ("C:/a", "C:/b")


@pytest.mark.behaviour("Microsoft: CreateHardLink (1023 links)")
def test_a_file_has_at_most_1023_names(volume: NtfsVolume) -> None:
    put(volume, "C:/a", b"")
    for number in range(MOST_LINKS - 1):
        volume.hard_link("C:/a", f"C:/{number}")
    fails("denied", lambda: volume.hard_link("C:/a", "C:/more"))
    fails("exists", lambda: volume.hard_link("C:/a", "C:/1"))


@pytest.mark.behaviour("reference: File systems, reparse points: 5 only")
def test_ntfs_4_has_no_junctions_and_no_sparse_files(clock: Clock) -> None:
    volume = NtfsVolume("C", clock, release=4)
    volume.mkdir("C:/d")
    put(volume, "C:/a", b"")
    fails("denied", lambda: volume.make_junction("C:/d", "C:/"))
    fails("denied", lambda: volume.set_sparse("C:/a"))


@pytest.mark.behaviour("Microsoft: Hard Links and Junctions")
def test_a_junction_leads_to_a_directory_on_any_volume(clock: Clock) -> None:
    system, data = NtfsVolume("C", clock), NtfsVolume("D", clock)
    files = VolumeFiles({"C": system, "D": data})
    data.mkdir("D:/site")
    put(data, "D:/site/a.htm", b"x")
    system.mkdir("C:/InetPub")
    system.mkdir("C:/InetPub/wwwroot")
    system.make_junction("C:/InetPub/wwwroot", "D:/site")
    assert files.read("C:/InetPub/wwwroot/a.htm") == b"x"
    assert [entry.path for entry in files.list("C:/InetPub/wwwroot")] == ["C:/InetPub/wwwroot/a.htm"]
    files.create("C:/InetPub/wwwroot/b.htm")
    assert data.stat("D:/site/b.htm") is not None
    assert files.attributes("C:/InetPub/wwwroot") & REPARSE
    files.rmdir("C:/InetPub/wwwroot")
    assert data.stat("D:/site/a.htm") is not None
    assert system.stat("C:/InetPub/wwwroot") is None


def test_junctions_that_lead_in_circles_are_refused(clock: Clock) -> None:
    volume = NtfsVolume("C", clock)
    files = VolumeFiles({"C": volume})
    for name in "ab":
        volume.mkdir(f"C:/{name}")
    volume.make_junction("C:/a", "C:/b")
    volume.make_junction("C:/b", "C:/a")
    fails("denied", lambda: files.read("C:/a/x"))


def test_the_product_sees_a_junction_as_a_link_and_not_what_is_behind_it(volume: NtfsVolume) -> None:
    volume.mkdir("C:/d")
    volume.mkdir("C:/real")
    put(volume, "C:/real/f", b"")
    volume.make_junction("C:/d", "C:/real")
    assert volume.list("C:/d") == []
    entry = volume.stat("C:/d")
    assert entry is not None
    assert (entry.kind, entry.target) == ("link", "C:/real")
    copy = NtfsVolume("C", lambda: 0)
    make = MakeSymbolicLink("C:/d", "C:/real", entry.metadata, entry.mtime_ns, True, entry.created_ns)
    copy.apply([make])
    assert copy.stat("C:/d") == entry
    assert copy.attributes("C:/d") & REPARSE
    copy.rmdir("C:/d")
    assert copy.list("C:") == []


# --- compressed and sparse files ------------------------------------------------------------------------------------


@pytest.mark.behaviour("reference: File systems, compression")
@NTFS
def test_a_compressed_file_takes_less_space_and_reads_the_same(clock: Clock, kind: str) -> None:
    volume = new_volume(kind, clock)
    assert isinstance(volume, NtfsVolume)
    text = b"the same line again and again\r\n" * 10_000
    put(volume, "C:/a", text)
    plain = volume.allocated("C:/a")
    volume.set_compressed("C:/a", on=True)
    assert volume.allocated("C:/a") < plain // 4
    assert volume.free_space() == volume.capacity - volume.allocated("C:/a")
    assert volume.attributes("C:/a") & COMPRESSED
    assert volume.read("C:/a") == text
    volume.append("C:/a", text)
    volume.set_compressed("C:/a", on=False)
    assert volume.allocated("C:/a") == -(-2 * len(text) // CLUSTER) * CLUSTER


@pytest.mark.behaviour("Microsoft: File Compression and Decompression (new files take it from their directory)")
def test_new_files_in_a_compressed_directory_are_compressed(volume: NtfsVolume) -> None:
    volume.mkdir("C:/logs")
    volume.set_compressed("C:/logs", on=True)
    put(volume, "C:/logs/a", b"x" * 100_000)
    volume.mkdir("C:/logs/d")
    assert volume.attributes("C:/logs/a") & volume.attributes("C:/logs/d") & COMPRESSED
    assert volume.allocated("C:/logs/a") < 100_000


@pytest.mark.behaviour("Microsoft: File Compression (clusters of at most 4 KiB)")
def test_large_clusters_have_no_compression(clock: Clock) -> None:
    volume = NtfsVolume("C", clock, cluster=8192)
    put(volume, "C:/a", b"")
    fails("denied", lambda: volume.set_compressed("C:/a", on=True))


@pytest.mark.behaviour("reference: File systems, sparse: 5 only; Microsoft: Sparse Files")
def test_a_sparse_file_takes_space_only_where_it_was_written(volume: NtfsVolume) -> None:
    unit = 16 * CLUSTER
    volume.create("C:/a")
    volume.set_sparse("C:/a")
    volume.write("C:/a", 10 * unit, b"x")
    assert volume.allocated("C:/a") == CLUSTER
    assert volume.attributes("C:/a") & SPARSE
    volume.write("C:/a", 0, b"y" * unit)
    assert volume.allocated("C:/a") == unit + CLUSTER
    volume.zero("C:/a", 0, unit)
    assert volume.allocated("C:/a") == CLUSTER
    assert volume.read("C:/a", 0, 4) == bytes(4)


# --- attributes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ntfs 5", "fat32"])
def test_attributes_are_set_and_others_stay(clock: Clock, kind: str) -> None:
    volume = new_volume(kind, clock)
    put(volume, "C:/a", b"")
    volume.set_attributes("C:/a", 1 | 2 | 4 | 0x800)
    assert volume.attributes("C:/a") == 7
    fails("denied", lambda: volume.write("C:/a", 0, b"x"))


def test_metadata_of_the_product_lose_their_security_on_fat(fat: FatVolume) -> None:
    seen: list[AnyOperation] = []
    fat.add_observer(seen.append)
    fat.apply([CreateFile("C:/a", Metadata(32, b"O:BA"), 0)])
    assert seen == [CreateFile("C:/a", Metadata(32, b""), 0, fat.times("C:/a").created_ns)]


@pytest.mark.behaviour("Microsoft: File Attribute Constants")
@pytest.mark.parametrize("kind", ["ntfs 4", "ntfs 5", "fat32", "fat16"])
def test_a_read_only_file_is_neither_written_nor_removed(clock: Clock, kind: str) -> None:
    volume: Volume = new_volume(kind, clock)
    put(volume, "C:/a", b"x")
    volume.set_attributes("C:/a", 1)
    for call in (lambda: volume.append("C:/a", b"y"), lambda: volume.remove("C:/a"), lambda: volume.create("C:/a")):
        fails("denied", call)
    put(volume, "C:/other", b"o")
    fails("denied", lambda: volume.rename("C:/other", "C:/a"))
    volume.rename("C:/a", "C:/b")
    assert volume.read("C:/b") == b"x"


@pytest.mark.parametrize("kind", ["ntfs 4", "ntfs 5", "fat32", "fat16"])
def test_separators_count_once_however_many_there_are(clock: Clock, kind: str) -> None:
    volume = new_volume(kind, clock)
    volume.mkdir("C:/d")
    put(volume, "C:/d/a", b"x")
    assert volume.read("C://d///a") == b"x"
    assert volume.stat("C:/d//nothing") is None


@pytest.mark.behaviour("Microsoft: Sparse Files (a range that was never written, or was zeroed, takes no space)")
def test_a_sparse_file_may_be_longer_than_the_disk_is_free(clock: Clock) -> None:
    unit = 16 * CLUSTER
    volume = NtfsVolume("C", clock, Disk(10 * unit))
    volume.create("C:/a")
    volume.set_sparse("C:/a")
    volume.truncate("C:/a", 50 * unit)
    volume.write("C:/a", 40 * unit, b"x" * 6 * unit)
    fails("no_space", lambda: volume.write("C:/a", 0, b"y" * 5 * unit))
    volume.zero("C:/a", 40 * unit, 5 * unit)
    volume.write("C:/a", 0, b"y" * 5 * unit)
    assert volume.allocated("C:/a") == 6 * unit


@pytest.mark.behaviour("Microsoft: FSCTL_SET_ZERO_DATA")
@pytest.mark.parametrize("kind", ["ntfs 5", "ntfs 4", "fat32"])
def test_a_punched_hole_reads_as_zeros_and_gives_space_back_where_there_are_sparse_files(
    clock: Clock, kind: str
) -> None:
    volume = new_volume(kind, clock)
    put(volume, "C:/a", b"x" * 40 * CLUSTER)
    volume.apply([PunchHole("C:/a", 0, 32 * CLUSTER, 0)])
    assert volume.read("C:/a") == bytes(32 * CLUSTER) + b"x" * 8 * CLUSTER
    assert volume.allocated("C:/a") == (8 if kind == "ntfs 5" else 40) * CLUSTER
    assert bool(volume.attributes("C:/a") & SPARSE) == (kind == "ntfs 5")


def test_space_is_counted_right_after_a_power_loss_that_took_a_file_being_sparse(clock: Clock) -> None:
    taken = False
    for seed in range(20):
        volume = NtfsVolume("C", clock)
        put(volume, "C:/a", bytes(32 * CLUSTER))
        volume.flush()
        before = volume.free_space()
        volume.set_sparse("C:/a")
        assert volume.free_space() == before + 32 * CLUSTER
        volume.power_loss(random.Random(seed))
        taken = taken or not volume.attributes("C:/a") & SPARSE
        assert volume.free_space() == before + (32 * CLUSTER if volume.attributes("C:/a") & SPARSE else 0)
    assert taken
