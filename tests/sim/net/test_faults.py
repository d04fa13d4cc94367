from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bodydouble_sim.errors import MachineStateError
from bodydouble_sim.machine import Machine
from bodydouble_sim.network.faults import Fault, Match, wire_length
from bodydouble_sim.network.troubles import (
    BlackHole,
    Corruption,
    DuplicatedAddress,
    Duplication,
    Flap,
    InjectedReset,
    Latency,
    Loss,
    LostAnnouncements,
    Partition,
    Reordering,
    SpoofedArp,
    Squeeze,
)
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Coroutine

A, B = "10.0.0.1", "10.0.0.2"


def pair(world: World) -> tuple[Machine, Machine]:
    segment = world.network.segment("lan")
    a, b = Machine(world, "A"), Machine(world, "B")
    a.plug(segment, f"{A}/24")
    b.plug(segment, f"{B}/24")
    a.power_on()
    b.power_on()
    world.run(asyncio.sleep(5))
    assert ping(world, a, B) is not None
    return a, b


def ping(world: World, machine: Machine, address: str) -> float | None:
    return world.run(machine.stack.ping(address, 1.0))


def on(world: World, machine: Machine, coro: Coroutine[object, object, object]) -> object:
    async def waited() -> object:
        return await machine.spawn(coro, name="test")

    return world.run(waited())


async def echo_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve() -> None:
    await asyncio.start_server(echo_server, "0.0.0.0", 7)


async def echoed(payload: bytes, address: str = B) -> bytes:
    reader, writer = await asyncio.open_connection(address, 7)
    writer.write(payload)
    writer.write_eof()
    answer = await reader.read(-1)
    writer.close()
    return answer


def transfer(world: World, a: Machine, b: Machine, payload: bytes) -> object:
    on(world, b, serve())
    return on(world, a, echoed(payload))


def test_network_without_faults_does_not_ask_any(world: World) -> None:
    pair(world)
    segment = world.network.segments["lan"]
    assert segment.faults is None
    loss = Loss(world, 0.5)
    loss.start()
    assert segment.faults is world.network.faults
    loss.heal()
    assert segment.faults is None


def test_partition_cuts_both_ways_until_it_heals(world: World) -> None:
    a, b = pair(world)
    cut = Partition(world, ["A"], ["B"])
    cut.start()
    assert ping(world, a, B) is None
    assert ping(world, b, A) is None
    assert cut.touched == 2
    cut.heal()
    assert ping(world, a, B) is not None


def test_one_way_partition_lets_the_other_direction_through(world: World) -> None:
    a, _ = pair(world)
    cut = Partition(world, ["B"], ["A"], one_way=True)
    cut.start()
    before = len([line for line in world.trace.lines if " icmp " in line])
    assert ping(world, a, B) is None
    sent = [line for line in world.trace.lines if " icmp " in line][before:]
    assert len([line for line in sent if " fault " not in line]) == 2  # the request arrived and was answered
    assert cut.touched == 1


def test_partition_leaves_third_machines_alone(world: World) -> None:
    a, _ = pair(world)
    c = Machine(world, "C")
    c.plug(world.network.segment("lan"), "10.0.0.3/24")
    c.power_on()
    world.run(asyncio.sleep(5))
    Partition(world, ["A"], ["B"]).start()
    assert ping(world, a, "10.0.0.3") is not None  # its ARP broadcast reached C, not B
    assert ping(world, c, B) is not None


def test_fault_that_meets_no_frame_has_no_witness(world: World) -> None:
    a, _ = pair(world)
    loss = Loss(world, 1.0, Match(protocol="udp"))
    loss.start()
    assert ping(world, a, B) is not None
    loss.heal()
    assert loss.touched == 0


def test_fault_starts_and_heals_once(world: World) -> None:
    fault = Loss(world, 0.5)
    with pytest.raises(MachineStateError, match="loss is not active"):
        fault.heal()
    fault.start()
    with pytest.raises(MachineStateError, match="loss has begun already"):
        fault.start()


@pytest.mark.parametrize("probability", [-0.1, 1.5])
def test_probability_outside_its_range_is_refused(world: World, probability: float) -> None:
    with pytest.raises(ValueError, match=f"loss: {probability} is no probability"):
        Loss(world, probability)


def test_match_selects_by_port_and_direction(world: World) -> None:
    a, b = pair(world)
    dropped = Loss(world, 1.0, Match(sender="A", receiver="B", protocol="tcp", port=9))
    dropped.start()
    assert transfer(world, a, b, b"x" * 10) == b"x" * 10
    assert dropped.touched == 0


def test_match_asks_scapy_where_asked_for(world: World) -> None:
    pytest.importorskip("scapy")
    a, _ = pair(world)
    loss = Loss(world, 1.0, Match(packet=lambda packet: packet.haslayer("ICMP") and packet["ICMP"].type == 0))
    loss.start()
    assert ping(world, a, B) is None
    assert loss.touched == 1


def test_loss_costs_time_and_no_bytes(world: World) -> None:
    a, b = pair(world)
    loss = Loss(world, 0.1)
    loss.start()
    payload = bytes(range(256)) * 1000
    assert transfer(world, a, b, payload) == payload
    assert loss.touched > 10


def test_latency_delays_and_keeps_the_order(world: World) -> None:
    a, b = pair(world)
    late = Latency(world, 0.1, jitter=0.05)
    late.start()
    trip = ping(world, a, B)
    assert trip is not None
    assert 0.2 < trip < 0.31
    payload = bytes(range(256)) * 400
    assert transfer(world, a, b, payload) == payload
    assert late.touched > 2


def test_latency_of_nothing_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="latency: expected a delay or jitter above 0"):
        Latency(world, 0)


def test_squeeze_bounds_the_throughput(world: World) -> None:
    a, b = pair(world)
    Squeeze(world, 1_000_000, Match(sender="A", protocol="tcp")).start()
    began = world.loop.time()
    payload = b"y" * 125_000  # a megabit
    assert transfer(world, a, b, payload) == payload
    assert 1.0 < world.loop.time() - began < 1.5


def test_squeezed_queue_drops_what_does_not_fit(world: World) -> None:
    a, b = pair(world)
    tight = Squeeze(world, 1_000_000, Match(sender="A", protocol="tcp"), queue=8000)
    tight.start()
    payload = b"z" * 50_000
    assert transfer(world, a, b, payload) == payload
    assert "dropped from a full queue" in "\n".join(world.trace.lines)


@pytest.mark.parametrize("kind", [Duplication, Reordering])
def test_duplication_and_reordering_do_not_reach_the_application(
    world: World, kind: type[Duplication | Reordering]
) -> None:
    a, b = pair(world)
    fault = kind(world, 0.3)
    fault.start()
    payload = bytes(range(256)) * 1000
    assert transfer(world, a, b, payload) == payload
    assert fault.touched > 10


def test_corrupted_frame_is_dropped_by_its_checksum(world: World) -> None:
    a, b = pair(world)
    damage = Corruption(world, 0.1, Match(protocol="tcp"))
    damage.start()
    payload = bytes(range(256)) * 1000
    assert transfer(world, a, b, payload) == payload
    assert damage.touched > 10


def test_corruption_older_than_the_checksum_reaches_the_application(world: World) -> None:
    a, b = pair(world)
    damage = Corruption(world, 0.5, Match(sender="A", protocol="tcp"), checksum_valid=True)
    damage.start()
    payload = bytes(50_000)
    answer = transfer(world, a, b, payload)
    assert isinstance(answer, bytes)
    assert len(answer) == len(payload)
    assert sum(byte != 0 for byte in answer) == damage.touched > 0


def test_lost_announcement_leaves_neighbours_with_the_old_mac(world: World) -> None:
    a, b = pair(world)
    c = Machine(world, "C")
    c.plug(world.network.segment("lan"), "10.0.0.3/24")
    c.power_on()
    world.run(asyncio.sleep(5))
    lost = LostAnnouncements(world, B)
    lost.start()
    b.power_off()
    c.stack.add_address("Local Area Connection", f"{B}/24")
    c.stack.announce("Local Area Connection", B)
    world.run(asyncio.sleep(1))
    assert ping(world, a, B) is None
    assert lost.touched == 2  # A's copy of the broadcast, and that of B, which has no power
    lost.heal()
    c.stack.announce("Local Area Connection", B)
    world.run(asyncio.sleep(1))
    assert ping(world, a, B) is not None


def test_mtu_black_hole_swallows_full_segments_only(world: World) -> None:
    a, b = pair(world)
    hole = BlackHole(world, 1400)
    hole.start()
    assert transfer(world, a, b, b"s" * 500) == b"s" * 500
    with pytest.raises(TimeoutError):
        on(world, a, echoed(b"f" * 5000))
    assert hole.touched >= 6


def test_injected_reset_ends_the_connection_on_both_sides(world: World) -> None:
    a, b = pair(world)
    on(world, b, serve())
    InjectedReset(world, Match(sender="B", protocol="tcp", port=7), every=2).start()
    with pytest.raises(ConnectionResetError):
        on(world, a, echoed(b"r" * 5000))


def test_flapping_link_is_noticed_and_counted_by_lost_frames(world: World) -> None:
    a, b = pair(world)
    flap = Flap(world, b.nics[0], down=2, up=8)
    flap.start()
    assert ping(world, a, B) is None
    world.run(asyncio.sleep(3))
    assert ping(world, a, B) is not None
    world.run(asyncio.sleep(7))
    flap.heal()
    assert b.nics[0].up
    assert flap.touched > 0
    world.run(asyncio.sleep(20))
    assert sum("cable B" in line and "out" in line for line in world.trace.lines) == 2


def test_duplicated_address_answers_beside_the_owner(world: World) -> None:
    a, _ = pair(world)
    twin = DuplicatedAddress(world, a.nics[0], f"{B}/24", announced=True)
    twin.start()
    world.run(asyncio.sleep(1))
    assert twin.touched > 0
    assert twin.machine.stack.owns(B)
    twin.heal()
    assert not twin.machine.powered


def test_spoofed_arp_turns_the_victim_and_nobody_else(world: World) -> None:
    a, b = pair(world)
    lie = SpoofedArp(world, a.nics[0], f"{B}/24")
    lie.start()
    world.run(asyncio.sleep(0.5))
    assert a.nics[0].arp.entries()[B] == lie.nic.mac
    assert ping(world, a, B) is None
    assert lie.touched > 0
    assert b.stack.owns(B)
    lie.heal()


def test_faults_are_part_of_the_trace_and_equal_for_equal_seeds() -> None:
    def digest(seed: int) -> str:
        world = World(seed)
        a, b = pair(world)
        Loss(world, 0.2).start()
        Reordering(world, 0.2).start()
        transfer(world, a, b, bytes(20_000))
        found = world.trace.digest
        world.close()
        return found

    assert digest(3) == digest(3)
    assert digest(3) != digest(4)


def test_base_fault_passes_everything(world: World) -> None:
    a, _ = pair(world)
    fault = Fault(world, "nothing")
    fault.start()
    assert ping(world, a, B) is not None
    assert fault.touched == 0


def test_wire_length_counts_headers_and_padding() -> None:
    assert wire_length(("arp", "", "", 1, "", "", "", "")) == 60
    assert wire_length(("tcp", "", "", "", "", 1, 2, 16, 0, 0, 0, b"x" * 1460)) == 1514
    assert wire_length(("udp", "", "", "", "", 1, 2, b"x" * 100)) == 142
