"""A slice of ``make api-fuzz``, and planted defects that it must see."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble.control.api import OPERATIONS

pytest.importorskip("schemathesis", reason="schemathesis, of the extra [dev], is not installed")
from tests.api_fuzz.campaign import Campaign
from tests.api_fuzz.machine import Machine

if TYPE_CHECKING:
    from bodydouble.control.routing import Operation

EXAMPLES = 2


def asked(operations: tuple[Operation, ...], *names: str) -> Campaign:
    """Ask for the operations of these names, or for all."""
    machine = Machine(operations=operations)
    campaign = Campaign(machine, EXAMPLES)
    try:
        for name, operation in campaign.operations():
            if not names or name in names:
                campaign.ask(name, operation)
    finally:
        machine.close()
    return campaign


def test_no_request_is_answered_otherwise_than_the_document_says() -> None:
    campaign = asked(OPERATIONS)
    assert {name for name, _ in campaign.answered} == {each.name for each in OPERATIONS}
    assert {status for _, status in campaign.answered} >= {200, 204, 400, 404, 409}


def planted(name: str, handler: Any) -> tuple[Operation, ...]:
    return tuple(replace(each, handler=handler) if each.name == name else each for each in OPERATIONS)


async def raises(*_backends: object, **_values: object) -> None:
    raise RuntimeError("planted")


async def answers_something_else(*_backends: object, **_values: object) -> dict[str, str]:
    return {"sets": "many"}


@pytest.mark.parametrize("name", ["monitors", "copy_set"])
def test_a_handler_that_raises_is_seen(name: str) -> None:
    with pytest.raises(BaseExceptionGroup) as seen:
        asked(planted(name, raises), name)
    assert seen.group_contains(AssertionError, match="Server error")


def test_an_answer_that_is_not_as_described_is_seen() -> None:
    with pytest.raises(BaseExceptionGroup) as seen:
        asked(planted("sets", answers_something_else), "sets")
    assert seen.group_contains(AssertionError, match="Response violates schema")


def test_a_status_that_is_not_described_is_seen() -> None:
    forgetful = tuple(replace(each, conflicts=False) if each.name == "set_size" else each for each in OPERATIONS)
    with pytest.raises(BaseExceptionGroup) as seen:
        asked(forgetful, "set_size")
    assert seen.group_contains(AssertionError, match="Undocumented status code")
