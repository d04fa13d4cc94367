"""A NetBIOS node of type B (RFC 1001, 15.1; RFC 1002, 5.1.1): claims, answers for, defends and releases names.

Without a WINS server everything is broadcast on UDP port 137. Windows answers the same way, and ``nmblookup`` asks it.
"""

from __future__ import annotations

import asyncio
import itertools
from ipaddress import IPv4Address, IPv4Interface
from typing import TYPE_CHECKING, Any

from bodydouble.adapters.network import nbns
from bodydouble.errors import DuplicateIdentityError, IdentityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.adapters.network.addresses import AddressBook

#: RFC 1002, 6: BCAST_REQ_RETRY_COUNT and BCAST_REQ_RETRY_TIMEOUT.
_TRIES = 3
_TRY_SECONDS = 0.25
#: Seconds for which a name that nobody answered for counts as asked for.
_FRESH_SECONDS = 1.0
#: Time to live in answers, seconds: short, since the name may move at failback.
_TTL = 60
_KINDS = (nbns.WORKSTATION, nbns.SERVER)
_MOST_PENDING = 64


class NameService(asyncio.DatagramProtocol):
    """Answers for the host's own name and for added ones.

    Args:
        own: the host's own name; cut to what NetBIOS allows.
        book: the host's addresses, for the answers.
    """

    def __init__(self, own: str, book: AddressBook) -> None:
        self._own = own.partition(".")[0][: nbns.LONGEST_NAME]
        self._book = book
        self._answers_for_own = True
        self._added: dict[str, str] = {}
        self._places: dict[str, tuple[str, ...]] = {}
        self._conflicts: dict[int, asyncio.Future[str]] = {}
        self._unclaimed: dict[str, float] = {}
        self._transactions = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        """Listen on UDP port 137.

        Raises:
            IdentityError: the port is taken (nmbd?) or not allowed.
        """
        try:
            await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: self,
                local_addr=("0.0.0.0", nbns.PORT),  # noqa: S104 - broadcasts arrive on no other address
                allow_broadcast=True,
            )
        except OSError as error:
            raise IdentityError(
                f"NetBIOS names need UDP port {nbns.PORT}: {error.strerror}; stop nmbd, run as root, or set "
                "netbios = false under [host.identity]"
            ) from error

    async def stop(self) -> None:
        """Stop answering; names are given up without a word, as at a power cut."""
        if self._transport is not None:
            self._transport.close()
        for task in (tasks := sorted(self._tasks, key=lambda task: task.get_name())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def added(self) -> list[str]:
        """Added names as they were given, sorted."""
        return sorted(self._added.values())

    async def add(self, name: str, addresses: Sequence[str] = ()) -> None:
        """Claim a name: ask three times, 250 ms apart, who has it, then tell everybody that we do.

        Raises:
            DuplicateIdentityError: another node answers for it or defends it.
            IdentityError: not a NetBIOS name.
        """
        _check(name)
        if name.upper() in {self._own.upper(), *self._added}:
            return
        if not self._was_free(name):
            await self._challenge(name)
        self._added[name.upper()], self._places[name.upper()] = name, tuple(addresses)
        for address, broadcast in await self._segments():
            for kind in _KINDS:
                claim = nbns.registration(name, address, transaction=self._transaction(), kind=kind, demand=True)
                self._send(claim, (broadcast, nbns.PORT))

    async def in_use(self, name: str) -> bool:
        """Whether another node answers for a name or defends it; asked for as `add` does.

        Raises:
            IdentityError: not a NetBIOS name.
        """
        _check(name)
        try:
            await self._challenge(name)
        except DuplicateIdentityError:
            return True
        self._unclaimed[name.upper()] = asyncio.get_running_loop().time()
        return False

    def _was_free(self, name: str) -> bool:
        """Whether it was asked for a moment ago, in vain. Holds once."""
        asked = self._unclaimed.pop(name.upper(), None)
        return asked is not None and asyncio.get_running_loop().time() - asked <= _FRESH_SECONDS

    async def answer_for_own(self, *, answer: bool) -> None:
        """Answer for the host's own name, or release it.

        Raises:
            DuplicateIdentityError: another node answers for it meanwhile.
        """
        if answer == self._answers_for_own:
            return
        if answer:
            await self._challenge(self._own)
        self._answers_for_own = answer
        if not answer:
            await self._release(self._own)

    async def remove(self, name: str) -> None:
        """Release a name; nothing happens when it is not an added one."""
        if self._added.pop(name.upper(), None) is not None:
            await self._release(name)

    async def _release(self, name: str) -> None:
        for address, broadcast in await self._segments():
            for kind in _KINDS:
                farewell = nbns.release(name, address, transaction=self._transaction(), kind=kind)
                self._send(farewell, (broadcast, nbns.PORT))

    async def _challenge(self, name: str) -> None:
        transaction = self._transaction()
        conflict = self._conflicts[transaction] = asyncio.get_running_loop().create_future()
        try:
            for _ in range(_TRIES):
                await self._ask(name, transaction)
                await asyncio.wait({conflict}, timeout=_TRY_SECONDS)
                if conflict.done():
                    raise DuplicateIdentityError(f"{name}: {conflict.result()} on this network answers for it")
        finally:
            del self._conflicts[transaction]

    async def _ask(self, name: str, transaction: int) -> None:
        for address, broadcast in await self._segments():
            for kind in _KINDS:
                self._send(nbns.query(name, transaction=transaction, kind=kind), (broadcast, nbns.PORT))
                claim = nbns.registration(name, address, transaction=transaction, kind=kind)
                self._send(claim, (broadcast, nbns.PORT))

    async def _segments(self) -> list[tuple[str, str]]:
        """One own address and the broadcast address for each attached network."""
        interfaces = [IPv4Interface(record.address) for record in await self._book.all()]
        segments = {str(each.network.broadcast_address): str(each.ip) for each in reversed(interfaces)}
        return [(address, broadcast) for broadcast, address in segments.items()]

    # --- what the wire brings ---------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """The socket is open."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """A packet came: an objection to our claim, or something to answer. Anything else is dropped."""
        try:
            packet = nbns.decode(data)
        except IdentityError:
            return
        if packet.response:
            self._objection(packet, addr[0])
            return
        if packet.operation is nbns.Operation.REGISTRATION and packet.questions:
            self._unclaimed.pop(packet.questions[0].text.upper(), None)  # somebody claims it after we had asked
        if packet.questions and len(self._tasks) < _MOST_PENDING and self._ours(packet.questions[0]):
            task = asyncio.create_task(self._answer(packet, addr), name=f"netbios answer {next(self._transactions)}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def error_received(self, exc: Exception) -> None:
        """A send failed (no route, port unreachable): the asker will ask again."""

    def _objection(self, packet: nbns.Packet, sender: str) -> None:
        conflict = self._conflicts.get(packet.transaction)
        positive = packet.operation is nbns.Operation.QUERY and packet.code == 0 and packet.records
        defended = packet.operation is nbns.Operation.REGISTRATION and packet.code != 0
        if conflict is not None and not conflict.done() and (positive or defended):
            conflict.set_result(sender)

    async def _answer(self, packet: nbns.Packet, sender: tuple[str, int]) -> None:
        addresses = await self._book.all()
        own = {str(IPv4Interface(record.address).ip) for record in addresses}
        if sender[0] in own and sender[1] == nbns.PORT:
            return  # our own broadcast
        best = self._address_for(packet.questions[0], sender[0], [record.address for record in addresses])
        if best is None:
            return
        if packet.operation is nbns.Operation.QUERY:
            self._send(nbns.positive_answer(packet, (best,), _TTL), sender)
        elif packet.operation is nbns.Operation.REGISTRATION and packet.recursion_desired:
            self._send(nbns.refusal(packet, best), sender)

    def _address_for(self, question: nbns.Name, asker: str, addresses: list[str]) -> str | None:
        """Where the name lives: an added one where it was said to, our own at a native address.

        An added name of which nothing was said, or not what is there, lives at any added address: the clients know
        these. Among all of them, one on the asker's own network.
        """
        name = question.text.upper()
        places = self._places.get(name, ()) if name in self._added else ()
        told = [address for address in addresses if str(IPv4Interface(address).ip) in places]
        added = [record.address for record in self._book.added if record.address in addresses]
        native = [address for address in addresses if address not in added]
        preferred = told or (added if name in self._added else native)
        candidates = [IPv4Interface(address) for address in preferred or addresses]
        near = [each for each in candidates if IPv4Address(asker) in each.network]
        return str((near or candidates)[0].ip) if candidates else None

    def _ours(self, question: nbns.Name) -> bool:
        name = question.text.upper()
        return (
            question.kind in _KINDS
            and not question.scope
            and (name in self._added or (self._answers_for_own and name == self._own.upper()))
        )

    def _send(self, packet: nbns.Packet, to: tuple[str, int]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(nbns.encode(packet), to)

    def _transaction(self) -> int:
        return next(self._transactions) & 0xFFFF


def _check(name: str) -> None:
    if not name.isascii() or not 0 < len(name) <= nbns.LONGEST_NAME or not name.isprintable():
        raise IdentityError(f"{name!r} is no NetBIOS name: 1 to {nbns.LONGEST_NAME} printable ASCII characters")
