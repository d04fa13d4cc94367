"""A service whose process is killed has no effect any more: on volumes, the network, names, services, the filter."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble.vocabulary.operations import CreateFile, Metadata
from bodydouble_sim.handles import OWNER
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.windows.process_program import ProcessProgram
from bodydouble_sim.windows.service import ServiceConfig, TaskProgram
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from bodydouble.ports import Host

WORKS = "C:/works.txt"


@pytest.fixture
def machine() -> Iterator[WindowsMachine]:
    world = World(1, keep_trace=True)
    made = WindowsMachine(world, "TARGET")
    made.plug(world.network.segment("lan"), "10.0.0.20/24")
    yield made
    world.close()
    assert world.loop.unhandled == []


def killed_in_the_middle(
    machine: WindowsMachine,
    work: Callable[[Host], Coroutine[Any, Any, None]],
    after: float = 1.0,
    *,
    plant: bool = False,
) -> None:
    """Run a service on the machine that does ``work``, kill it a second later, and let a while pass.

    Args:
        machine: where.
        work: what the service does.
        after: seconds.
        plant: the defect: its tasks are cancelled.
    """

    async def program() -> None:
        await work(machine.host())

    def make() -> TaskProgram:
        return TaskProgram("daemon", program, machine._spawn) if plant else ProcessProgram("daemon", program, machine)

    async def main() -> None:
        machine.power_on()
        await machine.wait_booted()
        machine.system.scm.register(ServiceConfig("daemon", "daemon", "manual", (), "daemon.exe"), make)
        await machine.command("net start daemon")
        await asyncio.sleep(after)
        assert machine.system.scm.crash("daemon.exe") == ["daemon"]
        await asyncio.sleep(30)

    machine.world.run(main())


async def cleans_up(host: Host) -> None:
    """Wait for ever; the clean-up changes a volume, an address, a service, a name and the active name."""
    try:
        await asyncio.Event().wait()
    finally:
        await host.file_system.apply([CreateFile(WORKS, Metadata(), 0)])
        await host.identity.add_address("Local Area Connection", "10.0.0.99/24")
        await host.identity.add_name("GHOST")
        await host.services.stop("Browser")
        assert host.active_name is not None
        await host.active_name.change("GHOST")


def traces(machine: WindowsMachine) -> list[str]:
    """What the clean-up has left on the machine."""
    found = ["file"] if machine.volumes["C"].stat(WORKS) is not None else []
    found += ["address"] if machine.stack.owns("10.0.0.99") else []
    found += ["name"] if "GHOST" in machine.netbios.names() else []
    found += ["service"] if machine.system.scm.find("Browser").state != "running" else []
    return [*found, *(["active name"] if machine.system.names.active != "TARGET" else [])]


def test_a_killed_service_leaves_no_trace_of_its_clean_up(machine: WindowsMachine) -> None:
    killed_in_the_middle(machine, cleans_up)
    assert traces(machine) == []


def test_a_service_that_is_cancelled_instead_leaves_all_of_them(machine: WindowsMachine) -> None:
    """The planted defect."""
    killed_in_the_middle(machine, cleans_up, plant=True)
    assert traces(machine) == ["file", "address", "name", "service", "active name"]


@pytest.mark.parametrize("plant", [False, True])
def test_the_filter_reports_nothing_to_a_dead_process(machine: WindowsMachine, plant: bool) -> None:
    heard: list[str] = []

    async def watches(host: Host) -> None:
        await host.file_filter.attach("C:/Data", lambda operation: heard.append(operation.path))
        await asyncio.Event().wait()

    machine.world.run(_with_directory(machine))
    killed_in_the_middle(machine, watches, plant=plant)
    machine.put_file("C:\\Data\\late.txt", b"an application goes on")
    assert bool(heard) == plant


async def _with_directory(machine: WindowsMachine) -> None:
    machine.power_on()
    await machine.wait_booted()
    machine.system.make_directories("C:/Data")
    await machine.shut_down()


def test_a_name_whose_registration_was_under_way_is_registered_or_not_and_never_half(machine: WindowsMachine) -> None:
    async def registers(host: Host) -> None:
        await host.identity.add_name("WEB1")
        await asyncio.Event().wait()

    killed_in_the_middle(machine, registers, after=0.1)
    assert "WEB1" in machine.netbios.names()
    machine.world.run(machine.perform(machine.netbios.release("WEB1"), name="release"))
    machine.world.run(machine.perform(machine.netbios.register("WEB1"), name="register"))
    assert "WEB1" in machine.netbios.names()


def test_a_script_goes_on_when_the_process_that_started_it_is_killed(machine: WindowsMachine) -> None:
    async def runs(host: Host) -> None:
        machine.put_file("C:\\long.bat", b"ping -n 4 10.0.0.20\r\necho done > C:\\done.txt\r\n")
        await host.scripts.run("C:/long.bat", [], {}, 60.0)

    killed_in_the_middle(machine, runs)
    assert machine.volumes["C"].stat("C:/done.txt") is not None


def test_a_script_ends_when_whoever_waits_for_it_is_cancelled(machine: WindowsMachine) -> None:
    async def runs(host: Host) -> None:
        machine.put_file("C:\\long.bat", b"ping -n 9 10.0.0.20\r\necho done > C:\\done.txt\r\n")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(host.scripts.run("C:/long.bat", [], {}, 60.0), 1.0)
        await asyncio.Event().wait()

    killed_in_the_middle(machine, runs, after=10.0)
    assert machine.volumes["C"].stat("C:/done.txt") is None


def test_a_stop_that_waits_for_a_program_ends_when_that_is_killed(machine: WindowsMachine) -> None:
    async def stubborn(_host: Host) -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def main() -> None:
        machine.power_on()
        await machine.wait_booted()
        config = ServiceConfig("daemon", "daemon", "manual", (), "daemon.exe")
        machine.system.scm.register(config, lambda: ProcessProgram("daemon", lambda: stubborn(machine.host()), machine))
        await machine.command("net start daemon")
        stopping = machine.spawn(machine.command("net stop daemon"), name="net stop")
        await asyncio.sleep(1)
        assert machine.system.scm.find("daemon").state == "stop-pending"
        machine.system.scm.crash("daemon.exe")
        await asyncio.sleep(1)
        assert stopping.done()
        assert machine.system.scm.find("daemon").state == "stopped"

    machine.world.run(main())


def test_a_process_dies_with_the_power_of_its_machine(machine: WindowsMachine) -> None:
    lives: list[Any] = []

    async def waits(_host: Host) -> None:
        lives.append(OWNER.get())
        await asyncio.Event().wait()

    async def main() -> None:
        machine.power_on()
        await machine.wait_booted()
        machine.register_program_service("daemon", "daemon", lambda: waits(machine.host()))
        await machine.command("net start daemon")
        await asyncio.sleep(1)
        assert not lives[0].dead
        machine.power_off()
        assert lives[0].dead

    machine.world.run(main())
