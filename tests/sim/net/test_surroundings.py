"""Clocks, entropy, names, signals and threads that libraries reach for are the world's while it runs."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import socket
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest

from bodydouble_sim.errors import RefusedError
from bodydouble_sim.machine import Machine
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from bodydouble_sim.surroundings import Surroundings


def draws() -> list[Any]:
    return [os.urandom(8), secrets.token_hex(8), str(uuid.uuid4()), random.random(), secrets.randbelow(1 << 60)]


async def draw() -> list[Any]:
    return draws()


def drawn(seed: int, machine: str | None = None) -> list[Any]:
    world = World(seed)

    async def main() -> list[Any]:
        if machine is None:
            return draws()
        made = Machine(world, machine)
        made.power_on()
        return await made.spawn(draw(), name="draw")

    got = world.run(main())
    world.close()
    return got


def test_entropy_is_a_function_of_the_seed() -> None:
    assert drawn(1) == drawn(1)
    for one, other in zip(drawn(1), drawn(2), strict=True):
        assert one != other


def test_machines_draw_from_streams_of_their_own() -> None:
    assert drawn(1, "A")[0] != drawn(1, "B")[0]
    assert drawn(1, "A")[0] == drawn(1, "A")[0]


def test_outside_a_run_everything_is_real_again(world: World) -> None:
    before = [vars(place)[name] for place, name, _ in world._surroundings._stand_ins()]
    state = random.getstate()
    world.run(draw())
    assert [vars(place)[name] for place, name, _ in world._surroundings._stand_ins()] == before
    assert random.getstate() == state
    assert abs(time.time() - world.start.timestamp()) > 1e6


def test_a_second_run_goes_on_where_the_first_stopped(world: World) -> None:
    assert world.run(draw()) != world.run(draw())


def test_clocks_show_virtual_time(world: World) -> None:
    async def main() -> None:
        await asyncio.sleep(86_400)
        assert time.time() == world.start.timestamp() + 86_400
        assert time.time_ns() == int(world.start.timestamp() + 86_400) * 10**9
        assert time.monotonic() == asyncio.get_running_loop().time() == 86_400

    world.run(main())


def test_the_calendar_is_virtual_however_it_is_asked_for(world: World) -> None:
    async def main() -> None:
        moment = time.time()
        assert time.gmtime() == time.gmtime(moment)
        assert time.localtime() == time.localtime(moment)
        assert time.ctime() == time.ctime(moment)
        assert time.strftime("%Y-%m-%d") == time.strftime("%Y-%m-%d", time.localtime(moment))
        assert time.strftime("%Y", time.gmtime(0)) == "1970"

    world.run(main())


def test_a_machine_knows_its_own_name(world: World) -> None:
    async def names() -> tuple[str, str]:
        return socket.gethostname(), socket.getfqdn()

    async def main() -> tuple[str, str]:
        machine = Machine(world, "SOURCE")
        machine.power_on()
        return await machine.spawn(names(), name="names")

    assert world.run(main()) == ("SOURCE", "SOURCE")


def test_signal_handlers_are_kept_and_never_reach_the_process(world: World) -> None:
    real = signal.getsignal(signal.SIGTERM)

    async def main() -> None:
        assert signal.signal(signal.SIGTERM, print) == signal.SIG_DFL
        assert signal.signal(signal.SIGTERM, signal.SIG_IGN) is print

    world.run(main())
    assert signal.getsignal(signal.SIGTERM) is real


def test_a_thread_is_refused_with_a_way_out(world: World) -> None:
    async def main() -> None:
        with pytest.raises(RefusedError, match=r"asyncio\.to_thread"):
            threading.Thread(target=print).start()

    world.run(main())


def test_worker_threads_of_anyio_run_inline(world: World) -> None:
    async def main() -> str:
        with pytest.raises(ZeroDivisionError):
            await anyio.to_thread.run_sync(lambda: 1 // 0)
        return await anyio.to_thread.run_sync(lambda: threading.current_thread().name)

    assert world.run(main()) == threading.main_thread().name


def test_without_the_backstop_entropy_differs_between_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: the comparison above sees unseeded entropy."""

    def nothing(_: Surroundings) -> list[Any]:
        return []

    monkeypatch.setattr("bodydouble_sim.surroundings.Surroundings._stand_ins", nothing)
    assert drawn(1) != drawn(1)
