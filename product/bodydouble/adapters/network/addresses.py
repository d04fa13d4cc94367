"""The host's IPv4 addresses over netlink."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import suppress
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, Any

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from bodydouble.adapters.network.connections import end_connections
from bodydouble.errors import IdentityError
from bodydouble.vocabulary.records import InterfaceAddress

if TYPE_CHECKING:
    from concurrent.futures import Executor

#: rtnetlink(7), RT_SCOPE_HOST: addresses that never leave the host (loopback).
_SCOPE_HOST = 254


class AddressBook:
    """Reads and changes addresses; knows which ones the product added.

    Args:
        executor: for ending connections, which speaks to the kernel synchronously.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._added: list[InterfaceAddress] = []

    @property
    def added(self) -> list[InterfaceAddress]:
        """What `add` was called for and `remove` was not, oldest first."""
        return list(self._added)

    async def all(self) -> list[InterfaceAddress]:
        """Every address that others can reach, as the kernel lists them."""
        async with AsyncIPRoute() as route:
            return [
                InterfaceAddress(
                    interface=socket.if_indextoname(message["index"]),
                    address=f"{message.get('IFA_LOCAL')}/{message['prefixlen']}",
                )
                async for message in await route.addr("dump", family=socket.AF_INET)
                if message["scope"] != _SCOPE_HOST
            ]

    async def add(self, interface: str, address: str) -> None:
        """Add an address; one that is there already only becomes the product's own.

        Raises:
            IdentityError: unknown interface, malformed address, the system refused.
        """
        await self._change("add", interface, address, harmless=errno.EEXIST)
        record = InterfaceAddress(interface=interface, address=str(_parsed(address)))
        if record not in self._added:
            self._added.append(record)

    async def remove(self, interface: str, address: str) -> None:
        """Remove an address and end its connections.

        Raises:
            IdentityError: unknown interface, malformed address, the system refused.
        """
        parsed = _parsed(address)
        record = InterfaceAddress(interface=interface, address=str(parsed))
        if record in await self.all():
            # Before, so that peers still get the reset; after, for what connected in between.
            await self._end_connections(str(parsed.ip))
            await self._change("del", interface, address, harmless=errno.EADDRNOTAVAIL)
            await self._end_connections(str(parsed.ip))
        if record in self._added:
            self._added.remove(record)

    async def _change(self, command: str, interface: str, address: str, harmless: int) -> None:
        parsed = _parsed(address)
        parameters: dict[str, Any] = {"address": str(parsed.ip), "prefixlen": parsed.network.prefixlen}
        if parsed.network.prefixlen < 31:  # noqa: PLR2004 - RFC 3021: no broadcast address from /31 on
            parameters["broadcast"] = str(parsed.network.broadcast_address)
        try:
            async with AsyncIPRoute() as route:
                await route.addr(command, index=_index(interface), **parameters)
        except NetlinkError as error:
            if error.code != harmless:
                raise IdentityError(f"{interface}: {command} {address}: {error.args[-1]}") from error

    async def _end_connections(self, address: str) -> None:
        with suppress(OSError):
            await asyncio.get_running_loop().run_in_executor(self._executor, end_connections, address)


def _index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError as error:
        known = ", ".join(name for _, name in socket.if_nameindex())
        raise IdentityError(f"{interface!r}: no such interface; this host has {known}") from error


def _parsed(address: str) -> IPv4Interface:
    try:
        return IPv4Interface(address)
    except ValueError as error:
        raise IdentityError(f"{address!r}: expected an IPv4 address with its prefix, like 10.0.0.10/24") from error
