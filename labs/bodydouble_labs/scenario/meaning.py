"""Checks what a schema cannot say: that names name something, addresses fit, files protect what the site uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_labs.scenario.faults import ANY_MACHINE, check_faults
from bodydouble_labs.scenario.phrases import suggestion
from bodydouble_labs.scenario.steps import (
    DecideStep,
    FailbackStep,
    FaultStep,
    PairStep,
    ProtectStep,
    RestoreStep,
    RunForStep,
    WaitForStep,
    WorkloadStep,
    host_of,
)
from bodydouble_labs.scenario.systems import check_systems
from bodydouble_labs.scenario.wiring import check_network

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bodydouble_labs.scenario.document import Document, Path
    from bodydouble_labs.scenario.model import Scenario


def check_meaning(document: Document, scenario: Scenario) -> None:
    """Refuse a scenario whose parts do not fit together.

    Raises:
        ScenarioError: the first part that does not.
    """
    _check_hosts(document, scenario)
    check_systems(document, scenario)
    check_network(document, scenario)
    _check_protection(document, scenario)
    _check_drives(document, scenario)
    _check_workload(document, scenario)
    _check_timeline(document, scenario)


def _check_hosts(document: Document, scenario: Scenario) -> None:
    for name, host in scenario.hosts.items():
        if host.role == "server" and host.operating_system is None:
            raise document.error(("hosts", name), "the key 'operating_system' is missing (a server has one)")
        if host.role == "server" and not host.drives:
            raise document.error(("hosts", name), "the key 'drives' is missing (a server has at least C)")
        if host.role == "client" and (host.drives or host.operating_system or host.service_pack is not None):
            raise document.error(("hosts", name), "a client has no 'operating_system', 'service_pack' or 'drives'")
    clients = [name for name, host in scenario.hosts.items() if host.role == "client"]
    if len(clients) != 1:
        raise document.error(("hosts",), f"expected exactly one host with role client, found {len(clients)}")
    names = [(("hosts", name, "computer_name"), host.computer_name) for name, host in scenario.hosts.items()]
    _check_distinct(document, names, "computer name")


def _check_distinct(document: Document, values: Iterable[tuple[Path, str]], what: str) -> None:
    seen: dict[str, Path] = {}
    for path, value in values:
        if value in seen:
            raise document.error(path, f"the {what} {value!r} is already taken on {document.place(seen[value])}")
        seen[value] = path


def _check_server(document: Document, scenario: Scenario, path: Path, name: str) -> None:
    if name not in scenario.hosts:
        hint = suggestion(name, scenario.hosts)
        raise document.error(path, f"no host named {name!r}{hint}; hosts: {', '.join(scenario.hosts)}")
    if scenario.hosts[name].role != "server":
        raise document.error(path, f"{name!r} is a client; expected one of the servers {', '.join(scenario.servers)}")


def _check_protection(document: Document, scenario: Scenario) -> None:
    connection, monitor = scenario.protection.connection, scenario.protection.monitor
    for part, key, name in (
        ("connection", "source", connection.source),
        ("connection", "target", connection.target),
        ("monitor", "on", monitor.on),
        ("monitor", "source", monitor.source),
    ):
        _check_server(document, scenario, ("protection", part, key), name)
    if connection.source == connection.target:
        raise document.error(("protection", "connection", "target"), "source and target are the same host")
    if monitor.source != connection.source:
        raise document.error(("protection", "monitor", "source"), f"expected the source {connection.source!r}")
    if monitor.on != connection.target:
        raise document.error(("protection", "monitor", "on"), f"expected the target {connection.target!r}")
    rules = scenario.protection.replication_set.rules
    for index, rule in enumerate(rules):
        if (rule.include is None) == (rule.exclude is None):
            path = ("protection", "replication_set", "rules", index)
            raise document.error(path, "expected exactly one of 'include' and 'exclude'")
    if not any(rule.include for rule in rules):
        raise document.error(("protection", "replication_set", "rules"), "expected at least one 'include'")


def _check_drives(document: Document, scenario: Scenario) -> None:
    connection = scenario.protection.connection
    rules = ("protection", "replication_set", "rules")
    paths: list[tuple[Path, str]] = [(("site", "root"), scenario.site.root)]
    for index, rule in enumerate(scenario.protection.replication_set.rules):
        paths.append(((*rules, index, "include" if rule.include else "exclude"), rule.include or rule.exclude or ""))
    for path, value in paths:
        for name in (connection.source, connection.target):
            drives = scenario.hosts[name].drives
            if value[0] not in drives:
                raise document.error(path, f"{name} has no drive {value[0]}: (drives: {', '.join(drives)})")
    root = scenario.site.root.lower()
    included = [rule.include.lower() for rule in scenario.protection.replication_set.rules if rule.include]
    if not any(root == path or root.startswith(path.rstrip("\\") + "\\") for path in included):
        raise document.error(
            ("site", "root"), "no rule of the replication set includes it; its data would not be protected"
        )


def _check_workload(document: Document, scenario: Scenario) -> None:
    workload = scenario.workload
    readers = [(("workload", "readers", index, "name"), spec.name) for index, spec in enumerate(workload.readers)]
    writers = [(("workload", "writers", index, "name"), spec.name) for index, spec in enumerate(workload.writers)]
    _check_distinct(document, [*readers, *writers], "name")


def _check_timeline(document: Document, scenario: Scenario) -> None:
    connection = scenario.protection.connection
    running = False
    for index, step in enumerate(scenario.timeline):
        path = ("timeline", index)
        if host_of(step) and not (isinstance(step, FaultStep) and step.fault in ANY_MACHINE):
            _check_server(document, scenario, (*path, "on"), host_of(step))
        if isinstance(step, FailbackStep | RestoreStep):
            key = "failback" if isinstance(step, FailbackStep) else "restore"
            name = step.failback if isinstance(step, FailbackStep) else step.restore
            _check_server(document, scenario, (*path, key), name)
            if name != connection.source:
                raise document.error((*path, key), f"expected the source {connection.source!r}")
        if isinstance(step, PairStep):
            _check_server(document, scenario, (*path, "pair"), step.pair)
            if step.pair == step.on:
                raise document.error((*path, "pair"), "a server cannot be paired with itself")
        if isinstance(step, RunForStep) and step.within is not None:
            raise document.error((*path, "within"), "'run_for' lasts as long as it says; it takes no 'within'")
        if isinstance(step, WorkloadStep):
            if (step.workload == "start") == running:
                state = "already started" if running else "not started"
                raise document.error((*path, "workload"), f"the workload is {state} at this point")
            running = step.workload == "start"
    _check_protect_order(document, scenario)
    check_faults(document, scenario)


def _check_protected_before(document: Document, index: int, step: ProtectStep, done: set[str]) -> None:
    place = ("timeline", index, "protect")
    if step.protect == "connection" and "replication-set" not in done:
        raise document.error(place, "'protect: replication-set' has to come before")
    if step.protect == "connection" and "pair" not in done:
        raise document.error(place, "'pair: HOST' has to come before: only paired servers replicate")


def _check_protect_order(document: Document, scenario: Scenario) -> None:
    """What needs the replication set, the connection or the monitor comes after it."""
    done: set[str] = set()
    for index, step in enumerate(scenario.timeline):
        if isinstance(step, ProtectStep):
            _check_protected_before(document, index, step, done)
            done.add(step.protect)
        if isinstance(step, PairStep):
            done.add("pair")
        needs_monitor = isinstance(step, FailbackStep | DecideStep) or (
            isinstance(step, WaitForStep) and step.wait_for in ("monitoring", "failed-over", "failed-back")
        )
        needs_connection = isinstance(step, WaitForStep) and step.wait_for in ("replicating", "converged")
        if needs_monitor and "monitor" not in done:
            raise document.error(("timeline", index), "'protect: monitor' has to come before this step")
        if needs_connection and "connection" not in done:
            raise document.error(("timeline", index), "'protect: connection' has to come before this step")
