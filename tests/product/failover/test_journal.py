"""What a restart does with a failover that was under way, and what a script's failure makes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.product.failover.fakes import ADDRESS, SOURCE, Target, request, scenario, until

from bodydouble.errors import ConnectionStateError, InputError, ScriptError
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import ScriptResult
from bodydouble.vocabulary.standing_in import SCRIPT_EVENTS, ScriptEvent, ScriptOptions

PATHS: dict[ScriptEvent, str] = {
    "pre-failover": "/s/preover",
    "post-failover": "/s/postover",
    "pre-failback": "/s/preback",
    "post-failback": "/s/postback",
}
FAILS = ScriptResult(exit_code=3, output="no such service")


async def failed_over(target: Target, **changes: Any) -> None:
    await target.service.create_monitor(request(**changes))
    target.wire.cut()
    await target.in_state("failed-over")


def policy(event: ScriptEvent, on_failure: Any) -> dict[ScriptEvent, ScriptOptions]:
    return {event: ScriptOptions(on_failure=on_failure)}


def runs(target: Target, event: ScriptEvent) -> int:
    return target.log.count(f"script {PATHS[event]}")


# --- restarts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reboot", [False, True])
def test_a_host_that_cannot_tell_its_boots_apart_is_known_by_the_addresses_that_are_gone(reboot: bool) -> None:
    async def play(target: Target) -> None:
        target.identity.tells_boots = False
        await failed_over(target)
        await target.restarted(reboot=reboot)
        await target.in_state("failed-over")
        assert target.identity.holds(ADDRESS)
        assert runs(target, "post-failover") == (2 if reboot else 1)

    scenario(play)


def test_a_name_that_ended_with_the_daemon_is_added_again_without_the_scripts() -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        target.identity.names.clear()
        await target.restarted(reboot=False)
        await target.in_state("failed-over")
        assert target.identity.names == [SOURCE]
        assert [runs(target, event) for event in ("pre-failover", "post-failover")] == [1, 1]

    scenario(play)


@pytest.mark.parametrize("event", SCRIPT_EVENTS)
def test_a_script_that_was_under_way_is_run_again_and_told_so(event: ScriptEvent) -> None:
    async def play(target: Target) -> None:
        plain = target.scripts.run

        async def endless(path: str, *arguments: Any) -> ScriptResult:
            if path != PATHS[event]:
                return await plain(path, *arguments)
            target.log.append(f"script {path}")
            await asyncio.Event().wait()
            raise AssertionError

        target.scripts.run = endless  # type: ignore[assignment, method-assign] # the daemon ends while it runs
        await target.service.create_monitor(request())
        target.wire.cut()
        if event.endswith("failback"):
            await target.in_state("failed-over")
            await target.service.failback(SOURCE)
        await until(lambda: runs(target, event))
        target.scripts.run = plain  # type: ignore[method-assign]
        await target.restarted(reboot=False)
        await target.in_state("failed-over" if event.endswith("failover") else "failed-back")
        assert runs(target, event) == 2
        told = [each for each in target.scripts.environments if each["BODYDOUBLE_EVENT"] == event]
        assert [each["BODYDOUBLE_ATTEMPT"] for each in told] == ["2"]
        assert f"{event} script {PATHS[event]} was under way when Bodydouble ended" in target.texts()
        assert target.codes().count(EventCode.SCRIPT_REPEATED) == 1
        others = [each for each in target.scripts.environments if each["BODYDOUBLE_EVENT"] != event]
        assert {each["BODYDOUBLE_ATTEMPT"] for each in others} == {"1"}

    scenario(play)


def test_a_journal_that_cannot_be_kept_does_not_hold_a_failover_up_and_is_reported_once() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request())
        target.wire.cut()
        await until(lambda: f"stand-in {SOURCE}" in target.log)
        target.files.refuse = 6
        await until(lambda: target.identity.holds(ADDRESS))
        await target.in_state("failed-over")
        assert target.codes().count(EventCode.JOURNAL_NOT_KEPT) == 1

    scenario(play)


# --- what a script's failure makes of it ----------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [FAILS, ScriptResult(0, "", timed_out=True), ScriptError("no such file")])
def test_a_held_failover_waits_for_an_operator_and_then_goes_on(failure: Any) -> None:
    async def play(target: Target) -> None:
        target.scripts.results["/s/preover"] = failure
        await target.service.create_monitor(request(script_options=policy("pre-failover", "hold")))
        target.wire.cut()
        await until(lambda: target.service.monitors()[0].held)
        await asyncio.sleep(600)
        (status,) = target.service.monitors()
        assert not target.identity.holds(ADDRESS)
        assert status.state == "failing-over"
        assert status.held.startswith("the pre-failover script /s/preover ")
        assert status.status_line == f"Waiting for an operator: {status.held}"
        await target.service.failover(SOURCE)
        await target.in_state("failed-over")
        assert runs(target, "pre-failover") == 1
        assert target.service.monitors()[0].held == ""

    scenario(play)


def test_a_held_failover_is_still_held_after_a_restart_of_the_daemon() -> None:
    async def play(target: Target) -> None:
        target.scripts.results["/s/postover"] = FAILS
        await target.service.create_monitor(request(script_options=policy("post-failover", "hold")))
        target.wire.cut()
        await until(lambda: target.service.monitors()[0].held)
        await asyncio.sleep(1)  # virtual: until it is written
        await target.restarted(reboot=False)
        await asyncio.sleep(60)
        assert target.service.monitors()[0].held
        assert (target.state, runs(target, "post-failover")) == ("failing-over", 1)
        await target.service.failover(SOURCE)
        await target.in_state("failed-over")

    scenario(play)


def test_failback_gives_a_held_failover_up() -> None:
    async def play(target: Target) -> None:
        target.scripts.results["/s/postover"] = FAILS
        await target.service.create_monitor(request(script_options=policy("post-failover", "hold")))
        target.wire.cut()
        await until(lambda: target.service.monitors()[0].held)
        await target.service.failback(SOURCE)
        await target.in_state("failed-back")
        assert not target.identity.holds(ADDRESS)

    scenario(play)


def test_an_aborted_pre_failover_script_leaves_nothing_behind_and_waits_for_an_operator() -> None:
    async def play(target: Target) -> None:
        target.scripts.results["/s/preover"] = FAILS
        await target.service.create_monitor(request(script_options=policy("pre-failover", "abort")))
        target.wire.cut()
        await target.in_state("waiting-for-operator")
        assert [line for line in target.log if not line.startswith("remove-")] == [
            f"stand-in {SOURCE}",
            "script /s/preover",
            "script /s/postback",
            f"stand-down {SOURCE} web",
        ]
        await asyncio.sleep(600)
        assert target.state == "waiting-for-operator"
        assert {EventCode.FAILOVER_ABORTED, EventCode.FAILOVER_UNDONE} <= {EventCode(each) for each in target.codes()}
        target.scripts.results.clear()
        await target.service.failover(SOURCE)
        await target.in_state("failed-over")
        assert runs(target, "pre-failover") == 2

    scenario(play)


def test_an_aborted_post_failover_script_gives_the_identity_back_and_keeps_the_mark() -> None:
    async def play(target: Target) -> None:
        target.scripts.results["/s/postover"] = FAILS
        await target.service.create_monitor(request(script_options=policy("post-failover", "abort")))
        target.wire.cut()
        await target.in_state("waiting-for-operator")
        assert target.log[target.log.index("script /s/postover") + 1 :] == [
            "script /s/preback",
            f"remove-name {SOURCE}",
            f"remove-address {ADDRESS}/24",
            "script /s/postback",
        ]
        target.wire.heal()
        await target.in_state("monitoring")

    scenario(play)


def test_an_aborted_pre_failback_script_leaves_the_machine_standing_in() -> None:
    async def play(target: Target) -> None:
        target.scripts.results["/s/preback"] = FAILS
        await failed_over(target, script_options=policy("pre-failback", "abort"))
        await target.service.failback(SOURCE)
        await until(lambda: EventCode.FAILBACK_UNDONE in target.codes())
        await target.in_state("failed-over")
        assert target.identity.holds(ADDRESS)
        assert target.identity.names == [SOURCE]
        assert (runs(target, "pre-failover"), runs(target, "post-failover")) == (1, 2)
        target.scripts.results.clear()
        await target.service.failback(SOURCE)
        await target.in_state("failed-back")

    scenario(play)


def test_an_aborted_post_failback_script_assumes_the_identity_again() -> None:
    async def play(target: Target) -> None:
        target.scripts.results["/s/postback"] = FAILS
        await failed_over(target, script_options=policy("post-failback", "abort"))
        await target.service.failback(SOURCE)
        await until(lambda: EventCode.FAILBACK_UNDONE in target.codes())
        assert target.identity.holds(ADDRESS)
        assert (runs(target, "pre-failover"), runs(target, "post-failover")) == (2, 2)

    scenario(play)


@pytest.mark.parametrize("decision", ["failback", "failover"])
def test_a_held_failback_goes_on_or_is_given_up_at_an_operators_word(decision: str) -> None:
    async def play(target: Target) -> None:
        target.scripts.results["/s/preback"] = FAILS
        await failed_over(target, script_options=policy("pre-failback", "hold"))
        await target.service.failback(SOURCE)
        await until(lambda: target.service.monitors()[0].held)
        await asyncio.sleep(60)
        assert target.identity.holds(ADDRESS)
        await getattr(target.service, decision)(SOURCE)
        await target.in_state("failed-back" if decision == "failback" else "failed-over")
        assert target.identity.holds(ADDRESS) == (decision == "failover")

    scenario(play)


@pytest.mark.parametrize("reboot", [False, True])
def test_undoing_is_finished_after_a_restart(reboot: bool) -> None:
    async def play(target: Target) -> None:
        target.scripts.results["/s/postover"] = FAILS
        target.identity.failures["remove-name"] = 1
        await target.service.create_monitor(request(script_options=policy("post-failover", "abort")))
        target.wire.cut()
        await until(lambda: runs(target, "post-failback"))
        await target.restarted(reboot=reboot)
        await target.in_state("waiting-for-operator")
        assert not target.identity.holds(ADDRESS)
        assert target.identity.names == []
        assert runs(target, "pre-failback") == 1

    scenario(play)


def test_options_of_a_script_reach_it() -> None:
    async def play(target: Target) -> None:
        seen: list[tuple[list[str], str, float]] = []
        plain = target.scripts.run

        async def noting(path: str, arguments: Any, environment: Any, timeout: float) -> ScriptResult:  # noqa: ASYNC109
            seen.append((list(arguments), environment.get("SITE", ""), timeout))
            return await plain(path, arguments, environment, timeout)

        target.scripts.run = noting  # type: ignore[assignment, method-assign]
        options = ScriptOptions(arguments=("a", "b c"), environment={"SITE": "www"}, timeout=7.0)
        await failed_over(target, script_options={"post-failover": options}, script_timeout=9.0)
        assert seen == [([], "", 9.0), (["a", "b c"], "www", 7.0)]

    scenario(play)


def test_a_long_output_is_cut_at_its_beginning() -> None:
    async def play(target: Target) -> None:
        target.scripts.results["/s/postover"] = ScriptResult(0, "x" * 60_000 + "the end")
        await failed_over(target)
        (event,) = [each for each in target.events.after(0) if "postover ended" in each.text]
        assert event.text.endswith("the end")
        assert "58507 characters left out" in event.text

    scenario(play)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (ScriptOptions(timeout=0), "pre-failover.timeout: expected more than 0"),
        (ScriptOptions(environment={"BODYDOUBLE_X": ""}), "the product's own"),
        (ScriptOptions(environment={"A=B": ""}), "expected a variable's name"),
        (ScriptOptions(arguments=("\0",)), "NUL"),
    ],
)
def test_options_that_no_script_can_get_are_refused(options: ScriptOptions, expected: str) -> None:
    async def play(target: Target) -> None:
        with pytest.raises(InputError, match=expected):
            await target.service.create_monitor(request(script_options={"pre-failover": options}))

    scenario(play)


# --- the source on the network --------------------------------------------------------------------------------------


def test_failback_is_refused_while_another_machine_answers_for_an_address() -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        target.wire.heal()
        with pytest.raises(ConnectionStateError, match=f"answers for {ADDRESS}.*Disconnect it"):
            await target.service.failback(SOURCE)
        assert target.state == "failed-over"
        target.wire.cut()
        await target.service.failback(SOURCE)
        await target.in_state("failed-back")

    scenario(play)
