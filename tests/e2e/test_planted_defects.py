"""The lab can fail: each defect planted in the product is seen by the checker that ought to see it."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble.failover.takeover import Takeover
from bodydouble.replication.queue import SourceQueue
from bodydouble.replication.replica import Replica
from bodydouble.replication.target import TargetSession
from bodydouble.vocabulary.operations import CreateFile, Write
from bodydouble_labs.providers.sim import SimProvider
from bodydouble_labs.runner import conduct
from bodydouble_labs.scenario import loader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bodydouble_labs.result import Result

    Plant = Callable[[pytest.MonkeyPatch], None]

RECORDS_BEFORE = 40
"""Uploads that pass unharmed before a defect bites, so that the mirror is over."""


def no_arp_announcement(patch: pytest.MonkeyPatch) -> None:
    async def silent(self: Takeover, item: Any) -> None:
        """The address is added and nobody is told."""

    patch.setattr(Takeover, "_announce", silent)


def skip_post_failover_script(patch: pytest.MonkeyPatch) -> None:
    async def skipped(self: Takeover, event: str, path: str, leave: object = None) -> None:
        """The identity is assumed and no service is started."""

    patch.setattr(Takeover, "_run_post_script", skipped)


def acknowledge_before_durable(patch: pytest.MonkeyPatch) -> None:
    async def hasty(_self: Replica) -> None:
        """Say that it is durable, and do nothing for it."""

    patch.setattr(Replica, "flush", hasty)


def is_upload(body: object) -> bool:
    return isinstance(body, Write) and "/records/" in body.path


def drop_one_write(patch: pytest.MonkeyPatch) -> None:
    original = SourceQueue.put
    uploads = itertools.count()

    def forgetful(self: SourceQueue, body: Any) -> int | None:
        if is_upload(body) and next(uploads) == RECORDS_BEFORE:
            return self.generated
        return original(self, body)

    patch.setattr(SourceQueue, "put", forgetful)


def swap_two_operations(patch: pytest.MonkeyPatch) -> None:
    """One upload's bytes are sent after the next upload's creation."""
    original = SourceQueue.put
    uploads = itertools.count()
    held: list[Any] = []

    def confused(self: SourceQueue, body: Any) -> int | None:
        if is_upload(body) and next(uploads) == RECORDS_BEFORE:
            held.append(body)
            return self.generated
        number = original(self, body)
        if held and isinstance(body, CreateFile):
            number = original(self, held.pop())
        return number

    patch.setattr(SourceQueue, "put", confused)


def remirror_over_newer_data(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TargetSession, "_blocked", lambda _self, _hello, _replica: False)


def corrupt_one_byte(patch: pytest.MonkeyPatch) -> None:
    original = SourceQueue.put
    uploads = itertools.count()

    def careless(self: SourceQueue, body: Any) -> int | None:
        if is_upload(body) and next(uploads) == RECORDS_BEFORE:
            body = Write(body.path, body.offset, b"\x00" + body.data[1:], body.mtime_ns)
        return original(self, body)

    patch.setattr(SourceQueue, "put", careless)


def run(scenario: str, directory: Path, seed: int = 1) -> Result:
    loaded = loader.load(loader.find(scenario))
    return conduct(loaded, SimProvider(), seed=seed, directory=directory, wall_clock=time.perf_counter).result


@pytest.mark.parametrize(
    ("plant", "scenario", "checker", "seed"),
    [
        pytest.param(no_arp_announcement, "iis5-power-loss", "availability", 1, id="no ARP announcement"),
        pytest.param(
            skip_post_failover_script, "iis5-power-loss", "availability", 1, id="post-failover script skipped"
        ),
        # With seed 1 all pages that waited in the target's cache happen to be on the platter: nothing is lost.
        pytest.param(acknowledge_before_durable, "iis5-site-power-loss", "loss", 2, id="acknowledged before durable"),
        pytest.param(swap_two_operations, "iis5-power-loss", "write-order", 1, id="two operations swapped"),
        pytest.param(drop_one_write, "iis5-power-loss", "write-order", 1, id="one write dropped"),
        pytest.param(corrupt_one_byte, "iis5-power-loss", "write-order", 1, id="one byte corrupted"),
        pytest.param(remirror_over_newer_data, "iis5-power-loss", "loss", 1, id="remirror over newer data"),
    ],
)
def test_the_checker_that_ought_to_see_a_planted_defect_sees_it(
    plant: Plant, scenario: str, checker: str, *, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    result = run(scenario, tmp_path, seed)
    verdicts = {check.name: check.verdict for check in result.checks}
    assert result.verdict == "fail", result
    assert verdicts[checker] == "fail", result


@pytest.mark.parametrize("scenario", loader.shipped_names())
def test_a_shipped_scenario_passes_without_defects(scenario: str, tmp_path: Path) -> None:
    result = run(scenario, tmp_path)
    assert result.verdict == "pass", result
