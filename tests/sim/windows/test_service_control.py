"""The service control manager: what it refuses, what it logs, what it does about failures."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble.errors import BodydoubleError
from bodydouble_sim.ports.services import SimServices
from bodydouble_sim.windows.accounts import SERVICE_LOGON
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.windows.recovery import Action, FailureActions
from bodydouble_sim.windows.registry import CONTROL, SERVICES
from bodydouble_sim.windows.service import (
    IdleProgram,
    PausableIdleProgram,
    ServiceConfig,
    ServiceControlError,
    ServiceFailedError,
)
from bodydouble_sim.windows.version import NT_4, WINDOWS_2000

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bodydouble_sim.windows.system import WindowsSystem
    from bodydouble_sim.windows.version import WindowsVersion
    from bodydouble_sim.world import World

    Steps = Callable[[WindowsSystem], Coroutine[Any, Any, Any]]


class Hanging(IdleProgram):
    """Never answers."""

    async def start(self, _died: Callable[[str], None]) -> None:
        await asyncio.Event().wait()


class HangsAtStop(IdleProgram):
    async def stop(self) -> None:
        await asyncio.sleep(100)


class ForEver(IdleProgram):
    async def stop(self) -> None:
        await asyncio.Event().wait()


class GivesUp(IdleProgram):
    async def start(self, _died: Callable[[str], None]) -> None:
        raise ServiceFailedError(0, "no", number=5)


@pytest.fixture
def on(world: World) -> Callable[..., Any]:
    """Run steps on a machine of a release, after its boot."""

    def run(steps: Steps, version: WindowsVersion = WINDOWS_2000, prepare: Steps | None = None) -> Any:
        machine = WindowsMachine(world, "TARGET", version=version)

        async def main() -> Any:
            if prepare is not None:
                await prepare(machine.system)
            machine.power_on()
            await machine.wait_booted()
            return await machine.perform(steps(machine.system), name="steps")

        return world.run(main())

    return run


async def refused(call: Coroutine[Any, Any, None]) -> int:
    """The Windows error of a call that must fail."""
    try:
        await call
    except ServiceControlError as error:
        return error.number
    raise AssertionError("it was not refused")


def add(system: WindowsSystem, name: str, program: Callable[[], Any] = IdleProgram, **settings: Any) -> None:
    system.scm.register(ServiceConfig(name, f"Service {name}", **settings), program)


def numbers(system: WindowsSystem, source: str = "Service Control Manager") -> list[int]:
    return [e.number for e in system.event_log.of("System") if e.source == source and e.number != 7036]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Microsoft, CreateService: ERROR_CIRCULAR_DEPENDENCY (1059)")
def test_a_service_that_would_depend_on_itself_is_refused(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> list[int]:
        add(system, "A")
        add(system, "B", depends_on=("A",))
        with pytest.raises(ServiceControlError) as seen:
            system.scm.set_dependencies("A", ["B"])
        return [seen.value.number]

    assert on(steps) == [1059]


@pytest.mark.behaviour("Microsoft, netevent: 7017, circular dependencies demand starting a service")
def test_a_circle_that_was_written_into_the_registry_is_found_at_start(on: Callable[..., Any]) -> None:
    async def prepare(system: WindowsSystem) -> None:
        add(system, "A")
        add(system, "B", depends_on=("A",))
        system.registry.set(rf"{SERVICES}\A", "DependOnService", ["B"])

    async def steps(system: WindowsSystem) -> tuple[int, int]:
        return await refused(system.scm.start("A")), numbers(system)[-1]

    assert on(steps, prepare=prepare) == (1059, 7017)


@pytest.mark.behaviour("Microsoft, StartService: ERROR_SERVICE_DISABLED (1058)")
def test_a_disabled_service_cannot_be_started_and_a_running_one_goes_on(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> tuple[str, int]:
        add(system, "A")
        await system.scm.start("A")
        system.scm.set_startup("A", "disabled")
        state = system.scm.find("A").state
        await system.scm.stop("A")
        return state, await refused(system.scm.start("A"))

    assert on(steps) == ("running", 1058)


@pytest.mark.behaviour("Microsoft, DeleteService: the entry is removed once the service is not running")
def test_a_running_service_that_is_deleted_is_gone_when_it_stops(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> list[int]:
        add(system, "A")
        await system.scm.start("A")
        system.scm.delete("A")
        seen = [await refused(system.scm.start("A"))]
        with pytest.raises(ServiceControlError) as again:
            system.scm.delete("A")
        seen.append(again.value.number)
        await system.scm.stop("A")
        return [*seen, await refused(system.scm.start("A")), int(system.registry.exists(rf"{SERVICES}\A"))]

    assert on(steps) == [1072, 1072, 1060, 0]


@pytest.mark.behaviour("Microsoft, DeleteService: what cannot be stopped is removed when the system is restarted")
def test_a_service_marked_for_deletion_is_gone_after_a_restart(world: World) -> None:
    machine = WindowsMachine(world, "TARGET")

    async def main() -> bool:
        machine.power_on()
        await machine.wait_booted()
        machine.system.scm.delete("RpcSs")
        await machine.reboot()
        return machine.system.registry.exists(rf"{SERVICES}\RpcSs")

    assert not world.run(main())


@pytest.mark.behaviour("Microsoft, CreateService: ERROR_DUPLICATE_SERVICE_NAME (1078)")
def test_a_display_name_belongs_to_one_service(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> int:
        with pytest.raises(ServiceControlError) as seen:
            system.scm.register(ServiceConfig("Mine", "Server"), IdleProgram)
        return seen.value.number

    assert on(steps) == 1078


@pytest.mark.behaviour("Microsoft, ControlService: ERROR_INVALID_SERVICE_CONTROL (1052)")
@pytest.mark.parametrize("name", ["EventLog", "RpcSs", "PlugPlay"])
def test_services_that_the_system_needs_accept_no_stop(on: Callable[..., Any], name: str) -> None:
    async def steps(system: WindowsSystem) -> int:
        return await refused(system.scm.stop(name, dependents=True))

    assert on(steps) == 1052


@pytest.mark.behaviour("Microsoft, ControlService: ERROR_ACCESS_DENIED (5)")
def test_only_administrators_control_services(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> list[object]:
        system.accounts.add("anna", "x")
        seen: list[object] = [await refused(system.scm.stop("Spooler", by="anna"))]
        system.accounts.add_member("Administrators", "anna")
        await system.scm.stop("Spooler", by="anna")
        return [*seen, system.scm.find("Spooler").state]

    assert on(steps) == [5, "stopped"]


@pytest.mark.behaviour("Microsoft, StartService: ERROR_SHUTDOWN_IN_PROGRESS (1115)")
def test_nothing_starts_during_a_shutdown(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> int:
        await system.shut_down()
        return await refused(system.scm.start("Spooler"))

    assert on(steps) == 1115


# --- accounts of services ---------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Microsoft, StartService: ERROR_SERVICE_LOGON_FAILED (1069)")
def test_a_service_whose_account_has_another_password_does_not_start(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> tuple[int, list[int]]:
        system.accounts.add("svc", "old")
        system.accounts.grant("svc", SERVICE_LOGON)
        add(system, "A")
        system.scm.set_account("A", ".\\svc", "old")
        await system.scm.start("A")
        await system.scm.stop("A")
        system.accounts.set_password("svc", "new")
        return await refused(system.scm.start("A")), numbers(system)[-2:]

    assert on(steps) == (1069, [7013, 7000])


@pytest.mark.behaviour('Microsoft, EVENT_SERVICE_LOGON_TYPE_NOT_GRANTED: the right "Log on as a service"')
def test_a_service_account_needs_the_right_to_log_on_as_a_service(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> tuple[int, str]:
        system.accounts.add("svc", "x")
        add(system, "A")
        system.scm.set_account("A", ".\\svc", "x")
        number = await refused(system.scm.start("A"))
        reason = system.event_log.entries[-2].text
        system.accounts.grant("Users", SERVICE_LOGON)
        await system.scm.start("A")
        return number, reason

    number, reason = on(steps)
    assert number == 1069
    assert "not been granted the requested logon type" in reason


@pytest.mark.behaviour("Microsoft, ChangeServiceConfig: ERROR_INVALID_SERVICE_ACCOUNT (1057)")
def test_a_service_cannot_be_given_an_account_that_does_not_exist(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> int:
        with pytest.raises(ServiceControlError) as seen:
            system.scm.set_account("Spooler", ".\\nobody", "")
        return seen.value.number

    assert on(steps) == 1057


@pytest.mark.behaviour('the note, "Install and Configure Software on the Target", step 7')
def test_a_service_may_be_allowed_to_interact_with_the_desktop(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> list[bool]:
        add(system, "DoubleTake")
        await system.scm.start("DoubleTake")
        before = system.scm.find("DoubleTake").on_desktop
        system.scm.set_interactive("DoubleTake", True)
        unchanged = system.scm.find("DoubleTake").on_desktop
        await system.scm.stop("DoubleTake")
        await system.scm.start("DoubleTake")
        kind = system.registry.number(rf"{SERVICES}\DoubleTake", "Type")
        return [before, unchanged, system.scm.find("DoubleTake").on_desktop, bool(kind & 0x100)]

    assert on(steps) == [False, False, True, True]


@pytest.mark.behaviour('Microsoft, "Interactive Services": it must run as LocalSystem')
def test_a_service_in_a_users_account_cannot_be_interactive(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> tuple[int, bool]:
        system.accounts.add("svc", "x")
        add(system, "A", interactive=True)
        system.scm.set_account("A", ".\\svc", "x")
        with pytest.raises(ServiceControlError) as seen:
            system.scm.set_interactive("A", True)
        return seen.value.number, system.scm.find("A").config.interactive

    assert on(steps) == (1057, False)


@pytest.mark.behaviour('Microsoft, "NoInteractiveServices"; event 7030')
def test_no_interactive_services_keeps_all_of_them_off_the_desktop(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> tuple[bool, str, list[int]]:
        system.registry.set(rf"{CONTROL}\Windows", "NoInteractiveServices", 1)
        add(system, "A", interactive=True)
        await system.scm.start("A")
        return system.scm.find("A").on_desktop, system.scm.find("A").state, numbers(system)[-1:]

    assert on(steps) == (False, "running", [7030])


# --- pause ------------------------------------------------------------------------------------------------------------


@pytest.mark.behaviour('reference/windows-iis.md, "Services": the states paused and running')
def test_a_paused_service_continues(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> list[object]:
        add(system, "A", PausableIdleProgram)
        await system.scm.start("A")
        await system.scm.pause("A")
        seen: list[object] = [system.scm.find("A").state, await refused(system.scm.start("A"))]
        await system.scm.resume("A")
        return [*seen, system.scm.find("A").state, await refused(system.scm.resume("A"))]

    assert on(steps) == ["paused", 1056, "running", 1052]


@pytest.mark.behaviour("Microsoft, ControlService: ERROR_INVALID_SERVICE_CONTROL, ERROR_SERVICE_NOT_ACTIVE")
def test_a_program_that_takes_no_pause_refuses_it(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> list[int]:
        add(system, "A")
        seen = [await refused(system.scm.pause("A"))]
        await system.scm.start("A")
        return [*seen, await refused(system.scm.pause("A"))]

    assert on(steps) == [1062, 1052]


@pytest.mark.behaviour('reference/windows-iis.md, "Services": a paused service is stopped like a running one')
def test_a_paused_service_stops(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> str:
        add(system, "A", PausableIdleProgram)
        await system.scm.start("A")
        await system.scm.pause("A")
        await system.scm.stop("A")
        return system.scm.find("A").state

    assert on(steps) == "stopped"


def test_a_paused_service_does_not_count_as_running_for_the_product(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> list[object]:
        add(system, "A", PausableIdleProgram)
        port = SimServices(system.scm)
        await port.start("A")
        await port.start("A")
        await system.scm.pause("A")
        return [await refused(port.start("A")), (await port.query("A")).state]

    assert on(steps) == [1056, "paused"]


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("KB 317140: event 7009, 120000 milliseconds on NT 4.0; ServicesPipeTimeout")
@pytest.mark.parametrize(("version", "seconds"), [(NT_4, 120), (WINDOWS_2000, 30)])
def test_a_service_that_does_not_answer_is_given_up(
    on: Callable[..., Any], version: WindowsVersion, seconds: int
) -> None:
    async def steps(system: WindowsSystem) -> tuple[int, list[int], str, float]:
        add(system, "A", Hanging)
        began = asyncio.get_running_loop().time()
        number = await refused(system.scm.start("A"))
        passed = asyncio.get_running_loop().time() - began
        return number, numbers(system)[-2:], system.scm.find("A").state, round(passed, 3)

    assert on(steps, version) == (1053, [7009, 7000], "stopped", seconds)


@pytest.mark.behaviour("Microsoft, ServicesPipeTimeout: milliseconds that the manager waits")
def test_the_patience_of_the_manager_is_a_registry_value(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> float:
        system.registry.set(CONTROL, "ServicesPipeTimeout", 60_000)
        add(system, "A", Hanging)
        began = asyncio.get_running_loop().time()
        await refused(system.scm.start("A"))
        return round(asyncio.get_running_loop().time() - began, 3)

    assert on(steps) == 60


@pytest.mark.behaviour("Microsoft, netevent: 7011; ControlService: ERROR_SERVICE_CANNOT_ACCEPT_CTRL (1061)")
def test_a_service_that_hangs_while_stopping_stays_stop_pending_until_it_is_done(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> list[object]:
        add(system, "A", HangsAtStop)
        await system.scm.start("A")
        seen: list[object] = [await refused(system.scm.stop("A")), system.scm.find("A").state, numbers(system)[-1]]
        seen += [await refused(system.scm.stop("A")), await refused(system.scm.start("A"))]
        await asyncio.sleep(100)
        return [*seen, system.scm.find("A").state]

    assert on(steps) == [1053, "stop-pending", 7011, 1061, 1056, "stopped"]


@pytest.mark.behaviour("KB 930045: the shutdown waits 20 seconds for services, then goes on")
def test_a_service_that_never_stops_holds_a_shutdown_up_for_twenty_seconds(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> tuple[float, str]:
        add(system, "A", ForEver)
        await system.scm.start("A")
        began = asyncio.get_running_loop().time()
        await system.shut_down()
        return round(asyncio.get_running_loop().time() - began, 3), system.scm.find("A").state

    assert on(steps) == (20, "stopped")


@pytest.mark.behaviour(
    "Microsoft on Small Business Server 2003: a WaitToKillServiceTimeout that is no string counts as zero"
)
def test_a_wait_of_the_wrong_type_kills_services_at_once(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> float:
        system.registry.set(CONTROL, "WaitToKillServiceTimeout", 20_000)
        add(system, "A", ForEver)
        await system.scm.start("A")
        began = asyncio.get_running_loop().time()
        await system.shut_down()
        return round(asyncio.get_running_loop().time() - began, 3)

    assert on(steps) == 0


@pytest.mark.behaviour("KB 930045: services are told to stop together")
def test_a_hanging_service_does_not_keep_the_others_from_stopping(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> list[str]:
        add(system, "First")
        add(system, "Hangs", ForEver)
        for name in ("First", "Hangs"):
            await system.scm.start(name)
        await system.shut_down()
        return [e.text for e in system.event_log.entries if "First" in e.text or "Hangs" in e.text]

    assert on(steps)[-1] == "The Service First service entered the stopped state."


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("KB 133010: event 7023 when a service ends with a Windows error")
def test_a_windows_error_of_a_program_is_event_7023(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> tuple[int, list[int], int]:
        add(system, "A", GivesUp)
        return await refused(system.scm.start("A")), numbers(system)[-1:], system.scm.find("A").exit_code

    assert on(steps) == (5, [7023], 5)


@pytest.mark.behaviour("Microsoft, SERVICE_FAILURE_ACTIONS: SC_ACTION_RESTART")
def test_a_service_that_fails_is_restarted_after_its_delay(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> list[str]:
        add(system, "A", process="a.exe")
        system.scm.set_failure_actions("A", FailureActions((Action("restart", 60.0),)))
        await system.scm.start("A")
        system.scm.crash("a.exe")
        await asyncio.sleep(59)
        before = system.scm.find("A").state
        await asyncio.sleep(2)
        return [before, system.scm.find("A").state]

    assert on(steps) == ["stopped", "running"]


@pytest.mark.behaviour(
    "Microsoft, SERVICE_FAILURE_ACTIONS: the Nth failure leads to the Nth action, then the last repeats"
)
def test_failures_beyond_the_last_action_repeat_it(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> list[str]:
        add(system, "A", process="a.exe")
        system.scm.set_failure_actions("A", FailureActions((Action("restart"), Action("none"))))
        seen: list[str] = []
        for _ in range(3):
            if system.scm.find("A").state == "stopped":
                await system.scm.start("A")
            system.scm.crash("a.exe")
            await asyncio.sleep(1)
            seen.append(system.scm.find("A").state)
        return seen

    assert on(steps) == ["running", "stopped", "stopped"]


@pytest.mark.behaviour("Microsoft, SERVICE_FAILURE_ACTIONS: dwResetPeriod")
def test_the_count_of_failures_begins_anew_after_the_reset_period(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> list[str]:
        add(system, "A", process="a.exe")
        system.scm.set_failure_actions("A", FailureActions((Action("restart"), Action("none")), reset_period=3600.0))
        seen: list[str] = []
        for wait in (10.0, 3600.0, 10.0):
            if system.scm.find("A").state == "stopped":
                await system.scm.start("A")
            system.scm.crash("a.exe")
            await asyncio.sleep(wait)
            seen.append(system.scm.find("A").state)
        return seen

    assert on(steps) == ["running", "stopped", "running"]


@pytest.mark.behaviour("Microsoft, SERVICE_FAILURE_ACTIONS: SC_ACTION_RUN_COMMAND with the failure count as %1%")
def test_a_failure_can_run_a_file_with_the_number_of_failures(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> bytes:
        add(system, "A", process="a.exe")
        actions = FailureActions((Action("run"),), command="echo /fail=%1% > C:\\failed.txt")
        system.scm.set_failure_actions("A", actions)
        await system.scm.start("A")
        system.scm.crash("a.exe")
        await asyncio.sleep(1)
        return system.files.read("C:/failed.txt")

    assert on(steps).startswith(b"/fail=1")


@pytest.mark.behaviour("Microsoft, SERVICE_FAILURE_ACTIONS: SC_ACTION_REBOOT")
def test_a_failure_can_reboot_the_machine(world: World) -> None:
    machine = WindowsMachine(world, "TARGET")

    async def main() -> list[object]:
        machine.power_on()
        await machine.wait_booted()
        machine.system.scm.set_failure_actions("Spooler", FailureActions((Action("reboot"),)))
        machine.spawn(crash(machine.system), name="crash")
        await asyncio.sleep(30)
        return [machine.powered, numbers(machine.system, "EventLog")]

    async def crash(system: WindowsSystem) -> None:
        system.scm.crash("spoolsv.exe")

    assert world.run(main()) == [True, [6009, 6005, 6006, 6009, 6005]]


@pytest.mark.behaviour("Microsoft, SERVICE_FAILURE_ACTIONS: requires Windows NT version 5.0 or later")
def test_nt_4_has_no_recovery_of_services(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> int:
        with pytest.raises(ServiceControlError) as seen:
            system.scm.set_failure_actions("Spooler", FailureActions((Action("restart"),)))
        system.scm.crash("spoolss.exe")
        return seen.value.number

    assert on(steps, NT_4) == 1052


@pytest.mark.behaviour('reference/windows-iis.md, "Services": a crash stops the services in that process')
def test_services_in_other_processes_survive_the_crash_of_what_they_depend_on(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> list[str]:
        system.scm.crash("svchost.exe")
        return [system.scm.find(name).state for name in ("RpcSs", "Spooler")]

    assert on(steps) == ["stopped", "running"]


def test_a_restart_that_fails_is_logged(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> int:
        add(system, "A", process="a.exe")
        system.scm.set_failure_actions("A", FailureActions((Action("restart", 1.0),)))
        await system.scm.start("A")
        system.scm.crash("a.exe")
        system.scm.set_startup("A", "disabled")
        await asyncio.sleep(2)
        return numbers(system)[-1]

    assert on(steps) == 7032


def test_recovery_settings_are_read_as_they_were_set(on: Callable[..., Any]) -> None:
    actions = FailureActions((Action("restart", 1.5), Action("run", 60.0), Action("reboot")), 300.0, "iisreset /start")

    async def steps(system: WindowsSystem) -> list[FailureActions]:
        system.scm.set_failure_actions("Spooler", actions)
        system.registry.set(rf"{SERVICES}\Alerter", "FailureActions", b"\x01")
        return [system.scm.failure_actions(name) for name in ("Spooler", "Alerter")]

    assert on(steps) == [actions, FailureActions()]


class Slow(IdleProgram):
    """Takes a second to start and two to stop."""

    async def start(self, _died: Callable[[str], None]) -> None:
        await asyncio.sleep(1)

    async def stop(self) -> None:
        await asyncio.sleep(2)


@pytest.mark.behaviour("Microsoft, ControlService: ERROR_DEPENDENT_SERVICES_RUNNING (1051)")
@pytest.mark.parametrize("wait", [0.0, 0.5, 1.5, 2.5])
@pytest.mark.parametrize("first", ["", "A", "B"])
def test_a_start_that_meets_a_stop_leaves_no_service_without_what_it_needs(
    on: Callable[..., Any], wait: float, first: str
) -> None:
    needs = {"B": ("A", "X"), "C": ("A",)}

    async def steps(system: WindowsSystem) -> dict[str, str]:
        for name in ("A", "X", "B", "C"):
            add(system, name, Slow, depends_on=needs.get(name, ()))
        if first:
            await system.scm.start(first)
        calls = [asyncio.ensure_future(system.scm.start("B" if first != "B" else "C"))]
        await asyncio.sleep(wait)
        calls.append(asyncio.ensure_future(system.scm.stop("A", dependents=True)))
        if first:
            await asyncio.sleep(wait)
            calls.append(asyncio.ensure_future(system.scm.start("C")))
        await asyncio.gather(*calls, return_exceptions=True)
        await asyncio.sleep(20)
        return {name: str(system.scm.find(name).state) for name in ("A", "X", "B", "C")}

    states = on(steps)
    assert set(states.values()) <= {"running", "stopped"}
    for name, needed in needs.items():
        if states[name] == "running":
            assert [states[other] for other in needed] == ["running"] * len(needed), states


# --- dependencies and order -------------------------------------------------------------------------------------------


@pytest.mark.behaviour("KB 317140: event 7002, no member of the group started")
def test_a_service_that_depends_on_a_group_needs_one_of_its_members(on: Callable[..., Any]) -> None:
    async def steps(system: WindowsSystem) -> list[object]:
        add(system, "Broken", GivesUp, group="Mine")
        add(system, "A", depends_on_groups=("Mine",))
        seen: list[object] = [await refused(system.scm.start("A")), numbers(system)[-1]]
        add(system, "Works", group="Mine")
        await system.scm.start("A")
        return [*seen, system.scm.find("Works").state]

    assert on(steps) == [1068, 7002, "running"]


@pytest.mark.behaviour('Microsoft, "ServiceGroupOrder"; Group: services in no group are loaded after all groups')
@pytest.mark.parametrize("version", [NT_4, WINDOWS_2000], ids=["nt4", "2000"])
def test_services_start_by_group_and_those_in_no_group_at_the_end(
    on: Callable[..., Any], version: WindowsVersion
) -> None:
    async def steps(system: WindowsSystem) -> list[str]:
        entered = [e.text for e in system.event_log.entries if "entered the running" in e.text]
        return [text.removeprefix("The ").partition(" service entered")[0] for text in entered]

    order = on(steps, version)
    first = "EventLog" if version.is_nt4 else "Event Log"
    spooler = "Spooler" if version.is_nt4 else "Print Spooler"
    assert order[0] == first
    assert order.index("Workstation") < order.index("Server") < order.index(spooler) < order.index("Messenger")


@pytest.mark.behaviour('reference/windows-iis.md, "Services": display names; 2000 has other ones than NT 4.0')
def test_display_names_are_those_of_the_release(on: Callable[..., Any], world: World) -> None:
    async def steps(system: WindowsSystem) -> dict[str, str]:
        return {s.config.name: s.config.display_name for s in system.scm.services()}

    named = on(steps)
    nt4 = {
        s.config.name: s.config.display_name for s in WindowsMachine(world, "OLD", version=NT_4).system.scm.services()
    }
    assert (named["RpcSs"], nt4["RpcSs"]) == ("Remote Procedure Call (RPC)", "Remote Procedure Call (RPC) Service")
    assert (named["Spooler"], nt4["Spooler"]) == ("Print Spooler", "Spooler")
    assert "cisvc" in named
    assert "cisvc" not in nt4


def test_errors_of_services_are_errors_of_bodydouble() -> None:
    error = ServiceControlError(4242, "x")
    assert isinstance(error, BodydoubleError)
    assert "Error 4242" in str(error)
