"""One script at a time: the scripts of all monitors of a machine take turns, in the order in which they became due.

The active name, the services and most of what else a script touches are one for the whole machine. A script that takes
a name, starts services under it and puts the own name back must not have another one put the name back in between.

A turn lasts as long as the script runs, and no longer: a script that failed and whose policy is to hold has had its
turn. The order outlives a restart of the daemon, because a script that was under way may have left half of its changes
behind and has to run again before another one meets them. Its place is then kept until its monitor arrives there, as
long as that one is on its way: one that waits for something else gives the place up, lest everybody wait with it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence


@dataclass(slots=True, eq=False)
class _Place:
    """One place in the line.

    Attributes:
        source: whose monitor's it is.
        script: what runs, or is to, for people; empty while the place is only kept.
        called: it is this one's turn.
    """

    source: str
    script: str = ""
    called: asyncio.Event = field(default_factory=asyncio.Event)


class Turns:
    """The line in front of a machine's scripts; who stands first has the turn.

    Args:
        kept: the sources that had or awaited a turn when the daemon ended, in their order.
    """

    def __init__(self, kept: Sequence[str] = ()) -> None:
        self._line = [_Place(source) for source in kept]

    def order(self) -> list[str]:
        """The sources in the line, the one that has the turn first: what is to be kept on disk."""
        return [place.source for place in self._line]

    def waits_for(self, source: str) -> str:
        """Whose script has to end, or to be run, before that of ``source``; empty: it does not wait."""
        if not self._line or self._line[0].source == source or not self._standing(source):
            return ""
        first = self._line[0]
        return f"the {first.script or 'interrupted'} script of {first.source}"

    @asynccontextmanager
    async def turn(
        self, source: str, script: str, leave: asyncio.Event | None, waiting: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[bool]:
        """Stand in the line, and have the turn for as long as the context lasts.

        Args:
            source: whose monitor's script it is; one stands in the line once at most.
            script: which one.
            leave: when this is set before the turn has come, it is given up.
            waiting: called once if the turn does not come at once.

        Yields:
            Whether the turn has come; False: it was given up.
        """
        place = self._stand(source, script)
        try:
            come = place is self._line[0]
            if not come:
                await waiting()
                await _first_of(place.called, leave)
                come = place.called.is_set() and not (leave is not None and leave.is_set())
            yield come
        finally:
            self._remove(place)

    def give_up_kept(self, source: str) -> None:
        """The monitor of ``source`` is not on its way to a script, or not any more: a place kept for it goes."""
        for place in [each for each in self._line if each.source == source and not each.script]:
            self._remove(place)

    def _stand(self, source: str, script: str) -> _Place:
        for place in self._line:
            if place.source == source and not place.script:
                place.script = script
                return place
        place = _Place(source, script)
        self._line.append(place)
        return place

    def _standing(self, source: str) -> bool:
        return any(place.source == source and place.script for place in self._line)

    def _remove(self, place: _Place) -> None:
        self._line.remove(place)
        if self._line:
            self._line[0].called.set()


async def _first_of(called: asyncio.Event, leave: asyncio.Event | None) -> None:
    """Wait until either is set."""
    waits = [asyncio.create_task(each.wait(), name="turn of a script") for each in (called, leave) if each is not None]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
