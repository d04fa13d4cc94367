"""Records of the guard: the source's own addresses, kept only while no stand-in has them."""

from __future__ import annotations

from typing import Literal

from bodydouble.vocabulary.records import InterfaceAddress, Record

GuardState = Literal["held", "stood-in", "isolated"]
"""``held``: this machine's; ``stood-in``: another one answers for it; ``isolated``: given up, no witness answers."""


class GuardedAddress(Record, frozen=True):
    """One address and whether this machine answers for it."""

    address: InterfaceAddress
    state: GuardState
    detail: str = ""


class GuardStatus(Record, frozen=True):
    """What the guard knows.

    Attributes:
        addresses: in the order of the configuration; none where nothing is guarded.
        witnesses: those that answered when they were asked last.
        silent: seconds since a witness answered last; None without witnesses.
    """

    addresses: list[GuardedAddress]
    witnesses: list[str]
    silent: float | None = None
