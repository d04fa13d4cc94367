"""A fixed log of operations and a seed give the same bytes, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.sim.storage.volumes import KINDS

ROOT = Path(__file__).parents[3]
SCRIPT = """
import hashlib, random, sys
from tests.sim.storage.power_cuts import Oracle, step, snapshot
from tests.sim.storage.volumes import Clock, new_volume

kind, total = sys.argv[1], hashlib.sha256()
for seed in range(40):
    stream, clock = random.Random(f"log {seed}"), Clock()
    volume = new_volume(kind, clock)
    oracle = Oracle(volume, clock)
    for number in range(30):
        step(volume, oracle, clock, stream, number)
    oracle.stop()
    lost = volume.power_loss(random.Random(seed))
    said = volume.check()
    for path, seen in snapshot(volume).items():
        total.update(repr((path, seen, volume.short_name(path))).encode())
        total.update(b"" if seen[0] else volume.read(path))
    total.update(repr((lost, volume.lost_changes, said, volume.disk.used)).encode())
print(total.hexdigest())
"""


def digest(kind: str, hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT, kind]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_fixed_log_gives_the_same_bytes_for_the_same_seed(kind: str) -> None:
    first, second = digest(kind, "1"), digest(kind, "4711")
    assert len(first.strip()) == 64
    assert first == second
