"""Carrying out single steps, each with its entry in the journal, and saying once what could not be done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.failover.journal import Journal
    from bodydouble.state.events import EventLog

STEP_TIMEOUT = 30.0
"""Seconds that one step at the host's identity may take before it counts as failed."""


class Steps:
    """The steps of one monitor's procedures.

    Args:
        events: the events log.
        source: whose identity it is.
        journal: see `Journal`.
    """

    def __init__(self, events: EventLog, source: str, journal: Journal) -> None:
        self._events = events
        self._source = source
        self._journal = journal
        self._failures: dict[str, str] = {}

    async def take(
        self, step: str, what: str, action: Callable[[], Awaitable[None]], *, limit: float = STEP_TIMEOUT
    ) -> bool:
        """Carry out a step that is not done yet; False when it failed.

        Args:
            step: its name in the journal.
            what: it does, for people.
            action: does it; may be repeated at will.
            limit: seconds that it may take.
        """
        if self._journal.settled(step):
            return True
        if what not in self._failures or self._journal.state(step) != "begun":  # not what is merely tried again
            await self._journal.begin(step)
        if not await self.attempt(what, action, limit=limit):
            return False
        self._journal.end(step)
        return True

    async def attempt(self, what: str, action: Callable[[], Awaitable[None]], *, limit: float = STEP_TIMEOUT) -> bool:
        """Do something; a failure is recorded once, and again only when its reason changes."""
        try:
            async with asyncio.timeout(limit):
                await action()
        except BodydoubleError as error:
            self.report(what, str(error))
            return False
        except TimeoutError:
            self.report(what, f"not done within {limit:.0f} s")
            return False
        except OSError as error:  # whatever the system refuses, the other steps and monitors go on
            self.report(what, str(error))
            return False
        self._failures.pop(what, None)
        return True

    def report(self, what: str, reason: str) -> None:
        """Record that something could not be done."""
        if self._failures.get(what) != reason:
            self._failures[what] = reason
            self._events.record(EventCode.FAILOVER_STEP_FAILED, f"{self._source}: could not {what}: {reason}")
