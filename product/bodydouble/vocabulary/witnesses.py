"""Witnesses: third machines that are asked when two lose sight of each other."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from bodydouble.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PORT = 65_535
MAX_LEASE = 300.0
"""Seconds."""
Stance = Literal["ask", "claim", "hold", "release", "lease", "take"]
"""What a witness is asked for an address; see `bodydouble.replication.claims`."""


class Witness(msgspec.Struct, frozen=True):
    """A third machine.

    Attributes:
        address: where it answers pings.
        port: of its replication service, which is asked if this machine is paired with it; 0: it is only pinged.
    """

    address: str
    port: int = 0

    def __str__(self) -> str:
        return f"{self.address}:{self.port}" if self.port else self.address


class Witnessed(msgspec.Struct, frozen=True):
    """What a paired witness says of an address.

    Attributes:
        answers: it answered a ping.
        holder: the name of another machine that may answer for it; empty: none.
        firm: that one says that it does.
    """

    answers: bool
    holder: str = ""
    firm: bool = False


class Witnesses(Protocol):
    """Asks paired machines who may answer for an address."""

    async def ask(self, witness: Witness, address: str, stance: Stance, seconds: float = 0.0) -> Witnessed:
        """What a paired machine says of an address; ``seconds``: of a lease.

        Raises:
            OSError: it does not answer.
            BodydoubleError: it is not paired with this machine, or says something else.
        """

    def hang_up(self) -> None:
        """Let go of the connections that are kept for the next lease."""


def witness_of(text: str, key: str) -> Witness:
    """The witness that ``10.0.0.1`` or ``10.0.0.30:6320`` means.

    Raises:
        InputError: it means none; names ``key`` and what is expected.
    """
    address, colon, port = text.partition(":")
    try:
        ipaddress.IPv4Address(address)
    except ValueError as error:
        raise InputError(f"{key}: expected 10.0.0.1 or 10.0.0.30:6320, got {text!r}") from error
    if colon and not (port.isascii() and port.isdigit() and 1 <= int(port) <= MAX_PORT):
        raise InputError(f"{key}: expected a port from 1 to {MAX_PORT}, got {text!r}")
    return Witness(address, int(port) if colon else 0)


def enough(witnesses: Sequence[Witness], answering: Sequence[Witness]) -> bool:
    """Whether those who answer decide: more than half of the paired ones, or, where there are only others, any one.

    Two machines that each have more than half of the same witnesses have one in common.
    """
    paired = [each for each in witnesses if each.port]
    counted = [each for each in answering if each in (paired or witnesses)]
    return 2 * len(counted) > len(paired) if paired else bool(counted)
