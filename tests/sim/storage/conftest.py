"""Volumes in memory, a calendar that tests turn by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.sim.storage.volumes import Clock

from bodydouble_sim.storage.ntfs import NtfsVolume

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def advance(clock: Clock) -> Callable[[int], None]:
    """Turn the calendar on by so many nanoseconds."""

    def turn(nanoseconds: int) -> None:
        clock.now += nanoseconds

    return turn


@pytest.fixture
def volume(clock: Clock) -> NtfsVolume:
    return NtfsVolume("C", clock)
