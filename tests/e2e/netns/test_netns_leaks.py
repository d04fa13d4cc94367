"""However the lab ends, nothing of its hosts stays on this machine."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.netns.conftest import Lab

pytestmark = [pytest.mark.root, pytest.mark.fuse]

PATIENCE = 20.0


@pytest.fixture
def outside() -> tuple[list[str], list[tuple[int, str]]]:
    """Mounts and network interfaces of this process before the test."""
    return _outside()


def _outside() -> tuple[list[str], list[tuple[int, str]]]:
    return Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines(), socket.if_nameindex()


def _none_left(lab: Lab) -> list[str]:
    """Descendants once there are none, or those that are left when patience ends."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.05)):
        if not lab.descendants():
            return []
        pause.wait(0.05)
    return lab.descendants()


def test_running_lab_shows_nothing_outside(
    start: Callable[[str], Lab], outside: tuple[list[str], list[tuple[int, str]]]
) -> None:
    lab = start("stay")
    assert lab.line() == {"up": True}
    assert len(lab.descendants()) > 4
    assert _outside() == outside


def test_killed_lab_leaves_no_process_and_no_mount(
    start: Callable[[str], Lab], outside: tuple[list[str], list[tuple[int, str]]]
) -> None:
    lab = start("stay")
    assert lab.line() == {"up": True}
    assert lab.end(signal.SIGKILL) == -signal.SIGKILL
    assert _none_left(lab) == []
    assert _outside() == outside


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_lab_takes_its_hosts_down_before_it_ends(
    start: Callable[[str], Lab], number: signal.Signals
) -> None:
    lab = start("stay")
    assert lab.line() == {"up": True}
    assert lab.end(number) != 0
    assert [line for line in lab.descendants() if not line.startswith(f"{lab.process.pid}:")] == []


def test_error_of_a_step_passes_through_after_the_hosts_are_down(start: Callable[[str], Lab]) -> None:
    lab = start("crash")
    assert lab.process.wait(60) == 1
    assert "planted" in lab.errors()
    assert lab.descendants() == []


def test_one_process_can_run_scenarios_one_after_the_other(
    start: Callable[[str], Lab], outside: tuple[list[str], list[tuple[int, str]]]
) -> None:
    lab = start("twice")
    for _ in range(2):
        assert lab.line() == {"answers": [True, True]}
        assert lab.line()["hash"] == ""
    assert lab.process.wait(60) == 0
    assert _outside() == outside


def test_logs_outlive_a_killed_lab(start: Callable[[str], Lab]) -> None:
    lab = start("stay")
    assert lab.line() == {"up": True}
    lab.end(signal.SIGKILL)
    assert "ready" in (lab.directory / "logs/source/daemon.log").read_text(encoding="utf-8")
