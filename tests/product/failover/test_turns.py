"""The scripts of several monitors of one machine run one at a time, in the order in which they became due."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.failover.fakes import ADAPTER, Target, request, run_jumping, until

from bodydouble.failover.scripts import KILL_SECONDS
from bodydouble.failover.turns import Turns
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import InterfaceAddress, MonitorScripts, ScriptResult
from bodydouble.vocabulary.standing_in import ScriptOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from bodydouble.vocabulary.records import MonitorStatus

SECONDS = 4.0
"""What a script takes: longer than all the other steps of a failover."""


WITHIN = 60.0
"""Seconds in which every script has had its turn, unless somebody is in the way for good."""


class NamingScripts:
    """Scripts that take their source's name for the machine's one active name, and give it back at their end.

    Attributes:
        seen: what each script was, and the active name that its services saw when they had started.
        hang: paths of scripts that do not end by themselves.
        withstand: paths of scripts that do not even end when they are killed.
        results: what scripts end with, if not well.
    """

    def __init__(self) -> None:
        self.active = "TARGET"
        self.running: list[str] = []
        self.seen: list[tuple[str, str]] = []
        self.attempts: list[str] = []
        self.hang: set[str] = set()
        self.withstand: set[str] = set()
        self.results: dict[str, ScriptResult] = {}

    async def run(
        self,
        path: str,
        _arguments: Sequence[str],
        environment: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109
    ) -> ScriptResult:
        self.running.append(path)
        self.active = environment["BODYDOUBLE_SOURCE"]
        self.attempts.append(f"{path} {environment['BODYDOUBLE_ATTEMPT']}")
        try:
            async with asyncio.timeout(timeout):
                await self._last(path)
        except TimeoutError:
            return ScriptResult(-1, "", timed_out=True)
        finally:
            self.running.remove(path)
        self.seen.append((path, self.active))
        self.active = "TARGET"
        return self.results.get(path, ScriptResult(0, ""))

    async def _last(self, path: str) -> None:
        while path in self.withstand:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue
        if path in self.hang:
            await asyncio.Event().wait()
        await asyncio.sleep(SECONDS)


def scenario(play: Callable[[Target, NamingScripts], Awaitable[None]]) -> None:
    async def main() -> None:
        target = Target()
        scripts = NamingScripts()
        target.scripts.run = scripts.run  # type: ignore[assignment, method-assign]
        await target.start()
        try:
            await play(target, scripts)
        finally:
            scripts.withstand.clear()
            await target.stop()

    run_jumping(main())


def address(number: int) -> str:
    return f"10.0.0.{10 + number}"


async def monitor(target: Target, *numbers: int, **changes: Any) -> None:
    """Watch the sources WEB1 and so on, which answer."""
    target.wire.answering = {address(number) for number in numbers}
    for number in numbers:
        item = InterfaceAddress(interface=ADAPTER, address=f"{address(number)}/24")
        scripts = MonitorScripts(post_failover=f"/s/start{number}", pre_failback=f"/s/stop{number}")
        settings: dict[str, Any] = {"source": f"WEB{number}", "addresses": [item], "scripts": scripts, "interval": 1.0}
        await target.service.create_monitor(request(**settings | changes))


async def lose(target: Target, *numbers: int) -> None:
    """The sources fail one after the other, a second apart."""
    for number in numbers:
        target.wire.answering.discard(address(number))
        await asyncio.sleep(1.0)


def status(target: Target, number: int) -> MonitorStatus:
    return next(each for each in target.service.monitors() if each.request.source == f"WEB{number}")


async def all_in(target: Target, state: str, *numbers: int) -> None:
    await until(lambda: all(status(target, number).state == state for number in numbers), WITHIN)


def waits(target: Target, number: int) -> bool:
    return bool(status(target, number).waits_for)


STARTS = [("/s/start1", "WEB1"), ("/s/start2", "WEB2"), ("/s/start3", "WEB3")]


def test_every_script_keeps_the_active_name_that_it_took() -> None:
    async def play(target: Target, scripts: NamingScripts) -> None:
        await monitor(target, 1, 2, 3)
        target.wire.cut()  # all in the same instant
        await all_in(target, "failed-over", 1, 2, 3)
        assert scripts.seen == STARTS
        for number in (1, 2, 3):
            await target.service.failback(f"WEB{number}")
        await all_in(target, "failed-back", 1, 2, 3)
        assert scripts.seen[3:] == [("/s/stop1", "WEB1"), ("/s/stop2", "WEB2"), ("/s/stop3", "WEB3")]

    scenario(play)


def test_scripts_that_do_not_take_turns_lose_the_active_name_to_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The defect, planted: whoever wants a turn has it."""

    @asynccontextmanager
    async def at_once(*_arguments: object) -> AsyncIterator[bool]:
        yield True

    monkeypatch.setattr(Turns, "turn", at_once)
    with pytest.raises(AssertionError, match="start1"):
        test_every_script_keeps_the_active_name_that_it_took()


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1)])
def test_scripts_run_in_the_order_in_which_they_became_due(order: tuple[int, ...]) -> None:
    async def play(target: Target, scripts: NamingScripts) -> None:
        await monitor(target, 1, 2, 3)
        await lose(target, *order)
        await all_in(target, "failed-over", 1, 2, 3)
        assert scripts.seen == [STARTS[number - 1] for number in order]

    scenario(play)


def test_only_scripts_wait_and_the_monitor_says_for_whose() -> None:
    async def play(target: Target, scripts: NamingScripts) -> None:
        await monitor(target, 1, 2)
        target.wire.cut()
        await until(lambda: waits(target, 2))
        assert scripts.running == ["/s/start1"]
        assert target.identity.holds(address(2))
        assert target.identity.names == ["WEB1", "WEB2"]
        assert status(target, 2).waits_for == "the post-failover script of WEB1"
        assert status(target, 2).status_line == "Assuming WEB2 of WEB2; waiting for the post-failover script of WEB1"
        assert not waits(target, 1)
        await all_in(target, "failed-over", 1, 2)
        assert not waits(target, 2)
        text = "post-failover script of WEB2 waits for the post-failover script of WEB1: one script runs at a time"
        assert [each.text for each in target.events.after(0) if each.code == EventCode.SCRIPT_WAITS] == [text]

    scenario(play)


def test_a_script_that_hangs_is_in_the_others_way_until_its_time_limit() -> None:
    async def play(target: Target, scripts: NamingScripts) -> None:
        await monitor(target, 1, 2, script_timeout=60.0)
        scripts.hang.add("/s/start1")
        target.wire.cut()
        await until(lambda: waits(target, 2))
        began = asyncio.get_running_loop().time()
        ended = await until(lambda: scripts.seen == [STARTS[1]])
        assert ended - began == pytest.approx(60 + SECONDS, abs=1)
        await all_in(target, "failed-over", 1, 2)

    scenario(play)


def test_a_script_that_cannot_be_killed_is_left_behind() -> None:
    async def play(target: Target, scripts: NamingScripts) -> None:
        await monitor(target, 1, 2, script_timeout=60.0)
        scripts.withstand.add("/s/start1")
        target.wire.cut()
        await until(lambda: waits(target, 2))
        began = asyncio.get_running_loop().time()
        ended = await until(lambda: scripts.seen == [STARTS[1]])
        assert ended - began == pytest.approx(60 + KILL_SECONDS + SECONDS, abs=1)
        await all_in(target, "failed-over", 1, 2)
        assert "start1 was stopped at its time-out:\nit is left behind" in target.texts()

    scenario(play)


def test_a_script_that_holds_its_procedure_holds_nobody_elses() -> None:
    async def play(target: Target, scripts: NamingScripts) -> None:
        await monitor(target, 1, 2, script_options={"post-failover": ScriptOptions(on_failure="hold")})
        scripts.results["/s/start1"] = ScriptResult(3, "no such service")
        target.wire.cut()
        await all_in(target, "failed-over", 2)
        assert status(target, 1).held
        await target.restarted(reboot=False)
        await target.service.failback("WEB2")
        await all_in(target, "failed-back", 2)
        assert status(target, 1).held
        await target.service.failover("WEB1")
        await all_in(target, "failed-over", 1)

    scenario(play)


def test_scripts_of_a_procedure_that_is_undone_take_turns_too() -> None:
    async def play(target: Target, scripts: NamingScripts) -> None:
        await monitor(target, 1, 2, script_options={"post-failover": ScriptOptions(on_failure="abort")})
        scripts.results["/s/start1"] = ScriptResult(3, "no such service")
        target.wire.cut()
        await all_in(target, "failed-over", 2)
        await all_in(target, "waiting-for-operator", 1)
        assert scripts.seen == [*STARTS[:2], ("/s/stop1", "WEB1")]

    scenario(play)


def test_an_operator_takes_a_monitor_out_of_the_line() -> None:
    async def play(target: Target, scripts: NamingScripts) -> None:
        await monitor(target, 1, 2, 3)
        await lose(target, 1, 2, 3)
        await until(lambda: waits(target, 2) and waits(target, 3))
        await target.service.failback("WEB2")
        await all_in(target, "failed-over", 1, 3)
        await all_in(target, "failed-back", 2)
        assert scripts.seen == [STARTS[0], STARTS[2], ("/s/stop2", "WEB2")]
        assert "Failover of WEB2 is complete" not in target.texts()

    scenario(play)


# --- restarts -------------------------------------------------------------------------------------------------------


async def restarted_in_the_middle(target: Target, scripts: NamingScripts, *, reboot: bool) -> None:
    """The daemon ends while the script of WEB2 runs, those of WEB3 and WEB1 wait."""
    await monitor(target, 1, 2, 3)
    await lose(target, 2, 3, 1)
    await until(lambda: waits(target, 3) and waits(target, 1))
    assert scripts.running == ["/s/start2"]
    await asyncio.sleep(0.5)  # virtual: until the order is written
    await target.stop()
    scripts.attempts.clear()
    scripts.seen.clear()
    await target.restarted(reboot=reboot)


@pytest.mark.parametrize("reboot", [False, True])
def test_after_a_restart_the_interrupted_script_runs_first_and_the_others_in_their_order(reboot: bool) -> None:
    async def play(target: Target, scripts: NamingScripts) -> None:
        await restarted_in_the_middle(target, scripts, reboot=reboot)
        await all_in(target, "failed-over", 1, 2, 3)
        assert scripts.attempts == ["/s/start2 2", "/s/start3 1", "/s/start1 1"]
        assert scripts.seen == [STARTS[1], STARTS[2], STARTS[0]]

    scenario(play)


def test_the_order_of_before_a_restart_is_what_makes_it_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The defect, planted: nobody remembers who was in the line."""
    monkeypatch.setattr(Turns, "order", lambda _self: [])
    with pytest.raises(AssertionError, match="start2 2"):
        test_after_a_restart_the_interrupted_script_runs_first_and_the_others_in_their_order(reboot=False)


def test_nobody_waits_for_an_interrupted_script_that_has_no_occasion_to_run_again() -> None:
    """WEB2 has come back: the target, which was booted, cannot take its address, and runs no script for it."""

    async def play(target: Target, scripts: NamingScripts) -> None:
        await monitor(target, 1, 2, 3)
        await lose(target, 2, 3, 1)
        await until(lambda: waits(target, 3) and waits(target, 1))
        await asyncio.sleep(0.5)
        await target.stop()
        target.wire.answering.add(address(2))
        scripts.seen.clear()
        await target.restarted(reboot=True)
        await all_in(target, "failed-over", 1, 3)
        assert scripts.seen == [STARTS[2], STARTS[0]]
        assert status(target, 2).state == "failing-over"

    scenario(play)


def test_a_kept_place_that_is_not_given_up_would_hold_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The defect, planted: a monitor that is not on its way keeps its place."""
    monkeypatch.setattr(Turns, "give_up_kept", lambda _self, _source: None)
    with pytest.raises(AssertionError, match="the condition never held"):
        test_nobody_waits_for_an_interrupted_script_that_has_no_occasion_to_run_again()


def test_a_monitor_says_that_it_waits_for_an_interrupted_script() -> None:
    async def play(target: Target, scripts: NamingScripts) -> None:
        await monitor(target, 1, 2)
        scripts.hang.add("/s/start2")
        await lose(target, 2)
        await until(lambda: scripts.running)
        await lose(target, 1)
        await until(lambda: waits(target, 1))
        await asyncio.sleep(0.5)
        await target.stop()
        announce = target.identity.announce

        async def slow(*arguments: Any) -> None:
            await asyncio.sleep(20)
            await announce(*arguments)

        target.identity.announce = slow  # type: ignore[assignment, method-assign] # the way to its script takes a while
        target.identity.addresses.pop(1)
        await target.restarted(reboot=False)
        await until(lambda: waits(target, 1))
        assert status(target, 1).waits_for == "the interrupted script of WEB2"

    scenario(play)
