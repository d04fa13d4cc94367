"""What a monitor may be told beyond addresses and scripts: triggers, heartbeats, items; and several sources at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.product.failover.fakes import (
    ADAPTER,
    ADDRESS,
    SECOND,
    SOURCE,
    Target,
    both_addresses,
    now,
    request,
    scenario,
)

from bodydouble.errors import ConnectionStateError, InputError, PairingError
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import FailbackDecision, InterfaceAddress, MonitorScripts

CONTINUE = FailbackDecision(decision="continue")


# --- trigger --------------------------------------------------------------------------------------------------------


def test_any_one_silent_address_fails_over_when_that_is_the_trigger() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request(addresses=both_addresses(), trigger="any"))
        await asyncio.sleep(60)
        assert target.state == "monitoring"
        target.wire.answering = {SECOND}
        began = now()
        assert await target.in_state("failing-over") == pytest.approx(began + 25, abs=5.1)
        await asyncio.sleep(20)
        assert target.identity.holds(ADDRESS)
        assert not target.identity.holds(SECOND)

    scenario(play)


def test_with_any_an_operator_is_awaited_until_every_address_answers_again() -> None:
    async def play(target: Target) -> None:
        settings = {"addresses": both_addresses(), "trigger": "any", "manual_intervention": True}
        await target.service.create_monitor(request(**settings))
        target.wire.answering = {SECOND}
        await target.in_state("waiting-for-operator")
        await asyncio.sleep(60)
        assert target.state == "waiting-for-operator"
        target.wire.heal()
        await target.in_state("monitoring")

    scenario(play)


# --- heartbeats of the service --------------------------------------------------------------------------------------


def test_a_source_whose_service_is_silent_has_failed_after_twenty_heartbeats_though_its_machine_answers() -> None:
    async def play(target: Target) -> None:
        status = await target.service.create_monitor(request(heartbeat="service", service_port=7000))
        assert status.request.missed == 20
        await asyncio.sleep(300)
        assert target.state == "monitoring"
        target.source_service.runs = False
        began = now()
        await target.in_state("failing-over")
        assert now() == pytest.approx(began + 100, abs=5.1)
        assert (ADDRESS, 7000) in target.source_service.asked
        assert target.pinger.sent == []

    scenario(play)


def test_heartbeats_of_a_service_need_a_paired_source() -> None:
    async def play(target: Target) -> None:
        with pytest.raises(PairingError):
            await target.service.create_monitor(request(source="WEB9", heartbeat="service"))
        assert target.service.monitors() == []

    scenario(play)


def test_a_source_that_is_not_paired_any_more_is_not_taken_for_failed() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request(heartbeat="service"))

        def unpaired(_source: str) -> None:
            raise PairingError("not paired")

        target.source_service.check_paired = unpaired  # type: ignore[assignment, method-assign]
        await asyncio.sleep(3600)
        assert target.state == "monitoring"
        assert target.codes().count(EventCode.HEARTBEAT_NOT_SENT) == 1

    scenario(play)


# --- items ----------------------------------------------------------------------------------------------------------


def test_a_watched_address_holds_failover_off_and_is_not_assumed() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request(watched=[SECOND]))
        target.wire.answering = {SECOND}
        await asyncio.sleep(300)
        assert target.state == "monitoring"
        target.wire.cut()
        await target.in_state("failed-over")
        assert target.identity.holds(ADDRESS)
        assert not target.identity.holds(SECOND)

    scenario(play)


def test_failback_is_refused_while_the_source_answers_at_an_address_of_its_own() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request(watched=[SECOND]))
        target.wire.cut()
        await target.in_state("failed-over")
        target.wire.answering = {SECOND}
        with pytest.raises(ConnectionStateError, match=f"answers at its own {SECOND}.*Disconnect it"):
            await target.service.failback(SOURCE)
        target.wire.cut()
        await target.service.failback(SOURCE)
        await target.in_state("failed-back")

    scenario(play)


def test_a_failover_that_holds_nothing_may_be_given_up_whatever_answers() -> None:
    async def play(target: Target) -> None:
        target.stand_in_failures = 1_000
        await target.service.create_monitor(request(watched=[SECOND]))
        target.wire.cut()
        await target.in_state("failing-over")
        target.wire.heal()
        await target.service.failback(SOURCE)
        await target.in_state("failed-back")

    scenario(play)


@pytest.mark.parametrize("reboot", [False, True])
def test_without_the_name_only_addresses_are_assumed(reboot: bool) -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request(name=False))
        target.wire.cut()
        await target.in_state("failed-over")
        await target.restarted(reboot=reboot)
        await target.in_state("failed-over")
        assert target.identity.holds(ADDRESS)
        await target.service.failback(SOURCE)
        await target.in_state("failed-back")
        assert not any("-name" in line for line in target.log)

    scenario(play)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"watched": ["10.0.0.300"]}, "watched: expected an address"),
        ({"watched": [ADDRESS]}, "listed twice"),
        ({"watched": [SECOND, SECOND]}, "listed twice"),
        ({"watched": ["10.0.0.20"]}, "this machine's own address"),
        ({"service_port": 0}, "service_port: expected"),
    ],
)
def test_settings_that_could_not_be_carried_out_are_refused(changes: dict[str, Any], expected: str) -> None:
    async def play(target: Target) -> None:
        with pytest.raises(InputError, match=expected):
            await target.service.create_monitor(request(**changes))

    scenario(play)


# --- several sources ------------------------------------------------------------------------------------------------


def own(number: int) -> dict[str, Any]:
    return {
        "source": f"WEB{number}",
        "addresses": [InterfaceAddress(interface=ADAPTER, address=f"10.0.0.{10 + number}/24")],
        "scripts": MonitorScripts(post_failover=f"/s/start{number}", pre_failback=f"/s/stop{number}"),
    }


@pytest.mark.parametrize("reboot", [False, True])
def test_several_sources_fail_over_at_once_and_come_back_in_another_order(reboot: bool) -> None:
    async def play(target: Target) -> None:
        numbers = (1, 2, 3)
        target.wire.answering = {f"10.0.0.{10 + number}" for number in numbers}
        for number in numbers:
            await target.service.create_monitor(request(**own(number)))
        target.wire.cut()
        await all_in(target, "failed-over")
        assert sorted(target.identity.names) == ["WEB1", "WEB2", "WEB3"]
        await target.restarted(reboot=reboot)
        await all_in(target, "failed-over")
        left = {"WEB1", "WEB2", "WEB3"}
        for number in (2, 3, 1):
            source, address = f"WEB{number}", f"10.0.0.{10 + number}"
            await target.service.failback(source)
            await state_of(target, source, "failed-back")
            left.remove(source)
            assert set(target.identity.names) == left
            assert not target.identity.holds(address)
            target.wire.answering.add(address)
            await target.service.decide(source, CONTINUE)
        await all_in(target, "monitoring")
        assert len(target.identity.addresses) == 1
        starts = 2 if reboot else 1
        assert [target.log.count(f"script /s/start{number}") for number in numbers] == [starts] * 3
        assert [target.log.count(f"script /s/stop{number}") for number in numbers] == [1] * 3

    scenario(play)


async def all_in(target: Target, state: str) -> None:
    for status in target.service.monitors():
        await state_of(target, status.request.source, state)


async def state_of(target: Target, source: str, state: str) -> None:
    async with asyncio.timeout(600):
        while {each.request.source: each.state for each in target.service.monitors()}[source] != state:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
