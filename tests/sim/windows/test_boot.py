"""Boots, shutdowns, power cuts, names on the wire."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from bodydouble.errors import InputError
from bodydouble_sim.windows import installation
from bodydouble_sim.windows.machine import CRASH_CONTROL, DUMP_SECONDS, WindowsMachine
from bodydouble_sim.windows.registry import CURRENT_VERSION, PRODUCT_OPTIONS, SERVICES
from bodydouble_sim.windows.version import NT_4, WINDOWS_2000
from bodydouble_sim.windows.wire_names import WireName, wire_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.version import WindowsVersion
    from bodydouble_sim.world import World

    Build = Callable[[str, str], WindowsMachine]


async def booted(machine: WindowsMachine, *, last_known_good: bool = False) -> WindowsMachine:
    machine.power_on(last_known_good=last_known_good)
    await machine.wait_booted()
    return machine


def events(machine: WindowsMachine, source: str = "EventLog") -> list[int]:
    return [entry.number for entry in machine.system.event_log.entries if entry.source == source]


# --- what the log says ------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("KB 196452: events 6005, 6006, 6008 and 6009")
def test_a_clean_restart_is_logged_as_one_and_a_power_cut_as_unexpected(world: World, windows: Build) -> None:
    machine = windows("TARGET", "10.0.0.20/24")

    async def main() -> None:
        await booted(machine)
        await machine.reboot()
        machine.power_off()
        await booted(machine)

    world.run(main())
    assert events(machine) == [6009, 6005, 6006, 6009, 6005, 6009, 6005, 6008]


@pytest.mark.behaviour("KB 196452: since Service Pack 4 of Windows NT 4.0")
@pytest.mark.parametrize(("pack", "logged"), [(3, []), (4, [6009, 6005, 6009, 6005, 6008])])
def test_nt_4_logs_its_boots_from_service_pack_4_on(world: World, pack: int, logged: list[int]) -> None:
    machine = WindowsMachine(world, "TARGET", version=NT_4, service_pack=pack)

    async def main() -> None:
        await booted(machine)
        machine.power_off()
        await booted(machine)

    world.run(main())
    assert events(machine) == logged


@pytest.mark.behaviour("KB 196452: 6009 names the version, the build and the service pack")
def test_event_6009_names_the_release(world: World) -> None:
    machine = WindowsMachine(world, "TARGET", version=NT_4)
    world.run(booted(machine))
    assert machine.system.event_log.entries[0].text == (
        "Microsoft (R) Windows NT (R) 4.0 1381 Service Pack 6 Uniprocessor Free."
    )


@pytest.mark.behaviour("KB 196452: 6008 tells the time of the shutdown; LastAliveStamp is written now and then")
def test_event_6008_tells_the_latest_stamp_before_the_power_went(world: World) -> None:
    machine = WindowsMachine(world, "TARGET")

    async def main() -> None:
        await booted(machine)
        await asyncio.sleep(11 * 60)
        machine.power_off()
        await asyncio.sleep(3600)
        await booted(machine)

    world.run(main())
    text = next(entry.text for entry in machine.system.event_log.entries if entry.number == 6008)
    assert text == "The previous system shutdown at 09:10:00 on 12/02/2002 was unexpected."


@pytest.mark.behaviour("KB 164016: at least one service or driver failed during system startup")
def test_a_service_that_fails_at_boot_is_told_on_the_screen(world: World) -> None:
    machine = WindowsMachine(world, "TARGET")
    machine.system.scm.set_startup("RpcSs", "disabled")
    world.run(booted(machine))
    popup = machine.system.event_log.entries[-1]
    assert (popup.source, popup.number) == ("Application Popup", 26)
    assert "At least one service or driver failed" in popup.text
    assert machine.system.scm.find("Spooler").state == "stopped"


def test_a_boot_without_failures_shows_nothing(world: World) -> None:
    machine = WindowsMachine(world, "TARGET")
    world.run(booted(machine))
    assert events(machine, "Application Popup") == []
    states = {s.config.startup: set[str]() for s in machine.system.scm.services()}
    for service in machine.system.scm.services():
        states[service.config.startup].add(service.state)
    assert states == {"automatic": {"running"}, "manual": {"stopped"}, "disabled": {"stopped"}}


# --- what survives ----------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("KB 2784761: registry changes that were not flushed are lost with the power")
def test_a_startup_type_set_just_before_a_power_cut_may_be_the_old_one_afterwards(world: World, windows: Build) -> None:
    machine = windows("TARGET", "10.0.0.20/24")

    async def main() -> list[str]:
        await booted(machine)
        await asyncio.sleep(10)
        await machine.command("sc config Spooler start= disabled")
        machine.power_off()
        seen = [machine.system.scm.find("Spooler").config.startup, str(machine.lost_keys > 0)]
        await booted(machine)
        await machine.command("sc config Spooler start= disabled")
        await asyncio.sleep(5)
        machine.power_off()
        return [*seen, machine.system.scm.find("Spooler").config.startup]

    assert world.run(main()) == ["automatic", "True", "disabled"]


@pytest.mark.behaviour("Microsoft, RegFlushKey: changes are flushed at system shutdown")
def test_a_startup_type_set_just_before_a_shutdown_survives(world: World, windows: Build) -> None:
    machine = windows("TARGET", "10.0.0.20/24")

    async def main() -> str:
        await booted(machine)
        await machine.command("sc config Spooler start= disabled")
        await machine.reboot()
        return machine.system.scm.find("Spooler").state

    assert world.run(main()) == "stopped"


@pytest.mark.behaviour("KB 102984: the last known good control set")
def test_an_operator_boots_with_the_last_known_good_configuration(world: World, windows: Build) -> None:
    machine = windows("TARGET", "10.0.0.20/24")

    async def main() -> list[str]:
        await booted(machine)
        machine.system.scm.set_startup("RpcSs", "disabled")
        await machine.shut_down()
        await booted(machine, last_known_good=True)
        return [machine.system.scm.find("RpcSs").state]

    assert world.run(main()) == ["running"]


@pytest.mark.behaviour(
    'reference/windows-iis.md, "Names": the active name is volatile, the permanent one counts at boot'
)
def test_a_rename_is_lost_with_the_power_unless_it_was_flushed(world: World, windows: Build) -> None:
    machine = windows("TARGET", "10.0.0.20/24")

    async def main() -> list[str]:
        await booted(machine)
        await asyncio.sleep(10)
        machine.system.names.set_permanent("OTHER")
        machine.power_off()
        await booted(machine)
        seen = [machine.system.names.active]
        machine.system.names.set_permanent("OTHER")
        await machine.reboot()
        return [*seen, machine.system.names.active]

    assert world.run(main()) == ["TARGET", "OTHER"]


# --- power from inside ------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Windows 2000 Resource Kit, shutdown: a delay in seconds, /A takes it back")
def test_a_shutdown_is_orderly_delayed_and_can_be_taken_back(world: World, windows: Build) -> None:
    machine = windows("TARGET", "10.0.0.20/24")

    async def main() -> list[object]:
        await booted(machine)
        power = machine.system.power
        machine.spawn(request(), name="request")
        await asyncio.sleep(20)
        seen: list[object] = [power.abort(), power.abort()]
        await asyncio.sleep(60)
        seen.append(machine.powered)
        machine.spawn(request(), name="request")
        await asyncio.sleep(31)
        return [*seen, machine.powered, power.abort()]

    async def request() -> None:
        machine.system.power.request(restart=False, delay=30.0)

    assert world.run(main()) == [True, False, True, False, False]
    assert events(machine)[-1] == 6006


def test_a_shutdown_that_waits_dies_with_the_power(world: World, windows: Build) -> None:
    machine = windows("TARGET", "10.0.0.20/24")

    async def main() -> bool:
        await booted(machine)
        machine.spawn(request(), name="request")
        await asyncio.sleep(1)
        machine.power_off()
        await booted(machine)
        await asyncio.sleep(60)
        return machine.powered

    async def request() -> None:
        machine.system.power.request(restart=False, delay=30.0)

    assert world.run(main())


@pytest.mark.behaviour("KB 307973: CrashControl, AutoReboot and LogEvent")
@pytest.mark.parametrize(("reboots", "expected"), [(1, [True, [1001]]), (0, [False, []])])
def test_a_machine_with_a_stop_error_restarts_by_itself_unless_told_otherwise(
    world: World, windows: Build, reboots: int, expected: list[object]
) -> None:
    machine = windows("TARGET", "10.0.0.20/24")
    machine.system.registry.set(CRASH_CONTROL, "AutoReboot", reboots)

    async def main() -> list[object]:
        await booted(machine)
        machine.stop_error(0x0A)
        assert not machine.powered
        await asyncio.sleep(DUMP_SECONDS + 5)
        return [machine.powered, events(machine, "Save Dump")]

    assert world.run(main()) == expected
    assert events(machine).count(6008) == reboots


# --- names on the wire ------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("KB 103470: event 2505, another computer on the network has the same name")
def test_the_server_service_does_not_start_under_a_name_that_is_taken(world: World, windows: Build) -> None:
    first, second = windows("TARGET", "10.0.0.20/24"), windows("OTHER", "10.0.0.21/24")
    second.system.names.set_permanent("TARGET")

    async def main() -> None:
        await booted(first)
        await booted(second)

    world.run(main())
    assert events(second, "Server") == [2505]
    assert second.system.scm.find("LanmanServer").state == "stopped"
    assert first.system.scm.find("LanmanServer").state == "running"


@pytest.mark.behaviour("KB 317140: Workstation ends with 7023, Messenger and Alerter with 7001")
def test_a_name_that_is_taken_keeps_workstation_and_what_needs_it_from_starting(world: World, windows: Build) -> None:
    first, second = windows("TARGET", "10.0.0.20/24"), windows("OTHER", "10.0.0.21/24")
    second.system.names.set_permanent("TARGET")

    async def main() -> None:
        await booted(first)
        await booted(second)

    world.run(main())
    errors = [e for e in second.system.event_log.entries if e.number in (7001, 7023)]
    assert errors[0].text.endswith("terminated with the following error: A duplicate name exists on the network.")
    assert any("Messenger" in e.text for e in errors if e.number == 7001)
    assert wire_names(second.system) == [WireName("TARGET", 0, "Conflict")]


@pytest.mark.behaviour("KB 103470; KB 317140: the name is free again")
def test_workstation_starts_once_the_name_is_free(world: World, windows: Build) -> None:
    first, second = windows("TARGET", "10.0.0.20/24"), windows("OTHER", "10.0.0.21/24")
    second.system.names.set_permanent("TARGET")

    async def main() -> list[int]:
        await booted(first)
        await booted(second)
        seen = [(await second.command("net start Workstation")).exit_code]
        first.power_off()
        return [*seen, (await second.command("net start Workstation")).exit_code]

    assert world.run(main()) == [2, 0]
    assert second.netbios.names() == ["TARGET"]


@pytest.mark.behaviour("KB 163409: Workstation <00>, Messenger <03>, Server <20>")
def test_the_services_decide_which_types_of_a_name_exist(world: World, windows: Build) -> None:
    machine = windows("TARGET", "10.0.0.20/24")

    async def main() -> list[list[int]]:
        await booted(machine)
        before = [held.suffix for held in wire_names(machine.system)]
        await machine.command("net stop Messenger")
        await machine.perform(machine.host().identity.add_name("SOURCE"), name="add")
        return [before, [held.suffix for held in wire_names(machine.system)]]

    assert world.run(main()) == [[0x00, 0x03, 0x20], [0x00, 0x20, 0x00, 0x20]]


# --- release and service pack -----------------------------------------------------------------------------------------


@pytest.mark.behaviour("KB 222507: CSDVersion; Microsoft, ProductOptions: ServerNT")
@pytest.mark.parametrize(
    ("version", "number", "build", "pack"),
    [(NT_4, "4.0", "1381", "Service Pack 6"), (WINDOWS_2000, "5.0", "2195", "Service Pack 4")],
    ids=["nt4", "2000"],
)
def test_the_registry_tells_release_build_and_service_pack(
    world: World, version: WindowsVersion, number: str, build: str, pack: str
) -> None:
    registry = WindowsMachine(world, "TARGET", version=version).system.registry
    names = ("CurrentVersion", "CurrentBuildNumber", "CSDVersion")
    assert [registry.text(CURRENT_VERSION, name) for name in names] == [number, build, pack]
    assert registry.text(PRODUCT_OPTIONS, "ProductType") == "ServerNT"
    assert installation.version_in(registry) is version


@pytest.mark.behaviour("KB 222507: CSDVersion is absent or names the service pack")
def test_a_service_pack_is_installed_over_an_older_one_only(world: World) -> None:
    system = WindowsMachine(world, "TARGET", version=NT_4, service_pack=0).system
    assert system.registry.get(CURRENT_VERSION, "CSDVersion") is None
    installation.install_service_pack(system.registry, system.version, 4)
    assert system.service_pack == 4
    with pytest.raises(InputError, match="Service Pack 3 is older"):
        installation.install_service_pack(system.registry, system.version, 3)
    with pytest.raises(InputError, match="0 to 6"):
        installation.install_service_pack(system.registry, system.version, 7)


@pytest.mark.behaviour("Microsoft: a hotfix has a key with the number of its article")
def test_hotfixes_are_entered_by_the_number_of_their_article(world: World) -> None:
    registry = WindowsMachine(world, "TARGET").system.registry
    installation.install_hotfix(registry, "q246009")
    assert installation.hotfixes(registry) == ["Q246009"]
    with pytest.raises(InputError, match="not a hotfix"):
        installation.install_hotfix(registry, "latest")


# --- the clock --------------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Microsoft, SetSystemTime: the battery-backed clock keeps the time")
def test_a_clock_that_was_set_stays_set_and_the_product_sees_it(world: World) -> None:
    machine = WindowsMachine(world, "TARGET")
    moment = datetime(2003, 1, 1, 12, tzinfo=UTC)

    async def main() -> list[timedelta]:
        await booted(machine)
        machine.system.set_clock(moment)
        seen = [machine.host().clock.now() - moment]
        machine.power_off()
        await asyncio.sleep(60)
        return [*seen, machine.system.clock.now() - moment]

    assert world.run(main()) == [timedelta(0), timedelta(seconds=60)]


def test_setting_the_clock_delays_no_flush_of_the_registry(world: World) -> None:
    machine = WindowsMachine(world, "TARGET")

    async def main() -> int:
        await booted(machine)
        machine.system.registry.set(rf"{SERVICES}\Spooler", "Mark", 1)
        machine.system.set_clock(datetime(1999, 1, 1, tzinfo=UTC))
        await asyncio.sleep(6)
        machine.power_off()
        return machine.system.registry.number(rf"{SERVICES}\Spooler", "Mark")

    assert world.run(main()) == 1


@pytest.mark.parametrize("version", [NT_4, WINDOWS_2000], ids=["nt4", "2000"])
def test_a_power_cut_right_after_the_set_up_of_iis_takes_nothing_of_it(world: World, version: WindowsVersion) -> None:
    machine = WindowsMachine(world, "SOURCE", version=version)
    machine.plug(world.network.segment("lan"), "10.0.0.10/24")

    async def main() -> list[str]:
        await booted(machine)
        assert (await machine.command("install-iis")).exit_code == 0
        machine.power_off()
        await booted(machine)
        return [machine.system.scm.find(name).state for name in ("IISADMIN", "W3SVC", "MSFTPSVC")]

    assert world.run(main()) == ["running"] * 3
