"""Records about the active name: the one that name-sensitive services start under."""

from __future__ import annotations

import msgspec


class ActiveNameStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name that a host runs under now.

    Attributes:
        active: that name.
        original: the host's own name, which will be put back; None while it runs under it.
    """

    active: str
    original: str | None = None

    @property
    def words(self) -> str:
        """It all in one sentence."""
        if self.original is None:
            return f"The active server name is {self.active}."
        return f"The active server name is {self.active}; chngname /t puts {self.original} back."


class NewActiveName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name that a host is to run under."""

    name: str
