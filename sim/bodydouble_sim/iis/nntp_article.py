"""News articles (RFC 1036): their headers, what a post must have, and their line in the overview."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

OVERVIEW = ("Subject", "From", "Date", "Message-ID", "References")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,248}>")
_GROUP = re.compile(r"[a-z0-9+_-]{1,60}(?:\.[a-z0-9+_-]{1,60})*")
_LONE_END = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_LONGEST_GROUP = 180
_MOST_GROUPS = 20
_FIELDS = 9


class ArticleError(ValueError):
    """An article that cannot be posted; the text says why."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What a reader is told of an article before it asks for it (XOVER).

    Attributes:
        headers: Subject, From, Date, Message-ID and References, without tabs and line ends.
        size: octets of the article.
        lines: of its body.
        xref: the value of its Xref header.
    """

    number: int
    headers: tuple[str, str, str, str, str]
    size: int
    lines: int
    xref: str

    @property
    def message_id(self) -> str:
        """Its Message-ID."""
        return self.headers[3]

    def line(self) -> str:
        """As XOVER sends it and the subject file keeps it."""
        return "\t".join([str(self.number), *self.headers, str(self.size), str(self.lines), f"Xref: {self.xref}"])


def is_group(name: str) -> bool:
    """Whether a newsgroup can have this name (lower case)."""
    return len(name) <= _LONGEST_GROUP and _GROUP.fullmatch(name) is not None


def is_message_id(text: str) -> bool:
    """Whether it is ``<something>`` without spaces, of at most 250 octets (RFC 3977, 3.6)."""
    return _MESSAGE_ID.fullmatch(text) is not None


def split(article: bytes) -> tuple[bytes, bytes]:
    """Head (with the end of its last line) and body."""
    head, _, body = article.partition(b"\r\n\r\n")
    return head + b"\r\n", body


def headers_of(article: bytes) -> Message:
    """The headers; what is no header is left out."""
    return BytesHeaderParser().parsebytes(split(article)[0])


def header(headers: Message, name: str) -> str:
    """One header on one line, empty when missing."""
    value = str(headers.get(name, ""))
    return " ".join("".join(char if char >= " " and char != "\x7f" else " " for char in value).split())


def groups_of(headers: Message) -> list[str]:
    """The names in Newsgroups, each once."""
    names = [name.strip().lower() for name in header(headers, "Newsgroups").split(",")]
    return list(dict.fromkeys(name for name in names if is_group(name)))[:_MOST_GROUPS]


def checked(article: bytes) -> Message:
    """The headers of an article that somebody posts.

    Source: RFC 1036, 2.1: From, Newsgroups and Subject are the poster's; Date, Message-ID and Path can be added here.

    Raises:
        ArticleError: no head and body, a lone CR or LF in the head, a header that must be there is missing, or a
            Message-ID that is none.
    """
    if b"\r\n\r\n" not in article:
        raise ArticleError("Header and body are not separated by an empty line")
    if _LONE_END.search(split(article)[0]):  # to one reader the end of a header, to another a part of it
        raise ArticleError("A header has a line end that is not CR LF")
    headers = headers_of(article)
    for name in ("From", "Newsgroups", "Subject"):
        if not header(headers, name):
            raise ArticleError(f"Missing field {name}")
    identity = header(headers, "Message-ID")
    if identity and not is_message_id(identity):
        raise ArticleError("Bad Message-ID")
    return headers


def completed(article: bytes, added: dict[str, str]) -> bytes:
    """The article with headers added or replaced."""
    head, body = split(article)
    for name in added:
        head = re.sub(rb"(?im)^" + re.escape(name.encode()) + rb":[^\n]*\n(?:[ \t][^\n]*\n)*", b"", head)
    lines = "".join(f"{name}: {value}\r\n" for name, value in added.items())
    return head + lines.encode("latin-1", "replace") + b"\r\n" + body


def overview_of(number: int, article: bytes) -> Overview:
    """An article's line in the overview."""
    headers = headers_of(article)
    subject, sender, date, identity, references = (header(headers, name) for name in OVERVIEW)
    body = split(article)[1]
    xref = header(headers, "Xref")
    return Overview(number, (subject, sender, date, identity, references), len(article), body.count(b"\n"), xref)


def parsed(line: str) -> Overview | None:
    """Read a line of a subject file; None when a power cut has damaged it."""
    fields = line.split("\t")
    numbers = [fields[0], *fields[6:8]]
    whole = len(fields) == _FIELDS and all(text.isascii() and text.isdigit() for text in numbers)
    if not whole or not fields[8].startswith("Xref: ") or "\x00" in line or not is_message_id(fields[4]):
        return None
    return Overview(
        int(fields[0]),
        (fields[1], fields[2], fields[3], fields[4], fields[5]),
        int(fields[6]),
        int(fields[7]),
        fields[8].removeprefix("Xref: "),
    )
