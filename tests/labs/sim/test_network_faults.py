from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest

from bodydouble.vocabulary.events import EventCode
from bodydouble_labs.providers.netns.requirements import of_scenario
from bodydouble_labs.providers.sim import SimProvider
from bodydouble_labs.runner import conduct
from bodydouble_labs.scenario.loader import find, load
from bodydouble_labs.scenario.steps import AnyStep, FaultStep, HealStep, RunForStep

if TYPE_CHECKING:
    from pathlib import Path

    from bodydouble_labs.runner import Run
    from bodydouble_labs.scenario.model import Scenario

PARTITION = load(find("iis5-partition"))


def judged(directory: Path, scenario: Scenario = PARTITION, provider: SimProvider | None = None, seed: int = 1) -> Run:
    return conduct(scenario, provider or SimProvider(), seed=seed, directory=directory, wall_clock=lambda: 0.0)


def with_faults(*middle: AnyStep) -> Scenario:
    """The shipped scenario with other steps in the place of its faults."""
    first = next(index for index, step in enumerate(PARTITION.timeline) if isinstance(step, FaultStep))
    last = max(index for index, step in enumerate(PARTITION.timeline) if isinstance(step, HealStep))
    steps = [*PARTITION.timeline[:first], *middle, *PARTITION.timeline[last + 1 :]]
    return msgspec.structs.replace(PARTITION, timeline=steps)


@pytest.mark.parametrize("seed", [1, 2])
def test_replication_resumes_after_a_partition_without_another_mirror(tmp_path: Path, seed: int) -> None:
    run = judged(tmp_path, seed=seed)
    assert run.result.reason == ""
    assert run.result.verdict == "pass"
    codes = [mark.code for mark in run.history.marks if mark.kind == "event"]
    assert codes.count(EventCode.MIRROR_COMPLETE) == 1
    heals = [mark.text for mark in run.history.marks if mark.kind == "heal"]
    assert [text.split(",")[0] for text in heals] == ["partition", "loss", "latency"]


# The run stops there and then; the writer's upload is cut off with its stream open.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_fault_that_touched_nothing_makes_the_run_invalid_when_it_heals(tmp_path: Path) -> None:
    scenario = with_faults(
        FaultStep(on="source", fault="lost-announcements"), RunForStep(run_for=10), HealStep(heal="lost-announcements")
    )
    result = judged(tmp_path, scenario).result
    assert result.verdict == "invalid"
    assert "the fault lost-announcements touched no frame: it did not happen" in result.reason


def test_fault_that_touched_nothing_makes_the_run_invalid_at_its_end(tmp_path: Path) -> None:
    result = judged(tmp_path, with_faults(FaultStep(on="source", fault="lost-announcements"))).result
    assert result.verdict == "invalid"
    assert "the fault lost-announcements touched no frame" in result.reason


def test_flapping_link_and_one_way_loss_are_survived_and_counted(tmp_path: Path) -> None:
    scenario = with_faults(
        FaultStep(on="target", fault="link-flap", down=2, up=8),
        FaultStep(fault="loss", between=["source", "target"], one_way=True, probability=0.1),
        RunForStep(run_for=30),
        HealStep(heal="link-flap"),
        HealStep(heal="loss"),
    )
    run = judged(tmp_path, scenario)
    assert run.result.reason == ""
    assert run.result.verdict == "pass"


def test_netns_provider_names_the_faults_that_it_lacks() -> None:
    reasons = list(of_scenario(PARTITION))
    for fault in ("partition", "loss", "latency"):
        assert f"the netns provider cannot inject the fault {fault}: use --on sim" in reasons


@pytest.mark.program("tshark")
def test_capture_carries_faults_and_product_events_as_comments(tmp_path: Path) -> None:
    pytest.importorskip("scapy")
    judged(tmp_path, provider=SimProvider(pcap=True))
    tshark = shutil.which("tshark") or "tshark"
    command = [
        tshark,
        "-n",
        "-r",
        str(tmp_path / "lan.pcapng"),
        "-Y",
        "frame.comment",
        "-T",
        "fields",
        "-e",
        "frame.comment",
    ]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    assert [line for line in found.stderr.splitlines() if not line.startswith("Running as user")] == []
    for text in ("fault partition between source and target", "partition: dropped on the way to", "event source "):
        assert text in found.stdout
