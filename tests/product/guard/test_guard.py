"""A source that is no second owner: at its start, when it is joined again, and while it is cut off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.product.failover.fakes import Target, run_jumping, until

from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.guard.service import Guard
from bodydouble.guard.settings import GuardSettings, check_guard
from bodydouble.replication.claims import Asker
from bodydouble.replication.protocol import Reach, Reached
from bodydouble.state.events import EventLog
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import InterfaceAddress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.vocabulary.witnesses import Stance

OWN = InterfaceAddress(interface="Local Area Connection", address="10.0.0.10/24")
GATEWAY, THIRD = "10.0.0.1", "10.0.0.30"
PAIRED = f"{THIRD}:6320"


class Source:
    """A machine whose own address is guarded, and the daemon's guard over one disk."""

    def __init__(self, **settings: object) -> None:
        self.machine = Target()
        self.machine.identity.addresses = [OWN]
        self.wire = self.machine.wire
        self.wire.answering = {GATEWAY}
        self.settings = GuardSettings(addresses=[OWN], **settings)  # type: ignore[arg-type]
        self.stood_in_for = False
        self.guard: Guard
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self._task is None:
            self.events = EventLog(self.machine.files, "/state", self.machine.clock)
            await self.events.open()
        store = StateStore(self.machine.host.file_system, "/state", self.machine.clock)
        self.guard = Guard(
            self.machine.host,
            self.settings,
            store,
            self.events,
            lambda: self.stood_in_for,
            leasing=self.machine,
        )
        self._task = asyncio.create_task(self.guard.run(), name="guard")
        ready = asyncio.create_task(self.guard.ready.wait())
        await asyncio.wait([self._task, ready], return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    @property
    def holds(self) -> bool:
        return OWN in self.machine.identity.addresses

    @property
    def state(self) -> str:
        return self.guard.status().addresses[0].state

    def told(self, code: EventCode) -> int:
        return [event.code for event in self.events.after(0)].count(code)


def play(case: Callable[[Source], Awaitable[None]], **settings: object) -> None:
    async def main() -> None:
        source = Source(**settings)
        await case(source)
        await source.stop()

    run_jumping(main())


def test_source_that_boots_beside_its_stand_in_stays_off_the_address() -> None:
    async def case(source: Source) -> None:
        source.wire.answering.add("10.0.0.10")
        await source.start()
        assert not source.holds
        assert source.state == "stood-in"
        assert source.told(EventCode.ADDRESS_GIVEN_UP) == 1

    play(case)


def test_address_that_nobody_has_is_used_and_announced() -> None:
    async def case(source: Source) -> None:
        source.machine.identity.addresses = []
        await source.start()
        assert source.holds
        assert "announce 10.0.0.10" in source.machine.log

    play(case)


def test_stand_in_that_falls_silent_does_not_bring_the_address_back_by_itself() -> None:
    async def case(source: Source) -> None:
        source.wire.answering.add("10.0.0.10")
        await source.start()
        source.wire.answering.discard("10.0.0.10")
        await asyncio.sleep(600)
        assert not source.holds
        await source.guard.take_back()
        assert source.holds
        assert source.told(EventCode.ADDRESS_TAKEN_BACK) == 1

    play(case)


def test_return_is_refused_while_the_stand_in_answers() -> None:
    async def case(source: Source) -> None:
        source.wire.answering.add("10.0.0.10")
        await source.start()
        with pytest.raises(ConnectionStateError, match="fail it back first"):
            await source.guard.take_back()
        assert not source.holds

    play(case)


def test_what_was_given_up_stays_so_over_a_restart() -> None:
    async def case(source: Source) -> None:
        source.wire.answering.add("10.0.0.10")
        await source.start()
        await source.stop()
        source.wire.answering.discard("10.0.0.10")
        source.machine.identity.addresses = [OWN]  # as its system has it after a boot
        await source.start()
        assert not source.holds
        assert source.state == "stood-in"

    play(case)


def test_joined_source_yields_when_its_target_stands_in() -> None:
    async def case(source: Source) -> None:
        await source.start()
        source.wire.answering.add("10.0.0.10")
        await asyncio.sleep(60)
        assert source.holds, "a stranger with the same address is no stand-in"
        source.stood_in_for = True
        await until(lambda: not source.holds, within=5)
        assert source.state == "stood-in"

    play(case)


def test_cut_off_source_gives_the_address_up_in_time_and_takes_it_back() -> None:
    async def case(source: Source) -> None:
        await source.start()
        await asyncio.sleep(10)
        began = asyncio.get_running_loop().time()
        source.wire.answering.clear()
        gone = await until(lambda: not source.holds, within=60)
        assert 15 - 2 <= gone - began <= 15 + 2
        assert source.state == "isolated"
        source.wire.answering.add(GATEWAY)
        await until(lambda: source.holds and source.told(EventCode.ADDRESS_TAKEN_BACK) == 1, within=5)
        assert source.told(EventCode.ADDRESS_GIVEN_UP) == 1

    play(case, witnesses=[GATEWAY], lost_after=15.0)


def test_cut_off_source_that_finds_a_stand_in_when_it_is_joined_stays_off() -> None:
    async def case(source: Source) -> None:
        await source.start()
        source.wire.answering.clear()
        await until(lambda: not source.holds, within=60)
        source.wire.answering |= {GATEWAY, "10.0.0.10"}
        await until(lambda: source.state == "stood-in", within=10)
        assert not source.holds

    play(case, witnesses=[GATEWAY])


async def _silent() -> bool:
    return False


async def stand_in(source: Source, *, stance: Stance = "hold") -> Reached:
    """Another machine asks the witness for the source's address."""
    return await source.machine.claims.answer(Reach("10.0.0.10", stance), Asker("cd" * 32, "STAND-IN"), _silent)


def test_address_is_leased_before_it_is_used_and_as_long_as_it_is() -> None:
    async def case(source: Source) -> None:
        source.wire.answering.add(THIRD)
        await source.start()
        for _ in range(100):
            assert source.holds
            assert (await stand_in(source, stance="claim")).holder == "TARGET"
            await asyncio.sleep(1)

    play(case, witnesses=[PAIRED])


def test_source_that_no_paired_witness_answers_at_its_start_waits_for_a_lease() -> None:
    async def case(source: Source) -> None:
        await source.start()
        assert (source.holds, source.state) == (False, "isolated")
        source.wire.answering.add(THIRD)
        await until(lambda: source.holds, within=5)

    play(case, witnesses=[PAIRED, GATEWAY])


def test_lease_is_over_only_after_the_source_is_off_its_address() -> None:
    async def case(source: Source) -> None:
        source.wire.answering.add(THIRD)
        await source.start()
        await asyncio.sleep(10)
        source.wire.answering.discard(THIRD)
        while (await stand_in(source, stance="claim")).holder:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
        assert (source.holds, source.state) == (False, "isolated")

    play(case, witnesses=[PAIRED])


def test_source_stays_off_what_its_witness_let_another_machine_have_though_it_does_not_see_that_one() -> None:
    async def case(source: Source) -> None:
        source.wire.answering.add(THIRD)
        await source.start()
        source.wire.answering.clear()
        await until(lambda: source.state == "isolated", within=60)
        await stand_in(source)
        source.wire.answering.add(THIRD)
        await until(lambda: source.state == "stood-in", within=10)
        assert not source.holds
        await stand_in(source, stance="release")
        await asyncio.sleep(60)
        assert not source.holds, "its data are the older ones: an operator decides"
        await source.guard.take_back()
        assert source.holds

    play(case, witnesses=[PAIRED])


def test_source_that_is_refused_a_lease_for_a_moment_waits_and_takes_its_address_back_by_itself() -> None:
    async def case(source: Source) -> None:
        source.wire.answering.add(THIRD)
        await source.start()
        source.wire.answering.clear()
        await until(lambda: source.state == "isolated", within=60)
        await asyncio.sleep(30)
        assert not (await stand_in(source, stance="claim")).holder
        source.wire.answering.add(THIRD)
        await asyncio.sleep(30)
        assert (source.holds, source.state) == (False, "isolated")
        await stand_in(source, stance="release")  # it did not stand in after all
        await until(lambda: source.holds, within=5)

    play(case, witnesses=[PAIRED])


def test_one_of_three_witnesses_is_not_enough() -> None:
    async def case(source: Source) -> None:
        others = ["10.0.0.31", "10.0.0.32"]
        source.wire.answering |= {THIRD, *others}
        await source.start()
        source.wire.answering.discard(THIRD)
        await asyncio.sleep(60)
        assert source.holds
        source.wire.answering.discard(others[0])
        await until(lambda: source.state == "isolated", within=60)

    play(case, witnesses=[PAIRED, "10.0.0.31:6320", "10.0.0.32:6320"])


def test_operators_word_takes_the_claim_away_and_waits_for_the_lease() -> None:
    async def case(source: Source) -> None:
        source.wire.answering.add(THIRD)
        await stand_in(source)
        await source.start()
        assert (source.holds, source.state) == (False, "stood-in")
        source.wire.answering.discard(THIRD)
        with pytest.raises(ConnectionStateError, match="too few paired witnesses"):
            await source.guard.take_back()
        assert not source.holds
        source.wire.answering.add(THIRD)
        await source.guard.take_back()
        await asyncio.sleep(60)
        assert source.holds
        assert not (await stand_in(source, stance="ask")).answers

    play(case, witnesses=[PAIRED])


def test_without_witnesses_silence_is_no_reason() -> None:
    async def case(source: Source) -> None:
        await source.start()
        source.wire.answering.clear()
        await asyncio.sleep(600)
        assert source.holds

    play(case)


def test_address_that_cannot_be_removed_is_tried_again() -> None:
    async def case(source: Source) -> None:
        source.wire.answering.add("10.0.0.10")
        source.machine.identity.failures["remove-address"] = 3
        await source.start()
        await until(lambda: not source.holds, within=10)
        assert source.told(EventCode.GUARD_FAILED) == 1

    play(case)


def test_full_disk_does_not_make_a_second_owner() -> None:
    async def case(source: Source) -> None:
        await source.start()
        source.machine.files.refuse = 1000
        source.wire.answering.add("10.0.0.10")
        source.stood_in_for = True
        await until(lambda: not source.holds, within=5)

    play(case)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (GuardSettings(addresses=[InterfaceAddress(interface="eth0", address="10.0.0.10")]), "guard.addresses"),
        (GuardSettings(addresses=[InterfaceAddress(interface="eth0", address="web1/24")]), "guard.addresses"),
        (GuardSettings(addresses=[OWN], witnesses=["gateway"]), "guard.witnesses"),
        (GuardSettings(addresses=[OWN], witnesses=["10.0.0.10"]), "guard.witnesses"),
        (GuardSettings(addresses=[OWN], witnesses=[GATEWAY], interval=10.0, lost_after=15.0), "guard.lost_after"),
    ],
)
def test_settings_that_guard_nothing_are_refused_by_their_key(settings: GuardSettings, key: str) -> None:
    with pytest.raises(InputError, match=key):
        check_guard(settings)
