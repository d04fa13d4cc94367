"""Workload ``layer``: what passing through the filter costs an application of one thread."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.replication.stage import Metered
    from benchmarks.replication.systems import Running

BLOCK = 4096
SPAN = 64 * 1024 * 1024


def run(stage: Metered, running: Running, seed: int, operations: int) -> dict[str, float]:
    """One round: operations per second of each kind."""
    del stage
    draw = random.Random(f"{seed}:layer")
    data = draw.randbytes(BLOCK)
    measured: dict[str, float] = {}
    fd = os.open(running.source / "blocks", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        began = time.perf_counter()
        for _ in range(operations):
            os.write(fd, data)
        measured["sequential_per_s"] = operations / (time.perf_counter() - began)
        os.ftruncate(fd, SPAN)
        offsets = [draw.randrange(SPAN // BLOCK) * BLOCK for _ in range(operations)]
        began = time.perf_counter()
        for offset in offsets:
            os.pwrite(fd, data, offset)
        measured["random_per_s"] = operations / (time.perf_counter() - began)
    finally:
        os.close(fd)
    directory = running.source / "created"
    directory.mkdir()
    paths = [f"{directory}/{at}" for at in range(operations // 2)]
    began = time.perf_counter()
    for path in paths:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, data)
        os.close(fd)
    measured["create_4k_per_s"] = len(paths) / (time.perf_counter() - began)
    began = time.perf_counter()
    for path in paths:
        os.unlink(path)
    measured["unlink_per_s"] = len(paths) / (time.perf_counter() - began)
    return measured
