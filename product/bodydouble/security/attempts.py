"""What becomes of those who do not show who they are: how many may wait, how often they may try, what the log says."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address, ip_network
from typing import Generic, TypeVar

Waiting = TypeVar("Waiting")

QUIET_SECONDS = 60.0
"""For so long nothing is said about an address after it was named."""
MAX_ADDRESSES = 256
"""Addresses that are told apart; more are counted together."""
OTHERS = "other addresses"
_ROUNDING = 1e-3


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
    """Counts attempts by address and says when one is worth an event: the first, and then one a minute.

    Args:
        what: what the address did, in the events' words.
    """

    def __init__(self, what: str = "connected and is not paired with this machine") -> None:
        self._what = what
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
        why = f" ({reason})" if reason else ""
        return f"{who} {self._what}{why}{more}"

    def _forget(self, now: float) -> None:
        for address in [each for each, at in self._said.items() if now - at >= QUIET_SECONDS]:
            if not self._unsaid[address]:
                del self._said[address]


class LoginLimit:
    """How often an address may show a wrong token: some at once, and then one at a time.

    Of IPv6 the network of 64 bits counts as one address. A table that is full forgets who failed longest ago: whoever
    has so many addresses has a new one for each try anyway.

    Args:
        tries: wrong tokens at once.
        seconds: until one is forgiven.
        addresses: that are remembered.
    """

    def __init__(self, tries: int = 10, seconds: float = 6.0, addresses: int = 1024) -> None:
        self._tries = tries
        self._seconds = seconds
        self._addresses = addresses
        self._forgiven: dict[str, float] = {}  # when all is; whoever failed last stands last

    def __len__(self) -> int:
        return len(self._forgiven)

    def wait(self, address: str, now: float) -> float:
        """Seconds until the address may try again, 0 when it may now."""
        left = self._forgiven.get(_group(address), now) - (self._tries - 1) * self._seconds - now
        return left if left > _ROUNDING else 0.0

    def failed(self, address: str, now: float) -> None:
        """It showed a wrong one."""
        group = _group(address)
        before = self._forgiven.pop(group, now)
        self._forgiven[group] = max(before, now) + self._seconds
        if len(self._forgiven) > self._addresses:
            del self._forgiven[next(iter(self._forgiven))]


def _group(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.version == 4:  # noqa: PLR2004 - of the protocol
        return address
    mapped = found.ipv4_mapped
    return str(ip_network((found, 64), strict=False)) if mapped is None else str(mapped)
