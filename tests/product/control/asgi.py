"""The control API's application over fakes, without a server: requests go in as ASGI has them."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import httpx
from tests.product.control.fakes import TOKEN, Served

from bodydouble.control.access import TokenGate
from bodydouble.control.api import OPERATIONS, serve
from bodydouble.control.line import Line, state_with

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from bodydouble.control.backends import Backends
    from bodydouble.control.routing import Operation

T = TypeVar("T")


@dataclass
class Api:
    """The application and what it speaks for."""

    served: Served
    backends: Backends
    app: ASGIApp

    async def ask(
        self, method: str, path: str, body: bytes = b"", *, token: str | None = TOKEN, address: str = "127.0.0.1"
    ) -> httpx.Response:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        # The server answers what a defect raises with status 500, and logs it.
        transport = httpx.ASGITransport(_at_its_end(self.app), raise_app_exceptions=False, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://daemon", headers=headers) as client:
            return await client.request(method, path, content=body)

    def codes(self) -> list[int]:
        return [event.code for event in self.backends.events.after(0)]

    def texts(self) -> list[str]:
        return [event.text for event in self.backends.events.after(0)]


@asynccontextmanager
async def api(operations: Sequence[Operation] = OPERATIONS) -> AsyncIterator[Api]:
    served = Served()
    backends = await served.backends()
    gate = TokenGate(serve(tuple(operations), backends), backends.tokens, backends.events)
    try:
        yield Api(served, backends, gate)
    finally:
        await served.target.stop()


def _at_its_end(app: ASGIApp) -> ASGIApp:
    """The application on a server that closes, so that streams of events say what there is and end."""

    async def closing(scope: Scope, receive: Receive, send: Send) -> None:
        line = Line()
        line.end()
        await app({**scope, "state": state_with(line)}, receive, send)

    return closing


def with_api(action: Callable[[Api], Awaitable[T]], operations: Sequence[Operation] = OPERATIONS) -> T:
    async def main() -> T:
        async with api(operations) as found:
            return await action(found)

    return asyncio.run(main())


def filled(operation: Operation) -> str:
    """A path that an operation answers to, where nothing is: numbers fit wherever a name does."""
    return re.sub(r"{[a-z]+}", lambda word: "stop" if word[0] == "{order}" else "77", operation.path)
