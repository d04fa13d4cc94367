"""Files with several protections: what they may say, and what is refused with its line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.labs.scenario.wrong_files import refused, unnumbered

from bodydouble_labs.errors import LabError, ScenarioError
from bodydouble_labs.scenario.loader import find, load
from bodydouble_labs.scenario.steps import FailbackStep, FaultStep, ProtectStep, host_of

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = find("three-sources")
SITE = r"site: {root: 'C:\x', pages: 1, page_bytes: 1}"


def test_each_protection_has_its_site_and_its_clients() -> None:
    scenario = load(SHIPPED)
    assert list(scenario.protections) == ["one", "two", "three"]
    two = scenario.of("two")
    assert two.source.computer_name == "SOURCE2"
    assert two.site.root == r"C:\Sites\Two\wwwroot"
    assert two.protected_root == r"C:\Sites\Two"
    assert [reader.name for reader in two.workload.readers] == ["two-by-address", "two-by-name"]


def test_what_concerns_one_protection_leaves_out_the_steps_of_the_others() -> None:
    scenario = load(SHIPPED)
    two = scenario.of("two").timeline
    assert {step.protection for step in two if isinstance(step, ProtectStep)} == {"two"}
    assert {host_of(step) for step in two if isinstance(step, FaultStep)} == {"source2"}
    assert {host_of(step) for step in two} == {"", "source2", "target"}
    counts = [sum(step in scenario.of(name).timeline for name in scenario.protections) for step in scenario.timeline]
    assert set(counts) == {1, 3}  # every step is about one of them, or about all


def test_they_fail_in_one_order_and_fail_back_in_another() -> None:
    timeline = load(SHIPPED).timeline
    assert [step.on for step in timeline if isinstance(step, FaultStep)] == ["source1", "source2", "source3"]
    assert [step.failback for step in timeline if isinstance(step, FailbackStep)] == ["source2", "source3", "source1"]


def test_the_whole_does_not_pick_one_of_several() -> None:
    scenario = load(SHIPPED)
    with pytest.raises(LabError, match=r"several protections \(one, two, three\)"):
        _ = scenario.protection


def test_a_single_protection_is_the_whole() -> None:
    scenario = load(find("iis5-power-loss"))
    assert list(scenario.protections) == [""]
    assert scenario.of("") is scenario


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        (
            "protections:\n",
            "site: {root: 'C:\\x', pages: 1, page_bytes: 1}\nprotections:\n",
            "site",
            "belongs into each",
        ),
        ("protections:\n  one:", "protections:\n  One:", "protections", "a lower-case word"),
        ("    monitor:\n", "    monitr:\n", "protections.one.monitr", "did you mean 'monitor'?"),
        ("source: source2, target", "source: sorce2, target", "protections.two.connection.source", "did you mean"),
        ("source: source2, target", "source: source1, target", "protections.two.monitor.source", "expected the source"),
        ("name: two-by-name", "name: one-by-name", "protections.two.workload.readers[1].name", "already taken on line"),
        (
            r"include: 'C:\Sites\Two'",
            r"include: 'C:\Sites'",
            "protections.two.replication_set.rules[0].include",
            "collide with the replica of line",
        ),
        (
            r"include: 'C:\Sites\Two'",
            r"include: 'C:\sites\one\wwwroot'",
            "protections.two.site.root",
            "no rule of the replication set includes it",
        ),
        ("    protection: one\n    protect", "    protect", "timeline[N]", "the key 'protection' is missing"),
        (
            "    protection: one\n    protect",
            "    protection: won\n    protect",
            "timeline[N].protection",
            "did you mean",
        ),
        ("failback: source2", "failback: source1", "timeline[N].failback", "expected the source 'source2'"),
        (
            "    protection: two\n    protect: repl",
            "    protection: one\n    protect: repl",
            "timeline[N].protect",
            "has to come before",
        ),
        ("pair: target", "pair: source2", "timeline[N].protect", "'pair: HOST' has to come before"),
        ("    workload: stop", "    protection: two\n    workload: start", "timeline[N].workload", "of two is already"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, key: str, said: str) -> None:
    error = refused(SHIPPED, tmp_path, old, new)
    assert (unnumbered(error), said in str(error)) == (key, True), str(error)
    assert error.line > 0


def test_a_source_has_one_protection(tmp_path: Path) -> None:
    file = tmp_path / "twice.yaml"
    file.write_text(SHIPPED.read_text().replace("source: source2", "source: source1", 2))
    with pytest.raises(ScenarioError, match="the source 'source1' is already taken on line"):
        load(file)


def test_one_protection_alone_has_no_name_to_call_it_by(tmp_path: Path) -> None:
    file = tmp_path / "named.yaml"
    text = find("iis5-power-loss").read_text()
    file.write_text(text.replace("    protect: monitor", "    protection: one\n    protect: monitor"))
    with pytest.raises(ScenarioError, match="one protection, which has no name"):
        load(file)


def test_a_file_with_neither_is_told_what_it_lacks(tmp_path: Path) -> None:
    file = tmp_path / "bare.yaml"
    file.write_text(find("iis5-power-loss").read_text().replace("protection:\n  rep", "x-y:\n  rep"))
    with pytest.raises(ScenarioError, match="unknown key 'x-y'"):
        load(file)
    file.write_text(re.sub(r"(?s)workload:\n  readers.*?\n\n", "", find("iis5-power-loss").read_text(), count=1))
    with pytest.raises(ScenarioError, match="the key 'workload' is missing"):
        load(file)
