"""Preflight of the shipped scenarios' hosts: as the note sets them up they pass, and what is spoilt on them is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bodydouble.control.client import ControlClient
from bodydouble.preflight.catalog import preflight
from bodydouble.preflight.findings import Situation
from bodydouble.profiles.catalog import find_profile
from bodydouble_labs.providers.sim import SimProvider
from bodydouble_labs.runner.runner import Runner
from bodydouble_labs.scenario import loader

if TYPE_CHECKING:
    from pathlib import Path

    from bodydouble.vocabulary.inventory import HostInventory
    from bodydouble_labs.providers.base import LabHost, Stage
    from bodydouble_labs.scenario.model import Scenario

NOTE_7 = "sc config Bodydouble type= own type= interact"
"""Install and Configure Software on the Target, 7: the service interacts with the desktop."""


def until_monitored(name: str) -> Scenario:
    """A shipped scenario up to the moment at which the target is ready to stand in."""
    scenario = loader.load(loader.find(f"{name}-power-loss"))
    last = next(number for number, step in enumerate(scenario.timeline) if step.step == "Begin monitoring")
    return msgspec.structs.replace(scenario, timeline=scenario.timeline[: last + 1])


async def objections(stage: Stage, name: str) -> list[tuple[str, str, str]]:
    """What a preflight does not pass, asked over the network as a console would."""
    source, target = [await _asked(stage.hosts[side]) for side in ("source", "target")]
    report = preflight(Situation(find_profile(name), source, target))
    return [(each.verdict, each.check, each.detail) for each in report.findings if each.verdict != "pass"]


async def _asked(host: LabHost) -> HostInventory:
    control = host.control
    async with ControlClient(control.address, control.port, control.token, control.certificate) as client:
        return await client.inventory()


async def typed(host: LabHost, line: str) -> None:
    result = await host.command(line)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", ["iis4", "iis5"])
def test_hosts_set_up_as_the_note_says_pass_and_spoilt_ones_do_not(name: str, tmp_path: Path) -> None:
    scenario = until_monitored(name)

    async def main(stage: Stage) -> None:
        await Runner(scenario, stage, 1).run()
        assert (stage.history.lab_errors, stage.history.unmet) == ([], [])
        target = stage.hosts["target"]
        (desktop,) = await objections(stage, name)
        assert desktop[:2] == ("warn", "desktop")
        await typed(target, NOTE_7)
        assert await objections(stage, name) == []

        await typed(target, "sc config W3SVC start= auto")
        await typed(target, r"C:\Bodydouble\chngname /s SOURCE")
        await typed(target, r"del C:\Bodydouble\PREBACK.BAT")
        await target.put_file(r"C:\Bodydouble\POSTOVER.BAT", scenario.files["scripts/POSTOVER.BAT"])
        await typed(stage.hosts["source"], r"adsutil create_vserv W3SVC/2")
        await typed(stage.hosts["source"], r"adsutil create_vdir W3SVC/2/ROOT")
        await typed(stage.hosts["source"], r"adsutil set W3SVC/2/ROOT/Path C:\Shop")
        expected = {
            ("fail", "services-manual"), ("fail", "own-name"), ("fail", "scripts-readable"), ("fail", "sites-in-set"),
            ("fail", "script-placeholders"), ("fail", "script-name"), ("warn", "same-sites"),
            ("unknown", "script-stops"), ("unknown", "chngname"),
        }  # fmt: skip
        index = {("fail", "script-starts"), ("warn", "script-remarks")} if name == "iis4" else set()
        assert {(verdict, check) for verdict, check, _ in await objections(stage, name)} == expected | index

    SimProvider().run(scenario, 1, tmp_path, main)


def test_the_text_of_scripts_stays_on_their_machine(tmp_path: Path) -> None:
    scenario = until_monitored("iis5")

    async def main(stage: Stage) -> None:
        await Runner(scenario, stage, 1).run()
        target = stage.hosts["target"]
        await target.put_file(r"C:\Bodydouble\PREBACK.BAT", b"set PASSWORD=hunter2\r\nnet stop IISADMIN /y\r\n")
        said = await _asked(target)
        (back,) = [each for each in said.scripts if each.path.endswith("PREBACK.BAT")]
        assert (back.lines, [each.name for each in back.active("stop")]) == (2, ["IISADMIN"])
        assert b"hunter2" not in msgspec.json.encode(said)

    SimProvider().run(scenario, 1, tmp_path, main)


def test_a_console_that_asks_leaves_no_trace_on_the_machines(tmp_path: Path) -> None:
    scenario = until_monitored("iis5")

    async def main(stage: Stage) -> None:
        await Runner(scenario, stage, 1).run()
        before = [await stage.hosts[side].snapshot("C:\\Bodydouble") for side in ("source", "target")]
        first = await objections(stage, "iis5")
        assert await objections(stage, "iis5") == first
        assert [await stage.hosts[side].snapshot("C:\\Bodydouble") for side in ("source", "target")] == before

    SimProvider().run(scenario, 1, tmp_path, main)
