"""The failover service under any order of failures, commands and restarts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.product.failover.fakes import ADDRESS, SOURCE, JumpingLoop, Target, request

from bodydouble.errors import ConnectionStateError
from bodydouble.failover.takeover import Takeover
from bodydouble.vocabulary.records import FailbackDecision

if TYPE_CHECKING:
    from collections.abc import Coroutine


class FailoverMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=JumpingLoop)
        self.target = Target()
        self.runner.run(self._begin())

    async def _begin(self) -> None:
        await self.target.start()
        await self.target.service.create_monitor(request(interval=1, missed=3))

    def command(self, action: Coroutine[Any, Any, object]) -> None:
        try:
            self.runner.run(action)
        except ConnectionStateError:
            return

    @rule(seconds=st.floats(0.01, 20))
    def wait(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))

    @rule()
    def source_goes_off(self) -> None:
        self.target.wire.cut()

    @rule()
    def source_comes_back(self) -> None:
        # The runbook: not while somebody stands in. That machine would otherwise see its address in use and stay off.
        if not self.target.identity.holds(ADDRESS):
            self.target.wire.heal()

    @rule()
    def operator_fails_over(self) -> None:
        self.command(self.target.service.failover(SOURCE))

    @rule()
    def operator_fails_back(self) -> None:
        self.command(self.target.service.failback(SOURCE))

    @rule(go_on=st.booleans())
    def operator_decides(self, go_on: bool) -> None:
        decision = FailbackDecision(decision="continue" if go_on else "stop")
        self.command(self.target.service.decide(SOURCE, decision))

    @rule()
    def operator_monitors_again(self) -> None:
        self.command(self.target.service.create_monitor(request(interval=1, missed=3)))

    @rule(reboot=st.booleans())
    def daemon_restarts(self, reboot: bool) -> None:
        self.runner.run(self.target.restarted(reboot=reboot))

    @rule(verb=st.sampled_from(["add-address", "add-name", "remove-name", "remove-address", "announce"]))
    def system_will_refuse(self, verb: str) -> None:
        self.target.identity.failures[verb] = 2

    @invariant()
    def identity_is_held_only_while_standing_in(self) -> None:
        holding = self.target.state in ("failing-over", "failed-over", "failing-back")
        assert holding or not (self.target.identity.holds(ADDRESS) or self.target.identity.names)

    @invariant()
    def a_completed_failover_holds_everything(self) -> None:
        if self.target.state == "failed-over":
            assert self.target.identity.holds(ADDRESS)
            assert self.target.identity.names == [SOURCE]

    @invariant()
    def the_restore_mark_precedes_every_address(self) -> None:
        added = [index for index, line in enumerate(self.target.log) if line.startswith("add-address")]
        if added:
            assert f"stand-in {SOURCE}" in self.target.log[: added[0]]

    def teardown(self) -> None:
        self.runner.run(self.target.stop())
        self.runner.close()


FailoverMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestFailoverMachine = FailoverMachine.TestCase


async def _nothing(*_arguments: object) -> None:
    """A planted defect: the step is left out."""


@pytest.mark.parametrize("step", ["_mark_standing_in", "_remove_address", "_remove_name", "_add_name", "_add_address"])
def test_the_machine_sees_a_step_left_out(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    monkeypatch.setattr(Takeover, step, _nothing)
    machine = FailoverMachine()
    try:
        with pytest.raises(AssertionError):
            _there_and_back(machine)
    finally:
        machine.teardown()


def test_the_machine_passes_a_whole_failover_and_failback() -> None:
    machine = FailoverMachine()
    _there_and_back(machine)
    assert machine.target.state == "failed-back"
    machine.teardown()


def _there_and_back(machine: FailoverMachine) -> None:
    machine.source_goes_off()
    _wait_and_check(machine)
    machine.command(machine.target.service.failback(SOURCE))
    _wait_and_check(machine)


def _wait_and_check(machine: FailoverMachine) -> None:
    machine.runner.run(asyncio.sleep(20))
    machine.identity_is_held_only_while_standing_in()
    machine.a_completed_failover_holds_everything()
    machine.the_restore_mark_precedes_every_address()
