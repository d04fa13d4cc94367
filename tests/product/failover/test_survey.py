"""What is asked in the last second before a failover: the wire, and the witnesses who may object to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.failover.fakes import ADDRESS, Target, request, run_jumping, until

from bodydouble.errors import InputError
from bodydouble.failover.request import check_request
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

GATEWAY, THIRD = "10.0.0.1", "10.0.0.30"


def play(case: Callable[[Target], Awaitable[None]], witnesses: list[str]) -> None:
    async def main() -> None:
        target = Target()
        target.wire.answering |= {GATEWAY, THIRD}
        await target.start()
        await target.service.create_monitor(request(witnesses=witnesses))
        await case(target)
        await target.stop()

    run_jumping(main())


def test_addresses_are_asked_for_before_the_countdown_is_over() -> None:
    async def case(target: Target) -> None:
        target.wire.cut()
        failed = await target.in_state("failing-over")
        held = await until(lambda: target.identity.holds(ADDRESS))
        assert held - failed < 0.5, "asking the wire takes half a second here, and was over before"

    play(case, [])


def test_address_that_somebody_takes_in_the_last_second_is_not_added() -> None:
    async def case(target: Target) -> None:
        target.wire.cut()
        await asyncio.sleep(24.2)
        target.wire.answering.add(ADDRESS)  # answers ARP, and no heartbeat is due before zero
        await asyncio.sleep(60)
        assert not target.identity.holds(ADDRESS)

    play(case, [])


def test_target_that_no_witness_answers_does_not_stand_in_and_says_so_once() -> None:
    async def case(target: Target) -> None:
        target.wire.answering.clear()
        await asyncio.sleep(300)
        assert not target.identity.holds(ADDRESS)
        assert target.state == "monitoring"
        assert target.codes().count(EventCode.WITNESS_OBJECTS) == 1
        assert "no witness answers" in target.service.monitors()[0].status_line
        assert target.service.monitors()[0].bullet == "red"

    play(case, [GATEWAY, f"{THIRD}:6320"])


def test_target_stands_in_once_a_witness_answers_again_and_the_source_does_not() -> None:
    async def case(target: Target) -> None:
        target.wire.answering.clear()
        await asyncio.sleep(100)
        target.wire.answering.add(GATEWAY)
        await target.in_state("failed-over")
        assert target.identity.holds(ADDRESS)

    play(case, [GATEWAY])


def test_source_that_answers_again_is_monitored_as_before() -> None:
    async def case(target: Target) -> None:
        target.wire.answering.clear()
        await asyncio.sleep(100)
        target.wire.heal()
        target.wire.answering.add(GATEWAY)
        await asyncio.sleep(100)
        assert target.state == "monitoring"
        assert target.service.monitors()[0].bullet == "green"
        assert target.service.monitors()[0].status_line == "Monitoring WEB1"

    play(case, [GATEWAY])


def test_paired_witness_that_still_reaches_the_source_objects() -> None:
    async def case(target: Target) -> None:
        target.seen_elsewhere = {ADDRESS}
        target.wire.cut()
        target.wire.answering |= {GATEWAY, THIRD}
        await asyncio.sleep(300)
        assert not target.identity.holds(ADDRESS)
        assert f"the witness {THIRD} still reaches {ADDRESS}" in target.texts()
        target.seen_elsewhere = set()
        await target.in_state("failed-over")

    play(case, [GATEWAY, f"{THIRD}:6320"])


def test_operators_word_needs_no_witness() -> None:
    async def case(target: Target) -> None:
        target.wire.answering.clear()
        await asyncio.sleep(60)
        await target.service.failover("WEB1")
        await target.in_state("failed-over")

    play(case, [GATEWAY])


@pytest.mark.parametrize(
    "witness", ["gateway", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:70000", "10.0.0.1:+6320", ADDRESS, f"{ADDRESS}:6320"]
)
def test_witness_that_can_say_nothing_is_refused(witness: str) -> None:
    settings: Any = {"witnesses": [witness]}
    with pytest.raises(InputError, match="witnesses"):
        check_request(request(**settings))
