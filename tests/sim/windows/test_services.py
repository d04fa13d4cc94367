from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bodydouble.errors import IdentityError
from bodydouble_sim.ports.services import SimServices
from bodydouble_sim.windows.names import checked
from bodydouble_sim.windows.registry import Registry
from bodydouble_sim.windows.service import (
    IdleProgram,
    ServiceConfig,
    ServiceControlError,
    ServiceFailedError,
    TaskProgram,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.service import Service
    from bodydouble_sim.windows.system import WindowsSystem


class Broken(IdleProgram):
    async def start(self, _died: Callable[[str], None]) -> None:
        raise ServiceFailedError(42, "it is broken")


@pytest.fixture
def chain(system: WindowsSystem) -> WindowsSystem:
    """``c`` needs ``b`` needs ``a``; all in one process."""
    for name, needs in (("c", ("b",)), ("b", ("a",)), ("a", ())):
        system.scm.register(ServiceConfig(name, f"Service {name.upper()}", "automatic", needs, "one.exe"), IdleProgram)
    return system


def states(system: WindowsSystem, names: str = "abc") -> list[str]:
    return [system.scm.find(name).state for name in names]


def net(system: WindowsSystem, line: str) -> tuple[int, str]:
    result = asyncio.run(system.command(f"net {line}"))
    return result.exit_code, result.output


@pytest.mark.behaviour('reference/windows-iis.md, "Services"')
def test_net_start_starts_dependencies_first(chain: WindowsSystem) -> None:
    code, output = net(chain, 'start "service c"')
    assert (code, states(chain)) == (0, ["running"] * 3)
    assert "The Service C service was started successfully." in output
    entered = [entry.text for entry in chain.event_log.entries if entry.number == 7036]
    assert [text.split()[2] for text in entered] == ["A", "B", "C"]


@pytest.mark.behaviour('reference/windows-iis.md, "Services": message 2182')
def test_starting_what_runs_is_message_2182_and_a_failure(chain: WindowsSystem) -> None:
    net(chain, "start a")
    code, output = net(chain, "start a")
    assert code == 2
    assert "The requested service has already been started." in output
    assert "NET HELPMSG 2182" in output


@pytest.mark.behaviour('reference/windows-iis.md, "Services": message 3521')
def test_stopping_what_does_not_run_is_message_3521_and_a_failure(chain: WindowsSystem) -> None:
    code, output = net(chain, "stop a")
    assert code == 2
    assert "The Service A service is not started." in output
    assert "NET HELPMSG 3521" in output


@pytest.mark.behaviour('reference/windows-iis.md, "Services": net stop asks, /y answers yes')
def test_a_stop_with_running_dependents_needs_y(chain: WindowsSystem) -> None:
    net(chain, "start c")
    code, output = net(chain, "stop a")
    assert (code, states(chain)) == (2, ["running"] * 3)
    assert "   Service B" in output
    assert net(chain, "stop a /Y")[0] == 0
    assert states(chain) == ["stopped"] * 3
    left = [entry.text for entry in chain.event_log.entries if "stopped state" in entry.text]
    assert [text.split()[2] for text in left] == ["C", "B", "A"]


def test_an_unknown_service_and_a_disabled_one(chain: WindowsSystem) -> None:
    code, output = net(chain, "start nonsense")
    assert code == 2
    assert "NET HELPMSG 2185" in output
    assert asyncio.run(chain.command("sc config a start= disabled")).exit_code == 0
    code, output = net(chain, "start a")
    assert code == 2
    assert "System error 1058 has occurred." in output
    code, output = net(chain, "start b")
    assert code == 2
    assert "System error 1068 has occurred." in output


def test_a_program_that_gives_up_is_a_service_specific_error(chain: WindowsSystem) -> None:
    chain.scm.register(ServiceConfig("x", "Service X"), Broken)
    code, output = net(chain, "start x")
    assert code == 2
    assert "A service specific error occurred: 42." in output
    assert chain.scm.find("x").state == "stopped"
    entry = chain.event_log.entries[-1]
    assert (entry.number, "it is broken" in entry.text) == (7024, True)


@pytest.mark.behaviour('reference/windows-iis.md, "Services": a crash of inetinfo stops all services in it')
def test_a_crash_of_the_process_stops_every_service_in_it(chain: WindowsSystem) -> None:
    net(chain, "start c")
    assert sorted(chain.scm.crash("ONE.EXE")) == ["a", "b", "c"]
    assert states(chain) == ["stopped"] * 3
    assert [entry.number for entry in chain.event_log.entries[-3:]] == [7031] * 3


@pytest.mark.behaviour('reference/windows-iis.md, "Services": startup types')
def test_startup_types_survive_and_count_at_boot(chain: WindowsSystem) -> None:
    async def boots() -> list[str]:
        await chain.command("sc config c start= demand")
        await chain.boot()
        return states(chain)

    assert asyncio.run(boots()) == ["running", "running", "stopped"]
    assert chain.scm.find("C").config.startup == "manual"


def test_a_program_that_ends_by_itself_is_seen(system: WindowsSystem) -> None:
    async def run() -> str:
        ending = asyncio.Event()

        async def program() -> None:
            await ending.wait()
            raise ValueError("oops")

        system.scm.register(ServiceConfig("p", "P"), lambda: TaskProgram("p", program, system.spawn))
        await system.scm.start("p")
        before = system.scm.find("p").state
        ending.set()
        while system.scm.find("p").state != "stopped":  # noqa: ASYNC110 - a state, no event, is what is awaited
            await asyncio.sleep(0)
        return before

    assert asyncio.run(run()) == "running"
    assert "ValueError: oops" in system.event_log.entries[-1].text


def test_two_starts_at_once_start_it_once(chain: WindowsSystem) -> None:
    async def both() -> list[object]:
        starts = (chain.scm.start("c"), chain.scm.start("c"))
        return list(await asyncio.gather(*starts, return_exceptions=True))

    results = asyncio.run(both())
    assert results[0] is None
    assert isinstance(results[1], ServiceControlError)
    assert results[1].number == 1056


def test_a_cancelled_caller_leaves_no_service_half_way(system: WindowsSystem) -> None:
    async def run() -> Service:
        go = asyncio.Event()

        class Slow(IdleProgram):
            async def start(self, _died: Callable[[str], None]) -> None:
                await go.wait()

        system.scm.register(ServiceConfig("s", "S"), Slow)
        caller = asyncio.ensure_future(system.scm.start("s"))
        while system.scm.find("s").state != "start-pending":  # noqa: ASYNC110 - a state, no event, is what is awaited
            await asyncio.sleep(0)
        caller.cancel()
        go.set()
        while system.scm.find("s").state != "running":  # noqa: ASYNC110 - a state, no event, is what is awaited
            await asyncio.sleep(0)
        return system.scm.find("s")

    assert asyncio.run(run()).state == "running"


def test_the_services_port_is_idempotent_and_stops_dependents(chain: WindowsSystem) -> None:
    async def run() -> list[str]:
        port = SimServices(chain.scm)
        await port.start("Service C")
        await port.start("c")
        assert (await port.query("service c")).state == "running"
        await port.stop("a")
        await port.stop("a")
        with pytest.raises(ServiceControlError):
            await port.query("nonsense")
        return states(chain)

    assert asyncio.run(run()) == ["stopped"] * 3


@pytest.mark.behaviour('reference/windows-iis.md, "Names"')
def test_chngname_changes_the_active_name_only(system: WindowsSystem) -> None:
    async def run() -> list[tuple[int, str]]:
        await system.boot()
        await system.command("install-chngname C:\\DT")
        seen = []
        for line in ("/s SOURCE", "/s", "/s NAME-THAT-IS-TOO-LONG", "/s 123", "/x", "/t"):
            result = await system.command(f"C:\\DT\\chngname {line}")
            seen.append((result.exit_code, system.names.active))
        return seen

    expected = [(0, "SOURCE"), (2, "SOURCE"), (1, "SOURCE"), (1, "SOURCE"), (2, "SOURCE"), (0, "TARGET")]
    assert asyncio.run(run()) == expected
    assert system.names.permanent == "TARGET"


@pytest.mark.behaviour('reference/windows-iis.md, "Names"')
def test_a_rename_takes_effect_at_boot_and_chngname_does_not_outlive_it(system: WindowsSystem) -> None:
    system.names.set_permanent("other")
    system.names.set_active("source")
    assert (system.names.active, system.names.permanent) == ("SOURCE", "OTHER")
    asyncio.run(system.boot())
    assert system.names.active == "OTHER"


@pytest.mark.parametrize("name", ["", "A B", "12345", "SIXTEEN-LETTERS-", "A.B", "A/B"])
def test_names_that_no_computer_can_have(name: str) -> None:
    with pytest.raises(IdentityError, match="computer name"):
        checked(name)


def test_registry_keys_ignore_case_and_volatile_ones_go_at_boot() -> None:
    registry = Registry()
    registry.set(r"HKLM\A\B", "Value", 1)
    registry.set(r"HKLM\A\V", "x", "y", volatile=True)
    assert registry.get(r"hklm\a\b", "VALUE") == 1
    assert registry.subkeys(r"hklm\a") == ["B", "V"]
    copy = Registry()
    copy.load(registry.dump())
    registry.boot()
    assert registry.subkeys(r"HKLM\A") == copy.subkeys(r"HKLM\A") == ["B"]
    registry.delete(r"HKLM\A")
    assert registry.get(r"HKLM\A\B", "Value") is None


def test_sc_answers_with_win32_errors(chain: WindowsSystem) -> None:
    async def run() -> list[tuple[int, str]]:
        lines = (
            "query c",
            "start c",
            "qc c",
            "stop a",
            "start a",
            "stop c",
            "stop c",
            "query x",
            "config a start= x",
            "",
        )
        done = [await chain.command(f"sc {line}") for line in lines]
        return [(result.exit_code, result.output) for result in done]

    seen = asyncio.run(run())
    assert [code for code, _ in seen] == [0, 0, 0, 1051, 1056, 0, 1062, 1060, 1639, 1639]
    assert "1  STOPPED" in seen[0][1]
    assert "4  RUNNING" in seen[1][1]
    assert "2   AUTO_START" in seen[2][1]
    assert "DEPENDENCIES       : b" in seen[2][1]
    assert "[SC] EnumQueryServicesStatus:OpenService FAILED 1060:" in seen[7][1]
