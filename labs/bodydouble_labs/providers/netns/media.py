"""A host's network adapter as its system drives it: static address at boot, and announcement on media connect.

Windows 2000 announces its addresses by gratuitous ARP when its stack comes up, and again when a cable is plugged in
(media sense: the stack is bound to the adapter anew). Linux does neither by itself, so init does it for the host.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
from typing import Any

from pyroute2 import AsyncIPRoute

from bodydouble.adapters.network import arp

SIOCGIFFLAGS = 0x8913
IFF_RUNNING = 0x40
RTMGRP_LINK = 1


async def bring_up(interface: str, address: str) -> None:
    """Bring loopback and the adapter up, the adapter with its static address (``10.0.0.10/24``)."""
    netlink: Any
    async with AsyncIPRoute() as netlink:
        (loopback,) = await netlink.link_lookup(ifname="lo")
        await netlink.link("set", index=loopback, state="up")
        (adapter,) = await netlink.link_lookup(ifname=interface)
        host, _, prefix = address.partition("/")
        await netlink.addr("add", index=adapter, address=host, prefixlen=int(prefix or "24"))
        await netlink.link("set", index=adapter, state="up")


async def addresses_of(interface: str) -> list[str]:
    """IPv4 addresses of an adapter, without prefix lengths."""
    netlink: Any
    async with AsyncIPRoute() as netlink:
        (adapter,) = await netlink.link_lookup(ifname=interface)
        return [str(entry.get("local")) async for entry in await netlink.get_addr(index=adapter, family=socket.AF_INET)]


def has_carrier(interface: str) -> bool:
    """Whether the cable is in and the other end is alive (netdevice(7), IFF_RUNNING)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sh22x", interface.encode(), 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(probe, SIOCGIFFLAGS, request), 16)
    return bool(flags & IFF_RUNNING)


class MediaSense:
    """Announces every address of the adapter each time that a carrier appears."""

    def __init__(self, interface: str) -> None:
        """Watch ``interface``; it must exist."""
        self._interface = interface
        self._carrier = False
        self._events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._events.bind((0, RTMGRP_LINK))
        self._events.setblocking(False)

    async def run(self) -> None:
        """Announce at once if the cable is in, then at every media connect, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._follow()
            await loop.sock_recv(self._events, 65536)

    async def _follow(self) -> None:
        carrier = has_carrier(self._interface)
        if carrier and not self._carrier:
            for address in await addresses_of(self._interface):
                arp.announce(self._interface, address)
        self._carrier = carrier
