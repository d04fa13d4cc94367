"""Whether a long run needs more memory than a short one."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from benchmarks.pairs import PORT, Asker, machines, serve

pytestmark = pytest.mark.benchmark(timer=time.process_time)

MILLION = 1_000_000
MARKS = (1, 2, 5, 10)
ALLOWED_GROWTH = 1.05


def resident_megabytes() -> float:
    """Resident memory of this process now (not its peak)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MILLION


async def ask() -> None:
    """A connection for each thousand pairs, so that connections come and go as well."""
    loop = asyncio.get_running_loop()
    while True:
        end = loop.create_future()
        await loop.create_connection(partial(Asker, 1000, end), "10.0.0.2", PORT)
        await end


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads resident memory as Linux shows it")
def test_memory_over_ten_million_events(benchmark: Any) -> None:
    """Frames, timers and connections, with captures on: once the bounded capture is full (first mark) it stays flat."""
    found: dict[str, float] = {}

    def run() -> None:
        world, client, server = machines(capture=True)
        server.spawn(serve(), name="server")
        client.spawn(ask(), name="client")
        for mark in MARKS:
            while world.loop.ticks < mark * MILLION:
                world.run(asyncio.sleep(100))
            found[f"{mark}M"] = round(resident_megabytes(), 1)
        world.close()

    benchmark.pedantic(run, rounds=1)
    benchmark.extra_info["resident_megabytes"] = found
    assert found["10M"] <= found["1M"] * ALLOWED_GROWTH, found
