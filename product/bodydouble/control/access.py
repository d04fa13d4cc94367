"""Lets only requests through that carry the daemon's token."""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from bodydouble.control.answers import error_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


AUTHORISED = "authorised"
"""In the connection's state: called once a request has shown the token."""


class TokenGate:
    """ASGI middleware: answers 401 to every request without the right bearer token, before it is routed or read.

    Args:
        app: what lies behind the gate.
        token: the secret.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or refuse it."""
        given = Headers(scope=scope).get("authorization", "").encode("latin-1")
        if compare_digest(given, self._expected):
            scope.get("state", {}).get(AUTHORISED, _nothing)()
            await self._app(scope, receive, send)
            return
        refusal = error_response(401, "a valid bearer token is required", {"www-authenticate": "Bearer"})
        await refusal(scope, receive, send)


def _nothing() -> None:
    """Who serves the application keeps no account of its connections."""
