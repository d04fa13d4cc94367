from __future__ import annotations

import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from bodydouble_sim.network.capture import write_pcapng
from bodydouble_sim.world import World

story = runpy.run_path(str(Path(__file__).with_name("failover_story.py")))["story"]

pytest.importorskip("scapy", reason="scapy (extra: labs) renders captures")
TSHARK = shutil.which("tshark")
needs_tshark = pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    world, main = story(3)
    world.run(main())
    path = tmp_path_factory.mktemp("capture") / "lan.pcapng"
    written = write_pcapng(world.network.segment("lan").capture, path, start=world.start)
    world.close()
    return path, written


def tshark(path: Path, *arguments: str) -> list[str]:
    assert TSHARK is not None
    checks = [
        option
        for name in ("tcp.check_checksum", "udp.check_checksum", "ip.check_checksum", "tcp.relative_sequence_numbers")
        for option in ("-o", f"{name}:{'FALSE' if 'relative' in name else 'TRUE'}")
    ]
    command = [TSHARK, "-n", "-r", str(path), *checks, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


@needs_tshark
def test_a_capture_opens_in_tshark_without_malformed_packets_or_wrong_checksums(capture: tuple[Path, int]) -> None:
    path, written = capture
    assert len(tshark(path)) == written > 200
    wrong = "_ws.malformed || tcp.checksum.status == 0 || udp.checksum.status == 0 || ip.checksum.status == 0"
    assert tshark(path, "-Y", wrong) == []
    assert tshark(path, "-Y", "_ws.expert.severity == error") == []


@needs_tshark
@pytest.mark.parametrize("name", ["arp", "icmp", "icmp.type == 3", "nbns", "tcp.flags.syn == 1", "tcp.flags.fin == 1"])
def test_every_protocol_is_recognised(capture: tuple[Path, int], name: str) -> None:
    assert tshark(capture[0], "-Y", name)


@needs_tshark
def test_addresses_and_names_are_those_of_the_machines(capture: tuple[Path, int]) -> None:
    path, _ = capture
    takeover = tshark(
        path, "-Y", "arp.isgratuitous == 1 && arp.src.proto_ipv4 == 10.0.0.10", "-T", "fields", "-e", "eth.src"
    )
    assert takeover == ["02:50:56:00:00:01"] * 3 + ["02:50:56:00:00:02"]
    registered = set(tshark(path, "-Y", "nbns.flags.opcode == 5", "-T", "fields", "-e", "nbns.name"))
    assert {name.split("<")[0].strip() for name in registered} == {"SOURCE", "TARGET"}
    first = tshark(path, "-c", "1", "-T", "fields", "-e", "frame.time_epoch")
    assert first[0].startswith("1038819600.")


@needs_tshark
def test_tshark_sees_each_stream_as_lossless_and_in_order(capture: tuple[Path, int]) -> None:
    odd = "tcp.analysis.out_of_order || tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment"
    assert tshark(capture[0], "-Y", odd) == []


def test_a_world_that_captures_nothing_keeps_no_frames() -> None:
    world = World(1, capture=False)
    assert world.network.segment("lan").capture.maxlen == 0
    world.close()
