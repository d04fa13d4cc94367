"""Tokens: who may ask the daemon, by which secret, and what.

A token is 256 random bits, so its plain SHA-256 is enough at rest: nobody can try 2^256 of them, and salt and a slow
hash help only secrets that people choose. The one that stands in the configuration may be such a one, and it is
hashed in memory only.
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads it at run time
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.tokens import AccessRole, IssuedToken, Token, TokenRequest

if TYPE_CHECKING:
    from bodydouble.ports import Entropy, WallClock
    from bodydouble.state.events import EventLog
    from bodydouble.state.store import StateStore

CONFIGURED = "configured"
"""The name of the token in the daemon's configuration, always an admin's."""
MAX_TOKENS = 100
SECRET_BYTES = 32
PREFIX = "bodydouble-"
"""By it a token that got into a file where it does not belong is found."""
_RECORD = "tokens"


class KeptToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is kept on disk."""

    name: str
    role: AccessRole
    created: datetime
    digest: bytes

    def shown(self) -> Token:
        """What is told about it."""
        return Token(self.name, self.role, self.created)


class KeptTokens(msgspec.Struct, frozen=True):
    """The durable list."""

    tokens: list[KeptToken]


@dataclass(frozen=True, slots=True)
class Holder:
    """Who showed a token that is valid."""

    name: str
    role: AccessRole
    digest: bytes

    def __repr__(self) -> str:
        return f"Holder(name={self.name!r}, role={self.role!r})"


class Tokens:
    """The daemon's tokens.

    Args:
        configured: the secret in the configuration.
        store: keeps the others.
        entropy: makes them.
        clock: dates them.
        events: the events log.
    """

    def __init__(
        self, configured: str, store: StateStore, entropy: Entropy, clock: WallClock, events: EventLog
    ) -> None:
        self._configured = Holder(CONFIGURED, "admin", _digest(configured.encode()))
        self._store = store
        self._entropy = entropy
        self._clock = clock
        self._events = events
        self._kept: dict[str, KeptToken] = {}
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read what is kept.

        Raises:
            StateError: it cannot be understood.
        """
        kept = await self._store.load(_RECORD, KeptTokens)
        self._kept = {} if kept is None else {each.name.casefold(): each for each in kept.tokens}

    def holder(self, secret: bytes) -> Holder | None:
        """Whose secret this is; takes as long whether it is somebody's or nobody's."""
        digest = _digest(secret)
        found = None
        for each in self._holders():
            if compare_digest(digest, each.digest):
                found = each
        return found

    def valid(self, holder: Holder) -> bool:
        """Whether a token that was shown is valid still."""
        return any(each == holder for each in self._holders())

    def _holders(self) -> list[Holder]:
        return [self._configured, *(Holder(each.name, each.role, each.digest) for each in self._kept.values())]

    def listed(self) -> list[Token]:
        """All of them, the configured one first."""
        return [Token(CONFIGURED, "admin", None), *(each.shown() for each in self._kept.values())]

    async def create(self, request: TokenRequest) -> IssuedToken:
        """Make a token, durably.

        Raises:
            ConnectionStateError: the name is taken, or there are too many.
            FileSystemError: it could not be kept, and is not valid.
        """
        async with self._changing:
            if request.name.casefold() in (CONFIGURED, *self._kept):
                raise ConnectionStateError(f"there is a token {request.name!r} already: revoke it first")
            if len(self._kept) >= MAX_TOKENS:
                raise ConnectionStateError(f"there are {MAX_TOKENS} tokens: revoke one that nobody uses")
            drawn = urlsafe_b64encode(self._entropy.random_bytes(SECRET_BYTES)).decode().rstrip("=")
            secret, created = PREFIX + drawn, self._clock.now()
            made = KeptToken(name=request.name, role=request.role, created=created, digest=_digest(secret.encode()))
            await self._keep({**self._kept, made.name.casefold(): made})
        self._events.record(EventCode.TOKEN_CREATED, f"the token {made.name!r} was made, with the role {made.role}")
        return IssuedToken(made.name, made.role, created, secret)

    def find(self, name: str) -> Token | None:
        """The token of that name."""
        return next((each for each in self.listed() if each.name.casefold() == name.casefold()), None)

    async def revoke(self, name: str) -> None:
        """Let a token be valid no more, durably.

        Raises:
            InputError: there is none of that name.
            ConnectionStateError: it is the one in the configuration.
            FileSystemError: that could not be kept, and it is valid still.
        """
        if name.casefold() == CONFIGURED:
            raise ConnectionStateError("that token stands in the daemon's configuration: change it there, and restart")
        async with self._changing:
            if (gone := self._kept.get(name.casefold())) is None:
                raise InputError(f"no token {name!r}")
            await self._keep({key: each for key, each in self._kept.items() if each is not gone})
        self._events.record(EventCode.TOKEN_REVOKED, f"the token {gone.name!r} was revoked")

    async def _keep(self, wanted: dict[str, KeptToken]) -> None:
        await self._store.save(_RECORD, KeptTokens(list(wanted.values())))
        self._kept = wanted


def _digest(secret: bytes) -> bytes:
    return sha256(secret).digest()
