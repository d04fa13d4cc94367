"""One offer to pair: how long it lasts, how often it may be tried, and who used it. Pure; times are the loop's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.records import OfferStatus

if TYPE_CHECKING:
    from bodydouble.vocabulary.records import Roles

MAX_TRIES = 5
"""Wrong codes after which an offer is void."""


class OpenOffer:
    """An offer since it was made. It is kept in memory only: a restart of the daemon voids it.

    Args:
        code: the one-time code.
        roles: what the other machine may be to this one.
        closes: when it expires.
    """

    def __init__(self, code: str, roles: Roles, closes: float) -> None:
        self.code = code
        self.roles = roles
        self._closes = closes
        self._tries = MAX_TRIES
        self._withdrawn = False
        self._user = ""
        self._peer = ""

    def __repr__(self) -> str:
        return f"OpenOffer(tries={self._tries}, code=...)"

    def open_to(self, fingerprint: str, now: float) -> bool:
        """Whether a machine may still use it: nobody else did, or it did itself and lost the answer."""
        return self.listens(now) and self._user in ("", fingerprint)

    def listens(self, now: float) -> bool:
        """Whether anybody may still use it."""
        return now < self._closes and self._tries > 0 and not self._withdrawn

    def tried_in_vain(self) -> bool:
        """Somebody showed that it does not know the code; whether that made the offer void."""
        self._tries -= 1
        return self._tries == 0

    def use(self, fingerprint: str, peer: str) -> None:
        """The machine ``peer`` knew the code: nobody else may use it from now on."""
        self._user, self._peer = fingerprint, peer

    def withdraw(self) -> None:
        """Nobody may use it any more."""
        self._withdrawn = True

    def status(self, now: float) -> OfferStatus:
        """How it stands."""
        if self._user:
            return OfferStatus(state="used", peer=self._peer)
        if self._withdrawn:
            return OfferStatus(state="withdrawn")
        if self._tries <= 0:
            return OfferStatus(state="void")
        if now >= self._closes:
            return OfferStatus(state="expired")
        return OfferStatus(state="open", seconds=self._closes - now, tries=self._tries)
