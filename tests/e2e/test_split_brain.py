"""Who owns the source's address while source and target lose sight of each other: never two with witnesses.

What comes out, and what of it is the best that can be had, is stated in docs/split-brain.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.trio import FAULT, TIME_TO_FAIL, Trio

from bodydouble.guard.settings import GuardSettings
from bodydouble_sim.network.faults import Match
from bodydouble_sim.network.troubles import Flap, Latency, LostAnnouncements, Partition

if TYPE_CHECKING:
    from tests.e2e.trio import Trouble

    from bodydouble_sim.network.faults import Fault


def isolated_target(trio: Trio) -> Fault:
    return Partition(trio.world, ["TARGET"], ["SOURCE", "WITNESS"])


def isolated_source(trio: Trio) -> Fault:
    return Partition(trio.world, ["SOURCE"], ["TARGET", "WITNESS"])


def parted_pair(trio: Trio) -> Fault:
    return Partition(trio.world, ["SOURCE"], ["TARGET"])


def one_way_loss(trio: Trio) -> Fault:
    return Partition(trio.world, ["SOURCE"], ["TARGET"], one_way=True)


def slow_source(trio: Trio) -> Fault:
    return Latency(trio.world, 3.0, Match(sender="SOURCE"), Match(receiver="SOURCE"))


def flapping_link(trio: Trio) -> Fault:
    return Flap(trio.world, trio.source.windows.nics[0], down=15.0, up=5.0)


def short_flaps(trio: Trio) -> Fault:
    return Flap(trio.world, trio.source.windows.nics[0], down=1.0, up=4.0)


WITH_WITNESS: dict[Trouble, str] = {
    isolated_target: "SOURCE",
    isolated_source: "TARGET",
    parted_pair: "SOURCE",
    one_way_loss: "SOURCE",
    slow_source: "TARGET",
    flapping_link: "TARGET",
    short_flaps: "SOURCE",
}
"""The owner at the end."""


@pytest.mark.parametrize("trouble", WITH_WITNESS)
def test_with_a_witness_there_are_never_two_owners(trouble: Trouble) -> None:
    trio = Trio(witnesses=True)
    trio.play(trouble)
    assert trio.both == 0.0
    assert trio.owner == WITH_WITNESS[trouble]


WITHOUT: dict[Trouble, tuple[str, float]] = {
    isolated_target: ("TARGET", FAULT),
    isolated_source: ("TARGET", FAULT),
    parted_pair: ("TARGET", FAULT),
    one_way_loss: ("TARGET", 3.0),
    slow_source: ("TARGET", FAULT),
    flapping_link: ("TARGET", 3.0),
    short_flaps: ("SOURCE", 0.0),
}
"""The owner at the end, and for how long there may be two while the trouble lasts."""
SETTLED = 8.0
"""Seconds after the end of the trouble within which one of two owners has given way."""


@pytest.mark.parametrize("trouble", WITHOUT)
def test_without_a_witness_two_owners_last_no_longer_than_the_trouble(trouble: Trouble) -> None:
    trio = Trio(witnesses=False)
    trio.play(trouble)
    owner, during = WITHOUT[trouble]
    assert trio.both - trio.after <= during
    assert trio.after <= SETTLED
    assert trio.owner == owner


def test_two_owners_are_seen_by_the_count_itself() -> None:
    trio = Trio(witnesses=False)
    trio.source.guard = GuardSettings()  # nobody gives way
    trio.play(parted_pair)
    assert trio.both > FAULT - TIME_TO_FAIL - 5


def test_source_that_boots_beside_its_stand_in_does_not_become_a_second_owner() -> None:
    trio = Trio(witnesses=True)

    class Lost:
        def start(self) -> None:
            trio.source.windows.power_off()
            trio.source.daemon = None

        def heal(self) -> None:
            trio.source.windows.power_on()

    trio.play(lambda _trio: Lost())
    assert trio.owner == "TARGET"
    assert trio.both == 0.0


def test_lost_announcements_leave_one_owner_who_announces_again() -> None:
    trio = Trio(witnesses=True)

    class Lost:
        def __init__(self) -> None:
            self.announcements = LostAnnouncements(trio.world, sender="TARGET")

        def start(self) -> None:
            self.announcements.start()
            trio.source.windows.power_off()
            trio.source.daemon = None

        def heal(self) -> None:
            self.announcements.heal()

    trio.play(lambda _trio: Lost())
    assert (trio.owner, trio.both) == ("TARGET", 0.0)
    assert trio.completed == 1
