"""What a simulated machine cannot do it refuses at the call, with a way out: never in silence."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
from tests.conformance.networking.arms import SimulatedNet

from bodydouble_sim.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOCKET_CALLS = [
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendto",
    "sock_connect",
    "sock_accept",
    "sock_sendfile",
]
DESCRIPTOR_CALLS = [
    "add_reader",
    "remove_reader",
    "add_writer",
    "remove_writer",
    "connect_read_pipe",
    "connect_write_pipe",
]


@pytest.fixture
def simulated() -> Iterator[SimulatedNet]:
    made = SimulatedNet(machines=1)
    yield made
    made.world.close()


@pytest.mark.parametrize("call", DESCRIPTOR_CALLS)
def test_calls_on_descriptors_are_refused_and_name_what_to_use(simulated: SimulatedNet, call: str) -> None:
    with pytest.raises(RefusedError, match=rf"^{call}: .*create_connection"):
        getattr(simulated.world.loop, call)(None, None)


@pytest.mark.parametrize(
    ("call", "way_out"),
    [
        ("subprocess_exec", "Scripts port"),
        ("subprocess_shell", "Scripts port"),
        ("add_signal_handler", "cancel the task"),
        ("remove_signal_handler", "cancel the task"),
        ("create_unix_server", "127.0.0.1"),
        ("create_unix_connection", "127.0.0.1"),
        ("run_forever", "World.run"),
        ("stop", "return from the main"),
    ],
)
def test_other_refusals_name_the_way_out_too(simulated: SimulatedNet, call: str, way_out: str) -> None:
    with pytest.raises(RefusedError, match=way_out):
        getattr(simulated.world.loop, call)()


def test_every_call_of_an_event_loop_is_served_or_refused(simulated: SimulatedNet) -> None:
    inherited = [
        name
        for name, member in vars(asyncio.AbstractEventLoop).items()
        if callable(member) and not name.startswith("_") and getattr(type(simulated.world.loop), name) is member
    ]
    assert inherited == []


@pytest.mark.parametrize("call", SOCKET_CALLS)
def test_a_real_socket_is_refused(simulated: SimulatedNet, call: str) -> None:
    rest = {"sock_recvfrom_into": (bytearray(1),), "sock_recv_into": (bytearray(1),), "sock_recv": (1,)}
    more = {"sock_sendto": (b"x", ("127.0.0.1", 9)), "sock_connect": (("127.0.0.1", 9),), "sock_accept": ()}

    with socket.socket() as real:

        async def case() -> None:
            loop = asyncio.get_running_loop()
            with pytest.raises(RefusedError, match=rf"^{call}: .*socket\.socket\(\)"):
                await getattr(loop, call)(real, *{**rest, **more}.get(call, (b"x",)))
            for create in (loop.create_connection, loop.create_server):
                with pytest.raises(RefusedError, match="simulated machine"):
                    await create(asyncio.Protocol, sock=real)

        simulated.run(case())


@pytest.mark.parametrize(
    "call",
    [
        lambda sock: sock.connect(("127.0.0.1", 9)),
        lambda sock: sock.accept(),
        lambda sock: sock.recv(1),
        lambda sock: sock.recv_into(bytearray(1)),
        lambda sock: sock.send(b"x"),
        lambda sock: sock.sendall(b"x"),
        lambda sock: sock.makefile(),
        lambda _: socket.create_connection(("127.0.0.1", 9)),
    ],
)
def test_what_would_stop_the_world_is_refused(simulated: SimulatedNet, call: Callable[[socket.socket], object]) -> None:
    async def case() -> None:
        with pytest.raises(RefusedError, match="stop the whole simulated world"), socket.socket() as sock:
            call(sock)
        with pytest.raises(ValueError, match="non-blocking"), socket.socket() as sock:
            await asyncio.get_running_loop().sock_recv(sock, 1)

    simulated.run(case())


@pytest.mark.parametrize(
    ("make", "way_out"),
    [
        (lambda: socket.socket(socket.AF_UNIX), "127.0.0.1"),
        (lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP), "Pinger"),
        (lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP), "Pinger"),
        (lambda: socket.socket(fileno=0), "descriptors"),
        (lambda: socket.socketpair(), "127.0.0.1"),  # noqa: PLW0108 - looked up while the world runs
        (lambda: socket.fromfd(0, socket.AF_INET, socket.SOCK_STREAM), "127.0.0.1"),
        (lambda: socket.socket().fileno(), "sock_"),
        (lambda: socket.socket().detach(), "descriptor"),
        (lambda: socket.socket().dup(), "descriptor"),
        (lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_socket(socket.socket()), "sock"),
        (lambda: socket.getaddrinfo("ELSEWHERE", 80), "loop.getaddrinfo"),
        (lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("ELSEWHERE", 9)), "loop.getaddrinfo"),
        (lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", socket.MSG_OOB, ("127.0.0.1", 9)), "flags"),
    ],
)
def test_other_sockets_are_refused(simulated: SimulatedNet, make: Callable[[], object], way_out: str) -> None:
    async def case() -> None:
        with pytest.raises(RefusedError, match=way_out):
            make()

    simulated.run(case())


def test_a_library_that_looks_for_ipv6_finds_that_there_is_none(simulated: SimulatedNet) -> None:
    async def case() -> None:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked below
            socket.socket(socket.AF_INET6)
        assert caught.value.errno == errno.EAFNOSUPPORT

    simulated.run(case())


def test_a_socket_class_of_a_library_is_refused(simulated: SimulatedNet) -> None:
    class Clever(socket.socket):
        pass

    async def case() -> None:
        with pytest.raises(RefusedError, match="Clever would open a real socket"):
            Clever()

    simulated.run(case())


def test_a_library_falls_back_as_on_a_loop_that_lacks_the_call(simulated: SimulatedNet) -> None:
    """asyncio's own loops raise NotImplementedError for what they lack, and libraries are prepared for it."""

    async def case() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(NotImplementedError):
            loop.add_signal_handler(15, print)
        with pytest.raises(NotImplementedError):
            loop.add_reader(0, print)
        with pytest.raises(RuntimeError):
            loop.add_writer(0, print)

    simulated.run(case())


def test_code_of_the_lab_gets_no_socket(simulated: SimulatedNet) -> None:
    async def main() -> None:
        with pytest.raises(RefusedError, match=r"Machine\.spawn"):
            socket.socket()

    simulated.world.run(main())


def test_sockets_are_real_again_after_a_run(simulated: SimulatedNet) -> None:
    async def case() -> type:
        with socket.socket() as sock:
            return type(sock)

    async def none() -> None:
        await case()

    simulated.run(none())
    with socket.socket() as sock:
        assert type(sock) is socket.socket
        assert sock.fileno() >= 0


def test_a_program_of_the_real_host_is_refused(simulated: SimulatedNet) -> None:
    async def case() -> None:
        with pytest.raises(RefusedError, match="Scripts port"):
            await asyncio.create_subprocess_exec("true")

    simulated.run(case())
