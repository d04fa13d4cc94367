"""Starts `drive` in a process of its own and finds what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator

    from _pytest.tmpdir import TempPathFactory

DRIVE = Path(__file__).with_name("drive.py")
MARK = "PYTHONNETNSTEST"
"""Environment variable by which every descendant is known: the body hands PYTHON* on to all processes of a host."""


class Lab:
    """A running `drive` and its descendants."""

    def __init__(self, case: str, directory: Path) -> None:
        self.directory = directory
        self.mark = f"{MARK}={directory}"
        environment = {**os.environ, MARK: str(directory)}
        self.process = subprocess.Popen(
            [sys.executable, str(DRIVE), case, str(directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            start_new_session=True,
        )

    def line(self) -> dict[str, Any]:
        """The next thing that the case tells."""
        assert self.process.stdout is not None
        text = self.process.stdout.readline()
        assert text, self.errors()
        seen: dict[str, Any] = json.loads(text)
        return seen

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read() + self.logs()

    def logs(self) -> str:
        return "".join(f"--- {path}\n{path.read_text()}" for path in sorted(self.directory.rglob("*.log")))

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the lab's own end."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def descendants(self) -> list[str]:
        """Command lines of processes that still carry the mark, the lab's own among them."""
        return [line for line in map(self._marked, Path("/proc").glob("[0-9]*")) if line]

    def _marked(self, process: Path) -> str:
        try:
            if self.mark.encode() not in (process / "environ").read_bytes().split(b"\0"):
                return ""
            return f"{process.name}: {(process / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()}"
        except OSError:
            return ""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Lab]]:
    """Starts cases; what still runs at the test's end is killed."""
    labs: list[Lab] = []

    def start_case(case: str) -> Lab:
        labs.append(Lab(case, tmp_path / str(len(labs))))
        return labs[-1]

    yield start_case
    for lab in labs:
        lab.process.kill()
        lab.process.communicate()


@pytest.fixture(scope="session")
def life(tmp_path_factory: TempPathFactory) -> dict[str, Any]:
    """Everything that the case `life` told, in one run for all tests that ask."""
    lab = Lab("life", tmp_path_factory.mktemp("life"))
    seen: dict[str, Any] = {"directory": str(lab.directory)}
    output, errors = lab.process.communicate(timeout=120)
    for line in output.splitlines():
        seen |= json.loads(line)
    assert lab.process.returncode == 0, f"{output}\n{errors}\n{lab.logs()}"
    return seen
