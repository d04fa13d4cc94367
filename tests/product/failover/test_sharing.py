"""Shares of a source at failover and failback, over a file server that outlives boots."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.product.failover.fakes import SOURCE, Target, request, run_jumping, until

from bodydouble.failover.journal import Journal
from bodydouble.failover.sharing import PATIENCE
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import MonitorScripts, ScriptResult
from bodydouble.vocabulary.shares import MAX_SHARES, Share
from bodydouble.vocabulary.standing_in import ScriptOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PAGES, ORDERS = Share("Pages", "/replica/pages", "what clients read"), Share("orders$", "/replica/orders")
SCRIPTS = MonitorScripts(
    pre_failover="/pre", post_failover="/post", pre_failback="/pre-back", post_failback="/post-back"
)


def scenario(play: Callable[[Target], Awaitable[None]], *told: Share) -> Target:
    async def main() -> Target:
        target = Target()
        target.told_shares = list(told or (PAGES, ORDERS))
        target.files.directories += [each.path for each in target.told_shares]
        await target.start()
        try:
            await play(target)
        finally:
            await target.stop()
        return target

    return run_jumping(main())


def names(target: Target) -> list[str]:
    return [each.name for each in target.shared.shared.values()]


def done(target: Target, what: str) -> list[str]:
    return [line for line in target.log if line.startswith(what)]


def left_out(target: Target) -> list[str]:
    return [event.text for event in target.events.after(0) if event.code == EventCode.SHARE_LEFT_OUT]


async def failed_over(target: Target, **changes: Any) -> None:
    await target.service.create_monitor(request(**changes))
    target.wire.cut()
    await target.in_state("failed-over")


async def failed_back(target: Target) -> None:
    await target.service.failback(SOURCE)
    await target.in_state("failed-back")


def test_shares_come_after_the_name_and_before_the_post_failover_script() -> None:
    async def play(target: Target) -> None:
        await failed_over(target, scripts=SCRIPTS)

    target = scenario(play)
    named, shared = target.log.index(f"add-name {SOURCE}"), target.log.index("share Pages /replica/pages")
    assert named < shared < target.log.index("script /post")
    assert target.codes().count(EventCode.SHARE_ADDED) == 2


def test_failback_removes_them_after_the_addresses_and_before_the_post_failback_script() -> None:
    async def play(target: Target) -> None:
        await failed_over(target, scripts=SCRIPTS)
        await failed_back(target)

    target = scenario(play)
    assert names(target) == []
    address = max(at for at, line in enumerate(target.log) if line.startswith("remove-address"))
    assert address < target.log.index("unshare Pages") < target.log.index("script /post-back")
    assert target.codes().count(EventCode.SHARE_REMOVED) == 2


def test_a_name_that_this_machine_shares_elsewhere_is_not_touched_and_said() -> None:
    own = Share("PAGES", "/own/pages")

    async def play(target: Target) -> None:
        target.shared.shared["pages"] = own
        await failed_over(target)
        assert target.shared.shared["pages"] == own
        assert names(target) == ["PAGES", "orders$"]
        await failed_back(target)

    target = scenario(play)
    assert list(target.shared.shared.values()) == [own]
    (text,) = left_out(target)
    assert "Pages" in text
    assert "/own/pages" in text


def test_a_share_that_this_machine_had_already_stays_at_failback() -> None:
    async def play(target: Target) -> None:
        target.shared.shared["pages"] = PAGES
        await failed_over(target)
        await failed_back(target)

    target = scenario(play)
    assert names(target) == ["Pages"]
    assert done(target, "unshare") == ["unshare orders$"]
    assert left_out(target) == []


def test_a_share_that_was_changed_since_is_somebody_elses_and_stays_at_failback() -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        target.shared.shared["pages"] = Share("Pages", "/elsewhere")
        await failed_back(target)

    assert names(scenario(play)) == ["Pages"]


def test_a_share_that_somebody_made_meanwhile_is_said_and_is_not_ours() -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        target.shared.shared["pages"] = Share("Pages", "/elsewhere")
        await target.restarted(reboot=False)
        await target.in_state("failed-over")
        assert target.service.monitors()[0].shares == [ORDERS]

    assert "/elsewhere" in left_out(scenario(play))[0]


def test_what_is_no_directory_here_is_left_out_and_holds_nothing_up() -> None:
    """Also a link: its source wrote where it leads."""

    async def play(target: Target) -> None:
        target.files.directories.remove(PAGES.path)
        target.files.files[ORDERS.path] = b"no directory"
        await failed_over(target)

    target = scenario(play)
    assert names(target) == []
    first, second = left_out(target)
    assert "no directory" in first
    assert "but a file" in second


def test_a_monitor_without_shares_shares_nothing() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request(shares=False))
        assert target.service.monitors()[0].shares == []
        target.wire.cut()
        await target.in_state("failed-over")

    assert names(scenario(play)) == []


def test_status_shows_what_failover_would_share_and_then_what_it_shares() -> None:
    async def play(target: Target) -> None:
        target.shared.shared["pages"] = PAGES
        await target.service.create_monitor(request())
        await asyncio.sleep(0.1)
        assert target.service.monitors()[0].shares == [PAGES, ORDERS]
        target.wire.cut()
        await target.in_state("failed-over")
        assert target.service.monitors()[0].shares == [ORDERS]
        await failed_back(target)
        assert target.service.monitors()[0].shares == [PAGES, ORDERS]

    scenario(play)


def test_a_machine_without_a_file_server_says_so_and_stands_in() -> None:
    async def play(target: Target) -> None:
        target.host = target.service._host = _without_shares(target)
        await failed_over(target)
        assert target.service.monitors()[0].shares == []

    target = scenario(play)
    assert names(target) == []
    assert "no file server" in left_out(target)[0]


def _without_shares(target: Target) -> Any:
    return dataclasses.replace(target.host, shares=None)


def test_a_source_without_shares_costs_no_step() -> None:
    async def play(target: Target) -> None:
        target.told_shares = []
        await failed_over(target)
        assert not [step for step in _journal(target).steps() if "share" in step]

    scenario(play)


def _journal(target: Target) -> Journal:
    return next(iter(target.service._running.values())).monitor.journal


def test_a_file_server_that_starts_later_is_waited_for() -> None:
    async def play(target: Target) -> None:
        target.shared.runs = False
        await target.service.create_monitor(request(scripts=SCRIPTS))
        target.wire.cut()
        await until(lambda: "not started" in target.texts())
        await until(lambda: "script /post" in target.log)
        assert target.state == "failing-over"
        target.shared.runs = True
        await target.in_state("failed-over")

    assert names(scenario(play)) == ["Pages", "orders$"]


def test_a_file_server_that_never_runs_does_not_hold_failover_or_failback_up() -> None:
    async def play(target: Target) -> None:
        target.shared.runs = False
        await target.service.create_monitor(request())
        target.wire.cut()
        began = await target.in_state("failing-over")
        assert await target.in_state("failed-over") - began == pytest.approx(PATIENCE, abs=10)
        await failed_back(target)

    target = scenario(play)
    assert target.codes().count(EventCode.FAILOVER_STEP_FAILED) == 1
    (text,) = left_out(target)
    assert "is not shared here" in text


def test_shares_that_cannot_be_removed_are_said_and_failback_ends() -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        target.shared.runs = False
        await failed_back(target)

    (text,) = left_out(scenario(play))
    assert "remove it by hand" in text


def test_more_than_a_failover_makes_are_said() -> None:
    told = [Share(f"s{number}", f"/replica/{number}") for number in range(MAX_SHARES + 2)]

    async def play(target: Target) -> None:
        await failed_over(target)

    target = scenario(play, *told)
    assert len(names(target)) == MAX_SHARES
    assert "2 more" in left_out(target)[0]


def test_two_sets_that_mean_different_directories_by_one_name_share_the_first() -> None:
    async def play(target: Target) -> None:
        await failed_over(target)

    target = scenario(play, PAGES, Share("pages", "/replica/other"))
    assert target.shared.shared["pages"] == PAGES
    assert len(left_out(target)) == 1


@pytest.mark.parametrize("reboot", [False, True])
def test_a_restarted_stand_in_adds_what_is_gone_and_says_nothing_twice(*, reboot: bool) -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        del target.shared.shared["pages"]
        await target.restarted(reboot=reboot)
        await target.in_state("failed-over")
        assert sorted(names(target)) == ["Pages", "orders$"]
        assert done(target, "share orders$") == [f"share orders$ {ORDERS.path}"]
        await failed_back(target)

    assert names(scenario(play)) == []


@pytest.mark.parametrize("reboot", [False, True])
def test_a_share_made_in_the_step_that_was_interrupted_is_removed_at_failback(*, reboot: bool) -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(request())
        target.wire.cut()
        await until(lambda: names(target) == ["Pages"])
        await target.restarted(reboot=reboot)
        await target.in_state("failed-over")
        assert sorted(names(target)) == ["Pages", "orders$"]
        await failed_back(target)

    assert names(scenario(play)) == []


def test_choosing_after_the_first_share_would_leave_it_there_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: what is chosen is not in the journal before it is shared."""
    record = Journal.record

    def forgetful(journal: Journal) -> Any:
        return msgspec.structs.replace(record(journal), shares=[])

    monkeypatch.setattr(Journal, "record", forgetful)
    with pytest.raises(AssertionError):
        test_a_share_made_in_the_step_that_was_interrupted_is_removed_at_failback(reboot=False)


@pytest.mark.parametrize("reboot", [False, True])
def test_an_interrupted_failback_removes_the_rest(*, reboot: bool) -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        await target.service.failback(SOURCE)
        await until(lambda: names(target) == ["orders$"])
        await target.restarted(reboot=reboot)
        await target.in_state("failed-back")

    assert names(scenario(play)) == []


def test_a_failover_that_is_given_up_leaves_no_share() -> None:
    async def play(target: Target) -> None:
        target.scripts.results["/post"] = _failed()
        options = {"post-failover": ScriptOptions(on_failure="abort")}
        await target.service.create_monitor(request(scripts=SCRIPTS, script_options=options))
        target.wire.cut()
        await until(lambda: EventCode.FAILOVER_UNDONE in target.codes())

    target = scenario(play)
    assert names(target) == []
    assert len(done(target, "unshare")) == 2


def test_a_failback_that_is_given_up_shares_again() -> None:
    async def play(target: Target) -> None:
        target.scripts.results["/post-back"] = _failed()
        await failed_over(target, scripts=SCRIPTS, script_options={"post-failback": ScriptOptions(on_failure="abort")})
        await target.service.failback(SOURCE)
        await until(lambda: EventCode.FAILBACK_UNDONE in target.codes())
        assert sorted(names(target)) == ["Pages", "orders$"]
        target.scripts.results.clear()
        await failed_back(target)

    assert names(scenario(play)) == []


def _failed() -> ScriptResult:
    return ScriptResult(exit_code=1, output="")
