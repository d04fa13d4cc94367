"""NetBIOS names (RFC 1001/1002): a table of own names, registration and query by broadcast or WINS, a name cache.

A machine without a WINS server is a B node, as Windows 2000 is by default; with one it is an H node (KB 160177): it
asks the server, three times 1.5 s apart (NameSrvQueryCount, NameSrvQueryTimeout), and broadcasts when that is silent
or, for a query, knows nothing.

A name is bound to every adapter and answered with the adapter's first address, as NetBT on Windows 2000 binds to one
address an adapter. Registration is broadcast three times, 250 ms apart (RFC 1002, 6, BCAST_REQ_RETRY_*); an owner's
objection refuses it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from bodydouble_sim.errors import DuplicateName, MachineStateError
from bodydouble_sim.network import nbns
from bodydouble_sim.network.frames import NO_ADDRESS, UDP

if TYPE_CHECKING:
    from bodydouble_sim.machine import Machine
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.wins import WinsServer

SECOND = 1_000_000_000
CACHE_AGE = 600 * SECOND
ATTEMPTS = 3
ATTEMPT_TIMEOUT = 0.25
SERVER_TIMEOUT = 1.5
_TRANSACTIONS = 0x7FFF


class NameTable:
    """The names that one machine answers for, and those of others that it remembers.

    Attributes:
        wins: the address of its WINS server, None: it broadcasts.
        server: the WINS server that runs on this machine.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._transaction = 0
        self.wins: str | None = None
        self.server: WinsServer | None = None
        self.reset()

    def reset(self) -> None:
        """Forget everything, as a boot does."""
        self._names: dict[str, bool] = {}  # value: registration complete
        self._cache: dict[str, tuple[str, int]] = {}
        self._waiting: dict[int, asyncio.Future[nbns.Packet]] = {}
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
            DuplicateName: another machine on a segment, or the WINS server, objected.
            MachineStateError: the machine is off or has no address, or the name is too long.
        """
        plain = self._check(name)
        await self._machine.stack.ready()
        if plain in self._names:
            return
        self._names[plain] = False
        try:
            objector = await self._objector(plain)
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

    async def _objector(self, name: str) -> str | None:
        """The address that has a name already, None: nobody objects."""
        said = await self._ask(nbns.REGISTRATION, name, self.wins) if self.wins is not None else None
        if said is not None:
            return said.address if said.code else None
        said = await self._ask(nbns.REGISTRATION, name)
        return None if said is None else said.address

    def _check(self, name: str) -> str:
        plain = name.upper()
        if not plain or len(nbns.split(plain)[0]) > nbns.NAME_LENGTH or not plain.isascii():
            raise MachineStateError(f"{name!r} is no NetBIOS name: 1 to {nbns.NAME_LENGTH} ASCII characters")
        if not self._machine.powered:
            raise MachineStateError(f"{self._machine.name} is off")
        return plain

    async def release(self, name: str) -> None:
        """Stop answering for a name and say so. Nothing happens when the machine does not answer for it."""
        plain = self._check(name)
        if self._names.pop(plain, False):
            self._broadcast(nbns.RELEASE, self._next(), plain)
            if self.wins is not None:
                self._tell_server(nbns.RELEASE, self._next(), plain, self.wins)
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
        """The address of another machine's name: from the cache, WINS, a broadcast; None when nobody answers."""
        return self.cached(name) or await self.ask_server(name) or await self.ask_everybody(name)

    def cached(self, name: str) -> str | None:
        """The address that is remembered for a name."""
        known = self._cache.get(nbns.canonical(name))
        return known[0] if known is not None and known[1] > self._machine.world.loop.now else None

    async def ask_server(self, name: str) -> str | None:
        """The address that the WINS server has for a name."""
        return None if self.wins is None else await self._found(name, self.wins)

    async def ask_everybody(self, name: str) -> str | None:
        """The address that somebody on the machine's segments answers for a name."""
        return await self._found(name, None)

    async def _found(self, name: str, server: str | None) -> str | None:
        plain = nbns.canonical(name)
        said = await self._ask(nbns.QUERY, plain, server)
        if said is None or said.code:
            return None
        self._cache[plain] = (said.address, self._machine.world.loop.now + CACHE_AGE)
        return said.address

    async def _ask(self, operation: int, name: str, server: str | None = None) -> nbns.Packet | None:
        """Ask a server, or everybody, up to three times; the first answer, or None."""
        transaction = self._next()
        waiter: asyncio.Future[nbns.Packet] = self._machine.world.loop.create_future()
        self._waiting[transaction] = waiter
        try:
            for _ in range(ATTEMPTS):
                if server is None:
                    self._broadcast(operation, transaction, name)
                else:
                    self._tell_server(operation, transaction, name, server)
                done, _ = await asyncio.wait([waiter], timeout=ATTEMPT_TIMEOUT if server is None else SERVER_TIMEOUT)
                if done:
                    return waiter.result()
            return None
        finally:
            self._waiting.pop(transaction, None)

    def _next(self) -> int:
        self._transaction = self._transaction % _TRANSACTIONS + 1
        return self._transaction

    def _tell_server(self, operation: int, transaction: int, name: str, server: str) -> None:
        if operation == nbns.QUERY:
            self.tell(server, nbns.query(transaction, name, broadcast=False))
            return
        mine = self._machine.stack.first_address()
        if mine is not None:
            self.tell(server, nbns.claim(operation, transaction, name, mine, broadcast=False))

    def tell(self, address: str, payload: bytes) -> None:
        """Send a name service packet to one machine; one that no route leads to is lost."""
        with contextlib.suppress(OSError):
            self._machine.stack.udp.send(NO_ADDRESS, nbns.PORT, (address, nbns.PORT), payload)

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
            if self.server is not None and self.server.answered(packet):
                return
            lost = self._reclaims.pop(packet.transaction, None)
            if lost is not None and self._names.pop(lost, False):
                self._trace(lost, "conflict")
            waiter = self._waiting.get(packet.transaction)
            if waiter is not None and not waiter.done():
                waiter.set_result(packet)
        elif self.server is not None and not packet.broadcast:
            self.server.receive(packet, source)
        elif self._names.get(packet.name) and packet.operation in (nbns.QUERY, nbns.REGISTRATION):
            code = 0 if packet.operation == nbns.QUERY else nbns.ACTIVE_ERROR
            mine = self._machine.stack.first_address(nic)
            if mine is not None:
                reply = nbns.answer(packet.operation, packet.transaction, packet.name, mine, code)
                self._machine.stack.send(nic, UDP, mine, source, (nbns.PORT, nbns.PORT, reply))
