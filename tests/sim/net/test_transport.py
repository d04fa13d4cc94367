from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble_sim import disposal
from bodydouble_sim.errors import RefusedError, SimulationError
from bodydouble_sim.ports.clock import SimClock
from bodydouble_sim.ports.pinger import SimPinger
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble_sim.machine import Machine


class Recorder(asyncio.Protocol):
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.data = bytearray()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.calls.append("eof")
        return False

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.calls.append("lost" if error is None else type(error).__name__)


async def on(machine: Machine, work: Coroutine[Any, Any, Any]) -> Any:
    return await machine.spawn(work, name="work")


async def connected(machines: tuple[Machine, Machine]) -> tuple[Recorder, Recorder, Any]:
    a, b = machines
    accepted: list[Recorder] = []

    def factory() -> Recorder:
        accepted.append(Recorder())
        return accepted[-1]

    async def serve() -> Any:
        return await asyncio.get_running_loop().create_server(factory, "10.0.0.20", 80)

    async def dial() -> Recorder:
        _, protocol = await asyncio.get_running_loop().create_connection(Recorder, "10.0.0.20", 80)
        assert isinstance(protocol, Recorder)
        return protocol

    server = await on(b, serve())
    client = await on(a, dial())
    await asyncio.sleep(0.01)
    return client, accepted[0], server


def test_protocols_are_called_as_asyncio_promises(world: World, machines: tuple[Machine, Machine]) -> None:
    async def main() -> None:
        client, server, _ = await connected(machines)
        client.transport.write(b"one")
        client.transport.write(bytearray(b"two"))
        client.transport.writelines([b"th", memoryview(b"ree")])
        await asyncio.sleep(1)
        assert server.data == b"onetwothree"
        client.transport.close()
        client.transport.close()
        client.transport.write(b"too late")
        await asyncio.sleep(1)
        assert client.calls == ["made", "lost"]
        assert server.calls == ["made", "eof", "lost"]
        assert client.transport.is_closing()

    world.run(main())


def test_a_transport_shows_its_addresses_and_a_socket_without_a_descriptor(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    async def main() -> None:
        client, server, _ = await connected(machines)
        transport = client.transport
        assert transport.get_extra_info("peername") == ("10.0.0.20", 80)
        assert transport.get_extra_info("sockname") == server.transport.get_extra_info("peername")
        assert transport.get_extra_info("nothing", 5) == 5
        shown = transport.get_extra_info("socket")
        shown.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert shown.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert (shown.family, shown.fileno()) == (socket.AF_INET, -1)
        assert shown.getpeername() == ("10.0.0.20", 80)
        listening = (await on(machines[0], asyncio.start_server(print, port=81))).sockets[0]
        with pytest.raises(OSError, match="not connected"):
            listening.getpeername()

    world.run(main())


def test_writing_is_paused_and_resumed_at_the_water_marks(world: World, machines: tuple[Machine, Machine]) -> None:
    async def main() -> None:
        client, server, _ = await connected(machines)
        transport = client.transport
        transport.set_write_buffer_limits(high=100_000)
        assert transport.get_write_buffer_limits() == (25_000, 100_000)
        server.transport.pause_reading()
        assert not server.transport.is_reading()
        transport.write(bytes(150_000))
        assert "pause" not in client.calls
        transport.write(bytes(150_000))
        assert "pause" in client.calls
        await asyncio.sleep(60)
        assert "resume" not in client.calls
        assert server.data == b""
        server.transport.resume_reading()
        await asyncio.sleep(60)
        assert client.calls == ["made", "pause", "resume"]
        assert len(server.data) == 300_000
        with pytest.raises(ValueError, match="high"):
            transport.set_write_buffer_limits(high=1, low=2)

    world.run(main())


def test_what_came_while_reading_was_paused_precedes_the_end(world: World, machines: tuple[Machine, Machine]) -> None:
    async def main() -> None:
        client, server, _ = await connected(machines)
        server.transport.pause_reading()
        client.transport.write(b"last words")
        client.transport.write_eof()
        with pytest.raises(RuntimeError, match="write_eof"):
            client.transport.write(b"more")
        await asyncio.sleep(1)
        assert server.calls == ["made"]
        server.transport.resume_reading()
        await asyncio.sleep(1)
        assert server.data == b"last words"
        assert server.calls == ["made", "eof", "lost"]

    world.run(main())


def test_closing_over_unread_input_resets_the_peer(world: World, machines: tuple[Machine, Machine]) -> None:
    async def main() -> None:
        client, server, _ = await connected(machines)
        server.transport.pause_reading()
        client.transport.write(b"unread")
        await asyncio.sleep(1)
        server.transport.close()
        await asyncio.sleep(1)
        assert client.calls == ["made", "ConnectionResetError"]
        assert server.calls == ["made", "lost"]

    world.run(main())


def test_data_for_a_closed_application_is_answered_by_a_reset(world: World, machines: tuple[Machine, Machine]) -> None:
    async def main() -> None:
        client, server, _ = await connected(machines)
        server.transport.close()
        client.transport.write(b"crosses the FIN")
        await asyncio.sleep(1)
        assert client.calls[-1] in {"ConnectionResetError", "lost"}
        assert not machines[1].stack.tcp.connections

    world.run(main())


def test_both_ends_may_close_at_once(world: World, machines: tuple[Machine, Machine]) -> None:
    async def main() -> None:
        client, server, _ = await connected(machines)
        client.transport.close()
        server.transport.close()
        await asyncio.sleep(10)
        assert client.calls == server.calls == ["made", "lost"]
        assert not machines[0].stack.tcp.connections
        assert not machines[1].stack.tcp.connections

    world.run(main())


def test_a_rebooted_peer_that_reuses_its_port_gets_through_at_its_second_syn(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    a, _ = machines

    async def dial() -> float:
        began = world.loop.time()
        loop = asyncio.get_running_loop()
        await loop.create_connection(Recorder, "10.0.0.20", 80, local_addr=("10.0.0.10", 2000))
        return world.loop.time() - began

    async def main() -> None:
        _, server, _ = await connected(machines)
        assert await on(a, dial()) < 0.01
        with pytest.raises(OSError, match="connected to that peer already"):
            await on(a, dial())
        a.power_off()
        a.power_on()
        await asyncio.sleep(2)
        assert await on(a, dial()) == pytest.approx(3, abs=0.01)
        assert server.calls == ["made"]

    world.run(main())


def test_cancelling_a_connect_leaves_nothing_behind(world: World, machines: tuple[Machine, Machine]) -> None:
    a, b = machines

    async def dial() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.open_connection("10.0.0.20", 80)

    async def main() -> None:
        await asyncio.sleep(2)
        b.power_off()
        await on(a, dial())
        assert not a.stack.tcp.connections

    world.run(main())


def test_a_server_that_serves_for_ever_ends_when_cancelled(world: World, machines: tuple[Machine, Machine]) -> None:
    async def main() -> None:
        server = await on(machines[0], asyncio.start_server(print, port=80, start_serving=False))
        assert not server.is_serving()
        serving = machines[0].spawn(server.serve_forever(), name="serve")
        await asyncio.sleep(1)
        assert server.is_serving()
        with pytest.raises(RefusedError):
            await server.serve_forever()
        serving.cancel()
        await asyncio.wait([serving])
        assert not server.is_serving()
        assert server.sockets == ()
        assert server.get_loop() is world.loop

    world.run(main())


def test_the_ports_ping_and_tell_the_virtual_time(world: World, machines: tuple[Machine, Machine]) -> None:
    async def main() -> None:
        assert await SimPinger(machines[0]).ping("10.0.0.20", 1) is not None
        assert await SimPinger(machines[0]).ping("10.0.0.20", 1) == pytest.approx(0.0004, abs=1e-6)
        assert await SimPinger(machines[0]).ping("10.0.0.99", 1) is None
        await asyncio.sleep(3600)

    world.run(main())
    assert SimClock(world).now() > datetime(2002, 12, 2, 10, 0, tzinfo=UTC)


def test_a_run_inside_a_run_is_refused(world: World) -> None:
    async def inner() -> None:
        pass

    async def main() -> None:
        other = World(2)
        coroutine = inner()
        with pytest.raises(SimulationError, match="runs in this thread"):
            other.run(coroutine)
        other.close()

    world.run(main())


def test_where_frames_cannot_be_retired_coroutines_are_closed_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disposal, "CAN_RETIRE", False)
    world = World(1)

    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(1)
        assert not task.done()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        world.run(main())
        world.close()
        gc.collect()
