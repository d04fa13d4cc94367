"""The WallClock port over the clock of a simulated Windows machine, which an operator may set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class Calendar(Protocol):
    """A machine's clock, or the world's."""

    def now(self) -> datetime:
        """What it shows, aware, UTC."""


class SimClock:
    """`bodydouble.ports.WallClock` of a simulated machine.

    Args:
        calendar: the machine's clock.
    """

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar

    def now(self) -> datetime:
        """The instant that the clock shows, aware, UTC."""
        return self._calendar.now()
