"""Lays the timeline out: one row beneath the other over one time axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.events import EventCode
from bodydouble_labs.report import pills, wording
from bodydouble_labs.report.shapes import Badge, Bar, Drawing, Line, Path, Text
from bodydouble_labs.report.spans import thin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble_labs.checkers.outages import Outage
    from bodydouble_labs.history import Mark
    from bodydouble_labs.report.lanes import Curve, Lane, Timeline
    from bodydouble_labs.report.spans import Span
    from bodydouble_labs.scenario.model import Scenario

LEFT, PLOT, RIGHT = 196.0, 1032.0, 24.0
LANE, BAR = 22.0, 13.0
THIN = {"good": 6.0, "on": 6.0, "stopped": 3.0, "unplugged": 3.0}
"""Heights of bars in unremarkable states: what matters stands out without colour as well."""
GRAPH = 64.0
BADGE, BADGE_ROWS, BADGE_NEAR = 19.5, 3, 6.0
"""Height of a row of numbered pills, how many rows there are, and the distance within which steps share a pill."""
CHARACTER, BOLD, DIGIT = 6.3, 6.9, 7.3
"""Width of a small character, generously."""
EVENT_ROW, EVENT_ROWS = 13.0, 4
"""Height of a row of events' names, and how many there are at most."""
MAX_TICKS, MAX_OUTAGES, MAX_STAND_INS = 400, 20, 100

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
    packed = pills.pack(
        [drawing.x(step.mark.at) for step in shown.steps],
        lambda text: max(DIGIT * len(text) + 4, 17.2),
        near=BADGE_NEAR,
        rows=BADGE_ROWS,
        right=drawing.width - 1,
        gap=2.0,
        before=8.6,
    )
    for pill in packed:
        steps = shown.steps[pill.first - 1 : pill.last]
        title = "\n".join(f"{wording.clock(step.mark.at)}  {step.number}. {step.mark.text}" for step in steps)
        drawing.badges.append(Badge(pill.left, y + 10 + pill.row * BADGE, pill.width, pill.text, "step", title))
    y += (1 + max((pill.row for pill in packed), default=0)) * BADGE + 6
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
        # Labels may lie on what was served, never on what was not, nor on each other.
        taken = [(drawing.x(s.begins), drawing.x(s.ends)) for s in lane.spans if s.state != "good"]
        for kind, listed in shown.outages_by_kind().items():
            for outage in [outage for outage in listed if outage.client == lane.of][:MAX_OUTAGES]:
                _outage(drawing, outage, kind, y - LANE, taken)
    return y


def _outage(drawing: Drawing, outage: Outage, kind: str, y: float, taken: list[tuple[float, float]]) -> None:
    ended = drawing.end if outage.ended is None else outage.ended
    length = "never ended" if outage.ended is None else f"{outage.duration:.1f} s"
    left, right = _failing(drawing.x(outage.started), drawing.x(ended), taken)
    title = f"{outage.client}: {kind} outage from {wording.clock(outage.started)}, {length}, {outage.failed} failed"
    for text in (f"{length} {kind}", length):
        width = BOLD * len(text) + 6
        if right - left > width:
            drawing.texts.append(Text((left + right) / 2, y + 13.8, text, "outage", "middle", title))
            return
        for begin in (right + 3, left - width - 3):
            inside = drawing.plot_left <= begin and begin + width < drawing.width
            if inside and all(end <= begin or start >= begin + width for start, end in taken):
                taken.append((begin, begin + width))
                drawing.bars.append(Bar(begin, y + 2.5, width, 15, "pill", title))
                drawing.texts.append(Text(begin + width / 2, y + 13.8, text, "outage beside", "middle", title))
                return


def _failing(left: float, right: float, bars: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Where an outage's bars are: it ends with the first answer, they end when that was asked for."""
    ends = [end for start, end in bars if start < right and left < end]
    return (left, min(right, max(ends))) if ends else (left, right)


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
    monitors = [each.monitor for each in scenario.protections.values()]
    watched = ", ".join(monitor.source for monitor in monitors if monitor.on == monitors[0].on)
    y = _heading(drawing, f"Time to Fail of {watched}, watched by {monitors[0].on}", y)
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
    for lane in shown.stand_ins:
        if lane.of == host:
            y = _stand_in(drawing, lane, y)
    for lane in shown.services:
        if lane.of == host:
            y = _lane(drawing, lane, lane.label, "service", y)
    y = _queue(drawing, shown.queues[host], shown.end, y)
    return _events(drawing, [mark for mark in shown.events if mark.host == host], y)


def _stand_in(drawing: Drawing, lane: Lane, y: float) -> float:
    drawing.texts.append(Text(0, y + 14, lane.label))
    drawing.bars.append(Bar(drawing.plot_left, y + 9.5, drawing.plot_width, 1, "track"))
    spans = lane.spans[:MAX_STAND_INS]
    for span in spans:
        left, right = drawing.x(span.begins), drawing.x(span.ends)
        text = f"stands in as {span.title}"
        title = f"{text} {wording.clock(span.begins)} to {wording.clock(span.ends)}"
        drawing.bars.append(Bar(left, y + 2, max(right - left, 1.2), 16, "stand-in", title))
        width = BOLD * len(text) + 8
        if right - left > width:
            drawing.texts.append(Text((left + right) / 2, y + 13.8, text, "stand-in-name", "middle", title))
        elif len(spans) == 1:
            begin = right + 4 if right + 4 + width <= drawing.width else max(left - width, drawing.plot_left)
            drawing.texts.append(Text(begin, y + 13.8, text, "stand-in-name", "start", title))
    return y + LANE


def _queue(drawing: Drawing, curve: Curve, end: float, y: float) -> float:
    most = max((value for part in curve for _, value in part), default=0.0)
    height = GRAPH * 0.6 if most else 10.0
    bottom = y + 6 + height
    drawing.texts.append(Text(0, y + 16, "queue"))
    drawing.lines.append(Line(drawing.plot_left, bottom, drawing.plot_left + drawing.plot_width, bottom, "zero"))
    if not most:
        _scale(drawing, ("empty in each sample" if curve else "no samples", bottom))
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
    labels: list[Text] = []
    for mark in marks[:MAX_TICKS]:
        x = drawing.x(mark.at)
        css = "event grave" if mark.code in GRAVE else "event"
        title = f"{wording.clock(mark.at)}  {mark.code} {wording.headline(mark.text)}"
        drawing.lines.append(Line(x, y + 3, x, y + 17, css, title))
        if label := LABELLED.get(mark.code):
            _event_label(drawing, labels, label, x, y + 27)
    drawing.texts += labels
    return y + 22 + (max(text.y for text in labels) - y - 27 + EVENT_ROW if labels else 0)


def _event_label(drawing: Drawing, labels: list[Text], label: str, x: float, y: float) -> None:
    """Write the label in the highest row with room; not at all beside an equal one, nor when all rows are full."""
    left = min(x + 2, drawing.width - CHARACTER * len(label))
    near = [text for text in labels if text.x + CHARACTER * len(text.text) + 8 > left]
    taken = {text.y for text in near}
    row = next((row for row in range(EVENT_ROWS) if y + row * EVENT_ROW not in taken), None)
    if row is not None and label not in {text.text for text in near}:
        labels.append(Text(left, y + row * EVENT_ROW, label, "event-name"))


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
