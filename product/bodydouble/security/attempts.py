"""What becomes of connections that never show a paired certificate: how many may wait, and what the log says. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Generic, TypeVar

Waiting = TypeVar("Waiting")

QUIET_SECONDS = 60.0
"""For so long nothing is said about an address after it was named."""
MAX_ADDRESSES = 256
"""Addresses that are told apart; more are counted together."""
OTHERS = "other addresses"


class WaitingRoom(Generic[Waiting]):
    """Connections that have not shown yet who they are: few, and few from one address.

    Nobody is turned away at the door: when there is no place, the one that has waited longest leaves, of the newcomer's
    address if that has its share, else of the address that takes up most. A paired machine needs a place for the
    milliseconds of a handshake; whoever only holds one loses it.

    Args:
        places: for all.
        share: for one address.
    """

    def __init__(self, places: int, share: int) -> None:
        self._places = places
        self._share = share
        self._waiting: dict[Waiting, str] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, newcomer: Waiting, address: str) -> Waiting | None:
        """Let a connection in; the one that has to leave for it, if any."""
        leaving = self._to_leave(address)
        if leaving is not None:
            del self._waiting[leaving]
        self._waiting[newcomer] = address
        return leaving

    def _to_leave(self, address: str) -> Waiting | None:
        held = Counter(self._waiting.values())
        if held[address] >= self._share:
            return self._oldest(address)
        if len(self._waiting) >= self._places:
            return self._oldest(held.most_common(1)[0][0])
        return None

    def _oldest(self, address: str) -> Waiting:
        return next(each for each, from_ in self._waiting.items() if from_ == address)

    def leave(self, one: Waiting) -> None:
        """It has shown who it is, or is gone. Idempotent."""
        self._waiting.pop(one, None)


class AttemptLog:
    """Counts attempts by address and says when one is worth an event: the first, and then one a minute."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}
        self._unsaid: Counter[str] = Counter()

    def note(self, address: str, reason: str, now: float) -> str | None:
        """An attempt from ``address`` failed; the text of an event, or None while that would be too often."""
        self._forget(now)
        who = address if address in self._said or len(self._said) < MAX_ADDRESSES else OTHERS
        last = self._said.get(who)
        if last is not None and now - last < QUIET_SECONDS:
            self._unsaid[who] += 1
            return None
        self._said[who] = now
        before = self._unsaid.pop(who, 0)
        more = f"; {before} more since it was last named" if before else ""
        return f"{who} connected and is not paired with this machine ({reason}){more}"

    def _forget(self, now: float) -> None:
        for address in [each for each, at in self._said.items() if now - at >= QUIET_SECONDS]:
            if not self._unsaid[address]:
                del self._said[address]
