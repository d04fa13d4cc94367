"""Claims: a paired third machine remembers who may answer for an address, lest two that part do.

What it is asked (`Stance`):

- ``lease``: a source that uses the address, or wants to, asks again and again. For some seconds nobody else has it.
- ``claim``: a target that is about to stand in may have it, unless the address answers a ping, is leased, or is claimed
  by another machine. It stays claimed, whatever becomes of the target, until that one releases it: a target that is
  cut off after the answer stands in all the same, and a source that comes back meanwhile must not.
- ``hold``: a target that stands in claims *firmly*, without asking: it may do so at an operator's word.
- ``release``: it stands in no more, or did not.
- ``take``: an operator decides for the source; nobody has a claim any more.
- ``ask``: nothing but whether the address answers a ping, and who has a claim.

Claims are durable. Leases are not, only how long the longest one was: after a restart so much time has to pass before a
claim is granted, because the earlier daemon may have let a source have the address.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import ProtocolError
from bodydouble.replication.protocol import Reached

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.replication.protocol import Reach
    from bodydouble.state.store import StateStore

BOOK = "claims"
MAX_CLAIMS = 64
"""Addresses that one machine may have claimed or leased here."""


class Claim(msgspec.Struct, frozen=True):
    """Who may answer for an address: a paired machine, by fingerprint and name; ``firm``: it says that it stands in."""

    address: str
    fingerprint: str
    name: str
    firm: bool = False


class ClaimBook(msgspec.Struct, frozen=True):
    """What is kept over a restart; ``lease``: seconds of the longest lease that was granted."""

    claims: list[Claim]
    lease: float = 0.0


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks."""

    fingerprint: str
    name: str


@dataclass(frozen=True, slots=True)
class _Lease:
    holder: Asker
    until: float


class Claims:
    """What this machine has granted as a witness.

    Args:
        store: keeps claims; None: nothing is kept.
    """

    def __init__(self, store: StateStore | None) -> None:
        self._store = store
        self._claims: dict[str, Claim] = {}
        self._leases: dict[str, _Lease] = {}
        self._longest = 0.0
        self._inherited_until = 0.0
        self._saving = asyncio.Lock()

    async def load(self) -> None:
        """Take in what the earlier daemon granted.

        Raises:
            StateError: it cannot be understood.
        """
        book = None if self._store is None else await self._store.load(BOOK, ClaimBook)
        if book is not None:
            self._claims = {each.address: each for each in book.claims}
            self._longest = book.lease
            self._inherited_until = _now() + book.lease

    async def answer(self, question: Reach, asker: Asker, ping: Callable[[], Awaitable[bool]]) -> Reached:
        """Decide, and remember the decision before it is told.

        Args:
            question: what is asked of which address.
            asker: by whom.
            ping: whether the address answers this machine.

        Raises:
            ProtocolError: the asker has too many addresses.
            FileSystemError: the decision cannot be kept, and does not hold.
        """
        match question.stance:
            case "lease":
                return await self._lease(question, asker)
            case "claim":
                return await self._claim(question.address, asker, ping)
            case "hold":
                await self._grant(question.address, asker, firm=True)
            case "release":
                await self._drop(question.address, asker)
            case "take":
                await self._drop(question.address, None)
            case _:
                return Reached(await ping(), *self._other(question.address, asker))
        return Reached(answers=False)

    def _other(self, address: str, asker: Asker) -> tuple[str, bool]:
        """The name of another machine that has a claim or a lease, empty: none has; and whether the claim is firm."""
        claim = self._claims.get(address)
        if claim is not None and claim.fingerprint != asker.fingerprint:
            return claim.name, claim.firm
        lease = self._leases.get(address)
        if lease is not None and lease.until > _now() and lease.holder.fingerprint != asker.fingerprint:
            return lease.holder.name, False
        return "", False

    async def _lease(self, question: Reach, asker: Asker) -> Reached:
        address, claim = question.address, self._claims.get(question.address)
        if claim is not None and claim.fingerprint != asker.fingerprint:
            return Reached(answers=False, holder=claim.name, firm=claim.firm)
        self._check_count(asker, address)
        self._leases[address] = _Lease(asker, _now() + question.seconds)
        if question.seconds > self._longest:
            self._longest = question.seconds
            await self._save()
        return Reached(answers=False)

    async def _claim(self, address: str, asker: Asker, ping: Callable[[], Awaitable[bool]]) -> Reached:
        holder, firm = self._other(address, asker)
        if not holder and await ping():
            return Reached(answers=True)
        if not holder:  # while the ping was awaited
            holder, firm = self._other(address, asker)
        if not holder and _now() < self._inherited_until:
            holder = "an unknown machine, for this witness was started a moment ago"
        if not holder:
            await self._grant(address, asker, firm=False)
        return Reached(answers=False, holder=holder, firm=firm)

    async def _grant(self, address: str, asker: Asker, *, firm: bool) -> None:
        self._check_count(asker, address)
        before = self._claims.get(address)
        if before is not None and before.fingerprint == asker.fingerprint and before.firm >= firm:
            return
        claim = Claim(address, asker.fingerprint, asker.name, firm)
        self._claims[address] = claim
        try:
            await self._save()
        except BaseException:
            self._restore(address, before)
            raise

    async def _drop(self, address: str, asker: Asker | None) -> None:
        claim = self._claims.get(address)
        if claim is None or (asker is not None and claim.fingerprint != asker.fingerprint):
            return
        del self._claims[address]
        try:
            await self._save()
        except BaseException:
            self._restore(address, claim)
            raise

    def _restore(self, address: str, claim: Claim | None) -> None:
        if claim is None:
            self._claims.pop(address, None)
        else:
            self._claims[address] = claim

    def _check_count(self, asker: Asker, address: str) -> None:
        now, mine = _now(), asker.fingerprint
        self._leases = {at: each for at, each in self._leases.items() if each.until > now}
        theirs = {each.address for each in self._claims.values() if each.fingerprint == mine}
        theirs |= {at for at, each in self._leases.items() if each.holder.fingerprint == mine}
        if len(theirs - {address}) >= MAX_CLAIMS:
            raise ProtocolError(f"{asker.name} claims more than {MAX_CLAIMS} addresses")

    async def _save(self) -> None:
        if self._store is not None:
            async with self._saving:
                claims = [self._claims[address] for address in sorted(self._claims)]
                await self._store.save(BOOK, ClaimBook(claims, self._longest))


def _now() -> float:
    return asyncio.get_running_loop().time()
