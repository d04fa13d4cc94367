"""Claims about simulated sockets that a real loop on this machine cannot be asked about."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble_sim.network.socket_datagram import RECEIVE_BUFFER
from bodydouble_sim.network.sockets import MachineSocket

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble_sim.machine import Machine
    from bodydouble_sim.world import World

A, B = "10.0.0.10", "10.0.0.20"


async def on(machine: Machine, work: Coroutine[Any, Any, Any]) -> Any:
    return await machine.spawn(work, name="work")


def made(kind: int = socket.SOCK_STREAM) -> socket.socket:
    sock = socket.socket(type=kind)
    sock.setblocking(False)
    return sock


async def listening(*, backlog: int = 100) -> socket.socket:
    sock = made()
    sock.bind((B, 80))
    sock.listen(backlog)
    return sock


async def connected() -> socket.socket:
    sock = made()
    await asyncio.get_running_loop().sock_connect(sock, (B, 80))
    return sock


def test_a_socket_belongs_to_the_machine_whose_code_made_it(world: World, machines: tuple[Machine, Machine]) -> None:
    a, b = machines

    async def make() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, socket.IPPROTO_TCP)

    async def main() -> None:
        for machine in (a, b):
            sock = await on(machine, make())
            assert isinstance(sock, MachineSocket)
            assert sock.end.machine is machine
            assert not sock.getblocking()
            assert repr(sock) == f"<MachineSocket SOCK_STREAM, {machine.name}, laddr=('0.0.0.0', 0)>"

    world.run(main())


def test_a_full_backlog_refuses_as_windows_does(world: World, machines: tuple[Machine, Machine]) -> None:
    a, b = machines

    async def main() -> None:
        await asyncio.sleep(5)
        listener = await on(b, listening(backlog=2))
        waiting = [await on(a, connected()) for _ in range(2)]
        await asyncio.sleep(1)
        with pytest.raises(ConnectionRefusedError):
            await on(a, connected())
        await on(b, asyncio.get_running_loop().sock_accept(listener))
        waiting.append(await on(a, connected()))
        assert len(waiting) == 3

    world.run(main())


def test_closing_a_listener_resets_who_was_not_accepted(world: World, machines: tuple[Machine, Machine]) -> None:
    a, b = machines

    async def main() -> None:
        await asyncio.sleep(5)
        listener = await on(b, listening())
        sock = await on(a, connected())
        await asyncio.sleep(1)
        listener.close()
        with pytest.raises(ConnectionResetError):
            await on(a, asyncio.get_running_loop().sock_recv(sock, 1))

    world.run(main())


def test_an_unread_socket_shuts_the_senders_window_and_opens_it_again(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    a, b = machines
    loop = world.loop

    async def read(sock: socket.socket, size: int) -> bytes:
        got = b""
        while len(got) < size:
            got += await loop.sock_recv(sock, 5000)
        return got

    async def main() -> None:
        await asyncio.sleep(5)
        listener = await on(b, listening())
        sock = await on(a, connected())
        far, _ = await on(b, loop.sock_accept(listener))
        data = world.random("test").randbytes(500_000)
        sending = a.spawn(loop.sock_sendall(sock, data), name="send")
        await asyncio.sleep(60)
        assert not sending.done()
        assert await on(b, read(far, len(data))) == data
        await sending

    world.run(main())


def test_a_power_cut_leaves_the_peers_socket_waiting(world: World, machines: tuple[Machine, Machine]) -> None:
    a, b = machines

    async def main() -> None:
        await asyncio.sleep(5)
        await on(b, listening())
        sock = await on(a, connected())
        b.power_off()
        reading = a.spawn(world.loop.sock_recv(sock, 1), name="read")
        await asyncio.sleep(1000)
        assert not reading.done()

    world.run(main())


def test_the_keep_alive_times_of_a_socket_are_in_force(world: World, machines: tuple[Machine, Machine]) -> None:
    a, b = machines

    async def main() -> None:
        await asyncio.sleep(5)
        await on(b, listening())
        sock = await on(a, connected())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        await asyncio.sleep(1000)
        b.power_off()
        began = world.loop.time()
        with pytest.raises(TimeoutError):
            await on(a, world.loop.sock_recv(sock, 1))
        assert world.loop.time() - began <= 60 + 3 * 10 + 1

    world.run(main())


def test_keep_alive_set_before_connecting_counts_too(world: World, machines: tuple[Machine, Machine]) -> None:
    a, b = machines

    async def connect() -> socket.socket:
        sock = made()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 100)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await world.loop.sock_connect(sock, (B, 80))
        return sock

    async def main() -> None:
        await asyncio.sleep(5)
        await on(b, listening())
        sock = await on(a, connect())
        b.power_off()
        began = world.loop.time()
        with pytest.raises(TimeoutError):
            await on(a, world.loop.sock_recv(sock, 1))
        assert world.loop.time() - began == pytest.approx(105, abs=1)  # and five questions a second apart

    world.run(main())


def test_datagrams_beyond_the_receive_buffer_are_lost(world: World, machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    size = 50_000

    async def bind() -> socket.socket:
        sock = made(socket.SOCK_DGRAM)
        sock.bind((B, 9))
        return sock

    async def flood() -> None:
        sock = made(socket.SOCK_DGRAM)
        for _ in range(10):
            await world.loop.sock_sendto(sock, bytes(size), (B, 9))
            await asyncio.sleep(0.1)

    async def main() -> None:
        await asyncio.sleep(5)
        sock = await on(b, bind())
        await on(a, flood())
        got = 0
        with contextlib.suppress(BlockingIOError):
            while sock.recv(size):
                got += 1
        assert got == RECEIVE_BUFFER // size

    world.run(main())


def test_an_unreachable_host_is_no_error_of_a_connected_datagram_socket(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    """Only a closed port is a hard error (RFC 1122, 4.1.3.3 and 3.2.2.1)."""
    a, _ = machines

    async def ask() -> None:
        with made(socket.SOCK_DGRAM) as sock:
            await world.loop.sock_connect(sock, ("10.0.0.99", 9))
            for _ in range(3):
                await world.loop.sock_sendall(sock, b"x")
                await asyncio.sleep(10)
            with pytest.raises(BlockingIOError):
                sock.recv(1)
            with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked below
                await world.loop.sock_connect(sock, ("192.0.2.1", 9))
            assert caught.value.errno == errno.ENETUNREACH

    async def main() -> None:
        await on(a, ask())

    world.run(main())


def test_names_that_need_no_question_are_found_by_blocking_calls(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    a, _ = machines
    a.hosts["MAIL"] = "10.0.0.77"

    async def look() -> None:
        await world.loop.getaddrinfo(A, 80)
        assert socket.gethostbyname("localhost") == "127.0.0.1"
        assert socket.gethostbyname("mail") == "10.0.0.77"
        assert socket.getaddrinfo(B, 80, type=socket.SOCK_STREAM) == [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (B, 80))
        ]

    async def main() -> None:
        await on(a, look())

    world.run(main())


def test_addresses_have_the_names_of_the_hosts_file(world: World, machines: tuple[Machine, Machine]) -> None:
    a, _ = machines
    a.hosts["MAIL"] = "10.0.0.77"

    async def look() -> None:
        named = world.loop.getnameinfo
        assert await named(("10.0.0.77", 25)) == ("MAIL", "smtp")
        assert await named(("127.0.0.1", 80), socket.NI_NUMERICSERV) == ("localhost", "80")
        assert await named(("10.0.0.77", 9), socket.NI_NUMERICHOST) == ("10.0.0.77", "9")
        assert await named((B, 9)) == (B, "9")
        with pytest.raises(socket.gaierror):
            await named((B, 9), socket.NI_NAMEREQD)

    async def main() -> None:
        await on(a, look())

    world.run(main())
