"""What a simulated machine cannot do it refuses at the call, with a way out: never NotImplementedError or silence."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.networking.arms import SimulatedNet

from bodydouble_sim.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    "connect_accepted_socket",
    "sendfile",
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


@pytest.mark.parametrize("call", SOCKET_CALLS)
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
        ("start_tls", "plain TCP"),
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


@pytest.mark.parametrize("wrong", [{"ssl": True}, {"sock": socket}])
def test_tls_and_ready_made_sockets_are_refused(simulated: SimulatedNet, wrong: dict[str, Any]) -> None:
    async def case() -> None:
        loop: Any = asyncio.get_running_loop()
        with pytest.raises(RefusedError):
            await loop.create_connection(asyncio.Protocol, "127.0.0.1", 80, **wrong)
        with pytest.raises(RefusedError):
            await loop.create_server(asyncio.Protocol, "127.0.0.1", 80, **wrong)

    simulated.run(case())


def test_a_program_of_the_real_host_is_refused(simulated: SimulatedNet) -> None:
    async def case() -> None:
        with pytest.raises(RefusedError, match="Scripts port"):
            await asyncio.create_subprocess_exec("true")

    simulated.run(case())
