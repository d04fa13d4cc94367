"""What simulated Windows machines replicate of a file besides its bytes: live, by a mirror, and in a verification."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.e2e.test_configurations import ROOT, lab_with_data

from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import MakeDirectory, Metadata
from bodydouble.vocabulary.records import ReplicationSet, RestoreRequest, Rule
from bodydouble.vocabulary.verification import VerificationOptions
from bodydouble_sim.storage.drive import Drive
from bodydouble_sim.storage.ntfs import NtfsVolume

if TYPE_CHECKING:
    from tests.e2e.test_configurations import Box, Lab

    from bodydouble.vocabulary.verification import VerificationDetails

UNIT = 64 * 1024


ACL = b"O:BAG:SYD:(A;;FA;;;BA)"


async def events(lab: Lab, name: str, code: EventCode) -> list[str]:
    async with lab.boxes[name].talk() as client:
        return [event.text for event in await client.events() if event.code == code]


async def verified(lab: Lab) -> VerificationDetails:
    """A verification by checksum, to its end."""
    async with lab.boxes["S"].talk() as client:
        number = (await client.verify(1, VerificationOptions(checksum=True))).number
        while (details := await client.verification(number)).report.state != "complete":  # noqa: ASYNC110 - over the wire
            await asyncio.sleep(0.5)
        return details


def drive(box: Box, letter: str = "C") -> NtfsVolume:
    volume = box.machine.volumes[letter]
    assert isinstance(volume, NtfsVolume)
    return volume


def sparse_file(volume: NtfsVolume, path: str) -> None:
    volume.create(path)
    volume.write(path, 0, b"x" * 3 * UNIT)
    volume.set_sparse(path)
    volume.write(path, 90 * UNIT, b"end")


def test_sparse_files_take_as_little_space_on_the_target() -> None:
    lab = lab_with_data("ST")

    async def main() -> None:
        source, target = (drive(lab.boxes[name]) for name in "ST")
        sparse_file(source, f"{ROOT}/mirrored")
        await lab.connect("S", "T")
        await lab.settled(("S", 1))
        async with lab.watched("S", "T"):
            sparse_file(source, f"{ROOT}/live")
            for name in ("mirrored", "live"):
                source.zero(f"{ROOT}/{name}", UNIT, UNIT)
                source.write(f"{ROOT}/{name}", 40 * UNIT, b"middle")
            await lab.settled(("S", 1))
        assert lab.boxes["S"].picture(ROOT) == lab.boxes["T"].picture(ROOT)
        for name in ("mirrored", "live"):
            path = f"{ROOT}/{name}"
            assert target.allocated(path) == source.allocated(path) < 5 * UNIT
            assert target.attributes(path) == source.attributes(path)
        lab.check(at_least=8)

    lab.run(main)


def busy(source: NtfsVolume, directory: str) -> None:
    """Something of everything that NTFS 5 keeps and FAT does not."""
    source.mkdir(directory)
    sparse_file(source, f"{directory}/sparse")
    source.create(f"{directory}/a")
    source.write(f"{directory}/a", 0, b"a" * 3000)
    source.set_metadata(f"{directory}/a", Metadata(3, ACL))
    source.hard_link(f"{directory}/a", f"{directory}/b")
    source.set_attributes(f"{directory}/a", 0)
    source.write(f"{directory}/b", 100, b"through the other name")
    source.mkdir(f"{directory}/junction")
    source.make_junction(f"{directory}/junction", "C:/Windows")
    source.mkdir(f"{directory}/other")
    source.make_junction(f"{directory}/other", "C:/Windows")
    source.rename(f"{directory}/other", f"{directory}/moved")
    source.rmdir(f"{directory}/moved")
    source.create(f"{directory}/a:Summary")
    source.write(f"{directory}/a:Summary", 0, b"by whom")
    source.set_times(f"{directory}/a", 1_000_000_001_234_567_800)


def test_a_fat_target_keeps_what_it_can_and_says_what_it_cannot() -> None:
    lab = lab_with_data("ST", Drive(file_system="fat32"))
    place = "D:/replica/C/data"

    async def main() -> None:
        source, target = drive(lab.boxes["S"]), lab.boxes["T"].machine.volumes["D"]
        busy(source, f"{ROOT}/mirrored")
        await lab.connect("S", "T", base="D:/replica")
        await lab.settled(("S", 1))
        busy(source, f"{ROOT}/live")
        await lab.settled(("S", 1))
        for directory in ("mirrored", "live"):
            there = {entry.path.rpartition("/")[2]: entry for entry in target.list(f"{place}/{directory}")}
            assert sorted(there) == ["a", "b", "sparse"]
            for name, entry in there.items():
                here = source.stat(f"{ROOT}/{directory}/{name}")
                assert here is not None
                assert entry.metadata == Metadata(here.metadata.attributes)
                assert abs(entry.mtime_ns - here.mtime_ns) < 2_000_000_000
                assert target.read(entry.path) == source.read(here.path)
        texts = await events(lab, "T", EventCode.NOT_KEPT)
        kinds = ["hard links", "holes", "junctions", "named streams", "permissions"]
        assert sorted(text.split(" ", 2)[2].partition(" are not kept")[0] for text in texts) == kinds
        async with lab.boxes["T"].talk() as client:
            status = (await client.replicas())[0]
        assert sorted(status.not_kept) == kinds
        assert (await verified(lab)).differences == []

    lab.run(main)


def test_named_streams_are_mirrored_replicated_and_verified() -> None:
    lab = lab_with_data("ST")

    async def main() -> None:
        source, target = (drive(lab.boxes[name]) for name in "ST")
        for name in ("mirrored", "live"):
            if name == "live":
                await lab.connect("S", "T")
                await lab.settled(("S", 1))
            source.mkdir(f"{ROOT}/{name}")
            source.create(f"{ROOT}/{name}/f")
            for path in (f"{ROOT}/{name}", f"{ROOT}/{name}/f"):
                source.create(f"{path}:Summary")
                source.write(f"{path}:Summary", 0, b"by " * 30_000)
                source.create(f"{path}:gone")
                source.remove(f"{path}:gone")
            source.hard_link(f"{ROOT}/{name}/f", f"{ROOT}/{name}/g")
            source.write(f"{ROOT}/{name}/g:Summary", 9, b"through the other name")
        await lab.settled(("S", 1))
        async with lab.watched("S", "T"):
            source.append(f"{ROOT}/mirrored/f:Summary", b"the end")
            source.truncate(f"{ROOT}/mirrored:Summary", 5)
            source.create(f"{ROOT}/live:more")
            await lab.settled(("S", 1))
        lab.check(at_least=3)
        for name in ("mirrored", "live"):
            for path in (f"{ROOT}/{name}", f"{ROOT}/{name}/f", f"{ROOT}/{name}/g"):
                assert target.streams(path) == source.streams(path) != ()
                assert target.read(f"{path}:Summary") == source.read(f"{path}:Summary")
        assert (await verified(lab)).differences == []
        target.write(f"{ROOT}/live:Summary", 3, b"X")
        target.create(f"{ROOT}/mirrored/f:hidden")
        differences = (await verified(lab)).differences
        assert [(each.path, each.detail) for each in differences] == [
            (f"{ROOT}/live", "contents of named streams"),
            (f"{ROOT}/mirrored/f", "named streams"),
            (f"{ROOT}/mirrored/g", "named streams"),
        ]

    lab.run(main)


def test_a_fat_source_gets_permissions_of_the_targets_directory() -> None:
    lab = lab_with_data("ST", Drive(file_system="fat32"))

    async def main() -> None:
        source, target = lab.boxes["S"].machine.volumes["D"], drive(lab.boxes["T"])
        source.mkdir("D:/data")
        for name in ("mirrored", "live"):
            source.create(f"D:/data/{name}")
            source.write(f"D:/data/{name}", 0, name.encode())
            if name == "mirrored":
                target.mkdir("C:/replica")
                target.set_security("C:/replica", b"O:BAG:SYD:(A;OICI;FA;;;BA)")
                data = ReplicationSet(name="data", rules=[Rule(path="D:/data")])
                await lab.connect("S", "T", data, base="C:/replica")
                await lab.settled(("S", 1))
        await lab.settled(("S", 1))
        for name in ("mirrored", "live"):
            assert target.security(f"C:/replica/D/data/{name}") == b"O:BAG:SYD:AI(A;ID;FA;;;BA)"
        assert (await verified(lab)).differences == []
        assert await events(lab, "T", EventCode.NOT_KEPT) == []

    lab.run(main)


def test_directories_have_the_sources_times_after_everything_that_was_done_inside() -> None:
    lab = lab_with_data("ST")

    def times(box: Box) -> dict[str, int]:
        found, stack = {}, [ROOT]
        while stack:
            entry = box.machine.volumes["C"].stat(stack.pop())
            assert entry is not None
            found[entry.path] = entry.mtime_ns
            stack += [each.path for each in drive(box).list(entry.path) if each.kind == "directory"]
        return found

    async def main() -> None:
        source, target = lab.boxes["S"], lab.boxes["T"]
        for name in ("mirrored", "live"):
            if name == "live":
                await lab.connect("S", "T")
                await lab.settled(("S", 1))
                assert times(target) == times(source)
            for directory in (f"{ROOT}/{name}", f"{ROOT}/{name}/deep"):
                source.mkdir(directory)
                drive(source).create(f"{directory}/f")
            drive(source).set_times(f"{ROOT}/{name}", 1_000_000_000_000_000_000)
            await asyncio.sleep(1.0)
        await source.work(ROOT, 5)
        await asyncio.sleep(1.0)
        await lab.settled(("S", 1))
        assert times(target) == times(source)
        assert times(target)[f"{ROOT}/live"] == 1_000_000_000_000_000_000
        assert (await verified(lab)).differences == []
        drive(target).set_times(f"{ROOT}/live/deep", 1_000_000_000_000_000_000)
        assert [each.detail for each in (await verified(lab)).differences] == ["last write"]

    lab.run(main)


def test_creation_times_are_the_sources() -> None:
    lab = lab_with_data("ST")

    async def main() -> None:
        source, target = (drive(lab.boxes[name]) for name in "ST")
        for name in ("mirrored", "live"):
            if name == "live":
                await lab.connect("S", "T")
                await lab.settled(("S", 1))
            source.mkdir(f"{ROOT}/{name}")
            source.create(f"{ROOT}/{name}/f")
            source.create(f"{ROOT}/{name}/old")
            source.set_times(f"{ROOT}/{name}/old", 1_000_000_000_000_000_000, 900_000_000_000_000_000)
            source.mkdir(f"{ROOT}/{name}/junction")
            source.make_junction(f"{ROOT}/{name}/junction", "C:/Windows")
            await asyncio.sleep(3.0)
        await lab.settled(("S", 1))
        for name in ("mirrored", "live"):
            for path in (f"{ROOT}/{name}", *(f"{ROOT}/{name}/{each}" for each in ("f", "old", "junction"))):
                assert target.times(path).created_ns == source.times(path).created_ns
        assert (await verified(lab)).differences == []
        target.set_times(f"{ROOT}/live/f", target.times(f"{ROOT}/live/f").mtime_ns, 77_000_000_000)
        target.apply([MakeDirectory(f"{ROOT}/mirrored", Metadata(), 77_000_000_000)])
        differences = (await verified(lab)).differences
        assert [(each.path, each.detail) for each in differences] == [
            (f"{ROOT}/mirrored", "creation time"), (f"{ROOT}/live/f", "creation time"),
        ]  # fmt: skip
        async with lab.boxes["S"].talk() as client:
            await client.mirror(1)
        await lab.settled(("S", 1))
        assert (await verified(lab)).differences == []

    lab.run(main)


def test_permissions_are_the_sources_whether_inherited_or_explicit() -> None:
    lab = lab_with_data("ST")

    async def main() -> None:
        source, target = (drive(lab.boxes[name]) for name in "ST")
        target.set_security(ROOT, b"O:BAG:SYD:(A;OICI;FR;;;BU)")  # what files there would inherit, were they made there
        source.set_security(ROOT, b"O:BAG:SYD:(A;OICI;FA;;;BA)(A;OI;FR;;;WD)(D;CI;FW;;;BG)")
        for name in ("mirrored", "live"):
            if name == "live":
                await lab.connect("S", "T")
                await lab.settled(("S", 1))
            source.mkdir(f"{ROOT}/{name}")
            for each in ("inherited", "explicit"):
                source.create(f"{ROOT}/{name}/{each}")
            source.set_security(f"{ROOT}/{name}/explicit", ACL)
            source.set_security(f"{ROOT}/{name}", b"O:BAG:SYD:P(A;OICI;FA;;;SY)")  # what lies below keeps what it has
            source.create(f"{ROOT}/{name}/later")
            source.rename(f"{ROOT}/{name}/inherited", f"{ROOT}/{name}/moved")
        await lab.settled(("S", 1))
        for name in ("mirrored", "live"):
            security = {each: source.security(f"{ROOT}/{name}/{each}") for each in ("moved", "explicit", "later")}
            assert len(set(security.values())) == 3
            assert {each: target.security(f"{ROOT}/{name}/{each}") for each in security} == security
            assert target.security(f"{ROOT}/{name}") == source.security(f"{ROOT}/{name}")
        assert b"ID" in source.security(f"{ROOT}/live/moved")
        assert (await verified(lab)).differences == []
        target.set_security(f"{ROOT}/live/moved", ACL)
        target.set_attributes(f"{ROOT}/live/later", 2)
        differences = (await verified(lab)).differences
        assert [each.detail for each in differences] == ["attributes", "security"]

    lab.run(main)


def test_links_over_the_border_of_the_set() -> None:
    lab = lab_with_data("ST")
    rules = ReplicationSet(name="data", rules=[Rule(path=ROOT), Rule(path=f"{ROOT}/left out", include=False)])

    async def main() -> None:
        source, target = (drive(lab.boxes[name]) for name in "ST")
        for directory in ("C:/outside", f"{ROOT}/left out"):
            source.mkdir(directory)
            source.create(f"{directory}/f")
            source.write(f"{directory}/f", 0, directory.encode())
        for name in ("mirrored", "live"):
            if name == "live":
                await lab.connect("S", "T", rules)
                await lab.settled(("S", 1))
            source.mkdir(f"{ROOT}/{name}")
            for each, there in (("a", "C:/outside/f"), ("b", f"{ROOT}/left out/f")):
                source.hard_link(there, f"{ROOT}/{name}/{each}")
                source.hard_link(f"{ROOT}/{name}/{each}", f"{ROOT}/{name}/{each}2")
            source.create(f"{ROOT}/{name}/own")
            source.hard_link(f"{ROOT}/{name}/own", f"C:/outside/{name}")
            source.write(f"C:/outside/{name}", 0, b"through the name outside")
            source.mkdir(f"{ROOT}/{name}/junction")
            source.make_junction(f"{ROOT}/{name}/junction", "C:/outside")
        source.write("C:/outside/f", 0, b"THROUGH THE BACK DOOR")
        await lab.settled(("S", 1))
        for name in ("mirrored", "live"):
            for each in ("a", "a2", "b", "b2", "own"):
                path = f"{ROOT}/{name}/{each}"
                assert target.read(path) == source.read(path)
            for each in "ab":
                names = tuple(
                    sorted(f"{ROOT}/{where}/{one}" for where in ("live", "mirrored") for one in (each, f"{each}2"))
                )
                assert target.names(f"{ROOT}/{name}/{each}") == names
            assert target.names(f"{ROOT}/{name}/own") == (f"{ROOT}/{name}/own",)
            entry = target.stat(f"{ROOT}/{name}/junction")
            assert entry is not None
            assert entry.target == "C:/outside"
        assert target.stat("C:/outside") is None
        assert target.stat(f"{ROOT}/left out") is None
        assert (await verified(lab)).differences == []

    lab.run(main)


def test_a_restoration_from_a_fat_stand_in_takes_nothing_from_the_source() -> None:
    lab = lab_with_data("ST", Drive(file_system="fat32"))
    place = "D:/replica/C/data"

    async def main() -> None:
        source, target = drive(lab.boxes["S"]), lab.boxes["T"].machine.volumes["D"]
        busy(source, f"{ROOT}/d")
        source.create(f"{ROOT}/d/alone")
        source.set_security(f"{ROOT}/d/alone", ACL)
        source.create(f"{ROOT}/d/alone:Summary")
        await lab.connect("S", "T", base="D:/replica")
        await lab.settled(("S", 1))
        async with lab.boxes["S"].talk() as client:
            await client.disconnect(1)
        before = {
            name: (source.security(f"{ROOT}/d/{name}"), source.streams(f"{ROOT}/d/{name}"))
            for name in ("a", "b", "alone")
        }
        target.write(f"{place}/d/alone", 0, b"at the stand-in")
        target.create(f"{place}/d/new")
        async with lab.boxes["T"].talk() as client:
            request = RestoreRequest(original_source="S", replication_set="data", restore_to=lab.boxes["S"].ip)
            await client.restore(request)
            while (await client.restorations())[0].state != "complete":  # noqa: ASYNC110 - over the wire
                await asyncio.sleep(0.5)
        assert source.read(f"{ROOT}/d/alone", 0, 15) == b"at the stand-in"
        assert source.stat(f"{ROOT}/d/new") is not None
        after = {
            name: (source.security(f"{ROOT}/d/{name}"), source.streams(f"{ROOT}/d/{name}"))
            for name in ("a", "b", "alone")
        }
        assert after == before
        assert source.names(f"{ROOT}/d/a") == (f"{ROOT}/d/a", f"{ROOT}/d/b")
        junction = source.stat(f"{ROOT}/d/junction")
        assert junction is not None
        assert junction.target == "C:/Windows"

    lab.run(main)
