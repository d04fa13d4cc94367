"""The timeline for a terminal: lanes of characters over its width, readable without colour as well."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from bodydouble.vocabulary.events import EventCode
from bodydouble_labs.report import pills, wording
from bodydouble_labs.report.lanes import CLIENT_STATES, timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import Console

    from bodydouble_labs.checkers import Verdict
    from bodydouble_labs.history import History, Mark
    from bodydouble_labs.report.lanes import Timeline
    from bodydouble_labs.report.spans import Span
    from bodydouble_labs.result import Result
    from bodydouble_labs.scenario.model import Scenario

LABEL = 20
NARROWEST = 30
"""Columns that lanes take at least, however narrow the terminal."""
MOST_MOMENTS = 40

VERDICT_STYLES: dict[Verdict, str] = {
    "pass": "bold green",
    "fail": "bold red",
    "invalid": "bold yellow",
    "skipped": "dim",
}
MOMENTS = frozenset(
    {
        EventCode.AUTO_DISCONNECT,
        EventCode.FAILOVER_COMPLETE,
        EventCode.MIRROR_COMPLETE,
        EventCode.MIRROR_REQUIRED,
        EventCode.RESTORE_REQUIRED,
        EventCode.RESTORE_STARTED,
        EventCode.RESTORE_COMPLETE,
        EventCode.RESTORE_FAILED,
        EventCode.HEARTBEAT_LOST,
        EventCode.FAILOVER_STARTED,
        EventCode.FAILOVER_STEP_FAILED,
        EventCode.FAILBACK_STARTED,
        EventCode.FAILBACK_COMPLETE,
    }
)
"""Product events that belong in the list of important moments."""


@dataclass(frozen=True, slots=True)
class _Look:
    """How a state is drawn: a character, one for terminals that know ASCII only, and a colour."""

    sign: str
    ascii: str
    style: str


LOOKS = {
    "on": _Look("━", "=", "green"),
    "off": _Look("░", ".", "dim"),
    "unplugged": _Look("╌", "~", "yellow"),
    "good": _Look("━", "=", "green"),
    "failed": _Look("✗", "x", "red"),
    "lost": _Look("?", "?", "yellow"),
    "wrong": _Look("‼", "!", "bold magenta"),
    "fault": _Look("▼", "v", "bold red"),
    "heal": _Look("▲", "^", "bold green"),
    "stands-in": _Look("═", "#", "cyan"),
}
LEVELS, ASCII_LEVELS = "▁▂▃▄▅▆▇█", "01234567"
_SEVERITY = ("on", "off", "unplugged", "stands-in", *CLIENT_STATES, "heal", "fault")


def print_timeline(result: Result, history: History, scenario: Scenario, console: Console) -> None:
    """Print lanes, legend, important moments, checks and verdict to ``console``.

    Nothing that comes from outside is taken as markup or as a control sequence.
    """
    shown = timeline(history, scenario)
    canvas = _Canvas(console, shown.end)
    _print(console, Text(_plain(scenario.title), "bold"))
    _print(console, Text(_plain(f"{scenario.name} on {result.provider}, seed {result.seed}")), Text())
    for line in _lanes(canvas, shown):
        console.print(line, no_wrap=True, overflow="crop")
    console.print(canvas.legend("good", "failed", "lost", "wrong", "off", "unplugged", "stands-in", "fault", "heal"))
    _print(console, Text())
    _moments(console, history, shown)
    print_verdict(result, console)


def print_verdict(result: Result, console: Console) -> None:
    """Print the checks as a table, and the verdict with its figures in one line."""
    if result.checks:
        table = Table("verdict", "check", "detail", box=None, pad_edge=False, header_style="dim")
        for check in result.checks:
            cells = [_verdict(check.verdict, console), Text(_plain(check.title)), Text(_plain(check.detail))]
            table.add_row(*(_spelled(console, cell) for cell in cells))
        console.print(Text(), table, sep="\n")
    figures = [f"{name if name.isupper() else name.lower()} {value}" for name, value in wording.figures(result)[:3]]
    length = f"{result.virtual_s:,.0f} s in {result.wall_s:,.1f} s ({result.ratio:,.0f}x)"
    reason = [_plain(result.reason)] if result.reason else []
    tail = ", ".join(reason if result.verdict == "skipped" else [*figures, length, *reason])
    verdict = Text.assemble(_verdict(result.verdict, console), f"  {_plain(result.scenario)}: {tail}")
    noted = [Text(f"note: {_plain(remark)}", "yellow") for remark in result.remarks]
    _print(console, Text(), *noted, verdict)


def _print(console: Console, *lines: Text) -> None:
    for line in lines:
        console.print(_spelled(console, line))


def _spelled(console: Console, text: Text) -> Text:
    """The text in letters that the console's encoding has."""
    if console.options.ascii_only:
        text.plain = text.plain.encode("ascii", "replace").decode()
    return text


class _Canvas:
    """The columns of a terminal as a time axis."""

    def __init__(self, console: Console, end: float) -> None:
        self.columns = max(NARROWEST, console.width - LABEL - 1)
        self.end = end
        self._console = console
        self._ascii = console.options.ascii_only

    def column(self, at: float) -> int:
        return min(self.columns - 1, max(0, int(at / self.end * self.columns)))

    def line(self, label: str, cells: Iterable[tuple[str, str]]) -> Text:
        text = _spelled(self._console, Text(f"{_plain(label)[: LABEL - 1]:<{LABEL}}"))
        for style, alike in groupby(cells, key=itemgetter(1)):
            text.append("".join(sign for sign, _ in alike), style)
        return text

    def spans(self, label: str, spans: Iterable[Span]) -> Text:
        """One lane: each column shows the gravest state that touches it."""
        states: list[str] = [""] * self.columns
        for span in spans:
            for column in range(self.column(span.begins), self.column(span.ends) + 1):
                if not states[column] or _SEVERITY.index(span.state) > _SEVERITY.index(states[column]):
                    states[column] = span.state
        return self.line(label, [self.look(state) for state in states])

    def marks(self, label: str, marks: Sequence[Mark]) -> Text:
        states: list[str] = [""] * self.columns
        for mark in marks:
            column = self.column(mark.at)
            if not states[column] or _SEVERITY.index(mark.kind) > _SEVERITY.index(states[column]):
                states[column] = mark.kind
        return self.line(label, [self.look(state) for state in states])

    def steps(self, label: str, at: Sequence[float]) -> Text:
        """The numbers of the steps, ranges where they crowd."""
        cells = [" "] * self.columns
        places = [float(self.column(instant)) for instant in at]
        for pill in pills.pack(places, len, near=0, rows=1, right=self.columns, gap=1):
            left = max(0, int(pill.left))
            cells[left : left + len(pill.text)] = pill.text
        return self.line(label, [(sign, "cyan") for sign in cells[: self.columns]])

    def levels(
        self, label: str, points: Iterable[tuple[float, float]], top: float, style: Callable[[float], str]
    ) -> Text:
        """A curve as blocks: each column shows the lowest value in it."""
        lowest: dict[int, float] = {}
        for at, value in points:
            column = self.column(at)
            lowest[column] = min(value, lowest.get(column, value))
        signs = ASCII_LEVELS if self._ascii else LEVELS
        cells = [(" ", "")] * self.columns
        for column, value in lowest.items():
            cells[column] = (signs[min(7, max(0, int(value / top * 8)))], style(value))
        return self.line(label, cells)

    def axis(self) -> Text:
        text = " " * LABEL
        for at in wording.ticks(self.end, max(2, self.columns // 9)):
            label = wording.clock(at, tenths=False)
            place = LABEL + self.column(at)
            if len(text) <= place and place + len(label) <= LABEL + self.columns:
                text = f"{text:<{place}}{label} "
        return Text(text, "dim")

    def look(self, state: str) -> tuple[str, str]:
        if not state:
            return (" ", "")
        look = LOOKS[state]
        return (look.ascii if self._ascii else look.sign, look.style)

    def legend(self, *states: str) -> Text:
        text, length = Text(" " * LABEL), 0
        for state in states:
            sign, style = self.look(state)
            words = f" {state.replace('-', ' ')}  "
            length += 1 + len(words)
            if length > self.columns and length > 1 + len(words):
                text.append("\n" + " " * LABEL)
                length = 1 + len(words)
            text.append(sign, style).append(words, "dim")
        return text


def _lanes(canvas: _Canvas, shown: Timeline) -> Iterator[Text]:
    yield canvas.axis()
    yield canvas.steps("steps", [step.mark.at for step in shown.steps])
    yield canvas.marks("faults", shown.faults)
    for lane in shown.power:
        yield canvas.spans(lane.of, lane.spans)
    for lane in shown.stand_ins:
        yield canvas.spans(f"{lane.of} as {lane.spans[0].title.partition(' ')[0]}", lane.spans)
    for lane in shown.clients:
        yield canvas.spans(lane.of, lane.spans)
    points = [point for part in shown.time_to_fail for point in part]
    yield canvas.levels(f"Time to Fail {shown.time_out:g}s", points, shown.time_out, _urgency(shown.time_out))


def _urgency(time_out: float) -> Callable[[float], str]:
    return lambda left: "red" if left <= 0 else "yellow" if left < 0.75 * time_out else "green"


def _moments(console: Console, history: History, shown: Timeline) -> None:
    marks = [mark for mark in shown.events if mark.code in MOMENTS] + shown.faults
    marks += [mark for mark in history.marks if mark.kind == "phase"]
    listed = [(mark.at, mark.host, _moment(mark)) for mark in sorted(marks, key=attrgetter("at"))]
    listed += [
        (
            outage.started,
            outage.client,
            f"out ({kind}), and never recovered"
            if outage.ended is None
            else f"out for {outage.duration:.2f} s ({kind})",
        )
        for kind, outages in shown.outages_by_kind().items()
        for outage in outages
    ]
    listed.sort(key=lambda moment: moment[0])
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for at, who, what in listed[:MOST_MOMENTS]:
        cells = [Text(wording.clock(at), "dim"), Text(_plain(who)), Text(_plain(what))]
        table.add_row(*(_spelled(console, cell) for cell in cells))
    if len(listed) > MOST_MOMENTS:
        table.add_row("", "", Text(f"and {len(listed) - MOST_MOMENTS} more in events.jsonl", "dim"))
    console.print(table)


def _moment(mark: Mark) -> str:
    if mark.kind == "event":
        return f"{mark.code} {mark.text}"
    return {"fault": f"FAULT {mark.text}", "heal": f"repaired: {mark.text}"}.get(mark.kind, f"phase: {mark.text}")


def _verdict(verdict: Verdict, console: Console) -> Text:
    sign = "" if console.options.ascii_only else f"{wording.VERDICT_SIGNS[verdict]} "
    return Text(f"{sign}{verdict.upper()}", VERDICT_STYLES[verdict])


def _plain(text: str) -> str:
    """The text with every control character (escape sequences, line ends) made visible."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
