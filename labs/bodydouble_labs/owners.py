"""Who answers for which address and name, as it is heard on the wire: what the one-owner checker judges.

Runs of answers by one machine are written down, not single ones: an address that changes hands twice is three runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_labs.history import Answered, Claim

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_labs.history import History

MOST_RUNS = 2000
"""Runs that are written down: two machines that answer in turn for ever tell no more than this."""


class Run:
    """One machine's answers for an identity, with no other's between. Times in seconds since the run began."""

    __slots__ = ("at", "owner", "until")

    def __init__(self, owner: str, at: float) -> None:
        self.owner = owner
        self.at = at
        self.until = at


class OwnerLog:
    """Takes down answers and claims in the order in which they are heard.

    Args:
        elapsed: seconds since the run began.
    """

    def __init__(self, history: History, elapsed: Callable[[], float]) -> None:
        self._history = history
        self._elapsed = elapsed
        self.runs: dict[str, Run] = {}

    def answered(self, identity: str, owner: str) -> None:
        """A machine answered."""
        now = self._elapsed()
        run = self.runs.get(identity)
        if run is not None and run.owner == owner:
            run.until = now
            return
        self._end(identity)
        self.runs[identity] = Run(owner, now)

    def claimed(self, identity: str, owner: str, *, given_up: bool = False) -> None:
        """A machine claimed, or gave up."""
        if len(self._history.claims) < MOST_RUNS:
            self._history.claims.append(Claim(self._elapsed(), identity, owner, given_up))

    def close(self) -> None:
        """Write down the runs that last."""
        for identity in list(self.runs):
            self._end(identity)

    def _end(self, identity: str) -> None:
        run = self.runs.pop(identity, None)
        if run is not None and len(self._history.answers) < MOST_RUNS:
            self._history.answers.append(Answered(identity, run.owner, run.at, run.until))
