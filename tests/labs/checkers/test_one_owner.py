"""Two machines with one name or address at once are seen, and named with it and the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.labs.conftest import CUT, FAILBACK, FAILED_OVER

from bodydouble_labs.checkers import one_owner
from bodydouble_labs.history import Answered, Claim, History, Identity, IdentitySample
from bodydouble_labs.owners import OwnerLog

if TYPE_CHECKING:
    from bodydouble_labs.checkers import Check
    from bodydouble_labs.scenario.model import Scenario

ADDRESS = "10.0.0.10"


def run(history: History, scenario: Scenario) -> Check:
    return one_owner.check(history, scenario.expect, scenario)


def heard(*turns: tuple[float, str], claims: tuple[tuple[float, str], ...] = ()) -> History:
    """A history of machines that answered for the source's address at instants, in turn."""
    history = History(identities=[IdentitySample(0.0, {})])
    now = 0.0
    log = OwnerLog(history, lambda: now)
    events = [(at, owner, log.answered) for at, owner in turns] + [(at, owner, log.claimed) for at, owner in claims]
    log.answered("10.0.0.20", "target")
    for at, owner, note in sorted(events, key=lambda event: event[0]):
        now = at
        note(ADDRESS, owner)
    log.close()
    return history


def test_an_address_that_is_claimed_by_each_new_owner_has_one_owner(scenario: Scenario) -> None:
    turns = [(1.0, "source"), (2.0, "source"), (30.0, "target"), (31.0, "target"), (60.0, "source"), (90.0, "target")]
    claims = ((29.9, "target"), (59.0, "source"), (89.0, "target"))
    assert run(heard(*turns, claims=claims), scenario).verdict == "pass"


def test_two_that_answer_in_turn_are_two_owners(scenario: Scenario) -> None:
    """Clients with a stale cache still reach the old owner, all others the new one."""
    turns = [(1.0, "source"), (30.0, "target"), (30.5, "source"), (31.0, "target"), (31.5, "source")]
    check = run(heard(*turns, claims=((29.9, "target"),)), scenario)
    assert check.verdict == "fail"
    assert "10.0.0.10 belonged to source and target at once from 30.000 s to 31.500 s" in check.detail


def test_a_machine_that_claims_what_is_defended_and_leaves_it_is_no_owner(scenario: Scenario) -> None:
    turns = [(1.0, "target"), (2.0, "target"), (3.0, "target")]
    assert run(heard(*turns, claims=((1.5, "source"),)), scenario).verdict == "pass"


def test_an_old_claim_does_not_count_for_a_new_answer(scenario: Scenario) -> None:
    turns = [(1.0, "source"), (30.0, "target"), (60.0, "source")]
    assert run(heard(*turns, claims=((0.5, "source"), (29.9, "target"))), scenario).verdict == "fail"


def test_a_name_answered_by_two_is_seen_as_well(scenario: Scenario, history: History) -> None:
    history.answers += [
        Answered("SOURCE", "source", 10.0, 20.0),
        Answered("SOURCE", "target", 21.0, 22.0),
        Answered("SOURCE", "source", 23.0, 24.0),
    ]
    assert "SOURCE belonged to source and target at once from 21.000 s to 23.000 s" in run(history, scenario).detail


def test_a_name_that_was_given_up_may_be_answered_again_without_a_claim(scenario: Scenario, history: History) -> None:
    """A source that was off the network all the while does not register its name again when it is plugged in."""
    turns = [Answered("SOURCE", "source", 1.0, CUT), Answered("SOURCE", "target", FAILED_OVER, FAILBACK - 5)]
    history.answers += [*turns, Answered("SOURCE", "source", 510.0, 600.0)]
    history.claims.append(Claim(FAILED_OVER, "SOURCE", "target"))
    assert run(history, scenario).verdict == "fail"
    history.claims.append(Claim(FAILBACK, "SOURCE", "target", given_up=True))
    assert run(history, scenario).verdict == "pass"


def test_what_belongs_to_another_protection_is_not_judged(scenario: Scenario, history: History) -> None:
    history.answers += [Answered("10.0.0.99", owner, at, at) for at, owner in ((1.0, "a"), (2.0, "b"), (3.0, "a"))]
    assert run(history, scenario).verdict == "pass"


@pytest.mark.parametrize("held", [{"addresses": ["10.0.0.10"]}, {"names": ["SOURCE"]}])
def test_two_consoles_that_show_it_at_once_are_two_owners(
    scenario: Scenario, history: History, held: dict[str, list[str]]
) -> None:
    both = {name: Identity(name.upper(), on_network=True, **held) for name in ("source", "target")}
    history.identities.insert(3, IdentitySample(200.0, both))
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert f"at once from 200.000 s to {CUT + 0.1:.3f} s: both held it" in check.detail


def test_a_machine_without_a_cable_owns_nothing(scenario: Scenario, history: History) -> None:
    state = {
        name: Identity(name.upper(), [name], [ADDRESS], on_network=name == "target") for name in ("source", "target")
    }
    history.identities.append(IdentitySample(FAILED_OVER, state))
    assert run(history, scenario).verdict == "pass"


def test_a_run_in_which_nobody_was_heard_is_invalid(scenario: Scenario, history: History) -> None:
    history.answers = [run for run in history.answers if run.identity != ADDRESS]
    check = run(history, scenario)
    assert (check.verdict, "nobody was heard answering for 10.0.0.10" in check.detail) == ("invalid", True)


def test_a_run_without_a_look_at_the_consoles_is_invalid(scenario: Scenario, history: History) -> None:
    history.identities = []
    assert run(history, scenario).verdict == "invalid"


def test_claims_within_a_second_of_the_first_answer_count(scenario: Scenario, history: History) -> None:
    late = [Claim(claim.at + 0.9, claim.identity, claim.owner) for claim in history.claims]
    history.claims = late
    assert run(history, scenario).verdict == "pass"
    history.claims = [msgspec.structs.replace(claim, at=claim.at + 1) for claim in late]
    assert run(history, scenario).verdict == "fail"
