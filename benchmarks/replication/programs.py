"""Workload ``programs``: dbench and fio on the protected directory, then a comparison by rsync."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.replication.trees import differences, only_directory_times

if TYPE_CHECKING:
    from benchmarks.replication.stage import Metered
    from benchmarks.replication.systems import Running

LOAD_FILE = Path("/usr/share/dbench/client.txt")
_THROUGHPUT = re.compile(r"Throughput ([0-9.]+) MB/sec")
PATIENCE = 120.0


def missing() -> str:
    """Why it cannot run here; empty when it can."""
    for name in ("dbench", "fio"):
        if shutil.which(name) is None:
            return f"the program {name} is missing: apt-get install dbench fio"
    return ""


def run(stage: Metered, running: Running, seed: int, seconds: int) -> dict[str, float]:
    """One round: each program for so many seconds."""
    del stage
    measured = {"dbench_mb_per_s": _dbench(running.source, seconds)}
    measured |= _fio(running.source, seed, seconds)
    began = time.monotonic()
    lines = differences(running.truth, running.replica)
    while any(not only_directory_times(line) for line in lines) and time.monotonic() - began < PATIENCE:
        time.sleep(1.0)
        lines = differences(running.truth, running.replica)
    measured["equal_after_s"] = time.monotonic() - began
    measured["rsync_lines"] = sum(not only_directory_times(line) for line in lines)
    return measured


def _dbench(directory: Path, seconds: int) -> float:
    command = ["dbench", "-D", str(directory), "-t", str(seconds), "--loadfile", str(LOAD_FILE), "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = _THROUGHPUT.search(done.stdout)
    if found is None:
        raise RuntimeError(f"dbench failed: {(done.stdout + done.stderr)[-1000:]}")
    return float(found[1])


def _fio(directory: Path, seed: int, seconds: int) -> dict[str, float]:
    """Random writes of 4 KiB by two jobs, each fsynced now and then."""
    options = {"rw": "randwrite", "bs": "4k", "size": "64m", "numjobs": "2", "fsync": "64", "randseed": str(seed)}
    options |= {"time_based": "1", "runtime": str(seconds), "group_reporting": "1", "output-format": "json"}
    command = [
        "fio",
        "--name=bench",
        f"--directory={directory}",
        *(f"--{key}={value}" for key, value in options.items()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout[done.stdout.index("{") :])["jobs"][0]["write"]
    return {"fio_writes_per_s": float(figures["iops"])}
