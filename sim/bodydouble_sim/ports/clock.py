"""The WallClock port over the world's virtual calendar."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from bodydouble_sim.world import World


class SimClock:
    """`bodydouble.ports.WallClock` of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> datetime:
        """The virtual instant, aware, UTC."""
        return self._world.now()
