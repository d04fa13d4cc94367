"""A machine's IPv4 stack: addresses and their claims, and the way of every packet in and out."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
from typing import TYPE_CHECKING, Any, NamedTuple

from bodydouble.vocabulary.records import InterfaceAddress
from bodydouble_sim.errors import MachineStateError
from bodydouble_sim.network.echo import Echo
from bodydouble_sim.network.fragments import Fragments
from bodydouble_sim.network.frames import (
    ARP,
    ARP_REPLY,
    ARP_REQUEST,
    BROADCAST_MAC,
    FRAGMENT,
    ICMP,
    LIMITED_BROADCAST,
    NO_ADDRESS,
    TCP,
    TIME_TO_LIVE,
    UDP,
    Frame,
    fingerprint,
    hopped,
    time_to_live,
)
from bodydouble_sim.network.ports import TcpPorts
from bodydouble_sim.network.udp import UdpPorts

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble_sim.handles import Incarnation
    from bodydouble_sim.machine import Machine
    from bodydouble_sim.network.nic import Nic

SECOND = 1_000_000_000
CLAIMS = 3  # Windows announces an address up to three times at boot
CLAIM_INTERVAL = SECOND // 2
DEFEND_INTERVAL = 10 * SECOND  # RFC 5227, DEFEND_INTERVAL: two defenders must not answer each other for ever
PROBE_TIMEOUT = 1.0
_CUT = (UDP, ICMP)  # TCP fits its segments to the way
LOOPBACK = 10_000  # nanoseconds from a machine to itself


class LocalAddress:
    """An address of this machine.

    Attributes:
        claiming: announced, and another machine's answer still takes it away.
        owned: in use; a static address is not owned before its claims at boot went unanswered.
    """

    __slots__ = ("address", "broadcast", "claiming", "defended", "network", "nic", "owned", "prefix")

    def __init__(self, nic: Nic, text: str, *, owned: bool) -> None:
        interface = ipaddress.IPv4Interface(text)
        self.nic = nic
        self.address = str(interface.ip)
        self.prefix = interface.network.prefixlen
        self.network = interface.network
        self.broadcast = str(interface.network.broadcast_address)
        self.owned = owned
        self.claiming = not owned
        self.defended = -DEFEND_INTERVAL


class Route(NamedTuple):
    """How packets reach a destination.

    Attributes:
        nic: the adapter that they leave by; None: this machine itself.
        source: the address that they come from.
        hop: who takes them next on the wire: the destination, or a gateway.
    """

    nic: Nic | None
    source: str
    hop: str


class IpStack:
    """Addresses, neighbours and packets of one machine. Empty while the machine is off.

    Attributes:
        settled: every claim made at boot is decided.
        conflicts: addresses that were claimed and not taken because another machine answered, with its MAC.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.world = machine.world
        self.loop = machine.world.loop
        self._clear()

    def _clear(self) -> None:
        self.locals: dict[str, LocalAddress] = {}
        self.conflicts: dict[str, str] = {}
        self.tcp = TcpPorts(self)
        self.udp = UdpPorts(self)
        self.echo = Echo(self)
        self.fragments = Fragments(self)
        self._routes: dict[str, Route | None] = {}
        self._broadcasts: dict[Nic, set[str]] = {}
        self._ready: list[asyncio.Future[None]] = []
        self.settled = True
        self._handlers = {
            TCP: self.tcp.receive,
            UDP: self.udp.receive,
            ICMP: self.echo.receive,
            ARP: self._arp,
            FRAGMENT: self.fragments.receive,
        }

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Come up with the static addresses and claim each by gratuitous ARP."""
        self._clear()
        for nic in self.machine.nics:
            nic.arp.reset()
            for text in nic.static:
                local = LocalAddress(nic, text, owned=False)
                self.locals[local.address] = local
                self.settled = False
                self._claim((self.machine.incarnation, local, CLAIMS))

    def stop(self) -> list[object]:
        """Go down at once and in silence; returns what has to stay referenced."""
        kept = [self.tcp, self.udp, self.echo, self._ready, self.locals]
        self.tcp.die()
        self.udp.die()
        self._clear()
        return kept

    def release(self, owner: Incarnation) -> None:
        """A process was killed: close what it had open on the network."""
        self.tcp.release(owner)
        self.udp.release(owner)

    async def ready(self) -> None:
        """Wait until every claim made at boot is decided."""
        while not self.settled:
            waiter: asyncio.Future[None] = self.loop.create_future()
            self._ready.append(waiter)
            await waiter

    def _decided(self) -> None:
        self._routes.clear()
        self._broadcasts.clear()
        self.settled = all(local.owned for local in self.locals.values())
        waiters, self._ready = self._ready, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def media_connected(self, nic: Nic) -> None:
        """The cable came back: claim the adapter's addresses again (Windows 2000 media sense)."""
        for local in list(self.locals.values()):
            if local.nic is nic and not local.claiming:
                local.claiming = True
                self._claim((self.machine.incarnation, local, CLAIMS))
        self.loop.schedule(CLAIMS * CLAIM_INTERVAL, self._names_again, self.machine.incarnation)

    def _names_again(self, life: Incarnation | None) -> None:
        if life is self.machine.incarnation:
            self.machine.netbios.reclaim()

    def _claim(self, step: tuple[Incarnation | None, LocalAddress, int]) -> None:
        life, local, left = step
        if life is not self.machine.incarnation or not local.claiming:
            return
        if left == 1:
            local.claiming = False
            if not local.owned:
                local.owned = True
                self._changed("taken", local)
                self._decided()
        local.nic.arp.announce(local.address)
        if left > 1:
            self.loop.schedule(CLAIM_INTERVAL, self._claim, (life, local, left - 1))

    def _changed(self, what: str, local: LocalAddress) -> None:
        self.world.trace.record("address", self.machine.name, local.nic.name, f"{local.address}/{local.prefix}", what)

    # --- addresses --------------------------------------------------------------------------------------------------

    def addresses(self) -> list[InterfaceAddress]:
        """The addresses in use, in the order in which they came."""
        return [
            InterfaceAddress(interface=local.nic.name, address=f"{local.address}/{local.prefix}")
            for local in self.locals.values()
            if local.owned
        ]

    def owns(self, address: str) -> bool:
        """Whether the machine answers for ``address``."""
        local = self.locals.get(address)
        return local is not None and local.owned

    def first_address(self, nic: Nic | None = None) -> str | None:
        """The first address in use (of one adapter): what NetBIOS binds to and names resolve to."""
        for local in self.locals.values():
            if local.owned and (nic is None or local.nic is nic):
                return local.address
        return None

    def add_address(self, nic_name: str, address: str) -> None:
        """Use one more address (``10.0.0.10/24``) until the next boot. Announces nothing; idempotent.

        Raises:
            MachineStateError: no such adapter, or the machine is off.
            ValueError: malformed address.
        """
        self._refuse_without_power()
        local = LocalAddress(self.machine.nic(nic_name), address, owned=True)
        present = self.locals.get(local.address)
        if present is not None and present.owned:
            return
        self.conflicts.pop(local.address, None)
        self.locals[local.address] = local
        self._changed("added", local)
        self._decided()

    def remove_address(self, nic_name: str, address: str) -> None:
        """Stop using an address; its connections die, in silence. Nothing happens when it is not there."""
        self._refuse_without_power()
        nic = self.machine.nic(nic_name)
        local = self.locals.get(str(ipaddress.IPv4Interface(address).ip))
        if local is not None and local.nic is nic:
            self._withdraw(local, "removed")

    def _withdraw(self, local: LocalAddress, why: str) -> None:
        local.claiming = False
        del self.locals[local.address]
        self._changed(why, local)
        self.tcp.address_gone(local.address)
        self._decided()

    def announce(self, nic_name: str, address: str) -> None:
        """Broadcast one gratuitous ARP for an address (with or without prefix) in use on the adapter.

        Raises:
            MachineStateError: the adapter does not have the address.
        """
        self._refuse_without_power()
        nic = self.machine.nic(nic_name)
        plain = address.partition("/")[0]
        local = self.locals.get(plain)
        if local is None or local.nic is not nic:
            raise MachineStateError(f"{self.machine.name}: {nic_name} does not have {plain}")
        nic.arp.announce(plain)

    async def in_use(self, nic_name: str, address: str) -> bool:
        """Ask the wire, for at most one second, whether another machine answers for ``address``."""
        self._refuse_without_power()
        plain = address.partition("/")[0]
        waiter: asyncio.Future[str] = self.loop.create_future()
        self.machine.nic(nic_name).arp.probe(plain, waiter)
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                await waiter
        except TimeoutError:
            return False
        return True

    def ping(self, address: str, timeout: float) -> Coroutine[Any, Any, float | None]:
        """Seconds until an ICMP echo reply came from ``address``; None when none came within ``timeout`` seconds."""
        return self.echo.ping(address, timeout)

    def _refuse_without_power(self) -> None:
        if not self.machine.powered:
            raise MachineStateError(f"{self.machine.name} is off")

    # --- packets out ------------------------------------------------------------------------------------------------

    def route(self, destination: str) -> tuple[Nic | None, str]:
        """The adapter (None: this machine itself) and source address for a destination.

        Raises:
            OSError: it is on no adapter's network and no gateway leads there (ENETUNREACH).
        """
        known = self.lookup_route(destination)
        if known is None:
            raise OSError(errno.ENETUNREACH, f"{self.machine.name} has no route to {destination}")
        return known.nic, known.source

    def lookup_route(self, destination: str) -> Route | None:
        """How to reach a destination, None: not at all."""
        try:
            return self._routes[destination]
        except KeyError:
            found = self._routes[destination] = self._find_route(destination)
            return found

    def _find_route(self, destination: str) -> Route | None:
        """This machine, its networks, its static routes (the longest prefix first), its default gateways (RFC 1122)."""
        if destination.startswith("127."):
            return Route(None, "127.0.0.1", destination)
        if self.owns(destination):
            return Route(None, destination, destination)
        parsed = ipaddress.IPv4Address(destination)
        near = self._on_link(parsed)
        if near is not None:
            return Route(near.nic, near.address, destination)
        ways = [(ipaddress.IPv4Network(network), gateway) for network, gateway in self.machine.routes.items()]
        ways = sorted((way for way in ways if parsed in way[0]), key=lambda way: -way[0].prefixlen)
        for gateway in [*(way[1] for way in ways), *(nic.gateway for nic in self.machine.nics if nic.gateway)]:
            near = self._on_link(ipaddress.IPv4Address(gateway))
            if near is not None:
                return Route(near.nic, near.address, gateway)
        return None

    def _on_link(self, destination: ipaddress.IPv4Address) -> LocalAddress | None:
        everyone = str(destination) == LIMITED_BROADCAST
        for local in self.locals.values():
            if local.owned and (everyone or destination in local.network):
                return local
        return None

    def next_hop(self, nic: Nic | None, destination: str) -> str:
        """Who takes a packet for ``destination`` on the adapter's wire."""
        if nic is None or (nic.gateway is None and not self.machine.routes):
            return destination
        known = self.lookup_route(destination)
        if known is not None and known.nic is nic:
            return known.hop
        parsed = ipaddress.IPv4Address(destination)
        near = any(local.nic is nic and parsed in local.network for local in self.locals.values())
        return destination if near else nic.gateway or destination  # an answer leaves by the adapter that was asked

    def is_broadcast(self, nic: Nic | None, destination: str) -> bool:
        """Whether ``destination`` is every machine on the adapter's network (RFC 919)."""
        if destination == LIMITED_BROADCAST:
            return True
        if nic is None:
            return False
        known = self._broadcasts.get(nic)
        if known is None:
            known = {local.broadcast for local in self.locals.values() if local.nic is nic}
            self._broadcasts[nic] = known
        return destination in known

    def send(
        self, nic: Nic | None, kind: str, source: str, destination: str, rest: Frame, *, ttl: int = TIME_TO_LIVE
    ) -> None:
        """Send one IP packet, by the ARP cache of the adapter or (``nic`` None) to this machine itself."""
        if nic is None:
            life = self.machine.incarnation
            self.world.trace.record(
                "loopback", self.machine.name, kind, *rest[:-1], len(rest[-1]), fingerprint(rest[-1])
            )
            self.loop.schedule(LOOPBACK, self._loop_back, (life, (kind, "", "", source, destination, *rest)))
            return
        if len(rest[-1]) > nic.segment.longest_payload and kind in _CUT:
            for part in self.fragments.cut(nic.segment.mtu, kind, source, destination, rest):
                self.send(nic, FRAGMENT, source, destination, part, ttl=ttl)
            return
        if ttl == TIME_TO_LIVE and nic.gateway is None and not self.machine.routes:  # the short way, most of the time
            mac = nic.arp.lookup(destination)  # never there for a broadcast address
            if mac is not None:
                nic.send((kind, nic.mac, mac, source, destination) + rest)  # noqa: RUF005 - half the price
                return
        frame = (kind, nic.mac, BROADCAST_MAC, source, destination, *rest)
        if ttl != TIME_TO_LIVE:
            frame = hopped(frame, ttl)
        if self.is_broadcast(nic, destination):
            nic.send(frame)
        else:
            self.pass_on(nic, source, self.next_hop(nic, destination), frame)

    def pass_on(self, nic: Nic, source: str, hop: str, frame: Frame) -> None:
        """Put a packet on the adapter's wire for ``hop``, once its MAC is known."""
        mac = nic.arp.lookup(hop)
        if mac is None:
            nic.arp.hold(source, hop, frame)
            return
        addressed = (frame[0], nic.mac, mac, *frame[3:])
        nic.send(addressed if type(frame) is tuple else hopped(addressed, time_to_live(frame)))

    def undeliverable(self, frames: list[Frame]) -> None:
        """Nobody answered for the next hop of these. A host says nothing; what waits for an answer times out."""

    def _loop_back(self, flight: tuple[Incarnation | None, Frame]) -> None:
        life, frame = flight
        if life is not None and not life.dead:
            self._handlers[frame[0]](None, frame)

    # --- packets in -------------------------------------------------------------------------------------------------

    def receive(self, nic: Nic, frame: Frame) -> None:
        """Take a frame from an adapter."""
        self._handlers[frame[0]](nic, frame)

    def deliver(self, nic: Nic | None, frame: Frame) -> None:
        """Take a packet that was put together from fragments."""
        self._handlers[frame[0]](nic, frame)

    def _arp(self, nic: Nic | None, frame: Frame) -> None:
        """RFC 826's packet reception, and the conflict rules of Windows 2000."""
        if nic is None:
            return
        operation, sender_mac, sender, _, target = frame[3:]
        contested = self.locals.get(sender)
        if contested is not None and contested.nic is nic:
            self._contest(contested, operation, sender_mac)
            return
        mine = self.locals.get(target)
        asked = mine is not None and mine.nic is nic and operation == ARP_REQUEST
        if sender != NO_ADDRESS:
            nic.arp.learn(sender, sender_mac, add=asked)
        if asked and mine is not None and mine.owned:
            nic.arp.reply(target, sender_mac, sender)

    def _contest(self, local: LocalAddress, operation: int, other: str) -> None:
        """Another adapter speaks for an address of ours: an answer to our claim takes it away, else defend it."""
        arp = local.nic.arp
        arp.learn(local.address, other, add=False)  # a pending in_use probe wants to know
        if local.claiming and operation == ARP_REPLY:
            self.conflicts[local.address] = other
            self._withdraw(local, "conflict")
        else:
            if operation == ARP_REQUEST:
                arp.reply(local.address, other, local.address)
            if local.owned and self.loop.now - local.defended >= DEFEND_INTERVAL:
                local.defended = self.loop.now
                self._changed("defended", local)
                arp.announce(local.address)
        for hook in self.machine.address_conflict_hooks:
            hook(local.nic.name, local.address, other)
