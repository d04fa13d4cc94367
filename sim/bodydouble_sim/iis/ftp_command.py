"""Reading what FTP clients send: one command a line (RFC 959, 4.1 and 5.3)."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

LONGEST = 4 * 1024
_VERB = re.compile(r"[A-Za-z]{1,8}")
_TELNET = re.compile(rb"\xff[\xf0-\xfa]|\xff[\xfb-\xfe].|\xff(?=\xff)", re.DOTALL)
_OCTETS = 6


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its verb in upper case and what follows it, as sent."""

    verb: str
    argument: str


def parse_command(line: bytes) -> Command | None:
    """Read a line (with or without its end); None when it is no command. Telnet's own commands are dropped."""
    if len(line) > LONGEST:
        return None
    text = _TELNET.sub(b"", line).decode("utf-8", "replace").strip("\r\n")
    verb, _, argument = text.strip(" ").partition(" ")
    if not _VERB.fullmatch(verb) or any(ord(character) < 0x20 for character in argument):  # noqa: PLR2004 - controls
        return None
    return Command(verb.upper(), argument.strip(" "))


def parse_port(argument: str) -> tuple[str, int] | None:
    """The address and port in the argument of PORT (``h1,h2,h3,h4,p1,p2``), None when it is none."""
    numbers = argument.split(",")
    if len(numbers) != _OCTETS or not all(re.fullmatch(r"[0-9]{1,3}", number) for number in numbers):
        return None
    octets = [int(number) for number in numbers]
    if max(octets) > 0xFF:  # noqa: PLR2004 - a byte
        return None
    return ".".join(map(str, octets[:4])), octets[4] * 256 + octets[5]


def virtual_path(directory: str, argument: str) -> str:
    """Where ``argument`` leads from ``directory``: a path in the site that never leaves it."""
    joined = posixpath.join(directory, argument.replace("\\", "/"))
    return "/" + posixpath.normpath("/" + joined).strip("/")
