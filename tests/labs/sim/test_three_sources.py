"""Three sources on one target: the shipped scenario in short, and defects that are found where they are."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import msgspec

from bodydouble.failover.takeover import Takeover
from bodydouble.failover.turns import Turns
from bodydouble.replication.queue import SourceQueue
from bodydouble.vocabulary.operations import Write
from bodydouble_labs.providers.sim import SimProvider
from bodydouble_labs.providers.sim_stage import SimStage
from bodydouble_labs.runner import conduct
from bodydouble_labs.scenario.loader import find, load, shipped_directory
from bodydouble_labs.scenario.steps import CommandStep, PutStep, RunForStep
from bodydouble_sim.handles import current_machine
from bodydouble_sim.network.stack import IpStack
from bodydouble_sim.windows.commands import sc
from bodydouble_sim.windows.service import IdleProgram

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import pytest

    from bodydouble_labs.result import Result
    from bodydouble_labs.scenario.model import Scenario
    from bodydouble_labs.scenario.steps import AnyStep
    from bodydouble_sim.windows.machine import WindowsMachine

SHIPPED = load(find("three-sources"))
RECORDS_BEFORE = 10
"""Uploads that pass unharmed before a defect bites, so that the mirror is over."""


def brief(seconds: float = 12.0) -> Scenario:
    """The shipped scenario with less time in its long stretches."""
    steps = [
        msgspec.structs.replace(step, run_for=seconds) if isinstance(step, RunForStep) else step
        for step in SHIPPED.timeline
    ]
    return msgspec.structs.replace(SHIPPED, timeline=steps)


def judged(directory: Path, scenario: Scenario | None = None) -> Result:
    run = conduct(scenario or brief(), SimProvider(), seed=1, directory=directory, wall_clock=lambda: 0.0)
    assert run.history.lab_errors == []
    return run.result


def failed(result: Result) -> dict[tuple[str, str], str]:
    """Details of the failed checks, by check and protection."""
    return {(check.name, check.protection): check.detail for check in result.checks if check.verdict == "fail"}


def test_all_checkers_pass_every_protection(tmp_path: Path) -> None:
    result = judged(tmp_path)
    assert failed(result) == {}
    assert result.verdict == "pass"
    judged_by = {name: {c.name for c in result.checks if c.protection == name} for name in SHIPPED.protections}
    assert judged_by["one"] == judged_by["two"] == judged_by["three"]
    assert len(judged_by["one"]) * 3 == len(result.checks)


def test_clients_that_ask_anew_for_a_name_find_the_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a Windows client remembers of a name for ten minutes hides where it leads meanwhile."""
    original = SimStage.resolve

    async def fresh(self: SimStage, name: str) -> str:
        self.client.netbios.flush_cache()
        return await original(self, name)

    monkeypatch.setattr(SimStage, "resolve", fresh)
    result = judged(tmp_path)
    assert failed(result) == {}
    assert result.verdict == "pass"


def test_a_lost_record_of_one_source_is_its_own_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = SourceQueue.put
    uploads = itertools.count()

    def forgetful(self: SourceQueue, body: Any) -> int | None:
        is_upload = isinstance(body, Write) and "/Sites/Two/wwwroot/records/" in body.path
        if is_upload and next(uploads) == RECORDS_BEFORE:
            return self.generated
        return original(self, body)

    monkeypatch.setattr(SourceQueue, "put", forgetful)
    found = failed(judged(tmp_path))
    assert {name for name, _ in found} >= {"write-order", "loss"}
    assert {protection for _, protection in found} == {"two"}
    assert "two-orders-" in found["loss", "two"]


def test_a_script_that_stops_everybodys_web_server_is_the_others_outage(tmp_path: Path) -> None:
    """Source 2 comes home with the application note's own PREBACK.BAT, which stops IIS altogether."""
    scenario = brief()
    note = (shipped_directory() / "scripts" / "PREBACK.BAT").read_bytes()
    steps: list[AnyStep] = []
    for step in scenario.timeline:
        if isinstance(step, PutStep):
            items = [
                msgspec.structs.replace(item, from_="note", replace={}) if item.to.endswith("PREBACK2.BAT") else item
                for item in step.put
            ]
            steps.append(msgspec.structs.replace(step, put=items))
        else:
            steps.append(step)
    files = {**scenario.files, "note": note}
    found = failed(judged(tmp_path, msgspec.structs.replace(scenario, timeline=steps, files=files)))
    assert set(found) == {(name, of) for name in ("availability", "runbook") for of in ("one", "three")}
    assert "never recovered" in found["availability", "one"] or "unexplained" in found["availability", "one"]
    assert "W3SVC on target is stopped" in found["runbook", "three"]


def test_an_address_that_is_not_given_back_has_two_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target keeps the address of source 2, and neither machine minds the other's claims."""
    original = Takeover._give_back_addresses

    async def kept(self: Takeover, addresses: Any) -> Any:
        return [] if self._request.source == "SOURCE2" else await original(self, addresses)

    monkeypatch.setattr(Takeover, "_give_back_addresses", kept)
    monkeypatch.setattr(IpStack, "_contest", lambda *_: None)
    found = failed(judged(tmp_path))
    assert {protection for _, protection in found} == {"two"}
    assert "10.0.0.12 belonged to" in found["one-owner", "two"]
    assert "source2" in found["one-owner", "two"]
    assert "target has the address 10.0.0.12" in found["runbook", "two"]


SLOWLY = 4.0
"""Seconds that an application takes to start: long enough for another source's script to become due meanwhile."""

OF_ITS_OWN = rb"""<drive>\<directory>\chngname /s %BODYDOUBLE_SOURCE%
net start Orderssite_number
<drive>\<directory>\chngname /t
"""
"""What a source's script does for an application of that source's own, which looks at the active name."""


def with_applications(monkeypatch: pytest.MonkeyPatch) -> tuple[Scenario, list[tuple[str, str]]]:
    """The scenario with a service of each source's own on the target; and the names that they see as they start."""
    seen: list[tuple[str, str]] = []

    class Application(IdleProgram):
        async def start(self, died: Callable[[str], None]) -> None:
            names = cast("WindowsMachine", current_machine()).system.names
            before = names.active
            await asyncio.sleep(SLOWLY)
            seen.append((before, names.active))
            await super().start(died)

    monkeypatch.setattr(sc, "NotAServiceProgram", Application)
    steps = list(brief().timeline)
    place = next(number for number, step in enumerate(steps) if "Take the name of source 1" in step.step)
    names = [f"Orders{number}" for number in (1, 2, 3)]
    steps[place:place] = [CommandStep(on="target", command=f"sc create {name} binPath= {name}.exe") for name in names]
    script = "scripts/POSTOVER-SITE.BAT"
    files = {**SHIPPED.files, script: OF_ITS_OWN + SHIPPED.files[script]}
    return msgspec.structs.replace(brief(), timeline=steps, files=files), seen


def test_services_of_each_source_see_the_name_of_their_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, seen = with_applications(monkeypatch)
    expect = msgspec.structs.replace(SHIPPED.expect, max_rto=30 + 2 * SLOWLY)  # the last one waits for two others
    result = judged(tmp_path, msgspec.structs.replace(scenario, expect=expect))
    assert failed(result) == {}
    assert seen == [("SOURCE1", "SOURCE1"), ("SOURCE2", "SOURCE2"), ("SOURCE3", "SOURCE3")]


def test_scripts_that_do_not_take_turns_take_the_name_from_each_others_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The defect, planted: whoever wants a turn has it."""

    @asynccontextmanager
    async def at_once(*_arguments: object) -> AsyncIterator[bool]:
        yield True

    monkeypatch.setattr(Turns, "turn", at_once)
    scenario, seen = with_applications(monkeypatch)
    judged(tmp_path, scenario)
    assert ("SOURCE1", "SOURCE2") in seen
