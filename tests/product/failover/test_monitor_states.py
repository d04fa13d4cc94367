from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodydouble.errors import ConnectionStateError
from bodydouble.failover.states import DELETABLE, MonitorStep, advance, check_deletable
from bodydouble.vocabulary.records import MonitorState

STATES: tuple[MonitorState, ...] = get_args(MonitorState)
HOLDING = ("failing-over", "failed-over", "failing-back")


@given(st.lists(st.sampled_from(get_args(MonitorStep)), max_size=40))
def test_an_identity_is_left_only_through_failback(history: list[MonitorStep]) -> None:
    state: MonitorState = "monitoring"
    for step in history:
        before = state
        try:
            state = advance("WEB1", state, step)
        except ConnectionStateError:
            continue
        if before in HOLDING and state not in HOLDING:
            assert before == "failing-back"
            assert (step, state) in {("given-back", "failed-back"), ("undone", "waiting-for-operator")}


@pytest.mark.parametrize("state", STATES)
def test_a_refused_step_names_step_state_and_what_to_do(state: MonitorState) -> None:
    with pytest.raises(ConnectionStateError, match=rf"given-back of 'WEB1' .* {state}: ..*|assumed") as caught:
        advance("WEB1", state, "assumed" if state == "failing-back" else "given-back")
    assert state in str(caught.value)


@pytest.mark.parametrize("state", STATES)
def test_only_a_monitor_without_the_identity_is_deletable(state: MonitorState) -> None:
    if state in DELETABLE:
        check_deletable("WEB1", state)
        assert state not in HOLDING
    else:
        with pytest.raises(ConnectionStateError, match="deleting"):
            check_deletable("WEB1", state)


@pytest.mark.parametrize("state", STATES)
def test_a_restart_resumes_the_work_that_does_not_survive_a_reboot(state: MonitorState) -> None:
    resumed = {"failed-over": "failing-over", "waiting-for-operator": "monitoring"}
    assert advance("WEB1", state, "restart") == resumed.get(state, state)
