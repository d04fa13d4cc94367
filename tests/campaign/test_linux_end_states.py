"""What goes wrong by name, on this machine with real daemons: each case of `linux_end_states`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.campaign.linux_end_states import CASES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    """What was wrong with each case. One process plays them all: it leaves its namespaces, and there is no way back."""
    command = [sys.executable, "-m", "tests.campaign.linux_end_states", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.stdout, done.stderr[-4000:]
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(660)
@pytest.mark.root
@pytest.mark.fuse
@pytest.mark.program("rsync", "ip", "nsenter", "setpriv", "unshare", "mkfs.ext4")
@pytest.mark.parametrize("case", CASES)
def test_end_state(case: str, outcomes: dict[str, str]) -> None:
    assert outcomes[case] == ""
