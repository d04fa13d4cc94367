"""The power of a live body: to shut down is to end its process in good order, to restart is to boot again in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine


class GoDown(Protocol):
    """What a body does when a shutdown is due."""

    def __call__(self, *, restart: bool) -> Awaitable[None]:
        """Shut the system down, and boot it again if ``restart``."""


class LivePower:
    """`bodydouble_sim.windows.power.Power` of a live body. The host itself stays up.

    Args:
        spawn: starts a named task of the body.
        go_down: carries a shutdown out.
    """

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]], go_down: GoDown) -> None:
        self._spawn = spawn
        self._go_down = go_down
        self._waiting: asyncio.Task[None] | None = None

    def request(self, *, restart: bool, delay: float) -> None:
        """See `Power.request`."""
        self.abort()
        self._waiting = self._spawn(self._wait(delay, restart=restart), f"shutdown in {delay} s")

    def abort(self) -> bool:
        """See `Power.abort`."""
        waiting, self._waiting = self._waiting, None
        return waiting is not None and not waiting.done() and waiting.cancel()

    async def _wait(self, delay: float, *, restart: bool) -> None:
        await asyncio.sleep(delay)
        self._waiting = None  # from now on it cannot be taken back
        await self._go_down(restart=restart)
