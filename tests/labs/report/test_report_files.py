from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgspec
import pytest
from tests.labs.conftest import changed

from bodydouble_labs import report, result
from bodydouble_labs.checkers import run_checkers
from bodydouble_labs.history import History, Mark, QueueSample, Request
from bodydouble_labs.report.page import render
from bodydouble_labs.result import Check, Result, assemble

if TYPE_CHECKING:
    from pathlib import Path

    from bodydouble_labs.scenario.model import Scenario

EVIL = "<script>alert('x')</script>&\"'</title></svg>"


@pytest.fixture
def made(history: History, scenario: Scenario) -> Result:
    checks = run_checkers(history, scenario)
    return assemble(
        scenario=scenario,
        provider="sim",
        seed=7,
        history=history,
        checks=checks,
        trace_hash="ab" * 16,
        virtual_s=660.0,
        wall_s=2.0,
        artifacts=["lan.pcapng"],
    )


def svg(page: str) -> ET.Element:
    found = re.search(r'<svg id="timeline".*?</svg>', page, re.DOTALL)
    assert found is not None
    return ET.fromstring(found.group())


def texts(page: str) -> list[str]:
    return [element.text or "" for element in svg(page).iter("text")]


def test_all_files_are_written_and_named(history: History, scenario: Scenario, made: Result, tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "out"
    names = report.write(directory, made, history, scenario)
    assert names == ["result.json", "events.jsonl", "history.json", "timeline.html"]
    assert sorted(path.name for path in directory.iterdir()) == sorted(names)


def test_the_result_lists_the_reports_files_after_the_providers(
    history: History, scenario: Scenario, made: Result, tmp_path: Path
) -> None:
    names = report.write(tmp_path, made, history, scenario)
    written = result.decode((tmp_path / "result.json").read_bytes())
    assert written.artifacts == ["lan.pcapng", *names]
    assert msgspec.structs.replace(written, artifacts=made.artifacts) == made


def test_events_are_one_json_object_a_line_in_order_of_time(
    history: History, scenario: Scenario, made: Result, tmp_path: Path
) -> None:
    history.marks.reverse()
    report.write(tmp_path, made, history, scenario)
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert len(lines) == len(history.marks)
    assert [line["at"] for line in lines] == sorted(mark.at for mark in history.marks)
    assert {"event", "step", "fault", "heal", "phase"} <= {line["kind"] for line in lines}


def test_the_history_can_be_read_back_whole(history: History, scenario: Scenario, made: Result, tmp_path: Path) -> None:
    report.write(tmp_path, made, history, scenario)
    assert msgspec.json.decode((tmp_path / "history.json").read_bytes(), type=History) == history


def test_writing_twice_gives_the_same_bytes(history: History, scenario: Scenario, made: Result, tmp_path: Path) -> None:
    for name in ("a", "b"):
        report.write(tmp_path / name, made, history, scenario)
    for name in report.FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_page_shows_verdict_figures_and_every_check(history: History, scenario: Scenario, made: Result) -> None:
    page = render(made, history, scenario)
    for words in ("✓ pass", "0.35 s (1 lost)", "26.01 s", "40.01 s", "330x", "ab" * 16, "seed 7"):
        assert words in page
    assert page.count('class="verdict small pass"') == len(made.checks)


def test_the_drawing_has_every_row_on_one_axis(history: History, scenario: Scenario, made: Result) -> None:
    shown = texts(render(made, history, scenario))
    for words in (
        "steps (numbers below)",
        "faults and repairs",
        "source: power-loss",
        "by-name (HTTP by name)",
        "26.0 s failover",
        "40.0 s planned",
        "Time to Fail of source, watched by target",
        "18.75 s: 25 % gone",
        "0: failover",
        "power and network",
        "W3SVC",
        "39.1 KiB",
        "failover complete",
        "11:00",
    ):
        assert words in shown, words


def test_nothing_is_drawn_outside_of_the_picture(history: History, scenario: Scenario, made: Result) -> None:
    root = svg(render(made, history, scenario))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for bar in root.iter("rect"):
        if "x" in bar.attrib:
            assert 0 <= float(bar.attrib["x"]) <= float(bar.attrib["x"]) + float(bar.attrib["width"]) <= width + 1
            assert 0 <= float(bar.attrib["y"]) <= height


def pills(page: str) -> list[tuple[float, float, float, str]]:
    """Left edge, top, width and text of the numbered pills."""
    return [
        (float(box.attrib["x"]), float(box.attrib["y"]), float(box.attrib["width"]), text.text or "")
        for group in svg(page).iter("g")
        if (box := group.find("rect")) is not None and (text := group.find("text")) is not None
    ]


def test_steps_at_one_instant_share_a_pill_with_a_range(scenario: Scenario, made: Result) -> None:
    marks = [Mark(0.1 * number, "step", "source", f"step {number}") for number in range(1, 19)]
    history = History(marks=[*marks, Mark(300.0, "step", "source", "last", until=600.0)])
    page = render(made, history, scenario)
    assert [text for _, _, _, text in pills(page)] == ["1-18", "19"]
    title = next(group.findtext("title") or "" for group in svg(page).iter("g"))
    assert [line.split(". ")[1] for line in title.splitlines()] == [mark.text for mark in marks]


def test_crowded_steps_take_at_most_three_rows_and_never_overlap(scenario: Scenario, made: Result) -> None:
    history = History(marks=[Mark(7.0 * number, "step", "source", f"step {number}") for number in range(150)])
    drawn = pills(render(made, history, scenario))
    assert len({y for _, y, _, _ in drawn}) <= 3
    for x, y, _, _ in drawn:
        assert not [text for left, top, width, text in drawn if top == y and left < x < left + width]


def test_the_list_of_steps_is_complete_however_they_are_drawn(scenario: Scenario, made: Result) -> None:
    history = History(marks=[Mark(0.0, "step", "source", f"step {number}") for number in range(1, 41)])
    page = render(made, history, scenario)
    assert [text for _, _, _, text in pills(page)] == ["1-40"]
    for number in range(1, 41):
        assert f'<td class="number">{number}</td>' in page
        assert f'<td class="detail">step {number}</td>' in page


def test_the_target_says_whom_it_stands_in_for(history: History, scenario: Scenario, made: Result) -> None:
    history.marks += [
        Mark(325.6, "event", "target", "Name SOURCE added", code=9111),
        Mark(501.0, "event", "target", "Name SOURCE removed", code=9122),
        Mark(501.1, "event", "target", "Address 10.0.0.10/24 removed from Local Area Connection", code=9121),
    ]
    page = render(made, history, scenario)
    assert "stands in as SOURCE 10.0.0.10" in texts(page)
    bars = [bar for bar in svg(page).iter("rect") if bar.attrib.get("class") == "stand-in" and "x" in bar.attrib]
    assert [bar.findtext("title") for bar in bars] == ["stands in as SOURCE 10.0.0.10 5:25.5 to 8:21.1"]


def test_without_a_failover_nothing_stands_in(scenario: Scenario, made: Result) -> None:
    shown = texts(render(made, History(marks=[Mark(9.0, "step", "source", "x")]), scenario))
    assert "identity" not in shown


def test_an_outages_label_never_hides_another_failure(scenario: Scenario, made: Result) -> None:
    outcomes = {300: "timeout", 320: "refused", 340: "refused"}
    history = History(
        requests=[
            Request("by-name", "http-get", "name", float(at), at + 0.5, outcomes.get(at, "ok"))  # type: ignore[arg-type]
            for at in range(600)
        ],
    )
    bars = [
        (bar.attrib["class"], float(bar.attrib["x"]), float(bar.attrib["x"]) + float(bar.attrib["width"]))
        for bar in svg(render(made, history, scenario)).iter("rect")
        if bar.attrib.get("class") in ("pill", "client failed")
    ]
    pills_drawn = [bar for bar in bars if bar[0] == "pill"]
    failures = [bar for bar in bars if bar[0] == "client failed"]
    assert len(pills_drawn) >= 1
    assert len(failures) == 3
    assert not [(a, b) for a in pills_drawn for b in failures if a[1] < b[2] and b[1] < a[2]]


def test_events_of_many_lines_are_folded_beneath_their_first(
    history: History, scenario: Scenario, made: Result
) -> None:
    output = "script X.BAT ended with exit code 0:\nC:\\>rem\r\n\r\nC:\\>net start"
    history.marks.append(Mark(400.0, "event", "target", output, code=9112))
    page = render(made, history, scenario)
    assert "<summary>script X.BAT ended with exit code 0</summary><pre>C:\\&gt;rem\nC:\\&gt;net start</pre>" in page
    titles = [element.text for element in svg(page).iter("title")]
    assert "6:40.0  9112 script X.BAT ended with exit code 0" in titles


def test_a_storm_of_named_events_takes_few_rows(scenario: Scenario, made: Result) -> None:
    codes = (9102, 5100, 9123, 9011, 9022, 9005)
    calm = History(marks=[Mark(600.0, "event", "target", "lost", code=9102)])
    storm = History(marks=[Mark(at + 0.0, "event", "target", "x", code=codes[at % 6]) for at in range(600)])
    heights = [float(svg(render(made, history, scenario)).attrib["height"]) for history in (calm, storm)]
    assert heights[1] - heights[0] <= 3 * 13


def test_product_events_carry_their_text_as_a_title(history: History, scenario: Scenario, made: Result) -> None:
    titles = [element.text for element in svg(render(made, history, scenario)).iter("title")]
    assert "5:26.1  5100 failover of SOURCE complete" in titles


def test_the_page_fetches_nothing(history: History, scenario: Scenario, made: Result) -> None:
    page = render(made, history, scenario)
    assert not re.search(r"https?:|//\w|@import|\bsrc=|href=", page)
    assert re.findall(r"url\(([^)]*)\)", page) == ["#hatch"]
    assert "default-src 'none'" in page


def test_everything_from_outside_is_escaped(history: History, scenario: Scenario, made: Result) -> None:
    history.marks += [Mark(310.0, kind, EVIL, EVIL, code=9999) for kind in ("event", "fault", "step", "phase", "heal")]
    history.requests.append(Request(EVIL, "http-get", EVIL, 130.0, 131.0, "status", EVIL))
    history.marks += [Mark(400.0 + n, "event", "target", EVIL, code=code) for n, code in enumerate((5101, 9111))]
    history.marks.append(Mark(410.0, "event", "target", f"{EVIL}\n{EVIL}", code=9112))
    history.services.append(msgspec.structs.replace(history.services[0], service=EVIL, state=EVIL))
    site = msgspec.structs.replace(scenario.site, services=[*scenario.services_of("target"), EVIL])
    hostile = msgspec.structs.replace(
        made, verdict="fail", checks=[Check(EVIL, "fail", EVIL)], reason=EVIL, trace_hash=EVIL, provider=EVIL
    )
    page = render(hostile, history, changed(msgspec.structs.replace(scenario, title=EVIL), site=site))
    assert page.count("<script>") == 1
    assert page.count("</svg>") == render(made, History(), scenario).count("</svg>")
    assert "alert(&#39;x&#39;)" in page
    svg(page)


def test_a_run_of_hours_with_flapping_clients_stays_a_small_page(scenario: Scenario, made: Result) -> None:
    hours = 20_000
    history = History(
        requests=[
            Request("by-name", "http-get", "name", float(at), at + 0.1, "timeout" if at % 2 else "ok")
            for at in range(hours)
        ],
        samples=[QueueSample(float(at), "target", 1, at, at % 25.0) for at in range(hours)],
        marks=[Mark(float(at), "event", "target", "again", code=9102) for at in range(0, hours, 4)],
    )
    assert len(render(made, history, scenario)) < 600_000


@pytest.mark.parametrize("verdict", ["fail", "invalid", "skipped"])
def test_a_page_can_be_made_of_nothing(scenario: Scenario, verdict: str) -> None:
    empty = msgspec.convert(
        {"scenario": "s", "provider": "sim", "seed": 1, "verdict": verdict, "reason": "because"}, Result
    )
    page = render(empty, History(), scenario)
    assert "No check was made." in page
    assert "because" in page
    svg(page)
