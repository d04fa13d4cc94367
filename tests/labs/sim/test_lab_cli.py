from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from bodydouble.cli.main import cli
from bodydouble_labs import cli as lab_cli
from bodydouble_labs.providers.sim import SimProvider
from bodydouble_labs.replay import Replayed
from bodydouble_labs.runner import Progress
from bodydouble_labs.scenario.loader import find
from bodydouble_labs.watching import Watching

if TYPE_CHECKING:
    from click.testing import Result

SHIPPED = find("iis5-power-loss")


def lab(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["lab", *arguments])


def short(tmp_path: Path, name: str = "short", **changes: str) -> str:
    text = SHIPPED.read_text().replace("name: iis5-power-loss", f"name: {name}")
    for seconds in ("120", "180", "300"):
        text = text.replace(f"run_for: {seconds}", "run_for: 15")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / f"{name}.yaml"
    file.write_text(text)
    return str(file)


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_run_says_the_seed_first_then_steps_then_the_verdict(tmp_path: Path) -> None:
    done = lab("run", short(tmp_path), "--seed", "7")
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[0] == "short on sim: seed 7"
    assert "35/35" not in done.stdout
    assert "The source loses its power  [" in done.stderr
    assert "PASS  short" in done.stdout
    assert Path("results/short-sim-7/timeline.html").is_file()


def test_an_interruption_before_the_run_begins_is_no_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lab_cli, "_loaded", interrupted)
    assert lab("run", "iis5-power-loss").exit_code == lab_cli.INTERRUPTED


def test_json_is_the_only_thing_on_standard_output(tmp_path: Path) -> None:
    done = lab("run", short(tmp_path), "--json", "--out", "here")
    assert done.exit_code == 0
    result = json.loads(done.stdout)
    assert (result["verdict"], result["scenario"], result["seed"]) == ("pass", "short", 1)
    assert set(result["artifacts"]) == {
        "result.json",
        "events.jsonl",
        "history.json",
        "timeline.html",
        "lan.pcapng",
    }
    assert json.loads(Path("here/result.json").read_text())["trace_hash"] == result["trace_hash"]


def test_several_scenarios_give_a_list_and_directories_of_their_own(tmp_path: Path) -> None:
    done = lab("run", short(tmp_path, "one"), short(tmp_path, "two"), "--json", "--out", "all")
    assert [result["scenario"] for result in json.loads(done.stdout)] == ["one", "two"]
    assert sorted(path.name for path in Path("all").iterdir()) == ["01-one-sim-1", "02-two-sim-1"]


def test_a_failed_check_is_status_1(tmp_path: Path) -> None:
    done = lab("run", short(tmp_path, **{"max_rto: 28": "max_rto: 3"}))
    assert done.exit_code == 1
    assert "FAIL  short" in done.stdout


def test_an_invalid_run_is_status_3(tmp_path: Path) -> None:
    done = lab("run", short(tmp_path, **{"chngname /s SOURCE'": "chngname /x'"}))
    assert done.exit_code == 3
    assert "INVALID" in done.stdout
    assert "ended with exit code 2" in done.stdout.replace("\n", " ")


def test_nothing_starts_when_one_of_the_files_is_wrong(tmp_path: Path) -> None:
    wrong = short(tmp_path, "wrong", **{"max_rto: 28": "max_rto: soon"})
    done = lab("run", short(tmp_path), wrong)
    assert done.exit_code == 2
    assert f"bodydouble: {wrong}:" in done.stderr
    assert "expected a number, found the text 'soon'" in done.stderr
    assert not Path("results").exists()


def test_an_unknown_name_lists_what_exists() -> None:
    done = lab("run", "iis5-power-los")
    assert done.exit_code == 2
    assert "shipped scenarios: iis4-power-loss, iis5-lost-announcements, iis5-partition, iis5-power-loss" in done.stderr


def test_ctrl_c_is_status_130_with_a_partial_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: Any, **_more: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(SimProvider, "run", interrupted)
    done = lab("run", short(tmp_path, "one"), short(tmp_path, "two"), "--json")
    assert done.exit_code == 130
    (result,) = json.loads(done.stdout)
    assert result["verdict"] == "invalid"
    assert result["reason"].startswith("interrupted")


def test_a_provider_that_lacks_something_skips_with_status_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimProvider, "missing", lambda _self, _scenario: "no electricity")
    done = lab("run", short(tmp_path), "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["reason"] == "no electricity"


def test_a_report_that_cannot_be_written_is_said_in_a_line(tmp_path: Path) -> None:
    Path("taken").write_text("a file")
    done = lab("run", short(tmp_path), "--out", "taken/inside")
    assert done.exit_code == 2
    assert "taken/inside: the report cannot be written" in done.stderr


def test_list_names_what_ships() -> None:
    listed = dict(line.split(maxsplit=1) for line in lab("list").stdout.splitlines())
    assert listed["iis5-partition"].startswith("The link between an IIS 5.0 server")
    assert [item["name"] for item in json.loads(lab("list", "--json").stdout)] == list(listed)


def test_validate_names_every_wrong_file(tmp_path: Path) -> None:
    good, wrong = short(tmp_path), short(tmp_path, "wrong", **{"format: 1": "format: 9"})
    assert lab("validate", good).stdout == f"{good}: valid\n"
    done = lab("validate", wrong, good, "missing.yaml")
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 2
    told = json.loads(lab("validate", wrong, "--json").stdout)
    assert told[0]["valid"] is False


def test_schema_prints_the_schema() -> None:
    assert json.loads(lab("schema").stdout)["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize("seeds", ["x", "5-", "9-1", "-3", "0-9999999"])
def test_wrong_seeds_are_refused(seeds: str) -> None:
    done = lab("replay", "iis5-power-loss", f"--seeds={seeds}")
    assert done.exit_code == 2
    assert "--seeds: expected" in done.stderr


def test_replay_compares_two_processes(tmp_path: Path) -> None:
    done = lab("replay", short(tmp_path), "--seeds", "4", "--jobs", "2")
    assert done.exit_code == 0, done.output
    assert "seed 4: same" in done.stderr
    assert "1 of 1 seeds replayed to the byte; verdicts: 1 pass" in done.stdout


def test_a_difference_is_status_1_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def different(*_arguments: Any) -> list[Replayed]:
        return [Replayed(1, False, "pass", "", "ab", "event 2: a | b")]

    monkeypatch.setattr(lab_cli, "_replay", different)
    assert lab("replay", short(tmp_path)).exit_code == 1
    assert json.loads(lab("replay", short(tmp_path), "--json").stdout)[0]["difference"] == "event 2: a | b"


def test_on_a_terminal_one_line_is_drawn_over() -> None:
    stream = StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    with Watching(console, lambda: 1.0) as watching:
        for elapsed in (0.0, 5.0):
            watching.progress(Progress(3, 9, "Cut the power", elapsed))
    assert "Cut the power  [5 s in the scenario" in stream.getvalue()
