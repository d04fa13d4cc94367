"""SMTP and NNTP as far as the application note needs them: services that start, listen, greet and say goodbye.

They accept no mail and no articles and say so; there is nothing behind them to lose.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

IDLE = 600.0


class Greeter:
    """One line-based service.

    Args:
        greeting: the first line.
        answers: verb in upper case to answer; a verb that is missing gets ``unknown``.
        unknown: the answer to everything else.
        goodbye: the answer to QUIT, after which the connection ends.
    """

    def __init__(self, greeting: str, answers: Mapping[str, str], unknown: str, goodbye: str) -> None:
        self._greeting = greeting
        self._answers = answers
        self._unknown = unknown
        self._goodbye = goodbye

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client."""
        await _say(writer, self._greeting)
        while True:
            async with asyncio.timeout(IDLE):
                line = await reader.readline()
            verb = line.split()[0].decode("ascii", "replace").upper() if line.split() else ""
            if not line or verb == "QUIT":
                break
            await _say(writer, self._answers.get(verb, self._unknown))
        if line:
            await _say(writer, self._goodbye)


async def _say(writer: asyncio.StreamWriter, text: str) -> None:
    writer.write(f"{text}\r\n".encode())
    await writer.drain()


def smtp(name: str) -> Greeter:
    """The Simple Mail Transport Protocol service of the server ``name``."""
    answers = {
        "HELO": f"250 {name} Hello",
        "EHLO": f"250 {name} Hello",
        "NOOP": "250 2.0.0 OK",
        "RSET": "250 2.0.0 Resetting",
        "MAIL": "452 4.3.1 No mailboxes are configured",
        "RCPT": "503 5.5.2 Need Mail From: first",
        "DATA": "503 5.5.2 Need Rcpt command.",
    }
    greeting = f"220 {name} Microsoft ESMTP MAIL Service, Version: 5.0.2195.1 ready"
    goodbye = f"221 2.0.0 {name} Service closing transmission channel"
    return Greeter(greeting, answers, "500 5.3.3 Unrecognized command", goodbye)


def nntp() -> Greeter:
    """The Network News Transport Protocol service."""
    answers = {
        "MODE": "201 Posting Not Allowed",
        "LIST": "215 list of newsgroups follow\r\n.",
        "GROUP": "411 no such newsgroup",
        "POST": "440 posting not allowed",
    }
    greeting = "201 NNTP Service 5.00.0984 Version: 5.0.2195.1608 Posting Not Allowed"
    return Greeter(greeting, answers, "500 Command Not Recognized", "205 closing connection - goodbye!")
