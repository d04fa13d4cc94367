"""How connections end when a peer falls silent, and what a finished connection still answers."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble_sim.network.faults import Match
from bodydouble_sim.network.troubles import Loss

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble_sim.machine import Machine
    from bodydouble_sim.network.frames import Frame
    from bodydouble_sim.world import World

A, B = "10.0.0.10", "10.0.0.20"
FIN, ACK = 1, 16


async def on(machine: Machine, work: Coroutine[Any, Any, Any]) -> Any:
    return await machine.spawn(work, name="work")


async def listen(machine: Machine, handler: Any) -> None:
    async def serve() -> None:
        await asyncio.start_server(handler, None, 80)

    await on(machine, serve())


def test_a_window_that_stays_closed_is_probed_as_long_as_the_peer_answers_and_no_longer(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    a, b = machines

    async def stubborn(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(100_000)
        writer.close()

    async def client() -> tuple[float, float]:
        _, writer = await asyncio.open_connection(B, 80)
        writer.write(bytes(1_000_000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await writer.drain()
        assert not writer.is_closing()
        still_open = world.loop.time()
        b.power_off()
        with pytest.raises(TimeoutError):
            await writer.drain()
        return still_open, world.loop.time()

    async def main() -> None:
        await listen(b, stubborn)
        still_open, gone = await on(a, client())
        assert still_open >= 3600
        assert 0 < gone - still_open < 6 * 60

    world.run(main())


def test_a_closed_connection_does_not_wait_for_ever_for_a_peer_that_died(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    a, b = machines

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(100_000)
        writer.close()

    async def client() -> None:
        _, writer = await asyncio.open_connection(B, 80)
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        await listen(b, silent)
        lost = Loss(world, 1.0, Match(sender="B", when=lambda frame: frame[0] == "tcp" and bool(frame[7] & FIN)))
        lost.start()
        await on(a, client())
        await asyncio.sleep(290)
        assert len(a.stack.tcp.connections) == 1
        await asyncio.sleep(20)
        assert not a.stack.tcp.connections

    world.run(main())


@pytest.mark.parametrize("wait", [290, 310])
def test_a_half_closed_connection_is_forced_to_close_after_five_minutes(
    world: World, machines: tuple[Machine, Machine], wait: float
) -> None:
    """KB 813056: an answer that takes longer is lost."""
    a, b = machines

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await asyncio.sleep(wait)
        writer.write(b"late")
        writer.close()

    async def client() -> bytes:
        reader, writer = await asyncio.open_connection(B, 80)
        writer.write_eof()
        try:
            return await reader.read()
        except ConnectionResetError:
            return b"reset"
        finally:
            writer.close()

    async def main() -> None:
        await listen(b, late)
        assert await on(a, client()) == (b"late" if wait < 300 else b"reset")

    world.run(main())


def test_data_repeated_to_a_finished_connection_is_acknowledged_again(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    a, b = machines
    served: list[bytes] = []

    async def first_to_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write_eof()
        served.append(await reader.read())
        writer.close()

    def plain_ack(frame: Frame) -> bool:
        return frame[0] == "tcp" and frame[7] == ACK and not frame[-1]

    async def client() -> None:
        reader, writer = await asyncio.open_connection(B, 80)
        assert await reader.read() == b""
        await asyncio.sleep(1)
        lost.start()
        writer.write(b"the last words")
        writer.close()
        await asyncio.sleep(0.1)
        assert lost.touched
        assert served == [b"the last words"]
        lost.heal()
        await asyncio.sleep(1)
        assert not a.stack.tcp.connections

    async def main() -> None:
        await listen(b, first_to_close)
        await on(a, client())

    lost = Loss(world, 1.0, Match(sender="B", when=plain_ack))
    world.run(main())


@pytest.mark.parametrize("wanted", [True, False])
def test_only_keep_alive_finds_a_peer_that_died_in_silence(
    world: World, machines: tuple[Machine, Machine], *, wanted: bool
) -> None:
    a, b = machines

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def client() -> float:
        reader, writer = await asyncio.open_connection(B, 80)
        transport = writer.transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(wanted))
        await asyncio.sleep(20_000)  # a living peer answers, and the connection stays
        assert not transport.is_closing()
        b.power_off()
        began = world.loop.time()
        try:
            async with asyncio.timeout(100_000):
                await reader.read()
        except TimeoutError:
            pass
        writer.close()
        return world.loop.time() - began

    async def main() -> None:
        await listen(b, silent)
        found = await on(a, client())
        assert found < 7200 + 10 if wanted else found >= 100_000

    world.run(main())
