"""Records of who may ask the daemon: tokens and their roles.

Source: Double-Take's guides, the groups *Double-Take Admin* and *Double-Take Monitors*.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec evaluates annotations
from typing import Annotated, Literal

import msgspec

from bodydouble.vocabulary.records import Record

AccessRole = Literal["monitor", "admin"]
"""A ``monitor`` looks and changes nothing; an ``admin`` may do everything."""

TokenName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z", description="letters, digits, '.', '_' and '-', at most 64"
    ),
]


class TokenRequest(Record, frozen=True):
    """Make a token.

    Attributes:
        name: says in the events log who did what.
        role: what whoever shows it may do.
    """

    name: TokenName
    role: AccessRole


class Token(Record, frozen=True):
    """What is told about a token: not the secret, which nobody keeps.

    Attributes:
        created: None: it stands in the daemon's configuration.
    """

    name: str
    role: AccessRole
    created: datetime | None


class IssuedToken(Record, frozen=True):
    """A new token; ``secret`` is shown this once."""

    name: str
    role: AccessRole
    created: datetime
    secret: str
