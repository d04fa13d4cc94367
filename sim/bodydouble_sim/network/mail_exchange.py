"""Which servers take a domain's mail (RFC 2821, 5): its mail exchangers by preference, else its own address.

The exchangers are asked of DNS servers over the network, in both bodies: the simulated machine's configured ones, or
those that a live body was told. Without a server, names are found as the machine finds any name.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

from bodydouble_sim.network import dns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAIL_EXCHANGE = 15
_WAIT = 3.0
_MOST = 16
_LABEL_MASK = 0xC0
_HEADER = struct.Struct("!6H")
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")


class MailRoutes:
    """Finds the hosts for a domain.

    Args:
        servers: addresses of DNS servers, in order; asked anew each time, as configuration changes.
    """

    def __init__(self, servers: Callable[[], Sequence[str]]) -> None:
        self._servers = servers
        self._transaction = 0

    async def hosts(self, domain: str) -> list[str]:
        """Names or addresses to connect to, best first. ``[10.0.0.1]`` is that address and nothing else."""
        if domain.startswith("["):
            return [domain.strip("[]")]
        for server in self._servers():
            found = await self._ask(server, domain)
            if found:
                return [name for _, name in sorted(found)][:_MOST]
        return [domain]

    async def _ask(self, server: str, domain: str) -> list[tuple[int, str]]:
        if not dns.is_domain_name(domain):
            return []
        self._transaction = (self._transaction + 1) % 0x10000
        question = mail_question(self._transaction, domain)
        answered: asyncio.Future[list[tuple[int, str]]] = asyncio.get_running_loop().create_future()
        try:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Waiting(self._transaction, answered), remote_addr=(server, dns.PORT)
            )
        except OSError:
            return []
        try:
            transport.sendto(question)
            async with asyncio.timeout(_WAIT):
                return await answered
        except TimeoutError:
            return []
        finally:
            transport.close()


class _Waiting(asyncio.DatagramProtocol):
    def __init__(self, transaction: int, answered: asyncio.Future[list[tuple[int, str]]]) -> None:
        self._transaction = transaction
        self._answered = answered

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        said = exchangers(data, self._transaction)
        if said is not None and not self._answered.done():
            self._answered.set_result(said)

    def error_received(self, exc: Exception) -> None:
        del exc
        if not self._answered.done():
            self._answered.set_result([])


def mail_question(transaction: int, domain: str) -> bytes:
    """A query for a domain's mail exchangers (RFC 1035, 3.3.9)."""
    asked = dns.question(transaction, domain)
    return asked[: -_QUESTION.size] + _QUESTION.pack(MAIL_EXCHANGE, dns.INTERNET)


def exchangers(payload: bytes, transaction: int) -> list[tuple[int, str]] | None:
    """The (preference, host) pairs of an answer; None when it is not the answer to that question, or is damaged."""
    try:
        number, flags, questions, answers, _, _ = _HEADER.unpack_from(payload)
        if number != transaction or not flags & 0x8000 or questions != 1:
            return None
        at = _name(payload, _HEADER.size)[1] + _QUESTION.size
        found = []
        for _ in range(min(answers, 64)):
            at = _name(payload, at)[1]
            kind, _, _, length = _RECORD.unpack_from(payload, at)
            at += _RECORD.size
            if kind == MAIL_EXCHANGE:
                (preference,) = struct.unpack_from("!H", payload, at)
                found.append((preference, _name(payload, at + 2)[0]))
            at += length
    except (struct.error, IndexError, UnicodeDecodeError):
        return None
    return found


def _name(payload: bytes, at: int) -> tuple[str, int]:
    """A name and where it ends; pointers only lead backwards (RFC 1035, 4.1.4), so it ends."""
    labels: list[str] = []
    end, limit = 0, at + 1
    while length := payload[at]:
        if length & _LABEL_MASK:
            target = (length & ~_LABEL_MASK) << 8 | payload[at + 1]
            end = end or at + 2
            if target >= limit - 1:
                raise IndexError("a pointer that leads forwards")
            at = limit = target
            limit += 1
            continue
        label = payload[at + 1 : at + 1 + length]
        if len(label) != length:
            raise IndexError("cut off")
        labels.append(label.decode("ascii"))
        at += 1 + length
    return ".".join(labels), end or at + 1


class MailDnsServer(dns.DnsServer):
    """A DNS server that knows mail exchangers as well.

    Args:
        zone: names to addresses.
        mail: domains to (preference, host) pairs.
    """

    def __init__(self, zone: dict[str, str], mail: dict[str, list[tuple[int, str]]]) -> None:
        super().__init__(zone)
        self.mail = {name.rstrip(".").lower(): records for name, records in mail.items()}

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        asked = dns.parse(data)
        records = None if asked is None or asked.response or asked.code else self.mail.get(asked.name.lower())
        if asked is None or asked.kind != MAIL_EXCHANGE or records is None or self._transport is None:
            super().datagram_received(data, addr)
            return
        empty = bytearray(dns.answer(asked, None))
        struct.pack_into("!H", empty, 6, len(records))
        for preference, host in records:
            body = struct.pack("!H", preference) + dns.encoded(host)
            empty += struct.pack("!H", 0xC00C) + _RECORD.pack(MAIL_EXCHANGE, dns.INTERNET, dns.TIME_TO_LIVE, len(body))
            empty += body
        self._transport.sendto(bytes(empty), addr)
