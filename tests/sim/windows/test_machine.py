"""The machine in a simulated world: power, names on the wire, services, ports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aioftp
import pytest

from bodydouble.errors import DuplicateIdentityError, FileSystemError, FilterError, IdentityError
from bodydouble.vocabulary.operations import CreateFile, Metadata, Write
from bodydouble_sim.errors import MachineStateError
from bodydouble_sim.machine import Machine
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import AnyOperation

    Build = Callable[[str, str], WindowsMachine]

LAN = "Local Area Connection"


async def booted(machine: WindowsMachine) -> WindowsMachine:
    machine.power_on()
    await machine.wait_booted()
    return machine


async def http_get(address: str, path: str) -> bytes:
    reader, writer = await asyncio.open_connection(address, 80)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
    data = await reader.read()
    writer.close()
    return data.partition(b"\r\n\r\n")[2]


def test_iis_comes_back_after_a_power_cut(world: World, windows: Build) -> None:
    source, client = windows("SOURCE", "10.0.0.10/24"), Machine(world, "CLIENT")
    client.plug(source.nics[0].segment, "10.0.0.99/24")

    async def main() -> list[bytes]:
        client.power_on()
        await booted(source)
        await source.install_iis()
        source.put_file("C:\\InetPub\\wwwroot\\a.txt", b"content")
        seen = [await client.spawn(http_get("10.0.0.10", "/a.txt"), name="get")]
        source.power_off()
        await booted(source)
        return [*seen, await client.spawn(http_get("10.0.0.10", "/a.txt"), name="get")]

    assert world.run(main()) == [b"content", b"content"]
    assert source.lost_sectors >= 0


def test_an_ftp_client_in_the_world_uploads_and_acknowledged_bytes_can_be_lost_with_the_power(
    world: World, windows: Build
) -> None:
    source, client = windows("SOURCE", "10.0.0.10/24"), Machine(world, "CLIENT")
    client.plug(source.nics[0].segment, "10.0.0.99/24")
    seen: list[AnyOperation] = []

    async def upload(number: int) -> None:
        async with aioftp.Client.context("10.0.0.10") as ftp:
            async with ftp.upload_stream(f"/records/{number}.bin") as stream:
                await stream.write(b"x" * 50_000)
            await ftp.command("SITE DIRSTYLE", "200")  # the client reads the UNIX style
            listed = [(str(path), info["size"]) async for path, info in ftp.list("/records", raw_command="LIST")]
        assert listed == [(f"/records/{number}.bin", "50000")]

    async def main() -> bytes:
        client.power_on()
        await booted(source)
        await source.install_iis()
        source.volumes["C"].add_observer(seen.append)
        await client.spawn(upload(1), name="upload")
        source.power_off()
        return source.volumes["C"].read("C:/InetPub/wwwroot/records/1.bin")

    left = world.run(main())
    written = [op for op in seen if isinstance(op, Write) and op.path.endswith("1.bin")]
    assert b"".join(op.data for op in written) == b"x" * 50_000
    assert source.lost_sectors > 0
    assert len(left) == 50_000
    assert set(left) == {0, ord("x")}


def test_the_notes_failover_steps_on_a_machine(world: World, windows: Build) -> None:
    target = windows("TARGET", "10.0.0.20/24")

    async def main() -> list[tuple[int, str]]:
        await booted(target)
        await target.command("install-chngname C:\\DoubleTake")
        await target.command("C:\\DoubleTake\\chngname /s SOURCE")
        assert (await target.command("install-iis /version:5.0 /drive:C")).exit_code == 0
        for name in ("IISADMIN", "W3SVC", "MSFTPSVC", "SMTPSVC", "NNTPSVC"):
            await target.command(f"sc config {name} start= demand")
        await target.command("C:\\DoubleTake\\chngname /t")
        await target.reboot()
        seen: list[tuple[int, str]] = []
        for line in (
            'net start "World Wide Web Publishing Service"',
            "C:\\DoubleTake\\chngname /s SOURCE",
            'net start "World Wide Web Publishing Service"',
            "C:\\DoubleTake\\chngname /t",
        ):
            result = await target.command(line)
            seen.append((result.exit_code, target.system.scm.find("W3SVC").state))
        return seen

    expected = [(2, "stopped"), (0, "stopped"), (0, "running"), (0, "running")]
    assert world.run(main()) == expected


@pytest.mark.behaviour("KB 242053: event 4319, a duplicate name has been detected")
def test_a_name_that_is_taken_stays_off_the_wire_and_is_logged(world: World, windows: Build) -> None:
    first, second = windows("TARGET", "10.0.0.20/24"), windows("OTHER", "10.0.0.21/24")
    second.system.names.set_permanent("TARGET")

    async def main() -> None:
        await booted(first)
        await booted(second)

    world.run(main())
    assert (first.netbios.names(), second.netbios.names()) == (["TARGET"], [])
    assert [entry.number for entry in second.system.event_log.entries if entry.source == "NetBT"] == [4319]


@pytest.mark.behaviour('reference/windows-iis.md, "Network": Tcpip 4198 and 4199')
def test_a_conflict_of_addresses_is_logged_on_both_sides(world: World, windows: Build) -> None:
    first, second = windows("A", "10.0.0.20/24"), windows("B", "10.0.0.20/24")

    async def main() -> None:
        await booted(first)
        await booted(second)

    world.run(main())
    numbers = [[e.number for e in m.system.event_log.entries if e.source == "Tcpip"] for m in (first, second)]
    assert [set(found) for found in numbers] == [{4199}, {4198}]


def test_an_added_name_is_on_the_wire_until_removed_and_a_clash_is_refused(world: World, windows: Build) -> None:
    source, target = windows("SOURCE", "10.0.0.10/24"), windows("TARGET", "10.0.0.20/24")
    identity = target.host().identity

    async def main() -> None:
        await booted(source)
        await booted(target)
        with pytest.raises(DuplicateIdentityError):
            await target.perform(identity.add_name("source"), name="add")
        source.power_off()
        await target.perform(identity.add_name("source"), name="add")
        await target.perform(identity.add_name("SOURCE"), name="add again")
        await target.perform(identity.add_address(LAN, "10.0.0.10/24"), name="add")
        known = await identity.query()
        assert (known.primary_name, known.permanent_name, known.added_names) == ("TARGET", "TARGET", ["SOURCE"])
        assert [held.address for held in known.addresses] == ["10.0.0.20/24", "10.0.0.10/24"]
        await target.perform(identity.announce(LAN, "10.0.0.10/24"), name="announce")
        await target.perform(identity.remove_name("Source"), name="remove")
        await target.perform(identity.remove_address(LAN, "10.0.0.10/24"), name="remove")
        known = await identity.query()
        assert (known.added_names, len(known.addresses)) == ([], 1)
        assert not await target.perform(identity.in_use(LAN, "10.0.0.77"), name="probe")

    world.run(main())


def test_identity_errors_are_the_ports(world: World, windows: Build) -> None:
    target = windows("TARGET", "10.0.0.20/24")
    identity = target.host().identity

    async def main() -> None:
        await booted(target)
        for call in (
            identity.add_address("nonsense", "10.0.0.1/24"),
            identity.add_address(LAN, "nonsense"),
            identity.announce(LAN, "10.0.0.55/24"),
            identity.add_name("no name"),
        ):
            with pytest.raises(IdentityError):
                await target.perform(call, name="fails")

    world.run(main())


def test_added_names_and_addresses_and_the_active_name_do_not_survive_power(world: World, windows: Build) -> None:
    target = windows("TARGET", "10.0.0.20/24")
    identity = target.host().identity

    async def main() -> None:
        await booted(target)
        await target.perform(identity.add_name("SOURCE"), name="add")
        await target.perform(identity.add_address(LAN, "10.0.0.10/24"), name="add")
        target.system.names.set_active("SOURCE")
        target.power_off()
        await booted(target)
        known = await identity.query()
        assert (known.primary_name, known.added_names, len(known.addresses)) == ("TARGET", [], 1)

    world.run(main())


def test_a_program_service_lives_with_the_machine(world: World, windows: Build) -> None:
    target = windows("TARGET", "10.0.0.20/24")
    lives: list[str] = []

    async def program() -> None:
        lives.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            lives.append("ended")

    async def main() -> None:
        await booted(target)
        target.register_program_service("bodydouble", "Bodydouble", program)
        await target.command("net start Bodydouble")
        target.power_off()
        assert lives == ["begun"]
        await booted(target)
        await target.command('net stop "bodydouble"')
        assert lives == ["begun", "begun", "ended"]
        await target.shut_down()

    world.run(main())


def test_a_command_that_the_power_cuts_off_is_an_error_outside(world: World, windows: Build) -> None:
    target = windows("TARGET", "10.0.0.20/24")

    async def main() -> None:
        await booted(target)
        waiting = asyncio.create_task(target.perform(asyncio.sleep(60), name="wait"), name="wait")
        await asyncio.sleep(1)
        target.power_off()
        with pytest.raises(MachineStateError, match="lost its power"):
            await waiting
        with pytest.raises(MachineStateError, match="is off"):
            await target.command("hostname")

    world.run(main())


def test_durable_applies_survive_and_filters_do_not_see_them(world: World, windows: Build) -> None:
    target = windows("TARGET", "10.0.0.20/24")
    host = target.host()
    seen: list[object] = []
    batch: list[AnyOperation] = [CreateFile("C:/a", Metadata(), 0), Write("C:/a", 0, b"x" * 9000, 0)]

    async def main() -> bytes:
        await booted(target)
        attachment = await target.perform(host.file_filter.attach("C:", seen.append), name="attach")
        await target.perform(host.file_system.apply(batch, durable=True), name="apply")
        assert seen == []
        target.put_file("C:/b", b"1")
        assert len(seen) == 2
        attachment.detach()
        with pytest.raises(FilterError, match="drives: C"):
            await host.file_filter.attach("E:/x", seen.append)
        target.power_off()
        await booted(target)
        return await target.perform(host.file_system.read("C:/a", 0, 10_000), name="read")

    assert world.run(main()) == b"x" * 9000


def test_the_file_system_port_reports_the_first_failure(world: World, windows: Build) -> None:
    target = windows("TARGET", "10.0.0.20/24")
    files = target.host().file_system
    batch: list[AnyOperation] = [
        CreateFile("C:/a", Metadata(), 0),
        Write("C:/b", 0, b"x", 0),
        CreateFile("C:/c", Metadata(), 0),
    ]

    async def main() -> None:
        await booted(target)
        with pytest.raises(FileSystemError) as caught:
            await target.perform(files.apply(batch), name="apply")
        assert (caught.value.code, caught.value.path) == ("not_found", "C:/b")
        assert [e.path for e in await target.perform(files.list_directory("C:"), name="list")][-1] == "C:/a"
        assert await files.stat("C:/c") is None
        assert await files.stat("E:/c") is None
        assert not files.case_sensitive
        assert await files.free_space("C:/") == target.volumes["C"].disk.free

    world.run(main())


def test_the_same_seed_gives_the_same_trace() -> None:
    def trace() -> str:
        world = World(11)
        machine = WindowsMachine(world, "SOURCE")
        machine.plug(world.network.segment("lan"), "10.0.0.10/24")

        async def main() -> None:
            await booted(machine)
            await machine.install_iis()
            machine.power_off()
            await booted(machine)
            await machine.shut_down()

        world.run(main())
        world.close()
        return str(world.trace.digest)

    assert trace() == trace()
