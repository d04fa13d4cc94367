from __future__ import annotations

import asyncio
import errno
import socket
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bodydouble_sim.machine import Machine
    from bodydouble_sim.network.frames import Frame
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.world import World

LAN = "Local Area Connection"
SYN, RST, FIN = 2, 4, 1


async def listen(machine: Machine, handler: Any, port: int = 80, host: str | None = None) -> Any:
    async def serve() -> Any:
        return await asyncio.start_server(handler, host, port)

    return await machine.spawn(serve(), name="serve")


async def on(machine: Machine, work: Coroutine[Any, Any, Any]) -> Any:
    return await machine.spawn(work, name="work")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def frames(world: World, flag: int = 0) -> list[tuple[int, Frame]]:
    captured = world.network.segment("lan").capture
    return [(when, frame) for when, frame in captured if frame[0] == "tcp" and frame[7] & flag == flag]


def lose(world: World, monkeypatch: pytest.MonkeyPatch, verdict: Callable[[Frame], bool]) -> list[Frame]:
    """Drop the frames that ``verdict`` picks; returns the list of what was dropped."""
    segment = world.network.segment("lan")
    deliver = segment._deliver
    dropped: list[Frame] = []

    def filtered(flight: Any) -> None:
        frame = flight[0]
        if frame[0] == "tcp" and verdict(frame):
            dropped.append(frame)
        else:
            deliver(flight)

    monkeypatch.setattr(segment, "_deliver", filtered)
    return dropped


@pytest.mark.parametrize("size", [1, 1460, 1461, 200_000, 3_000_000])
def test_what_is_written_comes_out_in_order(world: World, machines: tuple[Machine, Machine], size: int) -> None:
    a, b = machines
    data = bytes(world.random("test").randbytes(size))

    async def client() -> bytes:
        reader, writer = await asyncio.open_connection("10.0.0.20", 80)

        async def send() -> None:
            writer.write(data)
            await writer.drain()
            writer.write_eof()

        sender = asyncio.create_task(send())
        got = await reader.read(-1)
        await sender
        writer.close()
        await writer.wait_closed()
        return got

    async def main() -> None:
        await listen(b, echo)
        assert await on(a, client()) == data
        await asyncio.sleep(1)
        assert not a.stack.tcp.connections
        assert not b.stack.tcp.connections

    world.run(main())
    assert max(len(frame[11]) for _, frame in frames(world)) <= 1460


def test_a_closed_port_refuses_and_a_dead_host_times_out_after_two_repeated_syns(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    a, b = machines

    async def connect() -> float:
        began = world.loop.time()
        with pytest.raises((ConnectionRefusedError, TimeoutError)) as caught:
            await asyncio.open_connection("10.0.0.20", 80)
        assert caught.value.errno in (errno.ECONNREFUSED, errno.ETIMEDOUT)
        return world.loop.time() - began

    async def main() -> None:
        await asyncio.sleep(2)
        assert await on(a, connect()) < 0.01
        before = len(frames(world, SYN))
        b.power_off()
        assert await on(a, connect()) == pytest.approx(21, abs=0.01)
        times = [when / 1e9 for when, _ in frames(world, SYN)[before:]]
        assert [round(time - times[0]) for time in times] == [0, 3, 9]
        with pytest.raises(OSError, match="no route"):
            await on(a, asyncio.open_connection("192.168.1.1", 80))

    world.run(main())


def test_data_is_repeated_five_times_with_doubling_and_then_the_connection_is_aborted(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    a, b = machines

    async def client() -> list[float]:
        reader, writer = await asyncio.open_connection("10.0.0.20", 80)
        writer.write(b"hello")
        await reader.readexactly(5)
        await asyncio.sleep(1)
        b.nics[0].disconnect()
        sent = len(frames(world))
        writer.write(b"lost")
        with pytest.raises(TimeoutError):
            await reader.read(1)
        writer.close()
        return [when / 1e9 for when, frame in frames(world)[sent:] if frame[11] == b"lost"]

    async def main() -> None:
        await listen(b, echo)
        times = await on(a, client())
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert len(times) == 6
        assert [round(late / early) for early, late in pairwise(gaps)] == [2, 2, 2, 2]

    world.run(main())


def test_a_loss_before_thousands_of_small_segments_is_repaired(
    world: World, machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = machines
    pieces = [bytes([number % 256]) for number in range(5000)]
    first = iter([True])
    dropped = lose(world, monkeypatch, lambda frame: bool(frame[11]) and next(first, False))

    async def client() -> bytes:
        reader, writer = await asyncio.open_connection("10.0.0.20", 80)
        for piece in pieces:
            writer.write(piece)
        writer.write_eof()
        got = await reader.read(-1)
        writer.close()
        return got

    async def main() -> None:
        await listen(b, echo)
        assert await on(a, client()) == b"".join(pieces)

    world.run(main())
    assert len(dropped) == 1


@pytest.mark.parametrize("percent", [1, 5, 10])
def test_lost_segments_are_repaired_and_order_is_kept(
    world: World, machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, percent: int
) -> None:
    a, b = machines
    data = world.random("test").randbytes(300_000)
    draw = world.random("loss")
    dropped = lose(world, monkeypatch, lambda _: draw.random() * 100 < percent)

    async def client() -> bytes:
        reader, writer = await asyncio.open_connection("10.0.0.20", 80)
        writer.write(data)
        writer.write_eof()
        got = await reader.read(-1)
        writer.close()
        return got

    async def main() -> None:
        await listen(b, echo)
        assert await on(a, client()) == data

    world.run(main())
    assert dropped


def test_reordered_and_duplicated_segments_do_not_show(
    world: World, machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = machines
    segment = world.network.segment("lan")
    deliver = segment._deliver
    draw = world.random("disorder")
    data = draw.randbytes(300_000)

    def disordered(flight: Any) -> None:
        if flight[0][0] != "tcp":
            deliver(flight)
            return
        for _ in range(draw.choice((1, 1, 1, 2))):
            world.loop.schedule(draw.randrange(2_000_000), deliver, flight)

    monkeypatch.setattr(segment, "_deliver", disordered)

    async def client() -> bytes:
        reader, writer = await asyncio.open_connection("10.0.0.20", 80)
        writer.write(data)
        writer.write_eof()
        got = await reader.read(-1)
        writer.close()
        return got

    async def main() -> None:
        await listen(b, echo)
        assert await on(a, client()) == data

    world.run(main())


def test_a_reader_that_pauses_stops_the_writer_and_loses_nothing(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    a, b = machines
    taken = bytearray()
    data = world.random("test").randbytes(2_000_000)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(300)
        while piece := await reader.read(10_000):
            taken.extend(piece)
        writer.close()

    async def client() -> float:
        _, writer = await asyncio.open_connection("10.0.0.20", 80)
        writer.write(data)
        await writer.drain()
        waited = world.loop.time()
        writer.close()
        await writer.wait_closed()
        return waited

    async def main() -> None:
        await listen(b, slow)
        assert await on(a, client()) > 300
        await asyncio.sleep(30)
        assert bytes(taken) == data

    world.run(main())


def test_half_closed_connections_still_carry_the_answer(world: World, machines: tuple[Machine, Machine]) -> None:
    a, b = machines

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = await reader.read(-1)
        await asyncio.sleep(100)
        writer.write(got[::-1])
        writer.close()

    async def client() -> bytes:
        reader, writer = await asyncio.open_connection("10.0.0.20", 80)
        writer.write(b"abc")
        writer.write_eof()
        got = await reader.read(-1)
        writer.close()
        return got

    async def main() -> None:
        await listen(b, late)
        assert await on(a, client()) == b"cba"

    world.run(main())


def test_peers_of_a_machine_that_lost_power_learn_nothing_until_it_is_back(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    a, b = machines

    async def client() -> float:
        reader, writer = await asyncio.open_connection("10.0.0.20", 80)
        writer.write(b"x")
        await reader.readexactly(1)
        b.power_off()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await reader.read(1)
        b.power_on()
        await asyncio.sleep(5)
        writer.write(b"x")
        began = world.loop.time()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        took = world.loop.time() - began
        writer.close()
        return took

    async def main() -> None:
        await listen(b, echo)
        assert await on(a, client()) < 0.01

    world.run(main())


def test_frames_in_flight_from_and_to_a_dead_incarnation_are_lost(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    a, b = machines
    got: list[bytes] = []

    class Sink(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _: Any) -> None:
            got.append(data)

    async def bind(machine: Machine) -> Any:
        async def make() -> Any:
            loop = asyncio.get_running_loop()
            return (await loop.create_datagram_endpoint(Sink, local_addr=("0.0.0.0", 5000)))[0]

        return await on(machine, make())

    async def main() -> None:
        sender = await bind(a)
        await bind(b)
        sender.sendto(b"resolves", ("10.0.0.20", 5000))
        await asyncio.sleep(1)
        sender.sendto(b"from the dead", ("10.0.0.20", 5000))
        a.power_off()
        await asyncio.sleep(1)
        a.power_on()
        sender = await bind(a)
        sender.sendto(b"to the dead", ("10.0.0.20", 5000))
        b.power_off()
        b.power_on()
        await bind(b)
        assert got == [b"resolves"]
        sender.sendto(b"alive", ("10.0.0.20", 5000))
        await asyncio.sleep(1)

    world.run(main())
    assert got == [b"resolves", b"alive"]


def test_no_frame_reaches_a_life_that_began_after_it_was_sent(
    world: World, machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = machines
    got: list[Frame] = []

    async def main() -> None:
        await asyncio.sleep(3)
        latency = world.network.segment("lan").latency
        ping = a.spawn(a.stack.ping("10.0.0.20", 5), name="ping")
        assert await ping is not None
        a.spawn(a.stack.ping("10.0.0.20", 5), name="ping")
        await asyncio.sleep(latency / 2)
        b.power_off()
        b.power_on()
        monkeypatch.setattr(b.stack, "receive", lambda _, frame: got.append(frame))
        await asyncio.sleep(latency)

    world.run(main())
    assert got == []


def test_what_a_machine_sent_to_itself_does_not_outlive_it(world: World, machines: tuple[Machine, Machine]) -> None:
    a, _ = machines
    got: list[Frame] = []

    def kept(nic: Nic | None, frame: Frame) -> None:
        del nic
        got.append(frame)

    async def main() -> None:
        await asyncio.sleep(3)
        a.spawn(a.stack.ping("127.0.0.1", 5), name="ping")
        await asyncio.sleep(0)
        a.power_off()
        a.power_on()
        a.stack._handlers["icmp"] = kept
        await asyncio.sleep(0.1)

    world.run(main())
    assert got == []


def test_removing_an_address_ends_its_connections_and_leaves_the_others(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    a, b = machines
    ended: list[type[BaseException]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(1)
        except ConnectionError as error:
            ended.append(type(error))
        writer.close()

    async def main() -> None:
        await asyncio.sleep(2)
        b.stack.add_address(LAN, "10.0.0.99/24")
        await listen(b, serve)
        _, lost = await on(a, asyncio.open_connection("10.0.0.99", 80))
        _, kept = await on(a, asyncio.open_connection("10.0.0.20", 80))
        b.stack.remove_address(LAN, "10.0.0.99/24")
        await asyncio.sleep(1)
        assert ended == [ConnectionAbortedError]
        assert len(b.stack.tcp.connections) == 1
        kept.close()
        lost.close()

    world.run(main())


def test_closing_with_no_time_to_linger_resets_the_peer(world: World, machines: tuple[Machine, Machine]) -> None:
    a, b = machines

    async def abort(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("10.0.0.20", 80)
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()

    async def main() -> None:
        await listen(b, abort)
        await on(a, client())
        assert frames(world, RST)

    world.run(main())


def test_a_port_in_use_and_a_foreign_address_are_refused(world: World, machines: tuple[Machine, Machine]) -> None:
    _, b = machines

    async def main() -> None:
        server = await listen(b, echo)
        assert server.sockets[0].getsockname() == ("0.0.0.0", 80)
        with pytest.raises(OSError, match="in use"):
            await listen(b, echo)
        with pytest.raises(OSError, match="not an address of B"):
            await listen(b, echo, 81, "10.0.0.10")
        specific = await listen(b, echo, 80, "10.0.0.20")
        assert specific.is_serving()
        server.close()
        await server.wait_closed()
        await listen(b, echo)
        free = await listen(b, echo, 0)
        assert free.sockets[0].getsockname()[1] >= 1025

    world.run(main())


def test_a_machine_talks_to_itself_without_the_wire(world: World, machines: tuple[Machine, Machine]) -> None:
    a, _ = machines

    async def client(host: str) -> bytes:
        reader, writer = await asyncio.open_connection(host, 80)
        writer.write(b"self")
        got = await reader.readexactly(4)
        writer.close()
        return got

    async def main() -> None:
        await listen(a, echo)
        assert await on(a, client("127.0.0.1")) == b"self"
        assert await on(a, client("10.0.0.10")) == b"self"
        assert not frames(world)

    world.run(main())


def test_a_request_and_its_response_cost_one_segment_each(world: World, machines: tuple[Machine, Machine]) -> None:
    a, b = machines

    async def client() -> int:
        reader, writer = await asyncio.open_connection("10.0.0.20", 80)
        before = len(frames(world))
        for _ in range(100):
            writer.write(b"ping")
            await reader.readexactly(4)
        cost = len(frames(world)) - before
        writer.close()
        return cost

    async def main() -> None:
        await listen(b, echo)
        assert await on(a, client()) <= 202

    world.run(main())


@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError])
def test_a_failing_protocol_loses_its_connection_and_is_recorded(
    world: World, machines: tuple[Machine, Machine], error: type[BaseException]
) -> None:
    a, b = machines

    class Broken(asyncio.Protocol):
        def data_received(self, _: bytes) -> None:
            raise error("broken")

    async def serve() -> None:
        await asyncio.get_running_loop().create_server(Broken, port=80)

    async def client() -> None:
        reader, writer = await asyncio.open_connection("10.0.0.20", 80)
        writer.write(b"x")
        assert await reader.read(1) == b""
        writer.close()

    async def main() -> None:
        await on(b, serve())
        await on(a, client())

    world.run(main())
    assert [str(context["exception"]) for context in world.loop.unhandled] == ["broken"]
    world.loop.unhandled.clear()


def test_buffered_protocols_receive_every_byte(world: World, machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    got = bytearray()

    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(1000)

        def get_buffer(self, _: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, size: int) -> None:
            got.extend(self.buffer[:size])

    async def serve() -> None:
        await asyncio.get_running_loop().create_server(Buffered, port=80)

    async def client() -> None:
        _, writer = await asyncio.open_connection("10.0.0.20", 80)
        writer.write(bytes(range(256)) * 40)
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        await on(b, serve())
        await on(a, client())
        await asyncio.sleep(1)

    world.run(main())
    assert bytes(got) == bytes(range(256)) * 40


def test_datagrams_reach_one_peer_everybody_or_an_error(world: World, machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    got: list[tuple[bytes, str]] = []
    errors: list[str] = []

    class Peer(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, address: Any) -> None:
            got.append((data, address[0]))

        def error_received(self, error: Exception) -> None:
            errors.append(type(error).__name__)

    async def endpoint(**options: Any) -> Any:
        return (await asyncio.get_running_loop().create_datagram_endpoint(Peer, **options))[0]

    async def main() -> None:
        await on(b, endpoint(local_addr=("0.0.0.0", 999)))
        one = await on(a, endpoint(remote_addr=("10.0.0.20", 999)))
        one.sendto(b"one")
        many = await on(a, endpoint(local_addr=("0.0.0.0", 0), allow_broadcast=True))
        many.sendto(b"all", ("10.0.0.255", 999))
        many.sendto(b"limited", ("255.255.255.255", 999))
        (await on(a, endpoint(local_addr=("0.0.0.0", 0)))).sendto(b"forbidden", ("10.0.0.255", 999))
        closed = await on(a, endpoint(remote_addr=("10.0.0.20", 998)))
        closed.sendto(b"nobody")
        await asyncio.sleep(1)

    world.run(main())
    assert sorted(data for data, _ in got) == [b"all", b"limited", b"one"]
    assert {source for _, source in got} == {"10.0.0.10"}
    assert sorted(errors) == ["ConnectionRefusedError", "PermissionError"]


def test_a_lost_window_update_is_found_out_by_probing(
    world: World, machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = machines
    data = world.random("test").randbytes(400_000)
    losing = False
    dropped = lose(world, monkeypatch, lambda frame: losing and frame[3] == "10.0.0.20")
    taken = bytearray()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal losing
        await asyncio.sleep(100)
        losing = True  # the update that the first read causes is lost
        taken.extend(await reader.read(300_000))
        await asyncio.sleep(1)
        losing = False
        while piece := await reader.read(65536):
            taken.extend(piece)
        writer.close()

    async def client() -> None:
        _, writer = await asyncio.open_connection("10.0.0.20", 80)
        writer.write(data)
        writer.write_eof()
        await asyncio.sleep(300)
        writer.close()

    async def main() -> None:
        await listen(b, slow)
        await on(a, client())

    world.run(main())
    assert bytes(taken) == data
    assert dropped


@pytest.mark.parametrize(("beyond", "survives"), [(-1, True), (0, False), (70_000, True)])
def test_a_reset_outside_the_window_is_ignored(
    world: World, machines: tuple[Machine, Machine], beyond: int, *, survives: bool
) -> None:
    a, b = machines

    async def client() -> bytes:
        reader, writer = await asyncio.open_connection("10.0.0.20", 80)
        writer.write(b"one")
        await reader.readexactly(3)
        latest = [frame for _, frame in frames(world) if frame[4] == "10.0.0.20" and frame[11]][-1]
        forged = (*latest[:7], RST, latest[8] + len(latest[11]) + beyond, 0, 0, b"")
        b.nics[0].receive(forged, world.loop.now)
        writer.write(b"two")
        try:
            return await reader.read(3)
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    async def main() -> bytes:
        await listen(b, echo)
        return bytes(await on(a, client()))

    assert world.run(main()) == (b"two" if survives else b"")
    world.loop.unhandled.clear()
