"""The sending side of the SMTP service: one connection to one server, and what it said to each recipient.

Written out here: the standard library's client blocks, and a client library would hide the one thing that a mail server
needs, the exact reply to each recipient of each message on a connection that it keeps for the next one.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bodydouble_sim.iis.smtp_envelope import Envelope

WAIT = 300.0  # RFC 2821, 4.5.3.2: five minutes for the greeting, MAIL and RCPT
DATA_WAIT = 600.0  # and ten for the reply to the text
_LINES = 100
_REPLY = re.compile(rb"(\d{3})([ -]?)([^\r\n]*)")
_BAD = 600


class Reply(NamedTuple):
    """A server's answer."""

    code: int
    text: str

    @property
    def good(self) -> bool:
        """Whether it is a yes."""
        return 200 <= self.code < 400  # noqa: PLR2004 - RFC 2821, 4.2.1: 2yz and 3yz

    @property
    def final(self) -> bool:
        """Whether trying again is of no use."""
        return 500 <= self.code < _BAD  # noqa: PLR2004 - 5yz


class SmtpProtocolError(OSError):
    """The other side does not speak SMTP, or has gone."""


class SmtpClient:
    """One outbound connection.

    Args:
        name: who we say we are.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._options: dict[str, str] = {}

    async def open(self, host: str, port: int) -> None:
        """Connect and introduce ourselves.

        Raises:
            OSError: nobody there, or no SMTP server that wants us.
            TimeoutError: no answer.
        """
        async with asyncio.timeout(WAIT):
            self._reader, self._writer = await asyncio.open_connection(host, port)
        greeting = await self._reply(WAIT)
        if not greeting.good:
            raise SmtpProtocolError(f"{host}: {greeting.code} {greeting.text}")
        hello = await self._ask(f"EHLO {self._name}")
        if hello.final:
            hello = await self._ask(f"HELO {self._name}")
        else:
            words = [line.partition(" ") for line in hello.text.splitlines()[1:]]
            self._options = {word.upper(): rest for word, _, rest in words}
        if not hello.good:
            raise SmtpProtocolError(f"{host}: {hello.code} {hello.text}")

    async def send(self, envelope: Envelope, message: bytes) -> dict[str, Reply]:
        """Send one message.

        Returns:
            For each recipient the reply that decided.

        Raises:
            OSError: the connection broke; nobody can tell what became of the message.
            TimeoutError: no answer.
        """
        size = f" SIZE={len(message)}" if "SIZE" in self._options else ""
        first = await self._ask(f"MAIL FROM:<{envelope.sender}>{size}")
        if not first.good:
            await self._ask("RSET")
            return dict.fromkeys(envelope.recipients, first)
        replies = {name: await self._ask(f"RCPT TO:<{name}>") for name in envelope.recipients}
        taken = [name for name, reply in replies.items() if reply.good]
        decided = await self._text(message) if taken else await self._ask("RSET")
        return replies | dict.fromkeys(taken, decided)

    async def _text(self, message: bytes) -> Reply:
        ready = await self._ask("DATA")
        if ready.code != 354:  # noqa: PLR2004 - RFC 2821, 4.1.1.4
            await self._ask("RSET")
            return ready if not ready.good else Reply(451, ready.text)
        self._stream().write(_stuffed(message) + b".\r\n")
        await self._stream().drain()
        return await self._reply(DATA_WAIT)

    async def close(self) -> None:
        """Say goodbye, if the other side still listens, and end the connection."""
        try:
            if self._writer is not None:
                async with asyncio.timeout(10.0):
                    await self._ask("QUIT")
        except (OSError, TimeoutError, EOFError):
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """End the connection at once."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _stream(self) -> asyncio.StreamWriter:
        if self._writer is None:
            raise SmtpProtocolError("not connected")
        return self._writer

    async def _ask(self, line: str) -> Reply:
        self._stream().write(f"{line}\r\n".encode("latin-1", "replace"))
        await self._stream().drain()
        return await self._reply(WAIT)

    async def _reply(self, seconds: float) -> Reply:
        assert self._reader is not None
        texts: list[str] = []
        async with asyncio.timeout(seconds):
            for _ in range(_LINES):
                try:
                    line = await self._reader.readuntil(b"\n")
                except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                    raise SmtpProtocolError("the connection ended") from error
                found = _REPLY.match(line)
                if found is None:
                    raise SmtpProtocolError(f"not an SMTP reply: {line[:80]!r}")
                texts.append(found[3].decode("latin-1").strip())
                if found[2] != b"-":
                    return Reply(int(found[1]), "\n".join(texts))
        raise SmtpProtocolError("a reply without an end")


def _stuffed(message: bytes) -> bytes:
    """A text as it goes over the wire: lines end in CR LF, a dot at a line's start is doubled (RFC 2821, 4.5.2)."""
    lines = re.sub(rb"\r?\n", b"\r\n", message)
    if not lines.endswith(b"\r\n"):
        lines += b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", lines)
