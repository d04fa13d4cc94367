"""The operator's management console: the product's control API, asked from the client's place in the network."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from bodydouble.control.client import ControlClient
from bodydouble.errors import ControlError
from bodydouble_labs.errors import UnmetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble_labs.providers.base import LabHost

T = TypeVar("T")

POLL = 0.5
"""Seconds between two looks at the product while something is waited for."""


class Console:
    """One control client for each host, opened when first needed."""

    def __init__(self) -> None:
        self._clients: dict[str, ControlClient] = {}

    def of(self, host: LabHost) -> ControlClient:
        """The client that speaks to a host's daemon."""
        if host.name not in self._clients:
            control = host.control
            self._clients[host.name] = ControlClient(control.address, control.port, control.token, control.certificate)
        return self._clients[host.name]

    async def close(self) -> None:
        """Close every client."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.__aexit__(None, None, None)


async def asked(what: str, request: Awaitable[T]) -> T:
    """The answer to a request that the scenario makes of the product.

    Raises:
        UnmetError: the product refused, or did not answer.
    """
    try:
        return await request
    except ControlError as error:
        raise UnmetError(f"{what}: {error}") from error


async def until(look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool]) -> T:
    """Look at the product again and again until it shows what is wanted; the caller limits the time."""
    while not wanted(seen := await look()):  # noqa: ASYNC110 - the product is asked from outside, it sends no events
        await asyncio.sleep(POLL)
    return seen
