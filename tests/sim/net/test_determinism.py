from __future__ import annotations

import os
import random
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bodydouble_sim.world import World

if TYPE_CHECKING:
    import pytest

STORY = Path(__file__).with_name("failover_story.py")
story = runpy.run_path(str(STORY))["story"]


def digest_in_a_process(seed: int, hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, str(STORY), str(seed)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def test_one_seed_gives_one_trace_in_any_process_under_any_hash_seed() -> None:
    digests = {digest_in_a_process(7, hash_seed) for hash_seed in ("0", "1", "31337")}
    assert len(digests) == 1
    world, main = story(7)
    world.run(main())
    assert digests == {f"{world.trace.digest} {len(world.trace.lines)}\n"}
    world.close()


def test_another_seed_gives_another_trace() -> None:
    assert digest_in_a_process(7, "0") != digest_in_a_process(8, "0")


def test_a_draw_from_outside_the_seed_is_seen_in_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: unseeded randomness reaching a packet must change the trace."""
    digests = []
    for _ in range(2):
        world, main = story(7)
        unseeded = random.Random()
        monkeypatch.setattr(
            "bodydouble_sim.network.ports.TcpPorts.first_sequence",
            lambda _, unseeded=unseeded: unseeded.getrandbits(32),
        )
        world.run(main())
        digests.append(world.trace.digest)
        world.close()
    assert digests[0] != digests[1]


def test_reading_the_digest_on_the_way_does_not_change_it() -> None:
    digests = []
    for peek in (False, True):
        world = World(1)
        for number in range(5000):
            world.trace.record("event", number, "text", 0.5, b"bytes")
            if peek and number % 777 == 0:
                assert world.trace.digest
        digests.append(world.trace.digest)
        world.close()
    assert digests[0] == digests[1]


def test_random_streams_of_subsystems_do_not_disturb_each_other() -> None:
    alone, beside = World(5), World(5)
    beside.random("other").random()
    assert alone.random("disk").random() == beside.random("disk").random()
    assert alone.random("disk") is alone.random("disk")
    alone.close()
    beside.close()
