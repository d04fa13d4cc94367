"""The lab's Ethernet segment: a bridge in the lab's own network namespace, one port (a veth) per running host.

The bridge is a switch without spanning tree, so a port forwards as soon as it has a carrier. Cutting a port's link
is pulling the cable: the host's end loses its carrier, and nothing passes from that instant on.
"""

from __future__ import annotations

import asyncio
import errno
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from bodydouble_labs.errors import FaultError, LabError

if TYPE_CHECKING:
    from types import TracebackType

HOST_INTERFACE = "eth0"
CLIENT_MAC = "02:bd:00:00:01:00"
"""Given to the bridge, which otherwise takes the lowest of its ports' and so changes it whenever a host boots."""
CARRIER_TIMEOUT = 5.0
"""Seconds within which a port must follow its switch; the kernel takes microseconds."""
_POLL = 0.01
LONGEST_NAME = 15
"""Characters of an interface name (IFNAMSIZ less the terminator)."""


@dataclass(frozen=True, slots=True)
class Plug:
    """A host's place on the wire: the port's name, the host's MAC address, and whether the cable is in."""

    port: str
    mac: str
    carrier: bool


class Wire:
    """The bridge and its ports. Enter it to make the bridge; leaving closes only the netlink socket."""

    def __init__(self, segment: str, address: str) -> None:
        """Make a segment named ``segment`` (``lan``) where the client has ``address`` (``10.0.0.100/24``)."""
        self.segment = segment[:LONGEST_NAME]
        self._address = address
        self._bridge = 0
        self._netlink: Any = AsyncIPRoute()

    async def __aenter__(self) -> Self:
        await self._netlink.__aenter__()
        try:
            await self._open()
        except BaseException:
            await self._netlink.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._netlink.__aexit__(kind, error, trace)

    async def _open(self) -> None:
        prepare_network_namespace()
        await self._netlink.link("set", index=await self._index("lo"), state="up")
        switch = {"br_stp_state": 0, "br_forward_delay": 0, "br_mcast_snooping": 0}
        await self._add(self.segment, "bridge", **switch)
        self._bridge = await self._index(self.segment)
        address, _, prefix = self._address.partition("/")
        await self._netlink.addr("add", index=self._bridge, address=address, prefixlen=int(prefix or "24"))
        await self._netlink.link("set", index=self._bridge, address=CLIENT_MAC, state="up")

    async def plug_in(self, plug: Plug, namespace_of: int) -> None:
        """Give the network namespace of process ``namespace_of`` an `HOST_INTERFACE` whose peer is a port here."""
        port = plug.port
        peer = {"ifname": HOST_INTERFACE, "address": plug.mac, "net_ns_pid": namespace_of}
        await self._add(port, "veth", peer=peer)
        await self._netlink.link("set", index=await self._index(port), master=self._bridge)
        await self._switch(port, "up" if plug.carrier else "down")

    async def unplug(self, port: str) -> None:
        """Remove a port with both ends of its cable; nothing happens when there is none.

        The kernel removes it as well, some time after the host's namespace has ended, and may be the first.
        """
        for index in await self._netlink.link_lookup(ifname=port):
            try:
                await self._netlink.link("del", index=index)
            except NetlinkError as error:
                if error.code != errno.ENODEV:
                    raise

    async def cut(self, port: str) -> None:
        """Pull the cable: nothing passes once this returns.

        Raises:
            FaultError: the port still has its link.
        """
        await self._switch(port, "down")
        await self._await_state(port, {"DOWN"})

    async def join(self, port: str) -> None:
        """Plug the cable in again; returns once the port has a carrier.

        Raises:
            FaultError: no carrier came.
        """
        await self._switch(port, "up")
        await self._await_state(port, {"UP"})

    async def _add(self, name: str, kind: str, **options: object) -> None:
        try:
            await self._netlink.link("add", ifname=name, kind=kind, **options)
        except NetlinkError as error:
            raise LabError(
                f"the kernel makes no {kind} named {name}: {error.args[-1]}; load the modules bridge and veth"
            ) from error

    async def _switch(self, port: str, state: str) -> None:
        await self._netlink.link("set", index=await self._index(port), state=state)

    async def _await_state(self, port: str, wanted: set[str]) -> None:
        try:
            async with asyncio.timeout(CARRIER_TIMEOUT):
                while (state := await self._state(port)) not in wanted:  # noqa: ASYNC110 - the kernel owns the state
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise FaultError(
                f"bridge port {port}: still {state} after {CARRIER_TIMEOUT} s, expected {wanted}"
            ) from None

    async def _state(self, port: str) -> str:
        for link in await self._netlink.link("get", index=await self._index(port)):
            return str(link.get("state") if link.get("state") == "down" else link.get("operstate")).upper()
        return "gone"

    async def _index(self, name: str) -> int:
        found = await self._netlink.link_lookup(ifname=name)
        if not found:
            raise LabError(f"no network interface {name} in the lab's namespace: is the host switched on?")
        return int(found[0])


def prepare_network_namespace() -> None:
    """IPv4 only, as on these Windows versions, and ICMP datagram sockets for root (a fresh namespace refuses them)."""
    network = Path("/proc/sys/net")
    if (ipv6 := network / "ipv6/conf").is_dir():
        for scope in ("all", "default"):
            (ipv6 / scope / "disable_ipv6").write_text("1", encoding="ascii")
    (network / "ipv4/ping_group_range").write_text("0 0", encoding="ascii")
