"""Every fault of the network that a scenario can ask for, begun by its step and seen from outside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from bodydouble_labs.providers.sim import SimProvider
from bodydouble_labs.runner import conduct
from bodydouble_labs.scenario.faults import FAULT_KEYS
from bodydouble_labs.scenario.loader import find, load
from bodydouble_labs.scenario.steps import FaultStep, HealStep, RunForStep
from bodydouble_sim.network.bpf import missing_library

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bodydouble_labs.providers.sim_stage import SimStage
    from bodydouble_labs.result import Result
    from bodydouble_labs.scenario.model import Scenario
    from bodydouble_labs.scenario.steps import AnyStep

LAN = load(find("iis5-partition"))
ROUTED = load(find("iis5-routed-clients"))
SOURCE, TARGET = "10.0.0.10", "10.0.0.20"
ECHO_PORT, OTHER_PORT = 7, 8
PAIR = ["client", "source"]

needs_libpcap = pytest.mark.skipif(missing_library() is not None, reason=missing_library() or "")


def under(directory: Path, step: FaultStep, look: Callable[[SimStage], Awaitable[None]], scenario: Scenario) -> int:
    """Begin a fault on a built stage, look, heal it; how many frames it touched."""
    touched: list[int] = []

    async def main(stage: SimStage) -> None:
        stage.hosts["source"].machine.spawn(serve(), name="echo")
        assert await stage.ping(SOURCE)
        stage.network_faults.begin(step)
        await look(stage)
        touched.append(stage.network_faults.heal(step.fault))
        assert await answers(1) == [b"0"]

    adapted: Any = main
    SimProvider().run(msgspec.structs.replace(scenario, timeline=[step]), 1, directory, adapted)
    return touched[0]


class Echo(asyncio.DatagramProtocol):
    """Sends everything back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


class Heard(asyncio.DatagramProtocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.data: list[bytes] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        self.data.append(data)


async def serve() -> None:
    """An echo service over UDP on two ports, and over TCP on one."""
    loop = asyncio.get_running_loop()
    for port in (ECHO_PORT, OTHER_PORT):
        await loop.create_datagram_endpoint(Echo, local_addr=("0.0.0.0", port))
    server = await asyncio.start_server(echo, "0.0.0.0", ECHO_PORT)
    await server.serve_forever()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            writer.write(line)
    except ConnectionError:
        pass
    finally:
        writer.close()


async def answers(count: int, *, port: int = ECHO_PORT, size: int = 1) -> list[bytes]:
    """What the echo service answers within a second to so many numbered datagrams, in the order of arrival."""
    transport, heard = await asyncio.get_running_loop().create_datagram_endpoint(Heard, remote_addr=(SOURCE, port))
    for number in range(count):
        transport.sendto(str(number).encode().rjust(size, b"."))
    await asyncio.sleep(1)
    transport.close()
    return heard.data


async def line_over_tcp() -> bytes:
    reader, writer = await asyncio.open_connection(SOURCE, ECHO_PORT)
    try:
        writer.write(b"hello\n")
        return await reader.readline()
    finally:
        writer.close()


def test_partition_cuts_two_machines_and_spares_others(tmp_path: Path) -> None:
    async def look(stage: SimStage) -> None:
        assert not await stage.ping(SOURCE)
        assert await stage.ping(TARGET)

    assert under(tmp_path, FaultStep(fault="partition", between=PAIR), look, LAN) > 0


def test_faults_between_machines_behind_a_router_strike_each_frame_once(tmp_path: Path) -> None:
    async def look(stage: SimStage) -> None:
        assert not await stage.ping(SOURCE)
        assert await stage.ping(TARGET)

    assert under(tmp_path, FaultStep(fault="partition", between=PAIR), look, ROUTED) == 1


def test_a_router_can_be_one_of_the_two(tmp_path: Path) -> None:
    async def look(stage: SimStage) -> None:
        assert not await stage.ping(SOURCE)
        assert not await stage.ping(TARGET)

    assert under(tmp_path, FaultStep(fault="partition", between=["client", "gate"]), look, ROUTED) > 0


def test_latency_with_jitter_is_felt(tmp_path: Path) -> None:
    async def look(stage: SimStage) -> None:
        began = stage.elapsed()
        assert await stage.ping(SOURCE)
        assert 0.2 < stage.elapsed() - began < 0.4

    under(tmp_path, FaultStep(fault="latency", between=PAIR, delay=0.1, jitter=0.1), look, LAN)


def test_squeezed_line_is_slow_and_drops_what_its_queue_cannot_hold(tmp_path: Path) -> None:
    async def look(stage: SimStage) -> None:
        began = stage.elapsed()
        assert await stage.ping(SOURCE)
        assert stage.elapsed() - began > 2 * 74 * 8 / 100_000
        assert 0 < len(await answers(20, size=400)) < 20

    step = FaultStep(fault="squeeze", between=PAIR, bits_per_second=100_000, queue=2000)
    assert under(tmp_path, step, look, LAN) > 20


def test_duplicated_datagrams_arrive_twice(tmp_path: Path) -> None:
    async def look(stage: SimStage) -> None:
        del stage
        assert await answers(1) == [b"0", b"0"]

    under(tmp_path, FaultStep(fault="duplicate", between=PAIR, one_way=True, probability=1), look, LAN)


def test_reordered_datagrams_arrive_in_another_order(tmp_path: Path) -> None:
    async def look(stage: SimStage) -> None:
        del stage
        got = await answers(9)
        assert got != sorted(got)
        assert sorted(got) == [str(number).encode() for number in range(9)]

    under(tmp_path, FaultStep(fault="reorder", between=PAIR, probability=0.5, hold=0.1), look, LAN)


def test_corrupted_frames_are_dropped_by_their_checksum(tmp_path: Path) -> None:
    async def look(stage: SimStage) -> None:
        assert not await stage.ping(SOURCE)

    assert under(tmp_path, FaultStep(fault="corrupt", between=PAIR, probability=1), look, LAN) > 0


def test_corruption_with_a_valid_checksum_changes_one_bit(tmp_path: Path) -> None:
    async def look(stage: SimStage) -> None:
        assert await stage.ping(SOURCE)
        (got,) = await answers(1)
        assert (got[0] ^ ord("0")).bit_count() == 1

    step = FaultStep(fault="corrupt", between=PAIR, one_way=True, probability=1, checksum_valid=True)
    assert under(tmp_path, step, look, LAN) == 1


def test_long_packets_vanish_in_a_black_hole(tmp_path: Path) -> None:
    async def look(stage: SimStage) -> None:
        assert await stage.ping(SOURCE)
        assert await answers(1, size=1000) == []

    assert under(tmp_path, FaultStep(fault="black-hole", between=PAIR, mtu=576), look, LAN) == 1


def test_injected_reset_ends_a_connection(tmp_path: Path) -> None:
    async def look(stage: SimStage) -> None:
        assert await stage.ping(SOURCE)
        with pytest.raises(ConnectionError):
            await line_over_tcp()

    assert under(tmp_path, FaultStep(fault="reset", between=PAIR, every=2), look, LAN) > 0


def test_spoofed_arp_leads_one_victim_astray_until_its_owner_speaks(tmp_path: Path) -> None:
    async def main(stage: SimStage) -> None:
        assert await stage.ping(SOURCE)
        stage.network_faults.begin(FaultStep(fault="spoofed-arp", on="client", address=SOURCE, interval=5))
        await asyncio.sleep(1)
        assert not await stage.ping(SOURCE)
        assert stage.network_faults.heal("spoofed-arp") > 0
        source = stage.hosts["source"].machine
        source.stack.announce("Local Area Connection", SOURCE)
        await asyncio.sleep(0.1)
        assert await stage.ping(SOURCE)

    adapted: Any = main
    SimProvider().run(LAN, 1, tmp_path, adapted)


def test_duplicate_address_is_noticed_by_its_owner(tmp_path: Path) -> None:
    async def main(stage: SimStage) -> None:
        stage.network_faults.begin(FaultStep(fault="duplicate-address", address=SOURCE, announced=True))
        await asyncio.sleep(1)
        assert stage.network_faults.heal("duplicate-address") > 0
        log = stage.hosts["source"].machine.system.event_log.entries
        assert [entry.text for entry in log if "address conflict for IP address 10.0.0.10" in entry.text]

    adapted: Any = main
    SimProvider().run(LAN, 1, tmp_path, adapted)


def test_a_fault_is_narrowed_by_protocol(tmp_path: Path) -> None:
    async def look(stage: SimStage) -> None:
        assert not await stage.ping(SOURCE)
        assert await answers(1) == [b"0"]

    assert under(tmp_path, FaultStep(fault="loss", between=PAIR, probability=1, protocol="icmp"), look, LAN) == 1


def test_a_fault_is_narrowed_by_port(tmp_path: Path) -> None:
    async def look(stage: SimStage) -> None:
        assert await stage.ping(SOURCE)
        assert await answers(1) == []
        assert await answers(1, port=OTHER_PORT) == [b"0"]

    assert under(tmp_path, FaultStep(fault="partition", between=PAIR, port=ECHO_PORT), look, LAN) == 1


@needs_libpcap
@pytest.mark.parametrize("scenario", [LAN, ROUTED], ids=["lan", "routed"])
def test_a_fault_is_narrowed_by_a_filter_expression(tmp_path: Path, scenario: Scenario) -> None:
    async def look(stage: SimStage) -> None:
        assert await stage.ping(SOURCE)
        assert await answers(3) == [b"0", b"2"]
        assert await answers(1, port=OTHER_PORT) == [b"0"]

    step = FaultStep(fault="partition", between=PAIR, match=f"udp dst port {ECHO_PORT} and udp[8] = 0x31")
    assert under(tmp_path, step, look, scenario) == 1


def test_a_scenario_with_a_filter_is_skipped_where_libpcap_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    step = FaultStep(fault="partition", between=PAIR, match="udp")
    monkeypatch.setattr("bodydouble_sim.network.bpf._libpcap", lambda: None)
    scenario = msgspec.structs.replace(LAN, timeline=[step])
    assert SimProvider().missing(scenario) == (
        "filter expressions need libpcap: install it (the package libpcap0.8 on Debian)"
    )
    assert SimProvider().missing(LAN) is None


def test_every_fault_of_the_network_can_be_made(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "between": ["source", "target"],
        "probability": 0.5,
        "delay": 1,
        "bits_per_second": 1e6,
        "mtu": 576,
        "down": 1,
        "up": 1,
        "address": "10.0.0.77",
        "on": "source",
    }

    async def main(stage: SimStage) -> None:
        for kind, keys in FAULT_KEYS.items():
            if kind != "power-loss":
                step: dict[str, Any] = {"fault": kind} | {key: values[key] for key in keys.needed}
                stage.network_faults.begin(FaultStep(**step))
        assert len(stage.network_faults.unhealed()) == len(FAULT_KEYS) - 1

    adapted: Any = main
    SimProvider().run(LAN, 1, tmp_path, adapted)


def judged(directory: Path, *steps: AnyStep) -> Result:
    """The shipped scenario with other steps in the place of its faults."""
    first = next(index for index, step in enumerate(LAN.timeline) if isinstance(step, FaultStep))
    last = max(index for index, step in enumerate(LAN.timeline) if isinstance(step, HealStep))
    timeline = [*LAN.timeline[:first], *steps, *LAN.timeline[last + 1 :]]
    scenario = msgspec.structs.replace(LAN, timeline=timeline)
    return conduct(scenario, SimProvider(), seed=1, directory=directory, wall_clock=lambda: 0.0).result


def test_a_bad_wire_is_survived(tmp_path: Path) -> None:
    servers = ["source", "target"]
    result = judged(
        tmp_path,
        FaultStep(fault="duplicate", between=servers, probability=0.05),
        FaultStep(fault="reorder", between=servers, probability=0.05, protocol="tcp"),
        FaultStep(fault="corrupt", between=servers, probability=0.05),
        FaultStep(fault="squeeze", between=servers, bits_per_second=1_000_000),
        RunForStep(run_for=30),
        *(HealStep(heal=kind) for kind in ("duplicate", "reorder", "corrupt", "squeeze")),
    )
    assert (result.verdict, result.reason) == ("pass", "")


# The run stops there and then; the writer's upload is cut off with its stream open.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "step",
    [
        FaultStep(fault="black-hole", between=PAIR, mtu=1500),
        FaultStep(fault="loss", between=PAIR, probability=1, protocol="udp", port=9),
        FaultStep(fault="duplicate-address", address="10.0.0.77"),
    ],
    ids=lambda step: step.fault,
)
def test_a_fault_that_nobody_felt_makes_the_run_invalid(tmp_path: Path, step: FaultStep) -> None:
    heal: Any = step.fault
    result = judged(tmp_path, step, RunForStep(run_for=10), HealStep(heal=heal))
    assert result.verdict == "invalid"
    assert f"the fault {step.fault} touched no frame: it did not happen" in result.reason
