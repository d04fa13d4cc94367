"""What of a TLS conversation is the same in every process: when each frame goes and how long it is, not its bytes."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.certificates import Authority
from tests.sim.net.tls_story import serve, story, wire

from bodydouble_sim.network.tls import is_hello

if TYPE_CHECKING:
    import pytest

    from bodydouble_sim.machine import Machine
    from bodydouble_sim.world import World

STORY = Path(__file__).with_name("tls_story.py")
ROOT = Path(__file__).parents[3]


def told(seed: int, hash_seed: str) -> tuple[str, str, str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(STORY), str(seed)]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    digest, lines, on_the_wire = output.split()
    return digest, lines, on_the_wire


def test_one_seed_gives_one_trace_of_tls_in_any_process_though_its_bytes_differ() -> None:
    first, second = told(7, "0"), told(7, "31337")
    assert first[:2] == second[:2]
    assert first[2] != second[2]


def test_another_seed_gives_another_trace_of_tls() -> None:
    assert told(7, "0")[0] != told(8, "0")[0]


def test_no_ciphertext_is_in_the_trace(tmp_path: Path) -> None:
    world, main = story(7, tmp_path)
    world.run(main)
    carried = [line.split() for line in world.trace.lines if line.split()[1] == "tcp" and line.split()[-2] != "0"]
    assert len(carried) > 50
    assert {line[-1] for line in carried} == {"sealed"}
    world.close()


def test_a_trace_of_ciphertext_would_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: without the seal the comparison of two runs sees OpenSSL's entropy."""
    monkeypatch.setattr("bodydouble_sim.network.transport.is_hello", lambda _: False)
    digests = []
    for _ in range(2):
        world, main = story(7, tmp_path)
        world.run(main)
        digests.append((world.trace.digest, wire(world)))
        world.close()
    assert digests[0][0] != digests[1][0]


def test_plain_data_is_not_taken_for_tls() -> None:
    hello = bytes([22, 3, 1, 0, 200, 1, 0, 0, 196])
    assert is_hello(hello)
    assert is_hello(bytes([22, 3, 3, 0, 90, 2, 0, 0, 86]))
    for wrong in (b"", hello[:5], b"GET / HTTP/1.1\r\n", bytes([22, 3, 1, 255, 255, 1]), bytes([22, 3, 1, 0, 9, 7])):
        assert not is_hello(wrong)


def test_a_power_cut_leaves_tls_connections_without_a_word(
    world: World, machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    """Neither a close_notify goes out nor does a finalizer complain about what was open."""
    a, b = machines
    authority = Authority(tmp_path)

    async def hold() -> None:
        reader, _ = await asyncio.open_connection("10.0.0.20", 7443, ssl=authority.client())
        await reader.read()

    async def main() -> None:
        b.spawn(serve(authority.server("10.0.0.20")), name="server")
        await asyncio.sleep(5)
        a.spawn(hold(), name="client")
        await asyncio.sleep(1)
        frames = len(world.network.segments["lan"].frames())
        a.power_off()
        b.power_off()
        await asyncio.sleep(100)
        assert len(world.network.segments["lan"].frames()) == frames

    world.run(main())
    world.close()
    gc.collect()


def test_the_conversation_outlives_a_certificates_calendar(
    world: World, machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    """OpenSSL compares dates with the host's clock, whatever the virtual calendar says."""
    a, b = machines
    authority = Authority(tmp_path)
    assert world.now().year == 2002

    async def main() -> None:
        b.spawn(serve(authority.server("10.0.0.20", "SERVER")), name="server")
        a.hosts["SERVER"] = "10.0.0.20"
        await asyncio.sleep(5)
        await a.spawn(talk(), name="client")

    async def talk() -> None:
        reader, writer = await asyncio.open_connection("SERVER", 7443, ssl=authority.client())
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.close()
        await writer.wait_closed()

    world.run(main())
