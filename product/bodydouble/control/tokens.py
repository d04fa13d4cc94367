"""The control API's operations on tokens."""

from __future__ import annotations

from typing import Annotated

import msgspec

from bodydouble.control.answers import not_found
from bodydouble.control.backends import Backends
from bodydouble.control.routing import delete, get, post
from bodydouble.vocabulary.tokens import IssuedToken, Token, TokenRequest

Name = Annotated[str, msgspec.Meta(description="name of a token")]


@get("tokens", role="admin")
async def tokens(backends: Backends) -> list[Token]:
    """Who may ask, and what; no secrets."""
    return backends.tokens.listed()


@post("tokens")
async def create_token(backends: Backends, body: TokenRequest) -> IssuedToken:
    """Make a token; its secret is in this answer and nowhere else."""
    return await backends.tokens.create(body)


@delete("tokens/{name}")
async def revoke_token(backends: Backends, name: Name) -> None:
    """Let a token be valid no more, at once."""
    if backends.tokens.find(name) is None:
        raise not_found(f"no token {name!r}")
    await backends.tokens.revoke(name)
