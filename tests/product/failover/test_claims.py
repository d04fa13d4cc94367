"""Claims at a paired witness: held while the target stands in, also at an operator's word, and released again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.product.failover.fakes import ADDRESS, SOURCE, Target, request, run_jumping, until

from bodydouble.replication.claims import Asker
from bodydouble.replication.protocol import Reach
from bodydouble.vocabulary.records import FailbackDecision

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

THIRD = "10.0.0.30"


def play(case: Callable[[Target], Awaitable[None]], **changes: Any) -> None:
    async def main() -> None:
        target = Target()
        target.wire.answering.add(THIRD)
        await target.start()
        await target.service.create_monitor(request(**{"witnesses": [f"{THIRD}:6320"], **changes}))
        await case(target)
        await target.stop()

    run_jumping(main())


async def _silent() -> bool:
    return False


async def claimed(target: Target) -> bool:
    """Whether the witness would keep the source off its address."""
    said = await target.claims.answer(Reach(ADDRESS, "ask"), Asker("cd" * 32, SOURCE), _silent)
    return said.holder == "TARGET"


async def until_claimed(target: Target, *, held: bool) -> None:
    while await claimed(target) != held:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.1)


def test_source_is_kept_off_its_address_while_the_target_stands_in_and_no_longer() -> None:
    async def case(target: Target) -> None:
        assert not await claimed(target)
        target.wire.answering.discard(ADDRESS)
        await target.in_state("failed-over")
        assert await claimed(target)
        await target.service.failback(SOURCE)
        await target.in_state("failed-back")
        await asyncio.wait_for(until_claimed(target, held=False), 60)
        target.wire.answering.add(ADDRESS)
        await target.service.decide(SOURCE, FailbackDecision(decision="continue"))
        await target.in_state("monitoring")
        assert not await claimed(target)

    play(case)


def test_claim_of_a_target_that_does_not_stand_in_after_all_is_released() -> None:
    async def case(target: Target) -> None:
        target.wire.answering.discard(ADDRESS)
        await asyncio.wait_for(until_claimed(target, held=True), 60)
        target.wire.answering.add(ADDRESS)
        await asyncio.wait_for(until_claimed(target, held=False), 60)
        await asyncio.sleep(60)
        assert target.state == "monitoring"

    play(case, interval=0.2, missed=50)


def test_nothing_is_claimed_while_an_operator_is_awaited() -> None:
    async def case(target: Target) -> None:
        target.wire.answering.discard(ADDRESS)
        await target.in_state("waiting-for-operator")
        assert not await claimed(target)
        await target.service.failover(SOURCE)
        await target.in_state("failed-over")
        await asyncio.wait_for(until_claimed(target, held=True), 60)

    play(case, manual_intervention=True)


def test_target_that_one_of_three_witnesses_answers_does_not_stand_in() -> None:
    async def case(target: Target) -> None:
        target.wire.answering.discard(ADDRESS)
        await asyncio.sleep(300)
        assert target.state == "monitoring"
        assert "too few witnesses answer" in target.service.monitors()[0].status_line
        target.wire.answering.add("10.0.0.31")
        await target.in_state("failed-over")

    play(case, witnesses=[f"{THIRD}:6320", "10.0.0.31:6320", "10.0.0.32:6320"])


def test_failover_at_an_operators_word_is_claimed_as_soon_as_the_witness_can_be_asked() -> None:
    async def case(target: Target) -> None:
        target.wire.answering.clear()
        await target.service.failover(SOURCE)
        await target.in_state("failed-over")
        assert not await claimed(target)
        target.wire.answering.add(THIRD)
        await asyncio.wait_for(until_claimed(target, held=True), 60)

    play(case)


def test_daemon_that_was_started_again_tells_the_witness_anew() -> None:
    async def case(target: Target) -> None:
        target.wire.answering.discard(ADDRESS)
        await target.in_state("failed-over")
        await target.claims.answer(Reach(ADDRESS, "take"), Asker("cd" * 32, SOURCE), _silent)
        await target.restarted(reboot=False)
        await asyncio.wait_for(until_claimed(target, held=True), 60)

    play(case)


def test_address_that_is_gone_while_the_target_stands_in_is_added_again_once_nobody_has_it() -> None:
    async def case(target: Target) -> None:
        target.wire.answering.discard(ADDRESS)
        await target.in_state("failed-over")
        target.identity.addresses = [each for each in target.identity.addresses if ADDRESS not in each.address]
        target.wire.answering.add(ADDRESS)  # the system gave it up at a conflict
        await asyncio.sleep(60)
        assert not target.identity.holds(ADDRESS)
        target.wire.answering.discard(ADDRESS)
        await until(lambda: target.identity.holds(ADDRESS), within=30)
        assert target.state == "failed-over"

    play(case)
