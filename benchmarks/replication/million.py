"""Workload ``million``: a replication set of very many files; how fast it is mirrored, and in how much memory."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.replication.stage import Metered
    from benchmarks.replication.systems import Running

FILES_A_DIRECTORY = 1000
CONTENT = b"a small file\n"


def run(stage: Metered, running: Running, seed: int, files: int) -> dict[str, float]:
    """One round: the tree beneath the filter, then the first mirror of it; every fourth file has bytes."""
    del stage, seed
    assert running.product is not None
    began = time.monotonic()
    _make(f"{running.truth}", files)
    made = time.monotonic()
    running.product.connect()
    mirrored = time.monotonic()
    sending, receiving = running.product.sending, running.product.receiving
    return {
        "made_per_s": files / (made - began),
        "mirrored_per_s": files / (mirrored - made),
        "mirror_s": mirrored - made,
        "source_peak_mb": sending.peak_rss() / 1e6,
        "target_peak_mb": receiving.peak_rss() / 1e6,
        "source_cpu_s": sending.cpu_seconds(),
        "target_cpu_s": receiving.cpu_seconds(),
    }


def _make(root: str, files: int) -> None:
    for at in range(files):
        if at % FILES_A_DIRECTORY == 0:
            os.mkdir(f"{root}/d{at // FILES_A_DIRECTORY}")
        fd = os.open(f"{root}/d{at // FILES_A_DIRECTORY}/{at}", os.O_WRONLY | os.O_CREAT, 0o644)
        if at % 4 == 0:
            os.write(fd, CONTENT)
        os.close(fd)
