"""What machines and indicators show at each step is held against the procedure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.labs.conftest import FAILBACK, FAILED_OVER, SERVICES

from bodydouble_labs.checkers import runbook
from bodydouble_labs.history import Identity, MonitorSample

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_labs.checkers import Check
    from bodydouble_labs.history import History
    from bodydouble_labs.scenario.model import Scenario


def run(history: History, scenario: Scenario) -> Check:
    return runbook.check(history, scenario.expect, scenario)


def identity(history: History, host: str, after: float, **changes: Any) -> None:
    """From an instant on a host shows something else."""
    history.identities = [
        sample
        if sample.at < after
        else msgspec.structs.replace(
            sample, hosts={**sample.hosts, host: msgspec.structs.replace(sample.hosts[host], **changes)}
        )
        for sample in history.identities
    ]


def service(history: History, host: str, name: str, state: str, at: float) -> None:
    """A service is seen in another state at an instant."""
    history.services = [
        msgspec.structs.replace(sample, state=state)
        if (sample.host, sample.service, sample.at) == (host, name, at)
        else sample
        for sample in history.services
    ]


def monitor(history: History, shown: str, **changes: Any) -> None:
    """The monitor shows something else while it is in a state."""
    history.monitors = [
        msgspec.structs.replace(sample, **changes) if sample.state == shown else sample for sample in history.monitors
    ]


def test_a_good_run_is_as_the_procedure_says(scenario: Scenario, history: History) -> None:
    check = run(history, scenario)
    assert (check.verdict, check.detail) == ("pass", "12 steps and 6 displays of the monitor in order")


@pytest.mark.parametrize(
    ("defect", "said"),
    [
        (lambda h: identity(h, "target", FAILED_OVER, addresses=["10.0.0.20"]), "does not have the address 10.0.0.10"),
        (lambda h: identity(h, "target", FAILED_OVER, names=["TARGET"]), "does not answer to the name SOURCE"),
        (lambda h: identity(h, "target", FAILED_OVER, names=["SOURCE"]), "not answer to its own name TARGET"),
        (lambda h: identity(h, "target", FAILED_OVER, active_name="SOURCE"), "active name of target is SOURCE, not"),
        (lambda h: identity(h, "target", FAILBACK, addresses=["10.0.0.20", "10.0.0.10"]), "target has the address"),
        (lambda h: identity(h, "target", FAILBACK, names=["TARGET", "SOURCE"]), "target answers to the name SOURCE"),
        (lambda h: identity(h, "source", 507.0, addresses=[]), "source does not have its address 10.0.0.10"),
        (lambda h: identity(h, "source", 507.0, active_name="LAB"), "active name of source is LAB, not SOURCE"),
        (lambda h: service(h, "target", "W3SVC", "stopped", FAILED_OVER - 0.1), "W3SVC on target is stopped"),
        (lambda h: service(h, "target", "W3SVC", "running", FAILBACK + 0.5), "W3SVC on target is running"),
        (lambda h: service(h, "target", "MSFTPSVC", "running", 60.0), "MSFTPSVC on target is running"),
        (lambda h: service(h, "source", "W3SVC", "stopped", SERVICES), "W3SVC on source is stopped"),
        (lambda h: monitor(h, "failed-over", bullet="green"), "failed-over shows a green bullet, not a red one"),
        (lambda h: monitor(h, "failed-over", time_to_fail=3.0), "shows 3 s left, not no Time to Fail"),
        (lambda h: monitor(h, "failed-over", status_line="ok"), "does not say that monitoring has continued"),
        (lambda h: monitor(h, "failed-over", state="monitoring"), "the monitor is monitoring, not failed-over"),
        (lambda h: monitor(h, "failing-over", time_to_fail=4.0), "shows 4 s left, not 0 s"),
        (lambda h: monitor(h, "failing-over", status_line="busy"), "does not name SOURCE"),
        (lambda h: monitor(h, "monitoring", bullet="green", time_to_fail=18.7), "not a yellow one"),
        (lambda h: monitor(h, "monitoring", status_line="idle"), "shows the status 'idle'"),
    ],
)
def test_what_is_not_as_the_procedure_says_is_told(
    scenario: Scenario, history: History, defect: Callable[[History], None], said: str
) -> None:
    defect(history)
    check = run(history, scenario)
    assert (check.verdict, said in check.detail) == ("fail", True), check.detail


def test_the_step_after_which_it_was_seen_is_named(scenario: Scenario, history: History) -> None:
    service(history, "target", "W3SVC", "stopped", FAILED_OVER - 0.1)
    assert "after 'The target stands in' (302.500 s)" in run(history, scenario).detail


def test_services_go_on_on_a_target_that_stands_in_for_another_source(scenario: Scenario, history: History) -> None:
    for name in ("IISADMIN", "W3SVC", "MSFTPSVC"):
        service(history, "target", name, "running", FAILBACK + 0.5)
    identity(history, "target", FAILBACK, addresses=["10.0.0.20", "10.0.0.12"], names=["TARGET", "OTHER"])
    assert run(history, scenario).verdict == "pass"


def test_the_active_name_is_another_one_while_another_source_is_failed_over(
    scenario: Scenario, history: History
) -> None:
    identity(history, "target", FAILED_OVER, active_name="SOURCE")
    assert run(history, scenario).verdict == "fail"
    step = next(sample.step for sample in history.monitors if sample.state == "failed-over")
    other = MonitorSample(FAILED_OVER, "target", "OTHER", "failing-over", 0.0, "red", "Assuming OTHER", step)
    history.monitors.append(other)
    identity(history, "target", FAILBACK, active_name="TARGET")
    assert run(history, scenario).verdict == "pass"


def test_a_source_that_serves_before_the_operator_starts_it_is_told(scenario: Scenario, history: History) -> None:
    service(history, "source", "W3SVC", "running", 480.0)
    assert "W3SVC on source is running" in run(history, scenario).detail


def test_names_that_a_body_cannot_tell_are_not_compared(scenario: Scenario, history: History) -> None:
    identity(history, "target", 0.0, names=None)
    assert run(history, scenario).verdict == "pass"


def test_a_run_without_a_monitor_is_invalid(scenario: Scenario, history: History) -> None:
    history.monitors = []
    assert run(history, scenario).verdict == "invalid"


def test_a_host_that_is_off_is_asked_nothing(scenario: Scenario, history: History) -> None:
    for sample in history.identities:
        sample.hosts["source"] = Identity()
    assert run(history, scenario).verdict == "pass"
