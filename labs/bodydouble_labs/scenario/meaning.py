"""Checks what a schema cannot say: that names name something, addresses fit, files protect what the site uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.dtcl import shipped
from bodydouble_labs.scenario.faults import ANY_MACHINE, check_faults
from bodydouble_labs.scenario.model import SINGLE_KEYS
from bodydouble_labs.scenario.phrases import listed, suggestion
from bodydouble_labs.scenario.steps import (
    DecideStep,
    DtclStep,
    FailbackStep,
    FaultStep,
    PairStep,
    ProtectionStep,
    ProtectStep,
    RestoreStep,
    RunForStep,
    VerifyStep,
    WaitForStep,
    WorkloadStep,
    host_of,
)
from bodydouble_labs.scenario.systems import check_systems
from bodydouble_labs.scenario.wiring import check_network

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bodydouble_labs.scenario.document import Document, Path
    from bodydouble_labs.scenario.model import Scenario
    from bodydouble_labs.scenario.steps import AnyStep


def check_meaning(document: Document, scenario: Scenario) -> None:
    """Refuse a scenario whose parts do not fit together.

    Raises:
        ScenarioError: the first part that does not.
    """
    _check_hosts(document, scenario)
    check_systems(document, scenario)
    check_network(document, scenario)
    for name in scenario.protections:
        _check_protection(document, scenario, name)
        _check_drives(document, scenario, name)
    _check_apart(document, scenario)
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


def _part(name: str, key: str, *rest: str | int) -> Path:
    """Where in the file a part of a protection stands."""
    if name:
        return ("protections", name, key, *rest)
    return (key, *rest) if key in SINGLE_KEYS else ("protection", key, *rest)


def _check_protection(document: Document, scenario: Scenario, name: str) -> None:
    protection = scenario.protections[name]
    connection, monitor = protection.connection, protection.monitor
    for part, key, host in (
        ("connection", "source", connection.source),
        ("connection", "target", connection.target),
        ("monitor", "on", monitor.on),
        ("monitor", "source", monitor.source),
    ):
        _check_server(document, scenario, _part(name, part, key), host)
    if connection.source == connection.target:
        raise document.error(_part(name, "connection", "target"), "source and target are the same host")
    if monitor.source != connection.source:
        raise document.error(_part(name, "monitor", "source"), f"expected the source {connection.source!r}")
    if monitor.on != connection.target:
        raise document.error(_part(name, "monitor", "on"), f"expected the target {connection.target!r}")
    rules = protection.replication_set.rules
    for index, rule in enumerate(rules):
        if (rule.include is None) == (rule.exclude is None):
            path = _part(name, "replication_set", "rules", index)
            raise document.error(path, "expected exactly one of 'include' and 'exclude'")
    if not any(rule.include for rule in rules):
        raise document.error(_part(name, "replication_set", "rules"), "expected at least one 'include'")


def _check_drives(document: Document, scenario: Scenario, name: str) -> None:
    protection = scenario.protections[name]
    paths: list[tuple[Path, str]] = [(_part(name, "site", "root"), protection.site.root)]
    for index, rule in enumerate(protection.replication_set.rules):
        key = "include" if rule.include else "exclude"
        paths.append((_part(name, "replication_set", "rules", index, key), rule.include or rule.exclude or ""))
    for path, value in paths:
        for host in protection.hosts:
            drives = scenario.hosts[host].drives
            if value[0] not in drives:
                raise document.error(path, f"{host} has no drive {value[0]}: (drives: {', '.join(drives)})")
    included = [rule.include for rule in protection.replication_set.rules if rule.include]
    if not any(_beneath(protection.site.root, path) for path in included):
        raise document.error(
            _part(name, "site", "root"), "no rule of the replication set includes it; its data would not be protected"
        )


def _beneath(path: str, directory: str) -> bool:
    return f"{path.lower()}\\".startswith(directory.lower().rstrip("\\") + "\\")


def _check_apart(document: Document, scenario: Scenario) -> None:
    """Several protections keep out of each other's way: sources, clients, and replicas on one target."""
    sources = [(_part(n, "connection", "source"), each.connection.source) for n, each in scenario.protections.items()]
    _check_distinct(document, sources, "source")
    _check_distinct(document, _clients(scenario), "name")
    replicas: list[tuple[str, str, Path]] = []
    for name, each in scenario.protections.items():
        mine = [
            (each.connection.target, rule.include, _part(name, "replication_set", "rules", index, "include"))
            for index, rule in enumerate(each.replication_set.rules)
            if rule.include
        ]
        for target, path, place in mine:
            for other_target, other, other_place in replicas:
                if target == other_target and (_beneath(path, other) or _beneath(other, path)):
                    problem = f"on {target} it would collide with the replica of {document.place(other_place)}"
                    raise document.error(place, problem)
        replicas += mine


def _clients(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    for name, each in scenario.protections.items():
        for index, reader in enumerate(each.workload.readers):
            yield _part(name, "workload", "readers", index, "name"), reader.name
        for index, writer in enumerate(each.workload.writers):
            yield _part(name, "workload", "writers", index, "name"), writer.name


def _check_timeline(document: Document, scenario: Scenario) -> None:
    running: set[str] = set()
    for index, step in enumerate(scenario.timeline):
        path = ("timeline", index)
        if host_of(step) and not (isinstance(step, FaultStep) and step.fault in ANY_MACHINE):
            _check_server(document, scenario, (*path, "on"), host_of(step))
        _check_named(document, scenario, path, step)
        if isinstance(step, FailbackStep | RestoreStep):
            key = "failback" if isinstance(step, FailbackStep) else "restore"
            name = step.failback if isinstance(step, FailbackStep) else step.restore
            _check_server(document, scenario, (*path, key), name)
            source = scenario.protections[step.protection].connection.source
            if name != source:
                raise document.error((*path, key), f"expected the source {source!r}")
        if isinstance(step, DtclStep) and step.dtcl not in shipped.names():
            expected = listed(shipped.names())
            raise document.error((*path, "dtcl"), f"expected a script that comes with the product: {expected}")
        if isinstance(step, PairStep):
            _check_server(document, scenario, (*path, "pair"), step.pair)
            if step.pair == step.on:
                raise document.error((*path, "pair"), "a server cannot be paired with itself")
        if isinstance(step, RunForStep) and step.within is not None:
            raise document.error((*path, "within"), "'run_for' lasts as long as it says; it takes no 'within'")
        if isinstance(step, WorkloadStep):
            _check_workload(document, scenario, path, step, running)
    _check_protect_order(document, scenario)
    check_faults(document, scenario)


def _check_workload(document: Document, scenario: Scenario, path: Path, step: WorkloadStep, running: set[str]) -> None:
    """Clients that do not work begin, and those that work end; ``running`` are the protections whose clients do."""
    concerned = {step.protection} if step.protection else set(scenario.protections)
    wrong = concerned & running if step.workload == "start" else concerned - running
    if wrong:
        state = "already started" if step.workload == "start" else "not started"
        whose = f" of {', '.join(sorted(wrong))}" if any(wrong) else ""
        raise document.error((*path, "workload"), f"the workload{whose} is {state} at this point")
    running ^= concerned


def _check_named(document: Document, scenario: Scenario, path: Path, step: AnyStep) -> None:
    """A step names its protection where there are several, and only there."""
    if not isinstance(step, ProtectionStep):
        return
    known = scenario.protections
    several = "" not in known
    if step.protection and not several:
        raise document.error((*path, "protection"), "the file has one protection, which has no name")
    if step.protection and step.protection not in known:
        hint = suggestion(step.protection, known)
        problem = f"no protection named {step.protection!r}{hint}; protections: {', '.join(known)}"
        raise document.error((*path, "protection"), problem)
    all_at_once = isinstance(step, WorkloadStep | VerifyStep)
    if several and not all_at_once and not scenario.protection_of(step):
        problem = f"the key 'protection' is missing (the file has several: {', '.join(known)})"
        raise document.error(path, problem)


def _check_protected_before(document: Document, index: int, step: ProtectStep, done: set[str]) -> None:
    place = ("timeline", index, "protect")
    if step.protect == "connection" and "replication-set" not in done:
        raise document.error(place, "'protect: replication-set' has to come before")
    if step.protect == "connection" and "pair" not in done:
        raise document.error(place, "'pair: HOST' has to come before: only paired servers replicate")


def _check_protect_order(document: Document, scenario: Scenario) -> None:
    """What needs a replication set, a connection or a monitor comes after it."""
    for name, protection in scenario.protections.items():
        done: set[str] = set()
        for index, step in enumerate(scenario.timeline):
            if isinstance(step, PairStep) and (not name or {step.on, step.pair} == {*protection.hosts}):
                done.add("pair")
            if isinstance(step, ProtectionStep) and step.protection == name:
                _check_protect_step(document, index, step, done)


def _check_protect_step(document: Document, index: int, step: AnyStep, done: set[str]) -> None:
    if isinstance(step, ProtectStep):
        _check_protected_before(document, index, step, done)
        done.add(step.protect)
    needs_monitor = isinstance(step, FailbackStep | DecideStep) or (
        isinstance(step, WaitForStep) and step.wait_for in ("monitoring", "failed-over", "failed-back")
    )
    needs_connection = isinstance(step, WaitForStep) and step.wait_for in ("replicating", "converged")
    if needs_monitor and "monitor" not in done:
        raise document.error(("timeline", index), "'protect: monitor' has to come before this step")
    if needs_connection and "connection" not in done:
        raise document.error(("timeline", index), "'protect: connection' has to come before this step")
