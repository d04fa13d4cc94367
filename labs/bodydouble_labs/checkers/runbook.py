"""Checker 6: services, names and indicators are what the application note says at each step of the procedure."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from bodydouble_labs.checkers.check import Check, count
from bodydouble_labs.history import Identity
from bodydouble_labs.scenario.steps import (
    DecideStep,
    DtclStep,
    FailbackStep,
    FaultStep,
    NetworkStep,
    PowerStep,
    ProtectStep,
    ServicesStep,
    StartupStep,
    WaitForStep,
    title_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble_labs.history import History, MonitorSample
    from bodydouble_labs.scenario.model import Expectations, Scenario
    from bodydouble_labs.scenario.steps import AnyStep

NAME = "runbook"
SHOWN = 5
"""Differences that the detail spells out."""
CAUTION = 0.75
"""Share of the time-out below which the bullet is yellow (the note: "has decreased by 25%")."""


def check(history: History, expect: Expectations, scenario: Scenario) -> Check:
    """Check that at the end of each step machines and indicators showed what the procedure says.

    Claimed on ``pass``, from the start of monitoring on ("Monitoring Failover" and "Restoring Your IIS Data"):

    - While the source is monitored: the target has its own name and addresses only, as far as this source is
      concerned, and its site's services do not run unless it stands in for another source; the source has its name and
      addresses, and its services run (after a failback: once the step that starts them was made, and not before).
    - Once the target stands in: it holds the source's name and addresses beside its own, its active name is its own
      again (unless it is failing over another source just then), and the site's services run.
    - From the failback on: it holds neither, and the services are stopped unless it stands in for another source.
    - Whenever a monitor was seen: state, Time to Fail, bullet and status bar belong together as the note's table says,
      and the state is that of the step.

    Names that a body cannot tell are not compared. ``invalid``: no step was compared, or no monitor was seen.
    """
    del expect
    book = _Book(history, scenario)
    steps = [mark for mark in history.marks if mark.kind == "step"]
    problems: list[str] = []
    compared = 0
    for mark, step in zip(sorted(steps, key=attrgetter("code")), scenario.timeline, strict=False):
        book.follow(step)
        if book.phase:
            compared += 1
            when = f"after {title_of(step)!r} ({mark.until or mark.at:.3f} s)"
            problems += [f"{when} {text}" for text in book.compare(mark.code)]
    shown = [sample for sample in history.monitors if sample.source == scenario.source.computer_name]
    problems += [f"at {sample.at:.3f} s {text}" for sample in shown for text in _indicators(sample, book.time_out)]
    if problems:
        more = f"; and {len(problems) - SHOWN:,} more" if len(problems) > SHOWN else ""
        return Check(NAME, "fail", f"{'; '.join(problems[:SHOWN])}{more}")
    if not compared or not shown:
        return Check(NAME, "invalid", "no step was compared" if not compared else "no monitor was seen")
    return Check(NAME, "pass", f"{count(compared, 'step')} and {count(len(shown), 'display')} of the monitor in order")


@dataclass
class _Book:
    """Where the procedure is, and what that means for the machines.

    Attributes:
        phase: ``monitoring``, ``standing-in``, ``failed-back``; empty while things are on their way.
        serving: the source's services are to run.
    """

    history: History
    scenario: Scenario
    phase: str = ""
    serving: bool = True

    @property
    def time_out(self) -> float:
        monitor = self.scenario.protection.monitor
        return monitor.interval * monitor.missed

    def follow(self, step: AnyStep) -> None:
        """Go on to what a step leads to."""
        source, target = self.scenario.protection.hosts
        on = getattr(step, "on", "")
        match step:
            case DtclStep():  # the restoration's script starts them
                self.serving = True
            case ServicesStep() | StartupStep() if on == source:
                self.serving = isinstance(step, ServicesStep) and step.services == "start"
            case NetworkStep(network="disconnect") | PowerStep() | FaultStep(fault="power-loss"):
                if on == target or (on == source and self.phase == "monitoring"):
                    self.phase = ""
            case _:
                self.phase = _PHASES.get(_word(step), self.phase)

    def compare(self, step: int) -> Iterator[str]:
        """What is not as it should be at the end of a step."""
        source, target = self.scenario.protection.hosts
        there = self._identity(target, step)
        if self.phase == "standing-in":
            yield from self._stands_in(target, there, step)
        else:
            yield from self._keeps_to_itself(target, there, step)
            yield from self._source(source, self._identity(source, step), step)
        state = {"standing-in": "failed-over"}.get(self.phase, self.phase)
        shown = self._monitor(step)
        if shown is not None and shown.state != state:
            yield f"the monitor is {shown.state}, not {state}"

    def _stands_in(self, target: str, there: Identity, step: int) -> Iterator[str]:
        wanted, own = self.scenario.source, self.scenario.target
        if wanted.ip not in there.addresses:
            yield f"{target} does not have the address {wanted.ip}"
        if there.names is not None and wanted.computer_name not in there.names:
            yield f"{target} does not answer to the name {wanted.computer_name}"
        if there.names is not None and own.computer_name not in there.names:
            yield f"{target} does not answer to its own name {own.computer_name}"
        if there.active_name != own.computer_name and not self._starts_another(step):
            yield f"the active name of {target} is {there.active_name or 'none'}, not {own.computer_name}"
        yield from self._services(target, step, running=True)

    def _keeps_to_itself(self, target: str, there: Identity, step: int) -> Iterator[str]:
        wanted, own = self.scenario.source, self.scenario.target
        if wanted.ip in there.addresses:
            yield f"{target} has the address {wanted.ip}"
        if wanted.computer_name in (there.names or []):
            yield f"{target} answers to the name {wanted.computer_name}"
        if there.active_name not in ("", own.computer_name):
            yield f"the active name of {target} is {there.active_name}, not {own.computer_name}"
        own_addresses = {address.partition("/")[0] for adapter in own.adapters for address in adapter.addresses}
        if there.on_network and own_addresses.issuperset(there.addresses):  # it stands in for nobody
            yield from self._services(target, step, running=False)

    def _source(self, source: str, here: Identity, step: int) -> Iterator[str]:
        spec = self.scenario.source
        if not here.active_name:
            return  # it is off
        if here.active_name != spec.computer_name:
            yield f"the active name of {source} is {here.active_name}, not {spec.computer_name}"
        if here.on_network and self.phase == "monitoring" and spec.ip not in here.addresses:
            yield f"{source} does not have its address {spec.ip}"
        yield from self._services(source, step, running=self.serving)

    def _services(self, host: str, step: int, *, running: bool) -> Iterator[str]:
        states: dict[str, str] = {}
        for sample in self.history.services:
            if sample.host == host and sample.step <= step:
                states[sample.service] = sample.state
        for service in self.scenario.services_of(host):
            state = states.get(service)
            if state is not None and (state == "running") != running:
                yield f"{service} on {host} is {state}"

    def _starts_another(self, step: int) -> bool:
        """Whether the target is failing over another source, whose script may just have taken the set-up's name."""
        on, mine = self.scenario.protection.monitor.on, self.scenario.source.computer_name
        states = {s.source: s.state for s in self.history.monitors if s.host == on and s.step <= step}
        return any(state == "failing-over" for source, state in states.items() if source != mine)

    def _identity(self, host: str, step: int) -> Identity:
        samples = [sample for sample in self.history.identities if sample.step <= step]
        return samples[-1].hosts.get(host, Identity()) if samples else Identity()

    def _monitor(self, step: int) -> MonitorSample | None:
        name, on = self.scenario.source.computer_name, self.scenario.protection.monitor.on
        mine = [s for s in self.history.monitors if s.source == name and s.host == on and s.step <= step]
        return mine[-1] if mine else None


_PHASES = {
    "monitor": "monitoring",
    "continue": "monitoring",
    "stop": "",
    "failed-over": "standing-in",
    "failed-back": "failed-back",
    "failback": "failed-back",
}
"""What the words of a step lead to."""


def _word(step: AnyStep) -> str:
    match step:
        case ProtectStep():
            return step.protect
        case WaitForStep():
            return step.wait_for
        case DecideStep():
            return step.decide
        case FailbackStep():
            return "failback"
    return ""


def _indicators(sample: MonitorSample, time_out: float) -> Iterator[str]:
    """What in a monitor's display does not belong to its state (the note's table, and 25 % for the yellow bullet)."""
    left, bullet, line = sample.time_to_fail, sample.bullet, sample.status_line
    what = f"the monitor that is {sample.state} shows"
    if sample.state == "monitoring":
        colour = "green" if left is None or left > CAUTION * time_out else "yellow" if left > 0 else "red"
        if bullet != colour:
            yield f"{what} a {bullet} bullet with {_left(left)} left, not a {colour} one"
        if "monitoring" not in line.lower() or sample.source not in line:
            yield f"{what} the status {line!r}"
        return
    if bullet != "red":
        yield f"{what} a {bullet} bullet, not a red one"
    wanted = 0.0 if sample.state in ("failing-over", "waiting-for-operator") else None
    if left != wanted:
        yield f"{what} {_left(left)} left, not {_left(wanted)}"
    if sample.state == "failed-over" and "continued" not in line:
        yield f"{what} the status {line!r}, which does not say that monitoring has continued"
    if sample.state == "failing-over" and sample.source not in line:
        yield f"{what} the status {line!r}, which does not name {sample.source}"


def _left(seconds: float | None) -> str:
    return "no Time to Fail" if seconds is None else f"{seconds:g} s"
