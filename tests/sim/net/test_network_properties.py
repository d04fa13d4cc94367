"""Properties of the network under any schedule of faults, found or refuted by Hypothesis.

Claimed of TCP: a reader gets a prefix of what its peer wrote, and all of it when it sees the end of input. A side that
has something unacknowledged (data or its FIN) ends in success or in an error. A side that only waits, everything of its
own acknowledged, learns of a dead path by no means (RFC 1122, 4.2.3.6: keep-alive is off unless asked for): of it
nothing but the prefix is claimed, and that it ended in an error or really has nothing unacknowledged.
"""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bodydouble_sim.machine import Machine
from bodydouble_sim.network.faults import Deliveries, Fault, Match
from bodydouble_sim.network.frames import ARP, ARP_REPLY, Frame
from bodydouble_sim.network.tcp import TcpConnection
from bodydouble_sim.network.troubles import DuplicatedAddress, Partition
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

PASS, DROP, DELAY, DUPLICATE = "pass", "drop", "delay", "duplicate"
Verdict = tuple[str, float]
verdicts = st.one_of(
    st.just((PASS, 0.0)),
    st.just((DROP, 0.0)),
    st.tuples(st.just(DELAY), st.floats(0.000_001, 10)),
    st.tuples(st.just(DUPLICATE), st.floats(0.000_001, 10)),
)
schedules = st.lists(verdicts, max_size=60)


class Scheduled(Fault):
    """Does to the n-th TCP delivery what the schedule says of it; later ones pass, or are all lost."""

    def __init__(self, world: World, schedule: Sequence[Verdict], *, dead_end: bool) -> None:
        super().__init__(world, "scheduled", Match(protocol="tcp"))
        self._left = list(reversed(schedule))
        self._after: Verdict = (DROP if dead_end else PASS, 0.0)

    def decide(self, frame: Frame) -> tuple[str, Deliveries]:
        what, delay = self._left.pop() if self._left else self._after
        later = 1 + int(delay * 1_000_000_000)
        made: dict[str, Deliveries] = {
            PASS: [(0, frame)],
            DROP: [],
            DELAY: [(later, frame)],
            DUPLICATE: [(0, frame), (later, frame)],
        }
        return ("" if what == PASS else what), made[what]


@dataclass
class Side:
    """What one end saw. ``complete``: its peer's end of input; ``error``: how it ended otherwise.

    ``transport``: the connection, once there is one; ``unsettled``: at the end something of it was unacknowledged.
    """

    got: bytearray = field(default_factory=bytearray)
    complete: bool = False
    error: OSError | None = None
    transport: Any = None
    unsettled: bool = False


async def talk(side: Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pieces: Sequence[bytes]) -> None:
    side.transport = writer.transport
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
        while data := await reader.read(4096):
            side.got += data
        side.complete = True
        writer.close()
        await writer.wait_closed()
    except OSError as error:
        side.error = error
        writer.close()


def converse(
    schedule: Sequence[Verdict], there: Sequence[bytes], back: Sequence[bytes], *, dead_end: bool
) -> list[Side]:
    """Both ends write, half-close and read to the end, for as long as it takes."""
    world = World(1)
    client, server = Machine(world, "A"), Machine(world, "B")
    for number, machine in enumerate((client, server), 1):
        machine.plug(world.network.segment("lan"), f"10.0.0.{number}/24")
        machine.power_on()
    sides = [Side(), Side()]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk(sides[1], reader, writer, back)

    async def call() -> None:
        try:
            reader, writer = await asyncio.open_connection("10.0.0.2", 80)
        except OSError as error:
            sides[0].error = error
        else:
            await talk(sides[0], reader, writer, there)

    async def main() -> None:
        await server.spawn(asyncio.start_server(serve, "0.0.0.0", 80), name="server")
        await asyncio.sleep(5)
        Scheduled(world, schedule, dead_end=dead_end).start()
        client.spawn(call(), name="client")
        await asyncio.sleep(2000)
        for side in sides:
            if side.transport is not None:
                side.unsettled = bool(side.transport._in_flight or side.transport._pending)

    world.run(main())
    for side in sides:
        side.transport = side.transport and True  # the stream goes with its world
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a side that only waits never closed its stream
        world.close()
    assert world.loop.unhandled == []
    return sides


pieces = st.lists(st.binary(min_size=1, max_size=5000), min_size=1, max_size=6)


@quick
@given(schedules, pieces, pieces)
def test_bytes_arrive_intact_and_in_order_or_both_sides_end_in_an_error(
    schedule: list[Verdict], there: list[bytes], back: list[bytes]
) -> None:
    client, server = converse(schedule, there, back, dead_end=False)
    check(client, server, b"".join(there), b"".join(back), dead_end=False)


@quick
@given(schedules, pieces, pieces)
def test_path_that_dies_ends_every_side_that_has_something_to_send(
    schedule: list[Verdict], there: list[bytes], back: list[bytes]
) -> None:
    client, server = converse(schedule, there, back, dead_end=True)
    check(client, server, b"".join(there), b"".join(back), dead_end=True)


def test_property_catches_a_stack_that_forgets_to_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(self: TcpConnection, seq: int, payload: bytes, *, fin: bool) -> None:  # noqa: ARG001
        self.rcv_nxt += len(payload)
        self.on_data(payload)

    monkeypatch.setattr(TcpConnection, "_misplaced", careless)
    there = [bytes([number]) * 1460 for number in range(6)]
    schedule: list[Verdict] = [(PASS, 0.0)] * 4 + [(DELAY, 1.0)]
    client, server = converse(schedule, there, [b"x"], dead_end=False)
    with pytest.raises(AssertionError):
        check(client, server, b"".join(there), b"x", dead_end=False)


def check(client: Side, server: Side, there: bytes, back: bytes, *, dead_end: bool) -> None:
    assert there.startswith(server.got)
    assert back.startswith(client.got)
    assert not server.complete or server.got == there
    assert not client.complete or client.got == back
    for side in (client, server):
        waits_only = side.transport is not None and not side.unsettled
        assert side.complete or side.error or waits_only or (side is server and side.transport is None)
    if client.error is None and server.error is None and server.transport is not None and not dead_end:
        assert client.complete
        assert server.complete


class Powered(Machine):
    """Fails the test when its stack gets a frame while it is off."""

    frames = 0

    async def boot(self) -> None:
        """Say nothing."""


steps = st.lists(
    st.tuples(st.sampled_from(["on", "off", "ping", "wait"]), st.integers(0, 2), st.floats(0, 0.001)), max_size=40
)


@quick
@given(steps, schedules)
def test_no_frame_reaches_a_machine_without_power(plan: list[tuple[str, int, float]], schedule: list[Verdict]) -> None:
    world = World(2)
    machines = [Powered(world, name) for name in "ABC"]
    received = []
    for number, machine in enumerate(machines, 1):
        machine.plug(world.network.segment("lan"), f"10.0.0.{number}/24")
        plain = machine.stack.receive

        def watched(nic: object, frame: Frame, machine: Machine = machine, plain: object = plain) -> None:
            received.append((machine.name, machine.powered))
            plain(nic, frame)  # type: ignore[operator]

        machine.stack.receive = watched  # type: ignore[method-assign]
    every = Scheduled(world, schedule, dead_end=False)
    every.matches = (Match(),)
    every.start()

    async def main() -> None:
        for what, number, pause in plan:
            machine = machines[number]
            if what == "on" and not machine.powered:
                machine.power_on()
            elif what == "off" and machine.powered:
                machine.power_off()
            elif what == "ping" and machine.powered:
                other = f"10.0.0.{1 + (number + 1) % 3}"
                machine.spawn(machine.stack.ping(other, 1.0), name="ping")
            await asyncio.sleep(pause if what == "wait" else 0.0001)
        await asyncio.sleep(15)

    world.run(main())
    world.close()
    assert all(powered for _, powered in received)


def answering(world: World, asker: Machine, address: str) -> set[str]:
    """MACs that answer an ARP request for an address."""
    segment = world.network.segment("lan")
    began = world.loop.now

    async def ask() -> None:
        nic = asker.nics[0]
        nic.arp.probe(address, world.loop.create_future())
        await asyncio.sleep(1)

    world.run(ask())
    return {
        frame[4]
        for when, frame in segment.capture
        if when >= began and frame[0] == ARP and frame[3] == ARP_REPLY and frame[5] == address
    }


moves = st.lists(
    st.tuples(
        st.sampled_from(["on", "off", "pull", "plug", "partition", "heal", "twin", "no twin", "wait"]),
        st.integers(0, 1),
    ),
    max_size=14,
)


@quick
@given(moves)
def test_two_machines_answer_for_one_address_only_while_a_fault_explains_it(plan: list[tuple[str, int]]) -> None:
    """Two machines are configured with one address; claims at boot and at plugging keep the second one silent.

    A partition, or a cable that was out while the other booted, lets both take it unseen; that explains two owners from
    then on (Windows only defends, it does not give up what it owns).
    """
    world = World(3)
    segment = world.network.segment("lan")
    machines = [Powered(world, name) for name in "AB"]
    asker = Powered(world, "ASKER")
    for machine in machines:
        machine.plug(segment, "10.0.0.5/24", duplicate=True)
    asker.plug(segment, "10.0.0.9/24")
    asker.power_on()
    cut = Partition(world, ["A"], ["B"])
    twin = DuplicatedAddress(world, asker.nics[0], "10.0.0.5/24")
    world.run(asyncio.sleep(3))
    explained = False
    for what, number in plan:
        _move(machines[number], cut, twin, what)
        world.run(asyncio.sleep(3))
        together = all(machine.powered for machine in machines)
        explained = (explained and together) or (
            together and (cut.active or not all(machine.nics[0].up for machine in machines))
        )
        owners = answering(world, asker, "10.0.0.5")
        assert len(owners) <= 1 or explained or twin.active
        assert len(owners - {twin.nic.mac}) <= 1 or explained
    world.close()


def _move(machine: Machine, cut: Partition, twin: DuplicatedAddress, what: str) -> None:
    nic = machine.nics[0]
    if what == "on" and not machine.powered:
        machine.power_on()
    elif what == "off" and machine.powered:
        machine.power_off()
    elif what == "pull":
        nic.disconnect()
    elif what == "plug":
        nic.connect()
    elif what in ("partition", "heal") and cut.active == (what == "heal"):
        (cut.heal if cut.active else cut.start)()
    elif what in ("twin", "no twin") and twin.active == (what == "no twin"):
        (twin.heal if twin.active else twin.start)()
