from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Any

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
    until,
)

from bodydouble.errors import ConnectionStateError, FileSystemError, IdentityError, InputError, ScriptError, StateError
from bodydouble.failover.takeover import ANNOUNCE_AGAIN, Takeover
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import (
    FailbackDecision,
    InterfaceAddress,
    MonitorScripts,
    MonitorStatus,
    ScriptResult,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

CONTINUE = FailbackDecision(decision="continue")
STOP = FailbackDecision(decision="stop")


async def failed_over(target: Target, **changes: Any) -> None:
    await target.service.create_monitor(request(**changes))
    target.wire.cut()
    await target.in_state("failed-over")


async def failed_back(target: Target) -> None:
    await failed_over(target)
    await target.service.failback(SOURCE)
    await target.in_state("failed-back")


# --- monitoring -----------------------------------------------------------------------------------------------------


def test_failover_begins_interval_times_missed_after_the_last_answered_heartbeat() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request(interval=5, missed=5))
        await until(lambda: len(target.pinger.sent) == 3)
        last_answer = target.pinger.sent[-1] + 0.001
        await asyncio.sleep(0.1)
        target.wire.cut()
        assert await target.in_state("failing-over") == pytest.approx(last_answer + 25, abs=0.005)

    scenario(play)


def test_heartbeats_go_out_once_an_interval_and_hold_failover_off() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request(interval=5))
        await asyncio.sleep(3600)
        assert target.state == "monitoring"
        assert len(target.pinger.sent) == pytest.approx(720, abs=2)

    scenario(play)


def test_one_answering_address_of_two_holds_failover_off() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request(addresses=both_addresses()))
        target.wire.answering = {SECOND}
        await asyncio.sleep(300)
        (status,) = target.service.monitors()
        assert (status.state, status.addresses_answering) == ("monitoring", [SECOND])
        assert target.codes().count(EventCode.HEARTBEAT_LOST) == 1
        target.wire.cut()
        await target.in_state("failed-over")

    scenario(play)


def test_indicators_follow_the_countdown() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request())
        await asyncio.sleep(1)
        seen: list[MonitorStatus] = target.service.monitors()
        target.wire.cut()
        await asyncio.sleep(11)
        seen += target.service.monitors()
        await target.in_state("failed-over")
        seen += target.service.monitors()
        assert [status.bullet for status in seen] == ["green", "yellow", "red"]
        assert seen[0].time_to_fail == pytest.approx(24, abs=0.01)
        assert seen[2].time_to_fail is None

    scenario(play)


def test_a_returning_heartbeat_resets_the_countdown() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request())
        await asyncio.sleep(1)
        target.wire.cut()
        await asyncio.sleep(18)
        target.wire.heal()
        await asyncio.sleep(20)
        assert target.state == "monitoring"
        assert EventCode.HEARTBEAT_RETURNED in target.codes()

    scenario(play)


def test_a_target_that_stood_still_does_not_take_its_own_pause_for_the_sources_failure() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request())
        await asyncio.sleep(1)
        asyncio.get_running_loop().selector.now += 300  # type: ignore[attr-defined] # SIGSTOP and SIGCONT
        await asyncio.sleep(60)
        assert target.state == "monitoring"
        assert "stood still" in target.texts()

    scenario(play)


# --- failover -------------------------------------------------------------------------------------------------------


def test_failover_takes_its_steps_in_order() -> None:
    async def play(target: Target) -> None:
        await failed_over(target, addresses=both_addresses())
        assert target.log == [
            f"stand-in {SOURCE}",
            "script /s/preover",
            f"add-address {ADDRESS}/24",
            f"add-address {SECOND}/24",
            f"announce {ADDRESS}/24",
            f"announce {SECOND}/24",
            f"add-name {SOURCE}",
            "script /s/postover",
        ]
        events = target.codes()[target.codes().index(EventCode.FAILOVER_CONDITION_MET) :]
        assert events == [
            EventCode.FAILOVER_CONDITION_MET,
            EventCode.FAILOVER_STARTED,
            EventCode.SCRIPT_ENDED,
            EventCode.ADDRESS_ADDED,
            EventCode.ADDRESS_ADDED,
            EventCode.MAC_BROADCAST,
            EventCode.MAC_BROADCAST,
            EventCode.NAME_ADDED,
            EventCode.SCRIPT_ENDED,
            EventCode.FAILOVER_COMPLETE,
        ]
        assert [int(EventCode.MAC_BROADCAST), int(EventCode.ADDRESS_ADDED)] == [5400, 5101]

    scenario(play)


def test_scripts_are_told_source_target_and_event() -> None:
    async def play(target: Target) -> None:
        await failed_back(target)
        expected = [
            {
                "BODYDOUBLE_SOURCE": SOURCE,
                "BODYDOUBLE_TARGET": "TARGET",
                "BODYDOUBLE_EVENT": event,
                "BODYDOUBLE_ATTEMPT": "1",
            }
            for event in ("pre-failover", "post-failover", "pre-failback", "post-failback")
        ]
        assert target.scripts.environments == expected

    scenario(play)


def test_no_address_is_added_before_the_restore_mark_is_durable() -> None:
    async def play(target: Target) -> None:
        target.stand_in_failures = 3
        await failed_over(target)
        assert target.log[0] == f"stand-in {SOURCE}"
        assert target.texts().count("could not mark the data as newer here") == 1

    scenario(play)


def test_the_state_is_durable_before_the_first_step() -> None:
    async def play(target: Target) -> None:
        saved: list[bytes] = []
        target.stand_in = _keep(saved, target)  # type: ignore[assignment, method-assign] # notes what is on disk by then
        await failed_over(target)
        assert b'"state":"failing-over"' in saved[0]

    def _keep(saved: list[bytes], target: Target) -> Callable[[str], Awaitable[list[str]]]:
        async def stand_in(_source: str) -> list[str]:
            saved.append(target.files.files["/state/monitors.json"])
            return []

        return stand_in

    scenario(play)


def test_failover_waits_for_its_state_to_be_saved_and_says_why() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request())
        target.wire.cut()
        await asyncio.sleep(20)
        await until(lambda: target.state == "failing-over")
        target.files.refuse = 2
        await target.in_state("failed-over")

    scenario(play)


def test_failing_scripts_are_reported_with_exit_code_and_output_and_failover_goes_on() -> None:
    async def play(target: Target) -> None:
        target.scripts.results["/s/preover"] = ScriptResult(exit_code=3, output="no such service\n")
        target.scripts.results["/s/postover"] = ScriptError("/s/postover: no such file")
        await failed_over(target)
        assert "pre-failover script /s/preover ended with exit code 3:\nno such service" in target.texts()
        assert "post-failover script /s/postover: /s/postover: no such file" in target.texts()
        assert EventCode.FAILOVER_STEP_FAILED in target.codes()

    scenario(play)


def test_a_script_runs_even_where_the_machines_own_name_is_not_known() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request())
        target.identity.failures["query"] = 2
        target.wire.cut()
        await target.in_state("failed-over")
        assert [item["BODYDOUBLE_TARGET"] for item in target.scripts.environments] == ["", ""]
        assert "could not look up this machine's name" in target.texts()

    scenario(play)


def test_a_step_that_hangs_counts_as_failed_and_holds_nothing_up() -> None:
    async def play(target: Target) -> None:
        add_name = target.identity.add_name

        async def hang(name: str, addresses: Sequence[str] = ()) -> None:
            del addresses
            target.identity.add_name = add_name  # type: ignore[method-assign] # only the first call hangs
            target.log.append(f"hang {name}")
            await asyncio.Event().wait()

        target.identity.add_name = hang  # type: ignore[method-assign]
        await failed_over(target)
        assert f"could not add name {SOURCE}: not done within 30 s" in target.texts()
        assert target.identity.names == [SOURCE]

    scenario(play)


def test_failback_ends_a_failover_that_cannot_even_be_marked() -> None:
    async def play(target: Target) -> None:
        target.stand_in_failures = 1_000
        await target.service.create_monitor(request())
        target.wire.cut()
        await target.in_state("failing-over")
        await target.service.failback(SOURCE)
        await target.in_state("failed-back")
        assert not any(line.startswith("add-") for line in target.log)

    scenario(play)


def test_a_script_stopped_at_its_timeout_is_reported_as_such() -> None:
    async def play(target: Target) -> None:
        target.scripts.results["/s/postover"] = ScriptResult(exit_code=-9, output="", timed_out=True)
        await failed_over(target)
        assert "post-failover script /s/postover was stopped at its time-out" in target.texts()

    scenario(play)


def test_an_address_that_another_machine_answers_for_is_not_added_until_it_is_free() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request(addresses=both_addresses()))
        ping = target.pinger.ping

        async def deaf(address: str, timeout: float) -> float | None:  # noqa: ASYNC109 - the port's signature
            return await ping(f"silent {address}", timeout)

        target.pinger.ping = deaf  # type: ignore[method-assign] # ICMP is filtered, ARP is not
        target.wire.answering = {ADDRESS}
        await until(lambda: "script /s/postover" in target.log)
        await asyncio.sleep(30)
        assert target.state == "failing-over"
        assert f"add-address {ADDRESS}/24" not in target.log
        assert target.identity.holds(SECOND)
        assert target.texts().count(f"another machine on the network still answers for {ADDRESS}") == 1
        target.wire.cut()
        await target.in_state("failed-over")
        assert target.identity.holds(ADDRESS)
        assert target.log.count("script /s/postover") == 1

    scenario(play)


@pytest.mark.parametrize("verb", ["add-address", "add-name"])
def test_a_refused_step_is_recorded_the_others_go_on_and_it_is_tried_again(verb: str) -> None:
    async def play(target: Target) -> None:
        target.identity.failures[verb] = 2
        await failed_over(target)
        assert target.identity.holds(ADDRESS)
        assert target.identity.names == [SOURCE]
        assert target.texts().count("the system refused") == 1
        assert target.log.index("script /s/postover") < max(
            index for index, line in enumerate(target.log) if line.startswith(verb)
        )

    scenario(play)


def test_announcements_are_repeated_in_the_background_without_delaying_the_name() -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        assert target.log.count(f"announce {ADDRESS}/24") == 1
        await asyncio.sleep(ANNOUNCE_AGAIN[-1] + 1)
        assert target.log.count(f"announce {ADDRESS}/24") == 1 + len(ANNOUNCE_AGAIN)
        assert target.codes().count(EventCode.MAC_BROADCAST) == 1

    scenario(play)


def test_an_address_given_back_is_no_longer_announced() -> None:
    async def play(target: Target) -> None:
        await failed_back(target)
        before = list(target.log)
        await asyncio.sleep(10)
        assert target.log == before

    scenario(play)


def test_manual_intervention_waits_for_an_operator() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request(manual_intervention=True))
        target.wire.cut()
        await target.in_state("waiting-for-operator")
        await asyncio.sleep(600)
        assert target.log == []
        await target.service.failover(SOURCE)
        await target.in_state("failed-over")

    scenario(play)


def test_a_source_that_returns_while_an_operator_is_awaited_is_monitored_again() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request(manual_intervention=True))
        target.wire.cut()
        await target.in_state("waiting-for-operator")
        target.wire.heal()
        await target.in_state("monitoring")
        await asyncio.sleep(60)
        assert target.state == "monitoring"

    scenario(play)


def test_manual_failover_is_refused_while_the_source_answers() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request())
        with pytest.raises(ConnectionStateError, match=f"still answers at {ADDRESS}: take it off the network first"):
            await target.service.failover(SOURCE)
        target.wire.cut()
        await target.service.failover(SOURCE)
        assert await target.in_state("failed-over") < 10

    scenario(play)


# --- restart --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reboot", [False, True])
def test_a_restarted_daemon_assumes_the_identity_again(reboot: bool) -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        await target.restarted(reboot=reboot)
        await target.in_state("failed-over")
        assert target.identity.holds(ADDRESS)
        assert target.identity.names == [SOURCE]
        assert target.log.count("script /s/postover") == (2 if reboot else 1)
        assert target.texts().count("a reboot of this machine" if reboot else "a restart of the service") == 1

    scenario(play)


def test_a_daemon_stopped_in_mid_failover_finishes_it_after_its_restart() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request())
        target.wire.cut()
        await until(lambda: "script /s/preover" in target.log)
        await target.restarted(reboot=True)
        await target.in_state("failed-over")
        assert target.identity.holds(ADDRESS)

    scenario(play)


def test_a_daemon_stopped_in_mid_failback_finishes_it_after_its_restart() -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        target.identity.failures["remove-name"] = 1
        await target.service.failback(SOURCE)
        await until(lambda: "script /s/postback" in target.log)
        await target.restarted(reboot=False)
        await target.in_state("failed-back")
        assert not target.identity.holds(ADDRESS)
        assert target.identity.names == []

    scenario(play)


def test_monitoring_goes_on_after_a_restart_with_a_fresh_countdown() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request())
        target.wire.cut()
        await asyncio.sleep(20)
        await target.restarted(reboot=False)
        began = now()
        assert await target.in_state("failing-over") == pytest.approx(began + 25, abs=0.1)

    scenario(play)


def test_an_unreadable_state_file_stops_the_service_with_its_name() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request())
        target.files.files["/state/monitors.json"] = b'{"version": 1, "value": {"monitors": 7}}'
        with pytest.raises(StateError, match=r"/state/monitors\.json"):
            await target.restarted(reboot=False)
        target._task = None

    scenario(play)


# --- failback -------------------------------------------------------------------------------------------------------


def test_failback_takes_its_steps_in_order_and_then_waits_for_the_decision() -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        target.log.clear()
        await target.service.failback(SOURCE)
        await target.in_state("failed-back")
        assert target.log == [
            "script /s/preback",
            f"remove-name {SOURCE}",
            f"remove-address {ADDRESS}/24",
            "script /s/postback",
        ]
        assert target.codes()[-6:] == [
            EventCode.FAILBACK_STARTED,
            EventCode.SCRIPT_ENDED,
            EventCode.NAME_REMOVED,
            EventCode.ADDRESS_REMOVED,
            EventCode.SCRIPT_ENDED,
            EventCode.FAILBACK_COMPLETE,
        ]
        await asyncio.sleep(3600)
        assert target.state == "failed-back"

    scenario(play)


def test_continue_is_refused_until_the_source_is_online_and_then_counts_afresh() -> None:
    async def play(target: Target) -> None:
        await failed_back(target)
        with pytest.raises(ConnectionStateError, match="bring the source back online"):
            await target.service.decide(SOURCE, CONTINUE)
        assert target.state == "failed-back"
        target.wire.heal()
        status = await target.service.decide(SOURCE, CONTINUE)
        assert status.state == "monitoring"
        await until(lambda: target.service.monitors()[0].addresses_answering)
        (status,) = target.service.monitors()
        assert status.time_to_fail == pytest.approx(25, abs=0.1)
        target.wire.cut()
        await target.in_state("failed-over")

    scenario(play)


def test_stop_ends_monitoring_and_the_monitor_may_be_created_again() -> None:
    async def play(target: Target) -> None:
        await failed_back(target)
        status = await target.service.decide(SOURCE, STOP)
        assert (status.state, status.time_to_fail) == ("stopped", None)
        await asyncio.sleep(600)
        assert target.state == "stopped"
        target.wire.heal()
        assert (await target.service.create_monitor(request())).state == "monitoring"
        assert len(target.service.monitors()) == 1

    scenario(play)


def test_an_identity_that_cannot_be_removed_keeps_failback_from_completing() -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        target.identity.failures["remove-address"] = 3
        await target.service.failback(SOURCE)
        await asyncio.sleep(9)
        assert target.state == "failing-back"
        await target.in_state("failed-back")
        assert not target.identity.holds(ADDRESS)

    scenario(play)


def test_failback_ends_a_failover_that_cannot_complete() -> None:
    async def play(target: Target) -> None:
        target.identity.failures["add-name"] = 1_000
        await target.service.create_monitor(request())
        target.wire.cut()
        await until(lambda: "script /s/postover" in target.log)
        await target.service.failback(SOURCE)
        await target.in_state("failed-back")
        assert not target.identity.holds(ADDRESS)
        assert EventCode.FAILOVER_COMPLETE not in target.codes()

    scenario(play)


# --- operators' slips -----------------------------------------------------------------------------------------------


def test_commands_that_do_not_fit_the_state_are_refused() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request())
        for command in (target.service.failback(SOURCE), target.service.decide(SOURCE, CONTINUE)):
            with pytest.raises(ConnectionStateError, match="while monitoring"):
                await command
        with pytest.raises(ConnectionStateError, match="already"):
            await target.service.create_monitor(request())
        with pytest.raises(InputError, match="no monitor of 'WEB9'; monitored sources: WEB1"):
            await target.service.failover("WEB9")

    scenario(play)


def test_a_monitor_that_stands_in_cannot_be_deleted() -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        with pytest.raises(ConnectionStateError, match="fail back first"):
            await target.service.delete_monitor(SOURCE)
        await target.service.failback(SOURCE)
        await target.in_state("failed-back")
        await target.service.delete_monitor(SOURCE)
        assert target.service.monitors() == []
        await target.restarted(reboot=False)
        assert target.service.monitors() == []

    scenario(play)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"source": ""}, "source: expected"),
        ({"source": "target"}, "is this machine itself"),
        ({"interval": 0}, "interval: expected"),
        ({"interval": float("nan")}, "interval: expected"),
        ({"missed": 0}, "missed: expected"),
        ({"script_timeout": -1}, "script_timeout: expected"),
        ({"addresses": []}, "at least one address"),
        ({"addresses": [InterfaceAddress(interface=ADAPTER, address="10.0.0.300/24")]}, "expected an address such as"),
        ({"addresses": [InterfaceAddress(interface=ADAPTER, address="10.0.0.10")]}, "expected a prefix length"),
        ({"addresses": [InterfaceAddress(interface=ADAPTER, address="10.0.0.20/24")]}, "this machine's own address"),
        ({"addresses": [InterfaceAddress(interface="eth9", address="10.0.0.10/24")]}, "no adapter 'eth9'"),
        ({"addresses": both_addresses()[:1] * 2}, "listed twice"),
        ({"scripts": MonitorScripts(post_failover="postover.bat")}, "scripts.post_failover: .*absolute path"),
        ({"source": "WEB2"}, "belongs to the monitor of 'WEB1' already"),
    ],
)
def test_settings_that_would_only_fail_at_failover_are_refused_at_once(changes: dict[str, Any], expected: str) -> None:
    async def play(target: Target) -> None:
        if changes == {"source": "WEB2"}:
            await target.service.create_monitor(request())
        with pytest.raises(InputError, match=expected):
            await target.service.create_monitor(request(**changes))

    scenario(play)


def test_a_monitor_that_could_not_be_saved_does_not_exist() -> None:
    async def play(target: Target) -> None:
        target.files.refuse = 2
        with pytest.raises(FileSystemError):
            await target.service.create_monitor(request())
        assert target.service.monitors() == []

    scenario(play)


# --- seams for planted defects --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seam", "missing"), [("_announce", f"announce {ADDRESS}/24"), ("_run_post_script", "script /s/postover")]
)
def test_a_defect_planted_in_a_seam_leaves_its_step_out(
    monkeypatch: pytest.MonkeyPatch, seam: str, missing: str
) -> None:
    async def nothing(*_arguments: object) -> None:
        """The defect: the step is left out."""

    monkeypatch.setattr(Takeover, seam, nothing)

    async def play(target: Target) -> None:
        await failed_over(target)
        assert missing not in target.log
        assert target.identity.holds(ADDRESS)

    scenario(play)


def test_who_cannot_send_heartbeats_does_not_fail_over_and_says_so_once() -> None:
    async def play(target: Target) -> None:
        async def forbidden(_address: str, timeout: float) -> float | None:  # noqa: ASYNC109, ARG001 - the port's signature
            raise IdentityError("ICMP echo is not allowed")

        target.pinger.ping = forbidden  # type: ignore[assignment, method-assign] # no ICMP socket may be opened
        await target.service.create_monitor(request())
        await asyncio.sleep(600)  # virtual seconds, many times Time to Fail
        assert target.state == "monitoring"
        assert target.codes().count(EventCode.HEARTBEAT_NOT_SENT) == 1

    scenario(play)


@pytest.mark.parametrize("verb", ["in_use", "announce", "add_address", "add_name", "query"])
def test_what_the_system_refuses_during_failover_does_not_end_the_daemon(verb: str) -> None:
    """An adapter that goes down in the middle of it: every call on the identity may then fail with OSError."""

    async def play(target: Target) -> None:
        original, refusals = getattr(target.identity, verb), [OSError(errno.ENETDOWN, "Network is down")] * 2

        async def refusing(*arguments: Any) -> Any:
            if refusals and (verb == "in_use" or target.service.monitors()[0].state != "monitoring"):
                raise refusals.pop()
            return await original(*arguments)

        await target.service.create_monitor(request(scripts=MonitorScripts(post_failover="/post.sh")))
        setattr(target.identity, verb, refusing)
        target.wire.cut()
        await target.in_state("failed-over")
        assert target.identity.holds(ADDRESS)
        assert any("Network is down" in event.text for event in target.events.after(0))

    scenario(play)


def test_a_new_monitor_is_not_shown_red() -> None:
    async def play(target: Target) -> None:
        assert (await target.service.create_monitor(request())).bullet == "green"

    scenario(play)


def test_name_is_not_assumed_while_another_machine_has_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request())
        target.wire.cut()
        original, claimed = target.identity.in_use, [True] * 3

        async def in_use(interface: str, address: str) -> bool:
            return bool(claimed and claimed.pop()) or await original(interface, address)

        monkeypatch.setattr(target.identity, "in_use", in_use)
        await until(lambda: len(claimed) == 1)
        assert target.identity.names == []
        await target.in_state("failed-over")
        assert target.identity.names == [SOURCE]

    scenario(play)
