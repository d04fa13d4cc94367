"""Delivery status notifications (RFC 1894): what the sender of a message hears when it cannot be delivered."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple

_KEPT_LINE = 900


class Failure(NamedTuple):
    """A recipient who got nothing: the enhanced status (``5.1.1``) and what was said."""

    recipient: str
    status: str
    text: str


def date(now_ns: int) -> str:
    """An instant as RFC 822 writes it, in UTC."""
    return format_datetime(datetime.fromtimestamp(now_ns // 10**9, UTC))


def report(server: str, sender: str, failures: list[Failure], original: bytes, now_ns: int) -> bytes:
    """The message that goes back to ``sender``, from ``postmaster`` of ``server``.

    Its parts are those of RFC 1892: a text, the status of each recipient, and the headers of the original.
    """
    mark = f"{now_ns:x}.{server}"
    head = [
        f"From: postmaster@{server}",
        f"To: {sender}",
        f"Date: {date(now_ns)}",
        "Subject: Delivery Status Notification (Failure)",
        f"Message-ID: <{now_ns:x}@{server}>",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{mark}"',
        "",
    ]
    text = ["This is an automatically generated Delivery Status Notification.", ""]
    text += ["Delivery to the following recipients failed.", "", *(f"       {one.recipient}" for one in failures), ""]
    lines = [*head, f"--{mark}", "Content-Type: text/plain; charset=us-ascii", "", *text]
    lines += [f"--{mark}", "Content-Type: message/delivery-status", "", f"Reporting-MTA: dns;{server}", ""]
    for failure in failures:
        lines += [f"Final-Recipient: rfc822;{failure.recipient}", "Action: failed", f"Status: {failure.status}"]
        lines += [f"Diagnostic-Code: smtp;{_one_line(failure.text)}", ""]
    lines += [f"--{mark}", "Content-Type: text/rfc822-headers", ""]
    said = "".join(f"{line}\r\n" for line in lines).encode("ascii", "replace")
    return said + _head(original) + f"\r\n\r\n--{mark}--\r\n".encode()


def _head(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[0]


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_KEPT_LINE]
