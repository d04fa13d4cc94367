"""Drives of a machine: what is on them, what its Windows makes of them, and new disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.sim.storage.volumes import fails

from bodydouble.errors import FilterError, InputError
from bodydouble.vocabulary.operations import CreateFile, Metadata
from bodydouble_sim.errors import MachineStateError
from bodydouble_sim.storage.disk import Disk
from bodydouble_sim.storage.drive import Drive, formatted
from bodydouble_sim.storage.ntfs import NtfsVolume
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.windows.version import NT_4, WINDOWS_2000
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.sim.storage.volumes import Clock

    from bodydouble_sim.storage.drive import FileSystemName
    from bodydouble_sim.windows.version import WindowsVersion

GIB = 1024**3


@pytest.fixture
def world() -> Iterator[World]:
    made = World(1)
    yield made
    made.close()


def drives(file_system: FileSystemName | None, **more: object) -> dict[str, Drive]:
    return {"C": Drive(), "D": Drive(file_system=file_system, **more)}  # type: ignore[arg-type]


async def booted(machine: WindowsMachine) -> WindowsMachine:
    machine.power_on()
    await machine.wait_booted()
    return machine


@pytest.mark.parametrize("file_system", ["ntfs", "fat32", "fat16"])
def test_a_machine_has_the_drives_that_were_asked_for(world: World, file_system: FileSystemName) -> None:
    machine = WindowsMachine(world, "A", drives(file_system, label="DATA"))
    world.run(booted(machine))
    found = machine.system.files.volume("D:/any/where")
    assert (found.file_system, found.label) == (file_system, "DATA")
    assert found.capacity == (2 if file_system == "fat16" else 8) * GIB
    assert machine.system.files.drives() == ["C", "D"]


@pytest.mark.behaviour("reference: File systems, NT 4.0 cannot mount FAT32; KB 214404")
def test_nt_4_does_not_know_fat32_and_windows_2000_does(world: World) -> None:
    old = WindowsMachine(world, "OLD", drives("fat32"), version=NT_4)
    new = WindowsMachine(world, "NEW", drives("fat32"), version=WINDOWS_2000)
    for machine in (old, new):
        world.run(booted(machine))
    assert old.system.files.volume("D:").file_system is None
    fails("io", lambda: old.system.files.create("D:/a"))
    new.system.files.create("D:/a")


@pytest.mark.behaviour("reference: File systems, 2000 upgrades NTFS 4 at mount; KB 184299")
def test_windows_2000_upgrades_ntfs_4_when_it_mounts_it(world: World) -> None:
    machine = WindowsMachine(world, "A", drives("ntfs", release=4))
    volume = machine.volumes["D"]
    assert isinstance(volume, NtfsVolume)
    releases = [volume.release]
    world.run(booted(machine))
    releases.append(volume.release)
    assert releases == [4, 5]


@pytest.mark.behaviour("KB 184299")
@pytest.mark.parametrize(("service_pack", "file_system"), [(3, None), (4, "ntfs"), (6, "ntfs")])
def test_nt_4_needs_service_pack_4_for_ntfs_5(world: World, service_pack: int, file_system: str | None) -> None:
    machine = WindowsMachine(world, "A", drives("ntfs", release=5), version=NT_4, service_pack=service_pack)
    world.run(booted(machine))
    assert machine.system.files.volume("D:").file_system == file_system


@pytest.mark.behaviour("reference: File systems, NTFS 4 / 5")
@pytest.mark.parametrize(("version", "release"), [(NT_4, 4), (WINDOWS_2000, 5)])
def test_each_windows_formats_with_its_own_ntfs(world: World, version: WindowsVersion, release: int) -> None:
    machine = WindowsMachine(world, "A", drives(None), version=version)
    world.run(booted(machine))
    machine.drives.format("d", "ntfs", "NEW")
    volume = machine.volumes["D"]
    assert isinstance(volume, NtfsVolume)
    assert (volume.release, volume.label) == (release, "NEW")


@pytest.mark.behaviour("Windows error 1005")
def test_an_unformatted_drive_takes_nothing_until_it_is_formatted(world: World) -> None:
    machine = WindowsMachine(world, "A", drives(None))
    world.run(booted(machine))
    files = machine.system.files
    assert (files.volume("D:").file_system, files.stat("D:/a")) == (None, None)
    for call in (lambda: files.create("D:/a"), lambda: files.mkdir("D:/a"), lambda: files.list("D:")):
        fails("io", call)
    machine.drives.format("D", "fat32")
    files.create("D:/a")


def test_the_filter_does_not_watch_an_unformatted_drive(world: World) -> None:
    machine = WindowsMachine(world, "A", drives(None))

    async def main() -> None:
        await booted(machine)
        await machine.host().file_filter.attach("D:/a", lambda _: None)

    with pytest.raises(FilterError, match="drives: C"):
        world.run(main())


def test_a_replaced_disk_is_empty_and_unformatted(world: World) -> None:
    machine = WindowsMachine(world, "A", drives("ntfs"))
    heard: list[str] = []
    machine.drives.hooks.append(heard.append)

    async def main() -> None:
        await booted(machine)
        machine.system.files.create("D:/a")
        machine.volumes["D"].disk.failing = True
        await machine.shut_down()
        machine.drives.replace("D")
        await booted(machine)
        assert machine.system.files.volume("D:").file_system is None
        machine.drives.format("D")
        assert machine.system.files.list("D:") == []
        await machine.perform(machine.host().file_system.apply([CreateFile("D:/b", Metadata(), 0)]), name="apply")

    world.run(main())
    assert heard == ["D", "D"]
    assert machine.system.files.stat("D:/b") is not None


def test_what_cannot_be_replaced_or_formatted_is_refused(world: World) -> None:
    machine = WindowsMachine(world, "A", drives("ntfs"), version=NT_4)
    refusals: list[tuple[type[Exception], Callable[[], None]]] = [
        (MachineStateError, lambda: machine.drives.replace("C")),
        (MachineStateError, lambda: machine.drives.replace("E")),
        (MachineStateError, lambda: machine.drives.format("C")),
        (MachineStateError, lambda: machine.drives.format("E")),
        (InputError, lambda: machine.drives.format("D", "fat32")),
        (InputError, lambda: machine.drives.format("D", "fat16")),
        (InputError, lambda: machine.drives.format("D", "ntfs", "x" * 33)),
    ]
    for error, call in refusals:
        with pytest.raises(error):
            call()
    machine.volumes["D"].disk.failing = True
    fails("io", lambda: machine.drives.format("D"))
    world.run(booted(machine))
    with pytest.raises(MachineStateError, match="power"):
        machine.drives.replace("D")


@pytest.mark.behaviour("KB 140365, KB 192322")
@pytest.mark.parametrize(
    ("file_system", "capacity", "cluster"),
    [
        ("ntfs", 512 * 1024**2, 512),
        ("ntfs", 8 * GIB, 4096),
        ("fat16", 100 * 1024**2, 2048),
        ("fat16", 2 * GIB, 32768),
        ("fat32", 8 * GIB, 4096),
        ("fat32", 30 * GIB, 16384),
    ],
)
def test_format_chooses_the_cluster_by_the_size(
    clock: Clock, file_system: FileSystemName, capacity: int, cluster: int
) -> None:
    assert formatted("D", clock, Disk(capacity), file_system).cluster == cluster


@pytest.mark.behaviour("KB 140365 (FAT16 up to 4 GB), KB 184006 (Windows 2000 formats FAT32 up to 32 GB)")
@pytest.mark.parametrize(("file_system", "capacity"), [("fat16", 5 * GIB), ("fat32", 33 * GIB)])
def test_format_refuses_a_disk_that_is_too_big(clock: Clock, file_system: FileSystemName, capacity: int) -> None:
    with pytest.raises(InputError, match="too big"):
        formatted("D", clock, Disk(capacity), file_system)


@pytest.mark.behaviour("reference: File systems, FAT: chkdsk; Windows 2000 logs it as Winlogon 1001")
def test_fat_is_checked_at_the_start_after_a_power_cut(world: World) -> None:
    machine = WindowsMachine(world, "A", drives("fat32"))

    async def main() -> None:
        await booted(machine)
        for number in range(20):
            machine.system.files.create(f"D:/{number}")
            machine.system.files.append(f"D:/{number}", b"x" * 5000)
        machine.power_off()
        await booted(machine)

    world.run(main())
    logged = [entry.text for entry in machine.system.event_log.entries if entry.number == 1001]
    assert any("Checking file system on D:" in text and "FAT32" in text for text in logged)
    assert not machine.volumes["D"].needs_check


def test_a_shut_down_in_good_order_leaves_nothing_to_check(world: World) -> None:
    machine = WindowsMachine(world, "A", drives("fat32"))

    async def main() -> None:
        await booted(machine)
        machine.system.files.create("D:/a")
        await machine.reboot()

    world.run(main())
    assert machine.system.files.stat("D:/a") is not None
    assert [entry for entry in machine.system.event_log.entries if entry.number == 1001] == []


def test_windows_itself_was_flushed_long_ago(world: World) -> None:
    machine = WindowsMachine(world, "A")
    machine.power_on()
    machine.power_off()
    assert machine.volumes["C"].lost_changes == 0
    assert machine.system.files.list("C:") != []
