"""The way from inside a Windows system to its power: ``shutdown``, a service's failure action, set-up's restart."""

from __future__ import annotations

from typing import Protocol


class Power(Protocol):
    """What carries a shutdown out. Whatever asks is told at once; the machine goes down later, in good order."""

    def request(self, *, restart: bool, delay: float) -> None:
        """Shut down in ``delay`` seconds, and boot again if ``restart``; a second request replaces the first."""

    def abort(self) -> bool:
        """Take a request back; False when there is none, or it is being carried out."""


class NoPower:
    """For a system that nobody can restart: a request is refused."""

    def request(self, *, restart: bool, delay: float) -> None:
        """See `Power.request`; remembers nothing and does nothing."""

    def abort(self) -> bool:
        """See `Power.abort`."""
        return False
