from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world() -> Iterator[World]:
    made = World(1, keep_trace=True)
    yield made
    made.close()
    assert made.loop.unhandled == []
