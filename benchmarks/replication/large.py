"""Workload ``large``: one large file written from end to end, then random blocks of it in place."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

from benchmarks.replication.trees import lag, rsync_lines, same_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.replication.stage import Metered
    from benchmarks.replication.systems import Running

BLOCK = 4096
PIECE = 1024 * 1024
WRITES = 2000
PATIENCE = 180.0
COPIES = 4
"""What the file system keeps in memory: source, replica, the target's queue, and some for the programs."""


def run(stage: Metered, running: Running, seed: int, mib: int) -> dict[str, float]:
    """One round: sequential, random, and once everything has arrived random once more, for its bytes alone."""
    draw = random.Random(f"{seed}:large")
    _touch_memory(running.replica.with_name("memory"), COPIES * mib)
    path, copy = running.source / "large.bin", running.replica / "large.bin"
    before = stage.wire_bytes()[0]
    began = time.monotonic()
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        for _ in range(mib):
            os.write(fd, draw.randbytes(PIECE))
        os.fsync(fd)
        written = time.monotonic()
        offsets = _overwrite(fd, draw, mib)
        ended = time.monotonic()
        measured = {"write_mb_per_s": mib * PIECE / 1e6 / (written - began), "application_s": ended - began}
        measured["lag_s"] = lag(lambda: same_bytes(running.truth / "large.bin", copy, offsets), ended, PATIENCE)
        time.sleep(0.5)
        measured["sent_mb"] = (stage.wire_bytes()[0] - before) / 1e6
        before = stage.wire_bytes()[0]
        offsets = _overwrite(fd, draw, mib)
        ended = time.monotonic()
        measured["random_lag_s"] = lag(lambda: same_bytes(running.truth / "large.bin", copy, offsets), ended, PATIENCE)
        time.sleep(0.5)
        measured["random_sent_mb"] = (stage.wire_bytes()[0] - before) / 1e6
    finally:
        os.close(fd)
    return measured | rsync_lines(running.source, running.replica)


def _touch_memory(path: Path, mib: int) -> None:
    """Have so much memory in the machine: a host gives a virtual one its memory page by page, when it is first used.

    Without it that would be measured instead, and would be another amount each time.
    """
    piece = bytes(PIECE)
    with path.open("wb", buffering=0) as file:
        for _ in range(mib):
            file.write(piece)
    path.unlink()


def _overwrite(fd: int, draw: random.Random, mib: int) -> list[int]:
    """Write random blocks at random places; the places of the last ones, newest first."""
    offsets = [draw.randrange(mib * PIECE - BLOCK) for _ in range(WRITES)]
    for offset in offsets:
        os.pwrite(fd, draw.randbytes(BLOCK), offset)
    return offsets[:-21:-1]
