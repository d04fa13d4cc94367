"""The `ActiveName` port: a name for a while, and the host's own one again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.uts import in_own_namespace

from bodydouble.adapters.linux import LinuxHostSettings, open_host
from bodydouble.errors import InputError
from bodydouble_sim.storage.drive import Drive
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bodydouble.ports import ActiveName, Host

    Case = Callable[[Host, ActiveName], Awaitable[None]]
    Run = Callable[[Case], None]


def on_linux(case: Case, directory: Path) -> None:
    async def main() -> None:
        async with open_host(LinuxHostSettings(), str(directory)) as host:
            assert host.active_name is not None
            await case(host, host.active_name)

    in_own_namespace(lambda: asyncio.run(main()))


def on_windows(case: Case) -> None:
    world = World(1)
    machine = WindowsMachine(world, "TARGET", {"C": Drive(file_system="ntfs")})

    async def on_the_machine() -> None:
        host = machine.host()
        assert host.active_name is not None
        await case(host, host.active_name)

    async def main() -> None:
        machine.power_on()
        await machine.wait_booted()
        await machine.perform(on_the_machine(), name="case")

    try:
        world.run(main())
    finally:
        world.close()


@pytest.fixture(params=[pytest.param("linux", marks=pytest.mark.root), "windows"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Every body whose name can be changed."""
    return on_windows if request.param == "windows" else lambda case: on_linux(case, tmp_path)


async def names(host: Host) -> tuple[str, str]:
    identity = await host.identity.query()
    return identity.primary_name, identity.permanent_name


def test_a_name_is_active_at_once_and_the_own_one_afterwards(run: Run) -> None:
    async def case(host: Host, active: ActiveName) -> None:
        own, permanent = await names(host)
        assert (own, await active.original()) == (permanent, None)
        await active.change("WEB1")
        assert await names(host) == ("WEB1", permanent)
        assert await active.original() == own
        await active.restore()
        assert await names(host) == (own, permanent)
        assert await active.original() is None

    run(case)


def test_one_name_after_another_still_leads_back_to_the_own_one(run: Run) -> None:
    async def case(host: Host, active: ActiveName) -> None:
        own, _ = await names(host)
        for name in ("WEB1", "WEB1", "WEB2"):
            await active.change(name)
            assert await active.original() == own
        for _ in range(2):
            await active.restore()
            assert (await names(host))[0] == own

    run(case)


def test_names_that_are_set_at_the_same_time_still_lead_back(run: Run) -> None:
    async def case(host: Host, active: ActiveName) -> None:
        own, _ = await names(host)
        await asyncio.gather(*(active.change(f"WEB{number}") for number in range(8)))
        assert await active.original() == own
        await active.restore()
        assert (await names(host))[0] == own

    run(case)


def test_the_own_name_leaves_nothing_to_put_back(run: Run) -> None:
    async def case(host: Host, active: ActiveName) -> None:
        own, _ = await names(host)
        await active.change("WEB1")
        await active.change(own)
        assert await active.original() is None
        await active.restore()
        assert (await names(host))[0] == own

    run(case)


def test_the_active_name_answers_to_nothing_on_the_wire(run: Run) -> None:
    async def case(host: Host, active: ActiveName) -> None:
        await active.change("WEB1")
        assert (await host.identity.query()).added_names == []

    run(case)


@pytest.mark.parametrize("name", ["", "two words", "a/b", "ä", "x" * 65, "-a\n"])
def test_what_is_no_name_is_refused_and_changes_nothing(run: Run, name: str) -> None:
    async def case(host: Host, active: ActiveName) -> None:
        before = await names(host)
        with pytest.raises(InputError, match="is not a"):
            await active.change(name)
        assert await names(host) == before
        assert await active.original() is None

    run(case)
