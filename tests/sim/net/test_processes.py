"""A process that is killed: nothing of it runs any more, and the system closes what it had open."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from tests.sim.net.test_power import Bare, code_that_marks_every_way_out

from bodydouble_sim.errors import MachineStateError
from bodydouble_sim.process import Process, carry_out
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

PORT = 4000


@pytest.fixture
def pair() -> Iterator[tuple[World, Bare, Bare]]:
    world = World(1, keep_trace=True)
    machines = [Bare(world, name) for name in "AB"]
    for number, machine in enumerate(machines, start=1):
        machine.plug(world.network.segment("lan"), f"10.0.0.{number}/24")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield world, machines[0], machines[1]
        world.close()
        gc.collect()
    assert world.loop.unhandled == []


def play(pair: tuple[World, Bare, Bare], main: Callable[[Bare, Bare], Coroutine[Any, Any, None]]) -> None:
    world, first, second = pair

    async def on() -> None:
        first.power_on()
        second.power_on()
        await asyncio.sleep(3)
        await main(first, second)

    world.run(on())


def test_nothing_of_a_killed_process_runs_not_even_in_the_same_instant(pair: tuple[World, Bare, Bare]) -> None:
    ran: list[str] = []

    async def main(first: Bare, _second: Bare) -> None:
        process = Process(first, "daemon")
        for number, function in enumerate(code_that_marks_every_way_out(ran)):
            process.spawn(function(), name=f"work-{number}")
        await asyncio.sleep(3)
        process.kill()
        process.kill()  # idempotent
        await asyncio.sleep(600)
        gc.collect()
        with pytest.raises(MachineStateError, match="daemon on A is dead"):
            process.spawn(asyncio.sleep(0), name="late")

    play(pair, main)
    assert ran == []


def test_the_marks_do_run_when_the_tasks_are_cancelled_instead(pair: tuple[World, Bare, Bare]) -> None:
    """The planted defect: a kill that cancels."""
    ran: list[str] = []

    async def main(first: Bare, _second: Bare) -> None:
        process = Process(first, "daemon")
        functions = code_that_marks_every_way_out(ran)
        tasks = [process.spawn(function(), name=f"work-{number}") for number, function in enumerate(functions)]
        await asyncio.sleep(3)
        for task in tasks:
            task.cancel()
        await asyncio.sleep(600)

    play(pair, main)
    assert {"finally", "except", "exit stack"} <= set(ran)


def test_the_machine_and_its_other_processes_go_on(pair: tuple[World, Bare, Bare]) -> None:
    steps: list[str] = []

    async def work(name: str) -> None:
        while True:
            await asyncio.sleep(1)
            steps.append(name)

    async def main(first: Bare, _second: Bare) -> None:
        killed, other = Process(first, "daemon"), Process(first, "other")
        killed.spawn(work("killed"), name="killed")
        other.spawn(work("other"), name="other")
        first.spawn(work("machine"), name="machine")
        await asyncio.sleep(2.5)
        killed.kill()
        await asyncio.sleep(2)
        first.power_off()
        await asyncio.sleep(10)

    play(pair, main)
    assert [steps.count(name) for name in ("killed", "other", "machine")] == [2, 4, 4]


class Noting(asyncio.Protocol):
    """Notes what happens to a connection."""

    def __init__(self, seen: list[str]) -> None:
        self.seen = seen
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.seen.append("made")

    def data_received(self, data: bytes) -> None:
        self.seen.append(data.decode())

    def eof_received(self) -> None:
        self.seen.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.seen.append(f"lost {exc}")


def test_its_port_is_closed_and_its_peer_hears_of_the_end(pair: tuple[World, Bare, Bare]) -> None:
    served: list[str] = []
    met: list[str] = []

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: Noting(served), "0.0.0.0", PORT)
        await loop.create_future()

    async def visit() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: Noting(met), "10.0.0.1", PORT)
        transport.write(b"hello")
        await asyncio.sleep(2)
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(lambda: Noting(met), "10.0.0.1", PORT)
        met.append("refused")

    async def main(first: Bare, second: Bare) -> None:
        process = Process(first, "daemon")
        process.spawn(serve(), name="serve")
        await asyncio.sleep(1)
        visitor = second.spawn(visit(), name="visit")
        await asyncio.sleep(1)
        process.kill()
        await visitor
        again = Process(first, "daemon")
        again.spawn(serve(), name="serve")
        await asyncio.sleep(1)
        assert first.stack.tcp.listening("10.0.0.1", PORT) is not None

    play(pair, main)
    assert served == ["made", "hello"], "the dead process heard of the end"
    assert met == ["made", "eof", "lost None", "refused"]


def test_a_connection_that_it_was_opening_and_a_datagram_port_go_too(pair: tuple[World, Bare, Bare]) -> None:
    made: list[str] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("0.0.0.0", PORT))
        await loop.create_connection(lambda: Noting(made), "10.0.0.99", PORT)

    async def main(first: Bare, _second: Bare) -> None:
        process = Process(first, "daemon")
        process.spawn(work(), name="work")
        await asyncio.sleep(0.5)
        assert first.stack.udp.endpoints
        assert first.stack.tcp.connections
        process.kill()
        assert not first.stack.udp.endpoints
        assert not first.stack.tcp.connections
        await asyncio.sleep(60)

    play(pair, main)
    assert made == []


def test_what_the_system_carries_out_for_it_is_finished_unless_it_was_taken_back(
    pair: tuple[World, Bare, Bare],
) -> None:
    done: list[str] = []

    async def call(name: str) -> None:
        await asyncio.sleep(1)
        done.append(name)

    async def fails() -> None:
        await asyncio.sleep(1)
        raise OSError("nobody is there to see it")

    async def main(first: Bare, _second: Bare) -> None:
        process = Process(first, "daemon")
        process.spawn(carry_out(first, call("killed"), name="call"), name="asks")
        process.spawn(carry_out(first, fails(), name="fails"), name="asks in vain")
        other = Process(first, "other")
        cancelled = other.spawn(carry_out(first, call("taken back"), name="call"), name="asks")
        await asyncio.sleep(0.5)
        process.kill()
        cancelled.cancel()
        await asyncio.sleep(5)

    play(pair, main)
    assert done == ["killed"]


def test_two_runs_of_one_seed_have_one_trace_with_a_kill_in_it() -> None:
    def digest() -> str:
        world = World(7)
        machine = Bare(world, "A")
        machine.plug(world.network.segment("lan"), "10.0.0.1/24")

        async def main() -> None:
            machine.power_on()
            await asyncio.sleep(3)
            process = Process(machine, "daemon")
            for function in code_that_marks_every_way_out([]):
                process.spawn(function(), name="work")
            await asyncio.sleep(3)
            process.kill()
            await asyncio.sleep(60)

        world.run(main())
        world.close()
        return world.trace.digest

    assert digest() == digest()
