"""Envelopes (RFC 2821, 2.3.1) and how they are written into the files of the mailroot.

Pickup and Drop carry an envelope as ``x-sender`` and ``x-receiver`` lines above the message (KB 201314). IIS 5.0 keeps
that of a queued message in a named stream of its file. This model writes the lines into the queued file as well, so
that a FAT drive, and a replica that was made byte by byte, has them too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from email.parser import BytesHeaderParser
from email.utils import getaddresses

_LONGEST_PATH = 256
_LINE = re.compile(rb"(x-sender|x-receiver|x-queued):[ \t]*([^\r\n]*)\r?\n", re.IGNORECASE)
_MAILBOX = re.compile(r"[!#-+\--9=?A-~]{1,64}(?:@(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9.]{7,15}\]))?")
_PATH = re.compile(r"\s*<([^<>]*)>((?:\s+[^\s<>]+)*)\s*|\s*([^\s<>]+)((?:\s+[^\s<>]+)*)\s*")


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sent a message (empty: a report that nobody gets an answer to), to whom, and when it was taken (ns, UTC)."""

    sender: str
    recipients: tuple[str, ...]
    queued_ns: int = 0

    def to(self, recipients: tuple[str, ...]) -> Envelope:
        """The same for other recipients."""
        return replace(self, recipients=recipients)


def is_mailbox(text: str) -> bool:
    """Whether it can be a mailbox: a local part, and a domain or ``[address]`` after the ``@`` if there is one."""
    return len(text) <= _LONGEST_PATH and _MAILBOX.fullmatch(text) is not None


def domain_of(mailbox: str) -> str:
    """The part after the ``@``, empty when there is none."""
    return mailbox.rpartition("@")[2] if "@" in mailbox else ""


def parse_path(text: str) -> tuple[str, list[str]] | None:
    """Read ``<path> PARAMETER=value ...`` of MAIL or RCPT; a source route is dropped (RFC 2821, appendix C).

    Returns:
        The mailbox (empty for ``<>``) and the parameters in upper case, or None.
    """
    found = _PATH.fullmatch(text)
    if found is None:
        return None
    inner = found[1] if found[1] is not None else found[3]
    mailbox = inner.rpartition(":")[2] if inner.startswith("@") else inner
    if mailbox and not is_mailbox(mailbox):
        return None
    return mailbox, (found[2] or found[4] or "").upper().split()


def encode(envelope: Envelope, message: bytes) -> bytes:
    """The file of a message in Queue or Drop."""
    lines = [f"x-sender: {envelope.sender}", *(f"x-receiver: {name}" for name in envelope.recipients)]
    if envelope.queued_ns:
        lines.append(f"x-queued: {envelope.queued_ns}")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1", "replace") + message


def decode(data: bytes) -> tuple[Envelope, bytes] | None:
    """Read what `encode` wrote; None when it has no envelope (a damaged file)."""
    at, sender, recipients, queued = 0, None, [], 0
    while (found := _LINE.match(data, at)) is not None:
        name, value = found[1].lower(), found[2].decode("latin-1").strip()
        if name == b"x-sender":
            sender = value.strip("<>")
        elif name == b"x-receiver":
            recipients.append(value.strip("<>"))
        elif value.isascii() and value.isdigit():
            queued = int(value[:20])
        at = found.end()
    if sender is None or not all(is_mailbox(name) for name in recipients):
        return None
    return Envelope(sender, tuple(recipients), queued), data[at:]


def from_pickup(data: bytes) -> tuple[Envelope, bytes]:
    """A file from Pickup: by its ``x-`` lines, else by the headers of the message; Bcc is taken out.

    Source: KB 198022 (a file in RFC 822 form); KB 201314 (``x-sender`` and ``x-receiver`` come first, Sender goes
    before From).

    Returns:
        The envelope, without recipients when the file names none, and the message.
    """
    given = decode(data)
    if given is not None and given[0].recipients:
        return given
    headers = BytesHeaderParser().parsebytes(data[: _end_of_head(data)])
    sender = _mailboxes([str(headers.get("Sender") or headers.get("From") or "")])
    named = [str(value) for name in ("To", "Cc", "Bcc") for value in headers.get_all(name, [])]
    return Envelope(sender[0] if sender else "", tuple(_mailboxes(named))), _without_bcc(data)


def _mailboxes(values: list[str]) -> list[str]:
    found = dict.fromkeys(address for _, address in getaddresses(values) if address and is_mailbox(address))
    return list(found)


def _end_of_head(data: bytes) -> int:
    ends = [at for at in (data.find(b"\r\n\r\n"), data.find(b"\n\n")) if at >= 0]
    return min(ends) if ends else len(data)


def _without_bcc(data: bytes) -> bytes:
    end = _end_of_head(data)
    head = re.sub(rb"(?im)^bcc:[^\n]*(?:\n[ \t][^\n]*)*(?:\n|\Z)", b"", data[:end])
    return head + data[end:]
