"""A machine asks a third one, with which it is paired, what that one reaches."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.replication.site import Site, running
from tests.product.replication.test_hostile_source import ends, session

from bodydouble.errors import PairingError
from bodydouble.replication.protocol import Reach, Reached
from bodydouble.replication.reach import Line
from bodydouble.vocabulary.witnesses import Witness

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SOURCE = "10.0.0.10"


class OnePing:
    """Reaches one address, at the second try."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def ping(self, address: str, timeout: float) -> float | None:  # noqa: ASYNC109 - the port's signature
        del timeout
        self.asked.append(address)
        return 0.001 if address == SOURCE and len(self.asked) > 1 else None


def witness() -> tuple[Site, OnePing]:
    site, pings = Site("WITNESS"), OnePing()
    pinger: Any = pings
    site.host = dataclasses.replace(site.host, pinger=pinger)
    return site, pings


def line(target: Site, third: Site) -> Line:
    return Line(target.service.context, Witness("127.0.0.1", third.service.port))


def play(case: Callable[[Site, Site, OnePing], Awaitable[None]]) -> None:
    async def main() -> None:
        target = Site("TARGET")
        third, pings = witness()
        async with running(target, third):
            await case(target, third, pings)

    asyncio.run(main())


@pytest.mark.parametrize(("address", "answers"), [(SOURCE, True), ("10.0.0.99", False)])
def test_witness_says_whether_an_address_answers(address: str, *, answers: bool) -> None:
    async def case(target: Site, third: Site, pings: OnePing) -> None:
        reached = await line(target, third).ask(Reach(address), keep=False)
        assert reached == Reached(answers)
        assert pings.asked == [address] * 2

    play(case)


def test_connection_of_a_lease_is_kept_and_made_again_when_the_witness_was_started_again() -> None:
    async def case(target: Site, third: Site, _pings: OnePing) -> None:
        leases = line(target, third)
        assert await leases.ask(Reach(SOURCE, "lease", 10), keep=True) == Reached(answers=False)
        kept = leases._wire
        assert await leases.ask(Reach(SOURCE, "lease", 10), keep=True) == Reached(answers=False)
        assert leases._wire is kept is not None
        kept.transport.abort()
        assert await leases.ask(Reach(SOURCE, "lease", 10), keep=True) == Reached(answers=False)
        assert leases._wire is not kept
        leases.drop()
        assert leases._wire is None

    play(case)


def test_answer_that_nobody_waited_for_is_not_taken_for_the_next_one() -> None:
    async def case(target: Site, third: Site, _pings: OnePing) -> None:
        leases = line(target, third)
        await leases.ask(Reach(SOURCE, "lease", 10), keep=True)
        waiting = asyncio.create_task(leases.ask(Reach(SOURCE, "ask"), keep=True))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert await leases.ask(Reach("10.0.0.99", "ask"), keep=False) == Reached(answers=False)

    play(case)


def test_machine_that_is_not_paired_is_told_nothing() -> None:
    async def case(target: Site, third: Site, pings: OnePing) -> None:
        for peer in third.trust.peers():
            await third.trust.remove(peer.name)
        with pytest.raises((ConnectionError, PairingError)):
            await line(target, third).ask(Reach(SOURCE), keep=False)
        assert pings.asked == []

    play(case)


@pytest.mark.parametrize("address", ["", "web1", "::1", "10.0.0.256"])
def test_what_is_no_address_is_not_pinged(address: str) -> None:
    async def case(_target: Site, third: Site, pings: OnePing) -> None:
        async with session(third, Reach(address)) as wire:
            await ends(wire)
        assert pings.asked == []

    play(case)
