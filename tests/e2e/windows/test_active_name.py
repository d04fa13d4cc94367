"""The product's chngname on simulated Windows: the same active name as the utility's, and what IIS makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.test_configurations import Lab

from bodydouble.errors import ControlError
from bodydouble.vocabulary.active_name import ActiveNameStatus

if TYPE_CHECKING:
    from bodydouble_sim.windows.machine import WindowsMachine


async def typed(machine: WindowsMachine, line: str) -> tuple[int, str]:
    result = await machine.command(line)
    return result.exit_code, result.output.strip()


def test_a_console_changes_the_name_that_iis_starts_under() -> None:
    lab = Lab("T")

    async def main() -> None:
        machine = lab.boxes["T"].machine
        async with lab.boxes["T"].talk() as console:
            assert await console.set_active_name("source") == ActiveNameStatus("SOURCE", "T")
            assert (await typed(machine, "install-iis /drive:C /manual"))[0] == 0
            assert (await typed(machine, 'net stop "IIS Admin Service" /y'))[0] == 0
            assert await console.reset_active_name() == ActiveNameStatus("T")
            assert (await typed(machine, "net start W3SVC"))[0] == 2
            await console.set_active_name("SOURCE")
            assert (await typed(machine, "net start W3SVC"))[0] == 0
            await console.reset_active_name()
            assert (await console.service("W3SVC")).state == "running"
            assert [event.code for event in await console.events() if event.code in (9130, 9131)] == [
                9130,
                9131,
                9130,
                9131,
            ]

    lab.run(main)


def test_console_and_utility_change_one_and_the_same_name() -> None:
    lab = Lab("T")

    async def main() -> None:
        machine = lab.boxes["T"].machine
        await typed(machine, r"install-chngname C:\Bodydouble")
        async with lab.boxes["T"].talk() as console:
            await typed(machine, r"C:\Bodydouble\chngname /s SOURCE")
            assert await console.active_name() == ActiveNameStatus("SOURCE", "T")
            assert (await console.reset_active_name()).active == "T"
            await console.set_active_name("OTHER")
            assert await typed(machine, r"C:\Bodydouble\chngname /t") == (0, "The active server name is now T.")
            with pytest.raises(ControlError, match="no other name was set: this machine runs as T") as refused:
                await console.reset_active_name()
            assert refused.value.status == 409
            with pytest.raises(ControlError, match=r"'A\.B' is not a computer name") as refused:
                await console.set_active_name("A.B")
            assert refused.value.status == 400

    lab.run(main)
