from __future__ import annotations

import asyncio
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from bodydouble_sim.machine import Machine
from bodydouble_sim.network.capture import write_pcapng
from bodydouble_sim.network.faults import Match
from bodydouble_sim.network.troubles import Duplication, InjectedReset, Loss, Reordering
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("scapy", reason="scapy (extra: labs) renders captures")
pytestmark = pytest.mark.program("tshark")

REQUEST = b"".join(b"request %06d\n" % number for number in range(3000))
ANSWER = b"".join(b"answer %07d\n" % number for number in range(4000))


def tshark(path: Path, *arguments: str) -> str:
    found = subprocess.run(
        [shutil.which("tshark") or "tshark", "-n", "-r", str(path), *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    warnings = [line for line in found.stderr.splitlines() if not line.startswith("Running as user")]
    assert warnings == []
    return found.stdout


def conversation(seed: int, *, reset: bool = False) -> World:
    """A request and an answer over a bad wire."""
    world = World(seed, keep_trace=True)
    machines = Machine(world, "A"), Machine(world, "B")
    for number, machine in enumerate(machines, 1):
        machine.plug(world.network.segment("lan"), f"10.0.0.{number}/24")
        machine.power_on()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.write(ANSWER)
        writer.write_eof()

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("10.0.0.2", 80)
        writer.write(REQUEST)
        writer.write_eof()
        try:
            return await reader.read(-1)
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    async def main() -> bytes:
        await machines[1].spawn(asyncio.start_server(answer, "0.0.0.0", 80), name="server")
        await asyncio.sleep(5)
        return await machines[0].spawn(ask(), name="client")

    tcp = Match(protocol="tcp")
    for fault in (Loss(world, 0.05, tcp), Duplication(world, 0.05, tcp), Reordering(world, 0.05, tcp)):
        fault.start()
    if reset:
        InjectedReset(world, Match(sender="B", protocol="tcp"), every=20).start()
    got = world.run(main())
    assert reset or got == ANSWER
    return world


def written(world: World, path: Path) -> Path:
    segment = world.network.segment("lan")
    marks = [(0, "the wire is bad"), (4_000_000_000, "Übung beginnt"), (world.loop.now * 2, "afterwards")]
    write_pcapng(segment.capture, path, start=world.start, remarks=segment.remarks, marks=marks)
    world.close()
    return path


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(conversation(5), tmp_path_factory.mktemp("commented") / "lan.pcapng")


def comments(path: Path) -> list[str]:
    return [line for line in tshark(path, "-T", "fields", "-e", "frame.comment").splitlines() if line]


def test_frames_that_faults_touched_carry_comments(capture: Path) -> None:
    found = "\n".join(comments(capture))
    for verdict in ("loss: dropped", "duplication: duplicated", "reordering: reordered"):
        assert f"{verdict} on the way to " in found


def test_marks_stand_at_the_first_packet_after_them_or_the_last(capture: Path) -> None:
    every = tshark(capture, "-T", "fields", "-e", "frame.comment").splitlines()
    assert "the wire is bad" in every[0]
    assert sum("Übung beginnt" in line for line in every) == 1
    assert "afterwards" in every[-1]


def test_forged_frame_is_in_the_capture_and_says_so(tmp_path: Path) -> None:
    path = written(conversation(5, reset=True), tmp_path / "reset.pcapng")
    forged = tshark(
        path, "-Y", 'frame.comment contains "injected-reset: forged"', "-T", "fields", "-e", "tcp.flags.reset"
    )
    assert set(forged.split()) == {"1"}


def test_no_packet_is_malformed_or_has_a_wrong_checksum(capture: Path) -> None:
    wrong = "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0 || _ws.expert.severity == error"
    options = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
    assert tshark(capture, *options, "-Y", wrong) == ""


def test_streams_reassemble_to_the_bytes_that_were_sent(capture: Path) -> None:
    sides = {"client": bytearray(), "server": bytearray()}
    for line in tshark(capture, "-q", "-z", "follow,tcp,raw,0").splitlines():
        if line.strip("\t") and all(letter in "0123456789abcdef" for letter in line.strip("\t")):
            sides["server" if line.startswith("\t") else "client"] += bytes.fromhex(line.strip("\t"))
    assert bytes(sides["client"]) == REQUEST
    assert bytes(sides["server"]) == ANSWER


def test_remarks_change_no_frame() -> None:
    world = conversation(6)
    segment = world.network.segment("lan")
    captured = set(segment.capture)
    assert segment.remarks
    assert all((when, frame) in captured for when, frame, _ in segment.remarks)
    world.close()
