"""Lays the timeline out: one row beneath the other over one time axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.events import EventCode
from bodydouble_labs.report import wording
from bodydouble_labs.report.shapes import Badge, Bar, Drawing, Line, Path, Text
from bodydouble_labs.report.spans import thin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble_labs.checkers.outages import Outage
    from bodydouble_labs.history import Mark
    from bodydouble_labs.report.lanes import Curve, Lane, Timeline
    from bodydouble_labs.report.spans import Span
    from bodydouble_labs.scenario.model import Scenario

LEFT, PLOT, RIGHT = 196.0, 1040.0, 24.0
LANE, BAR = 22.0, 13.0
THIN = {"good": 6.0, "on": 6.0, "stopped": 3.0, "unplugged": 3.0}
"""Heights of bars in unremarkable states: what matters stands out without colour as well."""
GRAPH = 64.0
BADGE = 19.0
"""Room that one numbered disc needs."""
CHARACTER, BOLD = 6.3, 6.9
"""Width of a small character, generously."""
MAX_TICKS = 400

LABELLED: dict[int, str] = {
    EventCode.MIRROR_COMPLETE: "mirror complete",
    EventCode.FAILOVER_COMPLETE: "failover complete",
    EventCode.FAILBACK_COMPLETE: "failback complete",
    EventCode.RESTORE_COMPLETE: "restoration complete",
    EventCode.AUTO_DISCONNECT: "auto-disconnect",
    EventCode.HEARTBEAT_LOST: "heartbeat lost",
}
"""Events that are written out where there is room; all others show their text on hovering."""
GRAVE = frozenset({EventCode.AUTO_DISCONNECT, EventCode.RESTORE_FAILED, EventCode.FAILOVER_STEP_FAILED})


def draw(shown: Timeline, scenario: Scenario) -> Drawing:
    """The whole drawing."""
    drawing = Drawing(LEFT + PLOT + RIGHT, LEFT, PLOT, shown.end)
    y = _axis(drawing, shown, 34.0)
    y = _steps(drawing, shown, y)
    y = _clients(drawing, shown, _heading(drawing, "Clients", y))
    y = _failover(drawing, shown, scenario, y)
    for host in shown.hosts:
        spec = scenario.hosts[host]
        y = _host(drawing, shown, host, _heading(drawing, f"{host}: {spec.computer_name}, {spec.address}", y))
    _verticals(drawing, shown, y)
    drawing.height = y + 8
    return drawing


def _axis(drawing: Drawing, shown: Timeline, y: float) -> float:
    for span in shown.phases:
        left, right = drawing.x(span.begins), drawing.x(span.ends)
        drawing.bars.append(Bar(left, y - 30, max(right - left - 2, 1), 14, f"phase {_word(span.state)}", span.state))
        if right - left > CHARACTER * len(span.state):
            drawing.texts.append(Text(left + 5, y - 19.5, span.state, "phase-name"))
    for at in wording.ticks(shown.end, 14):
        drawing.texts.append(Text(drawing.x(at), y, wording.clock(at, tenths=False), "axis", "middle"))
    return y + 8


def _heading(drawing: Drawing, text: str, y: float) -> float:
    drawing.lines.append(Line(0, y + 8, drawing.width, y + 8, "rule"))
    drawing.texts.append(Text(0, y + 26, text, "heading"))
    return y + 34


def _steps(drawing: Drawing, shown: Timeline, y: float) -> float:
    drawing.texts.append(Text(0, y + 14, "steps (numbers below)"))
    rows: list[float] = []
    for step in shown.steps:
        x = drawing.x(step.mark.at)
        row = next((number for number, last in enumerate(rows) if last + BADGE <= x), len(rows))
        rows[row:] = [x, *rows[row + 1 :]]
        title = f"{wording.clock(step.mark.at)}  {step.number}. {step.mark.text}"
        drawing.badges.append(Badge(x, y + 10 + row * BADGE, str(step.number), "step", title))
    y += max(len(rows), 1) * BADGE + 6
    return _faults(drawing, shown, y)


def _faults(drawing: Drawing, shown: Timeline, y: float) -> float:
    drawing.texts.append(Text(0, y + 14, "faults and repairs"))
    edges: list[float] = []
    for mark in shown.faults[:MAX_TICKS]:
        x = drawing.x(mark.at)
        text = f"{mark.host}: {mark.text}" if mark.host else mark.text
        width = BOLD * len(text) + 18
        row = next((number for number, edge in enumerate(edges) if edge <= x), len(edges))
        edges[row:] = [x + width, *edges[row + 1 :]]
        _flag(drawing, mark, text, (x, y + 4 + row * 18))
    return y + max(len(edges), 1) * 18 + 8


def _flag(drawing: Drawing, mark: Mark, text: str, place: tuple[float, float]) -> None:
    x, y = place
    width = BOLD * len(text) + 14
    left = min(x, drawing.width - width)
    drawing.bars.append(Bar(left, y, width, 15, f"flag {mark.kind}", f"{wording.clock(mark.at)}  {text}"))
    drawing.texts.append(Text(left + 7, y + 11.5, text, "flag-text"))


def _clients(drawing: Drawing, shown: Timeline, y: float) -> float:
    for lane in shown.clients:
        y = _lane(drawing, lane, lane.label, "client", y)
        for kind, listed in (
            ("failover", shown.outages.failover),
            ("planned", shown.outages.planned),
            ("unexplained", shown.outages.unexplained),
        ):
            for outage in [outage for outage in listed if outage.client == lane.of][:20]:
                _outage(drawing, outage, kind, y - LANE)
    return y


def _outage(drawing: Drawing, outage: Outage, kind: str, y: float) -> None:
    ended = drawing.end if outage.ended is None else outage.ended
    length = "never ended" if outage.ended is None else f"{outage.duration:.1f} s"
    left, right = drawing.x(outage.started), drawing.x(ended)
    title = f"{outage.client}: {kind} outage from {wording.clock(outage.started)}, {length}, {outage.failed} failed"
    text = next((t for t in (f"{length} {kind}", length) if right - left > CHARACTER * len(t) + 4), "")
    if text:
        drawing.texts.append(Text((left + right) / 2, y + 13.8, text, "outage", "middle", title))
        return
    width = BOLD * len(length) + 6
    begin = right + 3 if right + width < drawing.width else left - width - 3
    drawing.bars.append(Bar(begin, y + 2.5, width, 15, "pill", title))
    drawing.texts.append(Text(begin + width / 2, y + 13.8, length, "outage beside", "middle", title))


def _lane(drawing: Drawing, lane: Lane, label: str, css: str, y: float) -> float:
    drawing.texts.append(Text(0, y + 14, label))
    drawing.bars.append(Bar(drawing.plot_left, y + 9.5, drawing.plot_width, 1, "track"))
    for span in lane.spans:
        drawing.bars.append(_bar(drawing, lane, span, css, y))
    return y + LANE


def _bar(drawing: Drawing, lane: Lane, span: Span, css: str, y: float) -> Bar:
    left, right = drawing.x(span.begins), drawing.x(span.ends)
    counted = f" ({span.number:,} requests)" if css == "client" else ""
    title = f"{lane.label}: {span.state} {wording.clock(span.begins)} to {wording.clock(span.ends)}{counted}"
    height = THIN.get(span.state, BAR)
    return Bar(left, y + 10 - height / 2, max(right - left, 1.2), height, f"{css} {_word(span.state)}", title)


def _failover(drawing: Drawing, shown: Timeline, scenario: Scenario, y: float) -> float:
    monitor = scenario.protection.monitor
    y = _heading(drawing, f"Time to Fail of {monitor.source}, watched by {monitor.on}", y)
    top, bottom = y + 6, y + 6 + GRAPH
    limit = max([shown.time_out, *(value for part in shown.time_to_fail for _, value in part)])
    caution = bottom - GRAPH * 0.75 * shown.time_out / limit
    start, stop = drawing.plot_left, drawing.plot_left + drawing.plot_width
    drawing.lines.append(Line(start, caution, stop, caution, "caution", "25 % of the time-out has elapsed"))
    drawing.lines.append(Line(start, bottom, stop, bottom, "zero", "zero: failover begins"))
    _scale(
        drawing,
        (f"{limit:g} s", top + 4),
        (f"{shown.time_out * 0.75:g} s: 25 % gone", caution + 8),
        ("0: failover", bottom),
    )
    for part in shown.time_to_fail:
        points = [(drawing.x(at), bottom - GRAPH * value / limit) for at, value in thin(part, shown.end, min)]
        drawing.paths.append(Path(_polyline(points), "time-to-fail", "Time to Fail"))
    return bottom + 8


def _scale(drawing: Drawing, *entries: tuple[str, float]) -> None:
    for text, y in entries:
        drawing.texts.append(Text(drawing.plot_left - 8, y, text, "scale", "end"))


def _host(drawing: Drawing, shown: Timeline, host: str, y: float) -> float:
    for lane in shown.power:
        if lane.of == host:
            y = _lane(drawing, lane, lane.label, "power", y)
    for lane in shown.services:
        if lane.of == host:
            y = _lane(drawing, lane, lane.label, "service", y)
    y = _queue(drawing, shown.queues[host], shown.end, y)
    return _events(drawing, [mark for mark in shown.events if mark.host == host], y)


def _queue(drawing: Drawing, curve: Curve, end: float, y: float) -> float:
    most = max((value for part in curve for _, value in part), default=0.0)
    height = GRAPH * 0.6 if most else 10.0
    bottom = y + 6 + height
    drawing.texts.append(Text(0, y + 16, "queue"))
    drawing.lines.append(Line(drawing.plot_left, bottom, drawing.plot_left + drawing.plot_width, bottom, "zero"))
    if not most:
        _scale(drawing, ("always empty" if curve else "no samples", bottom))
        return bottom + 8
    _scale(drawing, (wording.size(most), y + 14), ("0", bottom))
    for part in curve:
        points = [(drawing.x(at), bottom - height * value / most) for at, value in thin(part, end, max)]
        area = [(points[0][0], bottom), *points, (points[-1][0], bottom)]
        drawing.paths.append(Path(_polyline(area) + "Z", "queue", f"bytes in the queue, at most {wording.size(most)}"))
    return bottom + 8


def _polyline(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _events(drawing: Drawing, marks: Sequence[Mark], y: float) -> float:
    drawing.texts.append(Text(0, y + 14, "product events"))
    drawing.bars.append(Bar(drawing.plot_left, y + 9.5, drawing.plot_width, 1, "track"))
    edges: list[float] = []
    for mark in marks[:MAX_TICKS]:
        x = drawing.x(mark.at)
        css = "event grave" if mark.code in GRAVE else "event"
        drawing.lines.append(Line(x, y + 3, x, y + 17, css, f"{wording.clock(mark.at)}  {mark.code} {mark.text}"))
        if label := LABELLED.get(mark.code):
            _event_label(drawing, edges, label, x, y)
    return y + 22 + 13 * len(edges)


def _event_label(drawing: Drawing, edges: list[float], label: str, x: float, y: float) -> None:
    left = min(x, drawing.width - CHARACTER * len(label))
    row = next((number for number, edge in enumerate(edges) if edge <= left), len(edges))
    edges[row:] = [left + CHARACTER * len(label) + 8, *edges[row + 1 :]]
    drawing.texts.append(Text(left - 1, y + 27 + 13 * row, label, "event-name"))


def _verticals(drawing: Drawing, shown: Timeline, bottom: float) -> None:
    top = 40.0
    for at in wording.ticks(shown.end, 14):
        drawing.lines.insert(0, Line(drawing.x(at), top, drawing.x(at), bottom, "grid"))
    for mark in shown.faults[:MAX_TICKS]:
        x = drawing.x(mark.at)
        title = f"{wording.clock(mark.at)}  {mark.host}: {mark.text}"
        drawing.lines.append(Line(x, top, x, bottom, f"instant {mark.kind}", title))


def _word(state: str) -> str:
    # A class name is made of letters only, whatever a state from outside contains.
    return "".join(letter for letter in state.lower() if letter.isascii() and (letter.isalpha() or letter == "-"))
