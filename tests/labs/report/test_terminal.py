from __future__ import annotations

import io
from typing import TYPE_CHECKING

import msgspec
import pytest
from rich.console import Console

from bodydouble.vocabulary.events import EventCode
from bodydouble_labs.checkers import run_checkers
from bodydouble_labs.history import History, Mark
from bodydouble_labs.report import terminal
from bodydouble_labs.result import Check, Result, assemble, skipped

if TYPE_CHECKING:
    from bodydouble_labs.scenario.model import Scenario


def judged(history: History, scenario: Scenario) -> Result:
    checks = run_checkers(history, scenario)
    return assemble(scenario=scenario, provider="sim", seed=7, history=history, checks=checks, virtual_s=660, wall_s=2)


def printed(
    history: History,
    scenario: Scenario,
    result: Result,
    *,
    width: int = 100,
    encoding: str = "utf-8",
    colour: bool = False,
) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="strict", write_through=True)
    console = Console(file=file, width=width, force_terminal=colour, color_system="standard" if colour else None)
    terminal.print_timeline(result, history, scenario, console)
    return raw.getvalue().decode(encoding)


def lane(text: str, label: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(label))


def test_lanes_tell_states_apart_without_colour(history: History, scenario: Scenario) -> None:
    text = printed(history, scenario, judged(history, scenario))
    assert "\x1b" not in text
    assert "✗✗✗" in lane(text, "by-name")
    assert "━" in lane(text, "by-name")
    assert "░░░" in lane(text, "source")
    assert "╌" in lane(text, "source")
    assert "▼" in lane(text, "faults")
    assert "▲" in lane(text, "faults")


def test_fault_and_outage_stand_in_the_same_column(history: History, scenario: Scenario) -> None:
    text = printed(history, scenario, judged(history, scenario), width=200)
    assert abs(lane(text, "faults").index("▼") - lane(text, "by-name").index("✗")) <= 1


def test_time_to_fail_falls_to_its_lowest_block(history: History, scenario: Scenario) -> None:
    drawn = lane(printed(history, scenario, judged(history, scenario)), "Time to Fail 25s")
    assert "▁" in drawn
    assert drawn.index("▇") < drawn.index("▁")


def test_important_moments_are_listed_with_their_times(history: History, scenario: Scenario) -> None:
    lines = [line.split() for line in printed(history, scenario, judged(history, scenario)).splitlines()]
    assert ["5:00.4", "source", "FAULT", "power-loss"] in lines
    assert ["5:26.1", "target", "5100", "failover", "of", "SOURCE", "complete"] in lines
    assert ["5:00.5", "by-name", "out", "for", "26.01", "s", "(failover)"] in lines


def test_steps_stand_on_their_lane_as_numbers_and_ranges(history: History, scenario: Scenario) -> None:
    drawn = lane(printed(history, scenario, judged(history, scenario)), "steps")
    assert drawn.split()[1:] == ["1-3", "4", "5-7", "8-9", "10-16", "17-18", "19"]


def test_who_the_target_stands_in_as_has_a_lane(history: History, scenario: Scenario) -> None:
    history.marks += [
        Mark(325.6, "event", "target", "Name SOURCE added", code=EventCode.NAME_ADDED),
        Mark(501.0, "event", "target", "Name SOURCE removed", code=EventCode.NAME_REMOVED),
    ]
    text = printed(history, scenario, judged(history, scenario))
    drawn = lane(text, "target as SOURCE")
    assert drawn.index("═") >= lane(text, "by-name").index("✗")
    assert drawn.rindex("═") <= lane(text, "by-name").rindex("✗")


def test_a_long_moment_is_continued_beneath_itself(history: History, scenario: Scenario) -> None:
    history.marks.append(Mark(310.0, "fault", "source", "one two three four five six seven eight nine ten"))
    text = printed(history, scenario, judged(history, scenario), width=50)
    lines = text.splitlines()
    number = next(number for number, line in enumerate(lines) if "FAULT one" in line)
    assert lines[number + 1].startswith(" " * lines[number].index("FAULT"))
    assert lines[number + 1].split()[-1] == "ten"


@pytest.mark.parametrize("width", [60, 80, 110])
def test_the_legend_stays_within_the_terminal(history: History, scenario: Scenario, width: int) -> None:
    lines = printed(history, scenario, judged(history, scenario), width=width).splitlines()
    begins = next(number for number, line in enumerate(lines) if "━ good" in line)
    legend = " ".join(lines[begins : lines.index("", begins)]).split()
    assert legend[-4:] == ["▼", "fault", "▲", "heal"]
    assert all(line.startswith(" " * 20) for line in lines[begins : lines.index("", begins)])


def test_checks_and_verdict_close_the_output(history: History, scenario: Scenario) -> None:
    result = judged(history, scenario)
    text = printed(history, scenario, result, width=140)
    assert text.rstrip().splitlines()[-1].startswith("✓ PASS  iis5-power-loss: RPO 0.35 s (1 lost), RTO 26.01 s")
    for check in result.checks:
        assert f"✓ PASS   {check.name}" in text


def test_a_failure_says_why(history: History, scenario: Scenario) -> None:
    del history.trees["target"]["wwwroot/default.htm"]
    text = printed(history, scenario, judged(history, scenario), width=140)
    assert "✗ FAIL" in text
    assert "wwwroot/default.htm: only on the source" in text


@pytest.mark.parametrize("width", [20, 60, 80, 250])
def test_no_lane_is_wider_than_the_terminal_or_wraps(history: History, scenario: Scenario, width: int) -> None:
    text = printed(history, scenario, judged(history, scenario), width=width)
    for label in ("steps", "faults", "by-address", "by-name"):
        assert len(lane(text, label)) <= width


def test_a_terminal_that_knows_ascii_only_gets_ascii(history: History, scenario: Scenario) -> None:
    history.marks.append(Mark(310.0, "fault", "sourcé", "power-löss"))
    named = msgspec.structs.replace(scenario, title="Überraschung")
    text = printed(history, named, judged(history, scenario), encoding="ascii")
    assert "xxx" in lane(text, "by-name")
    assert "PASS" in text


def test_colour_is_used_where_there_is_colour(history: History, scenario: Scenario) -> None:
    assert "\x1b[" in printed(history, scenario, judged(history, scenario), colour=True)


def test_nothing_from_outside_is_markup_or_a_control_sequence(history: History, scenario: Scenario) -> None:
    evil = "[bold red]x[/] \x1b]0;owned\x07\r\n[/nonsense]"
    history.marks += [Mark(310.0, kind, evil, evil, code=5100) for kind in ("event", "fault", "phase", "heal")]
    result = msgspec.structs.replace(judged(history, scenario), checks=[Check(evil, "fail", evil)], reason=evil)
    text = printed(history, msgspec.structs.replace(scenario, title=evil), result, width=200)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold red]x[/] \\x1b]0;owned\\x07\\r\\n[/nonsense]" in text


def test_a_skipped_run_says_what_is_missing(scenario: Scenario) -> None:
    raw = io.StringIO()
    result = skipped(scenario=scenario, provider="netns", seed=1, reason="needs root")
    terminal.print_verdict(result, Console(file=raw, width=100))
    assert raw.getvalue().strip() == "- SKIPPED  iis5-power-loss: needs root"


def test_an_empty_history_is_printed_too(scenario: Scenario) -> None:
    assert "INVALID" in printed(History(), scenario, judged(History(), scenario))
