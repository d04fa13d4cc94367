"""Lets only requests through that carry a valid token, and says whose it is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from bodydouble.control.answers import error_response
from bodydouble.control.line import line_of
from bodydouble.security.attempts import AttemptLog, LoginLimit
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from bodydouble.security.tokens import Holder, Tokens
    from bodydouble.state.events import EventLog

CALLER = "bodydouble.caller"
"""In the request's scope: the `Caller`."""
_SCHEME = "bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request.

    Attributes:
        holder: of the token that was shown.
        address: from where.
    """

    holder: Holder
    address: str

    def __str__(self) -> str:
        return f"token {self.holder.name!r} ({self.holder.role}) from {self.address}"


class TokenGate:
    """ASGI middleware: answers 401 to every request without a valid bearer token, before it is routed or read.

    After some wrong tokens from one address nothing from there is looked at for a while, status 429: a right one
    neither, or guessing would go on. Requests from other addresses are not concerned.

    Args:
        app: what lies behind the gate.
        tokens: the valid ones.
        events: where wrong ones are told.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens, events: EventLog) -> None:
        self._app = app
        self._tokens = tokens
        self._events = events
        self._limit = LoginLimit()
        self._attempts = AttemptLog("showed a wrong token to the control API")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or refuse it."""
        address = (scope.get("client") or ("an unknown address", 0))[0]
        now = asyncio.get_running_loop().time()
        if wait := self._limit.wait(address, now):
            await self._refuse_for(wait)(scope, receive, send)
            return
        shown = _shown(scope)
        holder = None if shown is None else self._tokens.holder(shown)
        if holder is not None:
            line_of(scope).authorised()
            await self._app({**scope, CALLER: Caller(holder, address)}, receive, send)
            return
        if shown is not None:
            self._note(address, now)
        refusal = error_response(401, "a valid bearer token is required", {"www-authenticate": "Bearer"})
        await refusal(scope, receive, send)

    def _refuse_for(self, wait: float) -> ASGIApp:
        seconds = ceil(wait)
        text = f"too many wrong tokens from this address: try again in {seconds} s"
        return error_response(429, text, {"retry-after": str(seconds)})

    def _note(self, address: str, now: float) -> None:
        self._limit.failed(address, now)
        text = self._attempts.note(address, "", now)
        if text is not None:
            self._events.record(EventCode.WRONG_TOKEN, text)


def _shown(scope: Scope) -> bytes | None:
    """The token that a request carries; None: none at all."""
    given = Headers(scope=scope).get("authorization", "")
    return given[len(_SCHEME) :].encode("latin-1") if given[: len(_SCHEME)].lower() == _SCHEME else None
