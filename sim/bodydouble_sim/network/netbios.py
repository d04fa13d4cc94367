"""NetBIOS names of a B node (RFC 1001/1002): a table of own names, broadcast registration and query, a name cache.

A name is bound to every adapter and answered with the adapter's first address, as NetBT on Windows 2000 binds to one
address an adapter. Registration is broadcast three times, 250 ms apart (RFC 1002, 6, BCAST_REQ_RETRY_*); an owner's
objection refuses it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble_sim.errors import DuplicateName, MachineStateError
from bodydouble_sim.network import nbns
from bodydouble_sim.network.frames import UDP

if TYPE_CHECKING:
    from bodydouble_sim.machine import Machine
    from bodydouble_sim.network.nic import Nic

SECOND = 1_000_000_000
CACHE_AGE = 600 * SECOND
ATTEMPTS = 3
ATTEMPT_TIMEOUT = 0.25
_TRANSACTIONS = 0x7FFF


class NameTable:
    """The names that one machine answers for, and those of others that it remembers."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._transaction = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything, as a boot does."""
        self._names: dict[str, bool] = {}  # value: registration complete
        self._cache: dict[str, tuple[str, int]] = {}
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._reclaims: dict[int, str] = {}

    def names(self) -> list[str]:
        """The names answered for, in the order of registration."""
        return [name for name, complete in self._names.items() if complete]

    def cache(self) -> dict[str, str]:
        """Names of others that are remembered (10 minutes), with their addresses."""
        now = self._machine.world.loop.now
        return {name: address for name, (address, until) in self._cache.items() if until > now}

    def flush_cache(self) -> None:
        """Forget the names of others (``nbtstat -R``)."""
        self._cache.clear()

    async def register(self, name: str) -> None:
        """Answer for a name from now on. Nothing happens when the machine does already.

        Raises:
            DuplicateName: another machine on a segment objected.
            MachineStateError: the machine is off or has no address, or the name is too long.
        """
        plain = self._check(name)
        await self._machine.stack.ready()
        if plain in self._names:
            return
        self._names[plain] = False
        try:
            objector = await self._ask(nbns.REGISTRATION, plain)
        except BaseException:
            self._names.pop(plain, None)
            raise
        if objector is not None:
            self._names.pop(plain, None)
            self._trace(plain, "refused")
            raise DuplicateName(f"{self._machine.name}: the name {plain} is in use by {objector}")
        self._names[plain] = True
        self._cache.pop(plain, None)
        self._trace(plain, "registered")

    def _check(self, name: str) -> str:
        plain = name.upper()
        if not plain or len(plain) > nbns.NAME_LENGTH or not plain.isascii():
            raise MachineStateError(f"{name!r} is no NetBIOS name: 1 to {nbns.NAME_LENGTH} ASCII characters")
        if not self._machine.powered:
            raise MachineStateError(f"{self._machine.name} is off")
        return plain

    async def release(self, name: str) -> None:
        """Stop answering for a name and say so. Nothing happens when the machine does not answer for it."""
        plain = self._check(name)
        if self._names.pop(plain, False):
            self._broadcast(nbns.RELEASE, self._next(), plain)
            self._trace(plain, "released")

    def reclaim(self) -> None:
        """Claim every name again after the cable came back; one that its new owner defends is given up.

        RFC 1001, 15.1.3.5: a node that learns of a conflict stops using the name.
        """
        for name, complete in self._names.items():
            if complete:
                transaction = self._next()
                self._reclaims[transaction] = name
                self._broadcast(nbns.REGISTRATION, transaction, name)

    def _trace(self, name: str, what: str) -> None:
        self._machine.world.trace.record("name", self._machine.name, name, what)

    async def query(self, name: str) -> str | None:
        """The address of a name of another machine: from the cache, else by broadcast; None when nobody answers."""
        plain = name.upper()[: nbns.NAME_LENGTH]
        cached = self._cache.get(plain)
        now = self._machine.world.loop.now
        if cached is not None and cached[1] > now:
            return cached[0]
        address = await self._ask(nbns.QUERY, plain)
        if address is not None:
            self._cache[plain] = (address, self._machine.world.loop.now + CACHE_AGE)
        return address

    async def _ask(self, operation: int, name: str) -> str | None:
        """Broadcast up to three times; the address in the first answer, or None."""
        transaction = self._next()
        waiter: asyncio.Future[str] = self._machine.world.loop.create_future()
        self._waiting[transaction] = waiter
        try:
            for _ in range(ATTEMPTS):
                self._broadcast(operation, transaction, name)
                done, _ = await asyncio.wait([waiter], timeout=ATTEMPT_TIMEOUT)
                if done:
                    return waiter.result()
            return None
        finally:
            self._waiting.pop(transaction, None)

    def _next(self) -> int:
        self._transaction = self._transaction % _TRANSACTIONS + 1
        return self._transaction

    def _broadcast(self, operation: int, transaction: int, name: str) -> None:
        stack = self._machine.stack
        bound: set[str] = set()
        for local in list(stack.locals.values()):
            if not local.owned or local.nic.name in bound:
                continue
            bound.add(local.nic.name)
            if operation == nbns.QUERY:
                payload = nbns.query(transaction, name)
            else:
                payload = nbns.claim(operation, transaction, name, local.address)
            stack.send(local.nic, UDP, local.address, local.broadcast, (nbns.PORT, nbns.PORT, payload))

    def receive(self, nic: Nic | None, source: str, _: int, payload: bytes) -> None:
        """Answer queries for our names, object to registrations of them, wake who waits for an answer."""
        packet = nbns.parse(payload)
        if packet is None:
            return
        if packet.response:
            lost = self._reclaims.pop(packet.transaction, None)
            if lost is not None and self._names.pop(lost, False):
                self._trace(lost, "conflict")
            waiter = self._waiting.get(packet.transaction)
            if waiter is not None and not waiter.done():
                waiter.set_result(packet.address)
        elif self._names.get(packet.name) and packet.operation in (nbns.QUERY, nbns.REGISTRATION):
            code = 0 if packet.operation == nbns.QUERY else nbns.ACTIVE_ERROR
            mine = self._machine.stack.first_address(nic)
            if mine is not None:
                reply = nbns.answer(packet.operation, packet.transaction, packet.name, mine, code)
                self._machine.stack.send(nic, UDP, mine, source, (nbns.PORT, nbns.PORT, reply))
