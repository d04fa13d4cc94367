"""A run with several protections is seen as one run of each, and what is wrong with one is its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.labs.conftest import CUT, REPAIR, make_history, make_scenario

from bodydouble_labs.checkers import run_checkers, story
from bodydouble_labs.checkers.check import Check
from bodydouble_labs.checkers.views import views
from bodydouble_labs.history import History, Mark
from bodydouble_labs.result import assemble

if TYPE_CHECKING:
    from bodydouble_labs.scenario.model import Scenario

OWN = ("requests", "records", "replica_samples", "order_checked", "trees")


@pytest.fixture
def two() -> Scenario:
    """The good run's scenario with a second protection, of a third server."""
    scenario = make_scenario()
    first = scenario.protection
    connection = msgspec.structs.replace(first.connection, source="other")
    monitor = msgspec.structs.replace(first.monitor, source="other")
    other = msgspec.structs.replace(scenario.source, computer_name="OTHER", address="10.0.0.12/24")
    return msgspec.structs.replace(
        scenario,
        hosts={**scenario.hosts, "other": other},
        protections={"one": first, "two": msgspec.structs.replace(first, connection=connection, monitor=monitor)},
        timeline=[
            msgspec.structs.replace(step, protection="one") if hasattr(step, "protection") else step
            for step in scenario.timeline
        ],
    )


@pytest.fixture
def run() -> History:
    """The good run as that of protection ``one``; nothing was seen of ``two``."""
    whole = make_history()
    part = whole.of("one")
    for name in OWN:
        setattr(part, name, getattr(whole, name))
        setattr(whole, name, type(getattr(whole, name))())
    return whole


def verdicts(history: History, scenario: Scenario) -> dict[tuple[str, str], str]:
    return {(check.protection, check.name): check.verdict for check in run_checkers(history, scenario)}


def test_each_protection_is_judged_by_what_was_seen_of_it(two: Scenario, run: History) -> None:
    found = verdicts(run, two)
    assert {verdict for (of, _), verdict in found.items() if of == "one"} == {"pass"}
    assert {found["two", name] for name in ("loss", "convergence", "write-order", "availability")} == {"invalid"}


def test_what_was_unmet_for_one_is_not_the_others(two: Scenario, run: History) -> None:
    run.of("two").unmet.append("connecting: refused")
    found = verdicts(run, two)
    assert (found["one", "procedure"], found["two", "procedure"]) == ("pass", "fail")


def test_what_was_unmet_in_a_step_about_none_is_unmet_for_all(two: Scenario, run: History) -> None:
    run.unmet.append("pairing: refused")
    found = verdicts(run, two)
    assert (found["one", "procedure"], found["two", "procedure"]) == ("fail", "fail")


def test_what_is_repaired_at_another_source_ends_no_outage_of_this_one(two: Scenario, run: History) -> None:
    run.marks.append(Mark(CUT + 1.0, "heal", "other", "power on"))
    (one, _) = views(run, two)
    (window,) = story.cut_windows(one.history, one.scenario)
    assert window.ends == REPAIR
    run.marks.append(Mark(CUT + 1.0, "heal", "source", "power on"))
    (one, _) = views(run, two)
    (window,) = story.cut_windows(one.history, one.scenario)
    assert window.ends == CUT + 1.0


def test_the_figures_are_the_worst_of_all(two: Scenario, run: History) -> None:
    alone = assemble(scenario=two, provider="sim", seed=1, history=run, checks=[])
    run.of("two").requests[:] = [
        msgspec.structs.replace(request, ended=request.ended + (30.0 if request.outcome == "ok" else 0.0))
        for request in run.of("one").requests
    ]
    run.marks.append(Mark(CUT, "fault", "other", "power-loss"))
    both = assemble(scenario=two, provider="sim", seed=1, history=run, checks=[])
    assert both.rpo_s == alone.rpo_s
    assert both.rto_s is not None
    assert alone.rto_s is not None
    assert both.rto_s == pytest.approx(alone.rto_s + 30.0, abs=1.0)


def test_a_check_is_called_by_its_protection_in_the_reason(two: Scenario) -> None:
    checks = [Check("loss", "invalid", "no tree", "two"), Check("loss", "pass", "", "one")]
    made = assemble(scenario=two, provider="sim", seed=1, history=History(), checks=checks)
    assert made.reason == "loss of two: no tree"


def test_what_the_parts_share_is_written_down_once(run: History) -> None:
    told = json.loads(msgspec.json.encode(run.told()))
    assert set(told["protections"]) == {"one"}
    assert len(told["protections"]["one"]["requests"]) == len(run.of("one").requests)
    assert "marks" in told
    assert "marks" not in told["protections"]["one"]
    assert "protections" not in json.loads(msgspec.json.encode(make_history().told()))
