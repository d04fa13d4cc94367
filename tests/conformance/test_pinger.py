from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conformance.conftest import Caller, Segment


def test_living_neighbour_answers_within_the_timeout(segment: Segment) -> None:
    async def case(ours: Caller, _theirs: Caller) -> None:
        seconds = await ours(lambda host: host.pinger.ping(segment.neighbour.partition("/")[0], 5.0))
        assert seconds is not None
        assert 0 < seconds < 5.0

    segment.run(case)


def test_silence_is_none_after_the_timeout(segment: Segment) -> None:
    async def case(ours: Caller, _theirs: Caller) -> None:
        started = asyncio.get_running_loop().time()
        assert await ours(lambda host: host.pinger.ping(segment.spare.partition("/")[0], 0.5)) is None
        assert asyncio.get_running_loop().time() - started >= 0.49

    segment.run(case)


def test_pings_at_the_same_time_do_not_take_each_others_replies(segment: Segment) -> None:
    async def case(ours: Caller, _theirs: Caller) -> None:
        addresses = [segment.neighbour.partition("/")[0], segment.spare.partition("/")[0]] * 3
        answers = await asyncio.gather(
            *(_ping(ours, address) for address in addresses),
        )
        assert [answer is not None for answer in answers] == [True, False] * 3

    segment.run(case)


async def _ping(caller: Caller, address: str) -> float | None:
    return await caller(lambda host: host.pinger.ping(address, 0.5))
