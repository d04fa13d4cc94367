"""Random troubles that overlap: with a paired witness never two owners, and one when all is healed.

More of them: ``python -m tests.e2e.troubles``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.troubles import Troubled, drawn

from bodydouble.replication.claims import Claims
from bodydouble.replication.protocol import Reached

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.replication.claims import Asker
    from bodydouble.replication.protocol import Reach

BATCHES = 4
BATCH = 6
FORGETFUL = (26,)
"""Seeds of which a witness without a memory makes two owners."""


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_random_troubles_make_two_owners_or_leave_none(batch: int) -> None:
    for seed in range(1 + batch * BATCH, 1 + (batch + 1) * BATCH):
        trio = Troubled(drawn(seed))
        trio.suffer()
        assert trio.problems == [], f"seed {seed}: {trio.troubles}"


async def forgetful(_claims: Claims, question: Reach, _asker: Asker, ping: Callable[[], Awaitable[bool]]) -> Reached:
    return Reached(question.stance in ("ask", "claim") and await ping())


@pytest.mark.parametrize("seed", FORGETFUL)
def test_witness_without_a_memory_is_found_out(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Claims, "answer", forgetful)
    trio = Troubled(drawn(seed))
    trio.suffer()
    assert trio.problems
