"""What a client calls the failures that it meets."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

import h11

if TYPE_CHECKING:
    from bodydouble_labs.history import Outcome

NO_ANSWER = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENETDOWN})
FAILURES = (OSError, EOFError, h11.RemoteProtocolError)
"""What talking to a server may raise; anything else is a defect of the lab."""


class UnresolvedError(OSError):
    """Nobody answered for a computer name."""


class RefusalError(OSError):
    """The server answered, and the answer is no. The text is the server's."""


class WrongContentError(OSError):
    """The server answered yes, with bytes that were never published under that path."""


def outcome_of(error: BaseException) -> tuple[Outcome, str]:
    """An exception of `FAILURES` as the outcome of a request and a short detail."""
    if isinstance(error, UnresolvedError | socket.gaierror):
        return "unresolved", _words(error)
    if isinstance(error, RefusalError):
        return "status", str(error)
    if isinstance(error, WrongContentError):
        return "wrong-content", str(error)
    return _broken(error)


def _broken(error: BaseException) -> tuple[Outcome, str]:
    """No answer at all: refused, silent, or cut off."""
    if isinstance(error, ConnectionRefusedError):
        return "refused", ""
    if isinstance(error, TimeoutError) or getattr(error, "errno", None) in NO_ANSWER:
        return "timeout", _words(error)
    return "reset", "closed too early" if isinstance(error, asyncio.IncompleteReadError) else _words(error)


def _words(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error)).strip()
