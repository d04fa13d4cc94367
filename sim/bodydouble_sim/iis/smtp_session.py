"""One SMTP client of the SMTP service: RFC 821 and, with EHLO, RFC 2821, in the words of Microsoft's service.

Sources: RFC 821 and RFC 2821 (commands and codes); KB 254560 (the banner and its four parts); KB 240832 (a HELO or EHLO
without a proper name is refused with 501); KB 310356 (relaying); RFC 1870 (SIZE), RFC 1652 (8BITMIME), RFC 2920
(PIPELINING: commands are answered one by one in order, whoever sends them ahead), RFC 2034 (enhanced codes). 250 after
DATA is sent once the message is durable in Queue, never before.

Not served: STARTTLS, ETRN and TURN (502), DSN's parameters of RCPT (accepted, without effect).
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis import smtp_envelope
from bodydouble_sim.iis.line_reader import LineReader, LineTooLongError
from bodydouble_sim.iis.smtp_envelope import Envelope
from bodydouble_sim.iis.smtp_report import date

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from bodydouble_sim.iis.smtp_options import SmtpOptions

    Accept = Callable[[Envelope, bytes], str]
    CheckPassword = Callable[[str, str], bool]

LONGEST_COMMAND = 2048
_UNFOUNDED = (502, "5.3.3", "Command is not implemented")


class SmtpSession:
    """Talks to one client.

    Args:
        options: the site.
        clock: nanoseconds since 1970 UTC, for the banner and the Received line.
        accept: makes a message durable in Queue and returns its name there.
        check: whether an account has that password; None: nobody can authenticate.
        streams: the connection.
    """

    def __init__(
        self,
        options: SmtpOptions,
        clock: Callable[[], int],
        accept: Accept,
        check: CheckPassword | None,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._options = options
        self._clock = clock
        self._accept = accept
        self._check = check
        self._lines = LineReader(streams[0], options.idle)
        self._writer = streams[1]
        self._client = str(self._writer.get_extra_info("peername")[0])
        self._helo = ""
        self._extended = False
        self._authenticated = False
        self._sender: str | None = None
        self._recipients: dict[str, None] = {}
        self._received = 0
        self._over = False
        self._verbs: dict[str, Callable[[str], Awaitable[None]]] = {
            "AUTH": self._auth,
            "DATA": self._data,
            "EHLO": self._ehlo,
            "HELO": self._hello,
            "HELP": self._help,
            "MAIL": self._mail,
            "NOOP": self._noop,
            "QUIT": self._quit,
            "RCPT": self._rcpt,
            "RSET": self._rset,
            "VRFY": self._vrfy,
        }

    async def run(self) -> None:
        """Greet, then obey until QUIT, silence or the end of the connection."""
        service = f"Microsoft ESMTP MAIL Service, Version: {self._options.version}"
        await self._say(220, "", f" {self._options.name} {service} ready at {date(self._clock())}")
        while not self._over:
            try:
                line = await self._lines.command(LONGEST_COMMAND)
            except LineTooLongError:
                await self._reply(500, "5.5.2", "Line too long")
                continue
            except TimeoutError:
                await self._reply(421, "4.4.2", f"{self._options.name} Connection timed out")
                return
            if line is None:
                return
            await self._obey(line.decode("latin-1"))

    async def _obey(self, line: str) -> None:
        verb, _, rest = line.strip().partition(" ")
        if verb.upper() in self._verbs:
            await self._verbs[verb.upper()](rest.strip())
        elif verb.upper() in ("ETRN", "TURN", "SEND", "SOML", "SAML", "EXPN", "STARTTLS"):
            await self._reply(*_UNFOUNDED)
        else:
            await self._reply(500, "5.3.3", "Unrecognized command")

    async def _reply(self, code: int, status: str, text: str) -> None:
        await self._say(code, f" {status}" if self._options.enhanced and status else "", f" {text}" if text else "")

    async def _say(self, code: int, status: str, text: str) -> None:
        self._writer.write(f"{code}{status}{text}\r\n".encode("latin-1", "replace"))
        await self._writer.drain()

    # --- the session ------------------------------------------------------------------------------------------------

    async def _greeted(self, argument: str, *, extended: bool) -> bool:
        if not argument or not all("!" <= char <= "~" for char in argument):
            await self._reply(501, "5.5.4", "Invalid Address")
            return False
        self._helo, self._extended = argument, extended
        self._forget()
        return True

    async def _hello(self, argument: str) -> None:
        if await self._greeted(argument, extended=False):
            await self._say(250, "", f" {self._options.name} Hello [{self._client}]")

    async def _ehlo(self, argument: str) -> None:
        if not await self._greeted(argument, extended=True):
            return
        lines = [f"{self._options.name} Hello [{self._client}]"]
        if self._check is not None:
            lines += ["AUTH LOGIN", "AUTH=LOGIN"]
        lines += [f"SIZE {self._options.max_message}"]
        if self._options.enhanced:
            lines += ["PIPELINING", "DSN", "ENHANCEDSTATUSCODES"]
        lines += ["8bitmime", "VRFY", "OK"]
        for line in lines[:-1]:
            self._writer.write(f"250-{line}\r\n".encode())
        await self._say(250, "", f" {lines[-1]}")

    async def _noop(self, _argument: str) -> None:
        await self._reply(250, "2.0.0", "OK")

    async def _help(self, _argument: str) -> None:
        self._writer.write(b"214-This server supports the following commands:\r\n")
        await self._say(214, "", f" {' '.join(sorted(self._verbs))}")

    async def _quit(self, _argument: str) -> None:
        self._over = True
        await self._reply(221, "2.0.0", f"{self._options.name} Service closing transmission channel")

    async def _rset(self, _argument: str) -> None:
        self._forget()
        await self._reply(250, "2.0.0", "Resetting")

    async def _vrfy(self, argument: str) -> None:
        if not smtp_envelope.is_mailbox(argument.strip("<>")):
            await self._reply(501, "5.5.4", "Argument missing")
            return
        await self._reply(252, "2.1.5", f"Cannot VRFY user, but will take message for <{argument.strip('<>')}>")

    def _forget(self) -> None:
        self._sender, self._recipients = None, {}

    # --- authentication (RFC 2554, LOGIN) ---------------------------------------------------------------------------

    async def _auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        if self._check is None or mechanism.upper() != "LOGIN":
            await self._reply(504, "5.7.4", "Unrecognized authentication type")
            return
        name = await self._answer("VXNlcm5hbWU6") if not initial else _plain(initial.encode("latin-1"))
        password = None if name is None else await self._answer("UGFzc3dvcmQ6")
        if name is None or password is None or not self._check(name, password):
            await self._reply(535, "5.7.3", "Authentication unsuccessful")
            return
        self._authenticated = True
        await self._reply(235, "2.7.0", "Authentication successful")

    async def _answer(self, question: str) -> str | None:
        await self._say(334, "", f" {question}")
        try:
            line = await self._lines.command(LONGEST_COMMAND)
        except LineTooLongError:
            return None
        return None if line is None else _plain(line)

    # --- the transaction --------------------------------------------------------------------------------------------

    async def _mail(self, argument: str) -> None:
        path = smtp_envelope.parse_path(argument[5:]) if argument[:5].upper() == "FROM:" else None
        if not self._helo:
            await self._reply(503, "5.5.2", "Send hello first")
        elif self._sender is not None:
            await self._reply(503, "5.5.2", "Sender already specified")
        elif path is None:
            await self._reply(501, "5.5.4", "Invalid arguments")
        elif not _known(path[1], self._extended):
            await self._reply(555, "5.5.4", "Unsupported option")
        elif _declared(path[1]) > self._options.max_message:
            await self._reply(552, "5.3.4", "Message size exceeds fixed maximum message size")
        else:
            self._sender = path[0]
            await self._reply(250, "2.1.0", f"{path[0]}....Sender OK")

    async def _rcpt(self, argument: str) -> None:
        path = smtp_envelope.parse_path(argument[3:]) if argument[:3].upper() == "TO:" else None
        if self._sender is None:
            await self._reply(503, "5.5.2", "Need mail command.")
        elif path is None or not path[0]:
            await self._reply(501, "5.5.4", "Invalid Address")
        elif len(self._recipients) >= self._options.max_recipients:
            await self._reply(452, "4.5.3", "Too many recipients")
        elif not self._may_send_to(path[0]):
            await self._reply(550, "5.7.1", f"Unable to relay for {path[0]}")
        else:
            self._recipients[path[0]] = None
            await self._reply(250, "2.1.5", f"{path[0]} ")

    def _may_send_to(self, mailbox: str) -> bool:
        if self._options.is_local(smtp_envelope.domain_of(mailbox)):
            return True
        return self._authenticated or self._options.may_relay(self._client)

    async def _data(self, _argument: str) -> None:
        if not self._recipients or self._sender is None:
            missing = "Need mail command." if self._sender is None else "Need Rcpt command."
            await self._reply(503, "5.5.2", missing)
            return
        await self._say(354, "", " Start mail input; end with <CRLF>.<CRLF>")
        message, length = await self._lines.text(self._options.max_message)
        self._received += length
        if self._received > self._options.max_session:
            self._over = True
            await self._reply(421, "4.3.2", "Session size exceeds fixed maximum session size")
        elif length > self._options.max_message:
            self._forget()
            await self._reply(552, "5.3.4", "Message size exceeds fixed maximum message size")
        else:
            await self._queue(self._sender, message)

    async def _queue(self, sender: str, message: bytes) -> None:
        now = self._clock()
        envelope = Envelope(sender, tuple(self._recipients), now)
        self._forget()
        try:
            name = self._accept(envelope, self._received_line(now) + message)
        except FileSystemError as error:
            full = error.code == "no_space"
            await self._reply(452, "4.3.1", "Out of disk space" if full else "Local error in processing")
            return
        identity = f"{self._options.name.partition('.')[0]}{name.removeprefix('NTFS_').rpartition('.')[0]}"
        await self._reply(250, "2.6.0", f"<{identity}@{self._options.name}> Queued mail for delivery")

    def _received_line(self, now: int) -> bytes:
        how = f"from {self._helo} ([{self._client}]) by {self._options.name} with Microsoft SMTPSVC"
        return f"Received: {how}({self._options.version});\r\n\t {date(now)}\r\n".encode("latin-1", "replace")


def _plain(line: bytes) -> str | None:
    try:
        return base64.b64decode(line, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None


def _known(parameters: list[str], extended: bool) -> bool:
    names = {"SIZE", "BODY", "AUTH", "RET", "ENVID"}
    return not parameters or (extended and all(one.partition("=")[0] in names for one in parameters))


def _declared(parameters: list[str]) -> int:
    for one in parameters:
        name, _, value = one.partition("=")
        if name == "SIZE" and value.isascii() and value.isdigit():
            return int(value[:20])
    return 0
