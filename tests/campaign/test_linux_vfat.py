"""A vfat target on this machine with real daemons: see `linux_vfat`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.linux.test_vfat import FAT

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(360)
@pytest.mark.root
@pytest.mark.fuse
@pytest.mark.program("rsync", "ip", "nsenter", "setpriv", "unshare", "mkfs.vfat", "mount", "cp")
@pytest.mark.skipif(not FAT, reason="this kernel has no vfat")
def test_daemons_keep_what_vfat_can_and_say_the_rest() -> None:
    command = [sys.executable, "-m", "tests.campaign.linux_vfat"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-4000:]
