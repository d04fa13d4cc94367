from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from bodydouble_sim.machine import Machine
from bodydouble_sim.network.frames import ARP, ICMP, TCP, UDP
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from bodydouble_sim.trace import Trace

MACS = ("02:50:56:00:00:01", "02:50:56:00:00:02")
address = st.ip_addresses(v=4).map(str)
number = st.integers(0, 2**40)
payload = st.binary(max_size=40)


def frames(kind: str, *fields: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(*fields).map(lambda made: (kind, *MACS, *made))


any_frame = st.one_of(
    frames(TCP, address, address, *[number] * 6, payload),
    frames(ICMP, address, address, *[number] * 4, payload),
    frames(UDP, address, address, number, number, payload),
    frames(ARP, number, st.just(MACS[0]), address, st.just(MACS[1]), address),
)


def transmitted(sent: list[tuple[Any, ...]], *, keep: bool) -> Trace:
    world = World(1, keep_trace=keep)
    machine = Machine(world, "A")
    nic = machine.plug(world.network.segment("lan"), "10.0.0.1/24")
    life: Any = None  # nobody asks before the frame arrives, which it never does here
    for frame in sent:
        nic.segment.transmit(nic, life, frame)
    return world.trace


@given(st.lists(any_frame, max_size=20))
def test_a_frame_is_hashed_as_an_event_of_its_header_and_the_checksum_of_its_payload(
    sent: list[tuple[Any, ...]],
) -> None:
    expected = World(1).trace
    for frame in sent:
        kind, *rest = frame if frame[0] == ARP else (frame[0], *frame[3:-1], len(frame[-1]), crc32(frame[-1]))
        expected.record(kind, *rest)
    assert transmitted(sent, keep=False).digest == expected.digest


@given(st.lists(any_frame, max_size=20))
def test_keeping_a_trace_does_not_change_its_hash(sent: list[tuple[Any, ...]]) -> None:
    kept = transmitted(sent, keep=True)
    assert kept.digest == transmitted(sent, keep=False).digest
    assert len(kept.lines) == len(sent)
