"""Routers: machines with an adapter on each of several segments that forward packets between them (RFC 1812).

A router takes one off the time to live, answers for nobody but itself (no proxy ARP), forwards no broadcast (RFC 2644)
and says by ICMP what it cannot deliver: network unreachable without a route, host unreachable when nobody answers its
ARP question, time exceeded when the last hop was used up. What is too long for the next segment it cuts into fragments,
or, as TCP's packets must not be cut, says how long they may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.machine import Machine
from bodydouble_sim.network.fragments import again
from bodydouble_sim.network.frames import (
    ARP,
    FRAGMENT,
    FRAGMENTATION_NEEDED,
    HOST_UNREACHABLE,
    ICMP,
    NET_UNREACHABLE,
    TCP,
    TIME_EXCEEDED,
    UNREACHABLE,
    Frame,
    hopped,
    ip_length,
    time_to_live,
)
from bodydouble_sim.network.icmp import may_answer, quote
from bodydouble_sim.network.stack import IpStack

if TYPE_CHECKING:
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.stack import Route
    from bodydouble_sim.world import World


class Router(Machine):
    """A router: plug it into its segments, power it on, and name it as the hosts' gateway."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.stack = RouterStack(self)

    async def boot(self) -> None:
        """Nothing runs on a router, and it has no NetBIOS name."""


class RouterStack(IpStack):
    """A stack that forwards what is not for its machine.

    Attributes:
        forwarded: packets passed on.
    """

    forwarded = 0

    def receive(self, nic: Nic, frame: Frame) -> None:
        """Take what is for this machine, forward the rest."""
        if frame[0] == ARP or self.owns(frame[4]) or self.is_broadcast(nic, frame[4]):
            super().receive(nic, frame)
        else:
            self._forward(nic, frame)

    def _forward(self, nic: Nic, frame: Frame) -> None:
        ttl = time_to_live(frame) - 1
        if ttl <= 0:
            self._refuse(nic, frame, TIME_EXCEEDED, 0)
            return
        route = self.lookup_route(frame[4])
        if route is None:
            self._refuse(nic, frame, UNREACHABLE, NET_UNREACHABLE)
        elif route.nic is not None and not self.is_broadcast(route.nic, frame[4]):
            self.forwarded += 1
            if ip_length(frame) > route.nic.segment.mtu:
                self._fit(nic, frame, route, ttl)
            else:
                self.pass_on(route.nic, route.source, route.hop, hopped(frame, ttl))

    def _fit(self, nic: Nic, frame: Frame, route: Route, ttl: int) -> None:
        """A packet too long for where it goes: cut it, or say so where it must not be (RFC 1812, 4.2.2.7; RFC 1191)."""
        assert route.nic is not None
        mtu = route.nic.segment.mtu
        if frame[0] == TCP:
            self._refuse(nic, frame, UNREACHABLE, FRAGMENTATION_NEEDED, mtu)
            return
        if frame[0] == FRAGMENT:
            parts = again(frame, mtu)
        else:
            parts = self.fragments.cut(mtu, frame[0], frame[3], frame[4], frame[5:])
        for part in parts:
            self.pass_on(route.nic, route.source, route.hop, hopped((FRAGMENT, *frame[1:5], *part), ttl))

    def _refuse(self, nic: Nic, frame: Frame, kind: int, code: int, mtu: int = 0) -> None:
        own = self.first_address(nic)
        if own is not None and may_answer(frame):
            self.send(nic, ICMP, own, frame[3], (kind, code, 0, mtu, quote(frame)))

    def undeliverable(self, frames: list[Frame]) -> None:
        """Nobody answered the ARP question: tell who sent what was not ours."""
        for frame in frames:
            back = self.lookup_route(frame[3])
            if not self.owns(frame[3]) and back is not None and back.nic is not None:
                self._refuse(back.nic, frame, UNREACHABLE, HOST_UNREACHABLE)
