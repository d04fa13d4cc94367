"""Exploring schedules finds what depends on an order that nobody promised; the tape brings it back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble_sim.errors import TapeError
from bodydouble_sim.exploration import Decision, DecisionTape
from bodydouble_sim.machine import Machine
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from pathlib import Path


async def depends_on_order() -> int:
    """The planted bug: the user relies on the loader having been first, which first in, first out always grants."""
    settings: dict[str, int] = {}

    async def load() -> None:
        await asyncio.sleep(0)
        settings["port"] = 80

    async def use() -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return settings["port"]

    loading = asyncio.create_task(load(), name="load")
    using = asyncio.create_task(use(), name="use")
    await asyncio.wait([loading, using])
    return using.result()


def outcome(world: World) -> str:
    try:
        return str(world.run(depends_on_order()))
    except KeyError as error:
        return repr(error)
    finally:
        world.close()


def test_without_exploration_the_planted_bug_never_shows() -> None:
    for seed in range(50):
        world = World(seed)
        assert world.tape is None
        assert outcome(world) == "80"


def test_exploration_finds_the_planted_bug_and_its_tape_brings_it_back(tmp_path: Path) -> None:
    found = 0
    for seed in range(50):
        world = World(seed, explore=True)
        result = outcome(world)
        assert world.tape is not None
        world.tape.write(tmp_path / "tape.jsonl")
        assert outcome(World(seed, explore=DecisionTape.read(tmp_path / "tape.jsonl"))) == result
        found += result == "KeyError('port')"
    assert 0 < found < 50


def test_one_seed_draws_one_tape() -> None:
    tapes = []
    for _ in range(2):
        world = World(7, explore=True)
        outcome(world)
        assert world.tape is not None
        tapes.append(world.tape.decisions)
    assert tapes[0] == tapes[1]
    assert {decision.ran for decision in tapes[0]} >= {"load", "use"}


def test_plain_callbacks_keep_their_order_under_exploration() -> None:
    async def main() -> list[int]:
        ran: list[int] = []
        others = [asyncio.create_task(asyncio.sleep(0), name=f"other{number}") for number in range(5)]
        for number in range(50):
            asyncio.get_running_loop().call_soon(ran.append, number)
        await asyncio.sleep(1)
        await asyncio.gather(*others)
        return ran

    for seed in range(10):
        world = World(seed, explore=True)
        assert world.run(main()) == list(range(50))
        world.close()


def test_bytes_of_many_connections_stay_in_order_under_exploration() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(1000):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def client(number: int) -> None:
        content = bytes([number]) * 20_000 + bytes(range(256)) * 20
        reader, writer = await asyncio.open_connection("10.0.0.2", 80)
        writer.write(content)
        writer.write_eof()
        assert await reader.read() == content
        writer.close()

    async def clients() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(client(number), name=f"client {number}")

    for seed in range(3):
        digests = []
        for _ in range(2):
            world = World(seed, explore=True)
            machines = [Machine(world, name) for name in ("A", "B")]
            for number, machine in enumerate(machines, 1):
                machine.plug(world.network.segment("lan"), f"10.0.0.{number}/24")
                machine.power_on()

            async def main(machines: list[Any] = machines) -> None:
                await machines[1].spawn(asyncio.start_server(echo, "0.0.0.0", 80), name="server")
                await machines[0].spawn(clients(), name="clients")

            world.run(main())
            digests.append(world.trace.digest)
            world.close()
            assert world.loop.unhandled == []
        assert digests[0] == digests[1]


def test_a_run_that_has_other_choices_than_its_tape_says_where() -> None:
    world = World(1, explore=DecisionTape(1, [Decision(options=9, chosen=3, ran="somebody")]))
    with pytest.raises(TapeError, match=r"decision 1 of the tape ran somebody.*load, use"):
        world.run(depends_on_order())
    world.close()


def test_beyond_the_end_of_its_tape_a_run_is_first_in_first_out() -> None:
    assert outcome(World(1, explore=DecisionTape(1))) == "80"


@pytest.mark.parametrize(
    "text", ["", "nonsense\n", '{"format":2,"seed":1}\n', '{"format":1,"seed":1}\n{"options":1}\n']
)
def test_what_is_no_tape_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tape.jsonl"
    path.write_text(text)
    with pytest.raises(TapeError, match=r"tape\.jsonl"):
        DecisionTape.read(path)
