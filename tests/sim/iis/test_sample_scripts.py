"""Generated scripts on simulated Windows: as the note's in effect, and what they are beyond them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.sim.iis.test_scripts import IIS, prepared, running

from bodydouble.profiles.catalog import IIS_4, IIS_5
from bodydouble.profiles.samples import sample

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.vocabulary.records import ScriptResult
    from bodydouble_sim.windows.system import WindowsSystem

behaviour = pytest.mark.behaviour
POSTOVER, PREBACK = "C:/DoubleTake/OVER.BAT", "C:/DoubleTake/BACK.BAT"


def offered(system: WindowsSystem) -> set[str]:
    """The IIS services that this release has."""
    return {*IIS, "cisvc"} if system.version.is_nt4 else set(IIS)


def put_samples(system: WindowsSystem, services: tuple[str, ...] = (), directory: str = r"C:\DoubleTake") -> None:
    profile = IIS_4 if system.version.is_nt4 else IIS_5
    over = sample(profile, "post-failover", source="SOURCE", directory=directory, services=services)
    system.write_file(POSTOVER, over.encode())
    system.write_file(PREBACK, sample(profile, "pre-failback", services=services).encode())


def on(system: WindowsSystem, play: Callable[[], Awaitable[None]], services: tuple[str, ...] = ()) -> None:
    """Prepare the note's target with the samples beside the note's scripts, and play."""

    async def main() -> None:
        await prepared(system, index=system.version.is_nt4)
        put_samples(system, services or tuple(offered(system)))
        await play()
        await system.shut_down()

    asyncio.run(main())


async def ran(system: WindowsSystem, path: str) -> ScriptResult:
    return await system.run_script(path, [], {}, 60)


def states(system: WindowsSystem) -> tuple[dict[str, str], str]:
    """Every service of the machine, and its active name."""
    return {each.config.name: each.state for each in system.scm.services()}, system.names.active


@behaviour("the note, POSTOVER.BAT and PREBACK.BAT: the generated ones have the same effect")
def test_generated_scripts_are_equal_in_effect_to_the_notes(either: WindowsSystem) -> None:
    seen: list[list[tuple[dict[str, str], str]]] = []

    async def play() -> None:
        before = states(either)
        for over, back in (("C:/DoubleTake/POSTOVER.BAT", "C:/DoubleTake/PREBACK.BAT"), (POSTOVER, PREBACK)):
            results = [await ran(either, over)]
            seen.append([before, states(either)])
            results.append(await ran(either, back))
            seen[-1].append(states(either))
            assert [each.exit_code for each in results] == [0, 0], results
            before = states(either)
        assert running(either) == set()

    on(either, play)
    notes, generated = seen
    assert notes == generated
    assert {name for name, state in notes[1][0].items() if notes[0][0][name] != state} == offered(either)


def test_services_that_were_not_chosen_stay_stopped(either: WindowsSystem) -> None:
    async def play() -> None:
        assert (await ran(either, POSTOVER)).exit_code == 0
        assert running(either) == {"IISADMIN", "W3SVC"}

    on(either, play, services=("W3SVC",))


def test_whatever_depends_on_a_service_that_is_stopped_stops_with_it(either: WindowsSystem) -> None:
    async def play() -> None:
        await either.command("C:\\DoubleTake\\chngname /s SOURCE")
        for name in IIS:
            assert (await either.command(f"net start {name}")).exit_code == 0
        assert (await ran(either, PREBACK)).exit_code == 0
        assert running(either) == set()

    on(either, play, services=("W3SVC",))


def test_generated_scripts_may_run_again(either: WindowsSystem) -> None:
    """A daemon that was restarted while it stood in goes through its steps again."""

    async def play() -> None:
        for path, expected in ((POSTOVER, offered(either)), (PREBACK, set())):
            for _ in range(2):
                result = await ran(either, path)
                assert result.exit_code == 0, result.output
                assert running(either) == expected
                assert either.names.active == "TARGET"

    on(either, play)


def test_the_name_is_put_back_and_the_rest_runs_though_a_service_does_not_start(either: WindowsSystem) -> None:
    async def play() -> None:
        await either.command("sc config MSFTPSVC start= disabled")
        result = await ran(either, POSTOVER)
        assert result.exit_code == 1, result.output
        assert running(either) == offered(either) - {"MSFTPSVC"}
        assert either.names.active == "TARGET"

    on(either, play)


def test_a_missing_chngname_shows_in_the_exit_code(either: WindowsSystem) -> None:
    async def play() -> None:
        await either.command("del C:\\DoubleTake\\chngname.exe")
        assert (await ran(either, POSTOVER)).exit_code == 1
        assert running(either) <= {"cisvc"}

    on(either, play)


def test_a_directory_with_blanks_and_signs_is_found(either: WindowsSystem) -> None:
    async def play() -> None:
        await either.command('md "C:\\Body & Double (x86)"')
        await either.command('install-chngname "C:\\Body & Double (x86)"')
        put_samples(either, directory=r"C:\Body & Double (x86)")
        result = await ran(either, POSTOVER)
        assert (result.exit_code, either.names.active) == (0, "TARGET"), result.output
        assert "W3SVC" in running(either)

    on(either, play)
