"""A slice of ``make campaign-linux``: real daemons on this machine, and what rsync makes of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.campaign.calls import CALLS, NOT_ON_LINUX
from tests.campaign.changes import kinds

ROOT = Path(__file__).parents[2]


def test_every_kind_of_operation_has_a_call_that_makes_it() -> None:
    assert [kind.__name__ for kind in kinds() if kind not in (*CALLS, *NOT_ON_LINUX)] == []


@pytest.mark.root
@pytest.mark.fuse
@pytest.mark.program("rsync", "ip", "nsenter", "setpriv", "unshare")
def test_rsync_finds_nothing_after_workloads_with_faults_on_real_daemons() -> None:
    command = [sys.executable, "-m", "tests.campaign.linux", "--count", "3", "--from-seed", "3", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout)["workloads"] == 3
