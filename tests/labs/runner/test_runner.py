from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from tests.labs.conftest import changed
from tests.labs.runner.fakes import FakeConsole, FakeProduct, FakeStage

from bodydouble.vocabulary.records import (
    AcceptRequest,
    ConnectRequest,
    MonitorRequest,
    OfferRequest,
    ReplicationSet,
    RestoreRequest,
)
from bodydouble_labs.providers.base import RunOutcome
from bodydouble_labs.runner import Progress, Runner, collector, conduct, console, machines, product
from bodydouble_labs.scenario.loader import find, load
from bodydouble_labs.scenario.model import WorkloadSpec
from bodydouble_labs.scenario.steps import RunForStep, title_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bodydouble_labs.history import History
    from bodydouble_labs.providers.base import Stage
    from bodydouble_labs.scenario.model import Scenario

SHIPPED = load(find("iis5-power-loss"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "POLL", 0.001)
    monkeypatch.setattr(product, "POLL", 0.001)
    monkeypatch.setattr(machines, "HEALED_WITHIN", 0.0)
    monkeypatch.setattr(machines, "FAULT_WINDOW", 0.01)


def quick(**limits: float) -> Scenario:
    """The shipped timeline without clients and with next to no time passing; ``limits`` by action."""
    steps = []
    for step in SHIPPED.timeline:
        made = msgspec.structs.replace(step, run_for=0.01) if isinstance(step, RunForStep) else step
        for action, seconds in limits.items():
            if action in step.__struct_fields__:
                made = msgspec.structs.replace(made, within=seconds)
        steps.append(made)
    return changed(msgspec.structs.replace(SHIPPED, timeline=steps), workload=WorkloadSpec())


class Rig:
    def __init__(self, scenario: Scenario | None = None) -> None:
        self.scenario = scenario or quick()
        self.console = FakeConsole()
        self.progress: list[Progress] = []
        self.stage: FakeStage

    def run(self, prepare: Callable[[Rig], None] = lambda _rig: None) -> History:
        async def main() -> None:
            self.stage = FakeStage(self.scenario)
            prepare(self)
            runner = Runner(self.scenario, cast("Stage", self.stage), 1, self.progress.append, self.console)
            await runner.run()

        asyncio.run(main())
        return self.stage.history

    def product(self, name: str) -> FakeProduct:
        return self.console.products.setdefault(name, FakeProduct())

    def asked(self, name: str, kind: type[Any]) -> list[Any]:
        return [item for item in self.product(name).asked if isinstance(item, kind)]


def test_the_whole_timeline_is_carried_out_in_order() -> None:
    rig = Rig()
    history = rig.run()
    assert (history.unmet, history.lab_errors) == ([], [])
    steps = [mark.text for mark in history.marks if mark.kind == "step"]
    assert steps == [title_of(step) for step in rig.scenario.timeline]
    assert [mark.text for mark in history.marks if mark.kind == "phase"] == ["prepare", "safety", "liveness"]
    assert set(history.trees) == {"source", "target"}


def test_the_product_is_asked_for_what_the_scenario_says() -> None:
    rig = Rig()
    rig.run()
    (saved,) = rig.asked("source", ReplicationSet)
    assert [(rule.path, rule.include) for rule in saved.rules] == [("C:/InetPub", True)]
    first, again = rig.asked("source", ConnectRequest)
    assert first == again
    assert (first.target, first.mirror, first.orphans) == ("10.0.0.20", "difference", "delete")
    assert "disconnect 1" in rig.product("source").asked
    (monitor,) = rig.asked("target", MonitorRequest)
    assert monitor.source == "SOURCE"
    assert monitor.scripts.post_failover == "C:/Bodydouble/POSTOVER.BAT"
    assert monitor.scripts.pre_failover == ""
    assert [(item.interface, item.address) for item in monitor.addresses] == [("Local Area Connection", "10.0.0.10/24")]
    (restored,) = rig.asked("target", RestoreRequest)
    assert (restored.original_source, restored.restore_to) == ("SOURCE", "10.0.0.10")
    assert "continue SOURCE" in rig.product("target").asked


def test_the_code_that_one_server_offers_is_typed_in_at_the_other() -> None:
    rig = Rig()
    rig.run()
    assert rig.asked("target", OfferRequest) == [OfferRequest()]
    assert rig.asked("source", AcceptRequest) == [AcceptRequest(host="10.0.0.20", code="7KQ2-M9XD-4TBH-WZ3C")]


def test_servers_that_are_not_paired_are_the_products_failure() -> None:
    rig = Rig()
    rig.product("source").refusals.append("accept_pairing")
    history = rig.run()
    assert "accepting the pairing" in history.unmet[0]
    assert rig.asked("source", ConnectRequest) == []


def test_the_operator_types_what_the_note_says() -> None:
    rig = Rig()
    rig.run()
    target = rig.stage.hosts["target"]
    assert target.lines[:3] == [
        r"install-chngname C:\Bodydouble",
        r"C:\Bodydouble\chngname /s SOURCE",
        "install-iis /version:5.0 /drive:C",
    ]
    assert "sc config W3SVC start= demand" in target.lines
    assert "net stop IISADMIN /y" in target.lines
    assert b"C:\\Bodydouble\\chngname /s SOURCE\n" in target.files[r"C:\Bodydouble\POSTOVER.BAT"]
    source = rig.stage.hosts["source"]
    assert len([path for path in source.files if path.endswith(".htm")]) == 20
    assert next(line for line in source.lines if line.startswith("net start")) == "net start IISADMIN"


def test_power_and_faults_stand_in_the_history() -> None:
    history = Rig().run()
    fault = next(mark for mark in history.marks if mark.kind == "fault")
    heal = next(mark for mark in history.marks if mark.kind == "heal")
    assert (fault.host, fault.text) == ("source", "power-loss")
    spans = [span for span in history.power if span.host == "source"]
    assert len(spans) == 2
    assert spans[0].until is not None
    assert fault.at <= spans[0].until <= heal.at <= spans[1].at + 0.01
    assert spans[1].until is None
    assert [span.until is None for span in history.power if span.host == "target"] == [False, True]


def test_events_and_samples_are_on_the_runs_axis_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "INTERVAL", 0.005)
    history = Rig().run()
    events = [mark for mark in history.marks if mark.kind == "event" and mark.host == "source"]
    assert [(round(mark.at, 1), mark.code) for mark in events] == [(1.0, 4000)]
    samples = [sample for sample in history.samples if sample.host == "source"]
    assert [(round(sample.at, 1), sample.queue_operations) for sample in samples] == [(2.0, 3)]
    assert history.replica_samples


def test_services_are_recorded_when_they_change_and_off_without_power() -> None:
    history = Rig().run()
    seen = [item.state for item in history.services if (item.host, item.service) == ("source", "W3SVC")]
    assert seen == ["running", "off", "running", "stopped", "running"]


def test_order_is_watched_after_the_mirror_and_not_while_standing_in() -> None:
    rig = Rig()
    rig.run()
    watching = rig.stage.watching
    assert watching[0] == r"source target C:\InetPub"
    assert watching[1] == "stop"
    assert watching.count(r"source target C:\InetPub") == 2


def test_a_fault_that_does_not_happen_makes_the_run_invalid() -> None:
    def plant(rig: Rig) -> None:
        rig.stage.hosts["source"].survives_power_loss = True

    history = Rig().run(plant)
    assert history.unmet == []
    assert "still answers at 10.0.0.10" in history.lab_errors[0]


def test_a_fault_that_does_not_heal_makes_the_run_invalid() -> None:
    class Dead(FakeStage):
        async def ping(self, address: str) -> bool:
            healed = any(mark.kind == "heal" for mark in self.history.marks)
            return not healed and await super().ping(address)

    rig = Rig()

    async def main() -> None:
        rig.stage = Dead(rig.scenario)
        await Runner(rig.scenario, cast("Stage", rig.stage), 1, rig.progress.append, rig.console).run()

    asyncio.run(main())
    assert "does not answer within" in rig.stage.history.lab_errors[0]


def test_a_fault_that_nobody_could_see_makes_the_run_invalid() -> None:
    def plant(rig: Rig) -> None:
        async def deaf(address: str) -> bool:
            del address
            return False

        rig.stage.ping = deaf  # type: ignore[method-assign]

    history = Rig().run(plant)
    assert "nobody could see the difference" in history.lab_errors[0]


def test_a_command_that_fails_makes_the_run_invalid_with_its_output() -> None:
    def plant(rig: Rig) -> None:
        rig.stage.hosts["source"].failing_command = "install-iis /version:5.0 /drive:C"

    history = Rig().run(plant)
    assert "ended with exit code 2: System error 5 has occurred. / Access is denied." in history.lab_errors[0]
    assert [mark.text for mark in history.marks if mark.kind == "step"] == ["Install IIS on the source"]


@pytest.mark.parametrize("request_", ["save_set", "connect", "create_monitor", "failback", "restore"])
def test_a_refusal_by_the_product_is_the_products_failure(request_: str) -> None:
    def plant(rig: Rig) -> None:
        for name in ("source", "target"):
            rig.product(name).refusals.append(request_)

    history = Rig().run(plant)
    assert history.lab_errors == []
    assert f"{request_} does not fit the state" in history.unmet[0]
    assert history.unmet[0].startswith("step ")


def test_a_failover_that_never_comes_is_the_products_failure() -> None:
    def plant(rig: Rig) -> None:
        rig.product("target").monitor_state = "monitoring"

    history = Rig(quick(wait_for=0.05)).run(plant)
    assert history.lab_errors == []
    assert history.unmet == ["The target stands in: not within 0.05 s; seen last: monitor monitoring: as asked"]


def test_a_broken_connection_is_not_waited_for() -> None:
    def plant(rig: Rig) -> None:
        rig.product("source").connection_state = "error"

    history = Rig().run(plant)
    assert "is in state error" in history.unmet[0]


def test_a_failed_restoration_says_why() -> None:
    def plant(rig: Rig) -> None:
        rig.product("target").restoration_state = "failed"

    history = Rig().run(plant)
    assert "the restoration failed: disk full" in history.unmet[0]


def test_the_prompt_is_answered_once_the_source_is_online() -> None:
    def plant(rig: Rig) -> None:
        rig.product("target").conflicts = 3

    assert Rig().run(plant).unmet == []


def test_a_defect_of_the_lab_is_never_silent() -> None:
    def plant(rig: Rig) -> None:
        async def broken(root: str) -> Any:
            raise ZeroDivisionError(root)

        rig.stage.hosts["target"].snapshot = broken  # type: ignore[method-assign]

    history = Rig().run(plant)
    assert "ZeroDivisionError" in history.lab_errors[0]


def test_progress_names_every_step() -> None:
    rig = Rig()
    rig.run()
    assert [item.number for item in rig.progress] == list(range(1, len(rig.scenario.timeline) + 1))
    assert rig.progress[0].title == "Install IIS on the source"


class Wall:
    """A wall clock that advances 2.5 s between two looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 2.5
        return self.now


class FakeProvider:
    name = "fake"
    explores = False

    def __init__(self, reason: str | None = None, error: BaseException | None = None) -> None:
        self._reason = reason
        self._error = error

    def missing(self, scenario: Scenario) -> str | None:
        del scenario
        return self._reason

    def run(
        self, scenario: Scenario, seed: int, directory: Path, main: Callable[[Stage], Awaitable[None]]
    ) -> RunOutcome:
        del seed, directory

        async def whole() -> None:
            stage = FakeStage(scenario)
            stage.hosts["source"].failing_command = "install-iis /version:5.0 /drive:C"
            await main(cast("Stage", stage))
            if self._error is not None:
                raise self._error

        asyncio.run(whole())
        return RunOutcome("abc", 12.5, [])


def test_a_run_that_the_lab_could_not_finish_is_invalid_and_reported(tmp_path: Path) -> None:
    run = conduct(quick(), FakeProvider(), seed=3, directory=tmp_path / "out", wall_clock=Wall())
    assert run.result.verdict == "invalid"
    assert run.result.trace_hash == "abc"
    assert run.result.wall_s == 5.0, "from before the provider builds to the end of the timeline: two looks later"
    assert run.result.ratio == 2.5
    assert "exit code 2" in run.result.reason
    written = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (written["verdict"], written["seed"], written["virtual_s"]) == ("invalid", 3, 12.5)


def test_a_provider_without_what_it_needs_skips_with_the_reason(tmp_path: Path) -> None:
    run = conduct(quick(), FakeProvider(reason="needs root"), seed=3, directory=tmp_path, wall_clock=Wall())
    assert (run.result.verdict, run.result.reason) == ("skipped", "needs root")


def test_an_interrupted_run_says_so_and_is_not_judged(tmp_path: Path) -> None:
    run = conduct(quick(), FakeProvider(error=KeyboardInterrupt()), seed=3, directory=tmp_path, wall_clock=Wall())
    assert run.interrupted
    assert run.result.verdict == "invalid"
    assert run.result.reason.startswith("interrupted")
    assert run.result.checks == []


def test_a_crashing_provider_is_invalid(tmp_path: Path) -> None:
    run = conduct(
        quick(), FakeProvider(error=RuntimeError("out of marbles")), seed=3, directory=tmp_path, wall_clock=Wall()
    )
    assert run.result.verdict == "invalid"
    assert "RuntimeError: out of marbles" in run.result.reason
