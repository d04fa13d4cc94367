"""What a timeline shows, independent of how it is drawn: lanes of spans and marks on one time axis."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING

from bodydouble.vocabulary.events import EventCode
from bodydouble_labs.checkers import outages, story
from bodydouble_labs.checkers.views import views
from bodydouble_labs.report.spans import Span, bounded, clip, join, segments
from bodydouble_labs.scenario.steps import NetworkStep, title_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bodydouble_labs.checkers.outages import Outage
    from bodydouble_labs.checkers.views import View
    from bodydouble_labs.history import History, Mark, Request
    from bodydouble_labs.scenario.model import Scenario

CLIENT_STATES = ("good", "lost", "failed", "wrong")
"""What a client was given, from the mildest to the worst: ``lost`` is a record that a power loss took or cut short."""
SAMPLE_GAP = 15.0
"""Seconds without a sample after which a curve is interrupted (a daemon that is off publishes none)."""
PRODUCT_SERVICE = "Bodydouble"
"""The product's own service; it is shown after the site's. All others are in ``history.json`` only."""

Curve = list[list[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Lane:
    """One row of spans. ``label`` names what the row is about, ``of`` is the host's or the client's name."""

    label: str
    spans: list[Span]
    of: str


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered step with the place in the application note that asks for it."""

    number: int
    mark: Mark
    note: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything that is drawn, on an axis from 0 to ``end`` seconds."""

    end: float
    hosts: list[str]
    steps: list[Step]
    phases: list[Span]
    faults: list[Mark]
    power: list[Lane]
    services: list[Lane]
    stand_ins: list[Lane]
    clients: list[Lane]
    outages: outages.Outages
    queues: dict[str, Curve]
    time_to_fail: Curve
    time_out: float
    events: list[Mark]

    def outages_by_kind(self) -> dict[str, list[Outage]]:
        """The outages under the words that explain them."""
        found = self.outages
        return {"failover": found.failover, "planned": found.planned, "unexplained": found.unexplained}


def timeline(history: History, scenario: Scenario) -> Timeline:
    """Build the timeline of a run."""
    end = _end(history)
    marks = sorted(history.marks, key=attrgetter("at"))
    hosts = list(scenario.servers)
    seen = views(history, scenario)
    monitors = [each.monitor for each in scenario.protections.values()]
    return Timeline(
        end=end,
        hosts=hosts,
        steps=_steps(marks, scenario),
        phases=join(Span(m.at, end, m.text) for m in marks if m.kind == "phase"),
        faults=[mark for mark in marks if mark.kind in ("fault", "heal")],
        power=[Lane("power and network", _power(history, scenario, host, end), host) for host in hosts],
        services=[lane for host in hosts for lane in _services(history, scenario, host, end)],
        stand_ins=[lane for host in hosts for lane in _stand_ins(history, marks, host, end)],
        clients=[lane for view in seen for lane in _clients(view.history, view.scenario, end)],
        outages=_outages(seen),
        queues={host: _queue(history, host) for host in hosts},
        time_to_fail=segments(
            ((s.at, s.time_to_fail) for s in sorted(history.samples, key=attrgetter("at")) if s.host == monitors[0].on),
            SAMPLE_GAP,
        ),
        time_out=max(monitor.interval * monitor.missed for monitor in monitors),
        events=[mark for mark in marks if mark.kind in ("event", "mirror")],
    )


def _outages(seen: Iterable[View]) -> outages.Outages:
    """The outages of every protection's clients."""
    found = outages.Outages([], [], [])
    for view in seen:
        of_one = outages.outages(view.history, view.scenario)
        found.failover.extend(of_one.failover)
        found.planned.extend(of_one.planned)
        found.unexplained.extend(of_one.unexplained)
    return found


def _end(history: History) -> float:
    ends = [1.0]
    ends += (mark.until or mark.at for mark in history.marks)
    ends += (request.ended for part in (history, *history.parts.values()) for request in part.requests)
    ends += (sample.at for sample in history.samples)
    ends += (span.until or span.at for span in history.power)
    return max(ends)


def _steps(marks: Iterable[Mark], scenario: Scenario) -> list[Step]:
    notes = {title_of(step): step.note for step in scenario.timeline}
    made = [mark for mark in marks if mark.kind == "step"]
    return [Step(number, mark, notes.get(mark.text, "")) for number, mark in enumerate(made, start=1)]


def _power(history: History, scenario: Scenario, host: str, end: float) -> list[Span]:
    on = sorted(
        (Span(p.at, end if p.until is None else p.until, "on") for p in history.power if p.host == host),
        key=attrgetter("begins"),
    )
    off = [Span(before.ends, after.begins, "off") for before, after in pairwise(on) if after.begins > before.ends]
    if on and on[-1].ends < end:
        off.append(Span(on[-1].ends, end, "off"))
    return [*on, *off, *_unplugged(history, scenario, host, end)]


def _unplugged(history: History, scenario: Scenario, host: str, end: float) -> list[Span]:
    actions = {title_of(s): s.network for s in scenario.timeline if isinstance(s, NetworkStep) and s.on == host}
    marks = [m for m in history.marks if m.kind == "step" and m.host == host and m.text in actions]
    changes = [Span(mark.until or mark.at, end, actions[mark.text]) for mark in sorted(marks, key=attrgetter("at"))]
    return [Span(s.begins, s.ends, "unplugged") for s in join(changes) if s.state == "disconnect"]


def _services(history: History, scenario: Scenario, host: str, end: float) -> list[Lane]:
    on = _windows(history, host, end)
    mine = sorted((sample for sample in history.services if sample.host == host), key=attrgetter("at"))
    seen = {sample.service for sample in mine}
    lanes = []
    for name in dict.fromkeys([*scenario.services_of(host), PRODUCT_SERVICE]):
        if name not in seen:
            continue
        spans = [
            span for span in join(Span(s.at, end, s.state) for s in mine if s.service == name) if span.state != "off"
        ]
        lanes.append(Lane(name, clip(spans, on) if on else spans, host))
    return lanes


def _windows(history: History, host: str, end: float) -> list[tuple[float, float]]:
    return [(p.at, end if p.until is None else p.until) for p in history.power if p.host == host]


def _stand_ins(history: History, marks: Iterable[Mark], host: str, end: float) -> list[Lane]:
    """A lane with the spans in which the host holds another's addresses or name; none for a host that never does."""
    spans: list[Span] = []
    held: set[str] = set()
    for mark in marks:
        if mark.kind != "event" or mark.host != host:
            continue
        identity = _identity(mark.text)
        if mark.code in (EventCode.ADDRESS_ADDED, EventCode.NAME_ADDED):
            if not held:
                spans.append(Span(mark.at, end, "stands-in"))
            held.add(identity)
            title = _with(spans[-1].title, identity, first=mark.code == EventCode.NAME_ADDED)
            spans[-1] = replace(spans[-1], title=title)
        elif held and mark.code in (EventCode.ADDRESS_REMOVED, EventCode.NAME_REMOVED, EventCode.FAILBACK_COMPLETE):
            held -= held if mark.code == EventCode.FAILBACK_COMPLETE else {identity}
            if not held:
                spans[-1] = replace(spans[-1], ends=mark.at)
    on = _windows(history, host, end)
    return [Lane("identity", clip(spans, on) if on else spans, host)] if spans else []


def _with(titles: str, identity: str, *, first: bool) -> str:
    """The words with one more, a name before the addresses."""
    words = titles.split()
    if identity in words:
        return titles
    return " ".join([identity, *words] if first else [*words, identity])


def _identity(text: str) -> str:
    """What an event says was added or removed: ``SOURCE``, or an address without its prefix's length."""
    found = re.match(r"(?:(?:address|name)\s+)?([^\s/]+)", text, re.IGNORECASE)
    return found.group(1) if found else ""


def _clients(history: History, scenario: Scenario, end: float) -> list[Lane]:
    by_client: dict[str, list[Request]] = {}
    for request in sorted(history.requests, key=attrgetter("started", "ended")):
        by_client.setdefault(request.client, []).append(request)
    spec = scenario.workload
    via = {c.name: f"{c.name} (HTTP by {c.via})" for c in spec.readers}
    via |= {c.name: f"{c.name} (FTP by {c.via})" for c in spec.writers}
    order = [name for name in via if name in by_client] + sorted(by_client.keys() - via.keys())
    at_risk = story.at_risk(history, scenario)
    return [Lane(via.get(name, name), _client_spans(by_client[name], at_risk, end), name) for name in order]


def _client_spans(requests: Iterable[Request], at_risk: Mapping[str, float], end: float) -> list[Span]:
    return bounded(join(Span(r.started, r.ended, client_state(r, at_risk)) for r in requests), end, CLIENT_STATES)


def client_state(request: Request, at_risk: Mapping[str, float]) -> str:
    """One of `CLIENT_STATES`, as the checkers see it; ``at_risk`` as `story.at_risk` finds it."""
    if request.outcome == "ok":
        return "good"
    if outages.is_missing_record(request) or outages.is_torn_record(request, at_risk):
        return "lost"
    return "wrong" if request.outcome == "wrong-content" else "failed"


def _queue(history: History, host: str) -> Curve:
    samples = sorted((sample for sample in history.samples if sample.host == host), key=attrgetter("at"))
    return segments(((sample.at, float(sample.queue_bytes)) for sample in samples), SAMPLE_GAP)
