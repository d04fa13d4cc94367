"""The faults that real networks have, each a `Fault` over matching deliveries.

Probabilities and jitter are drawn from one random stream a fault (``fault:<name>`` of the world), so that a fault more
does not reshuffle the others. Times are seconds, as everywhere outside the simulator's core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.machine import Machine
from bodydouble_sim.network.faults import Deliveries, Fault, Match, wire_length
from bodydouble_sim.network.frames import ACK, ARP, ARP_REPLY, NO_ADDRESS, RST, TCP, UDP, Frame, ip_length
from bodydouble_sim.network.segment import LEAST_MTU

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.world import World

_SECOND = 1_000_000_000
_BITS = 8


class Cut(Fault):
    """What matches gets nowhere."""

    def __init__(self, world: World, *matches: Match, name: str = "cut") -> None:
        super().__init__(world, name, *matches)

    def decide(self, frame: Frame) -> tuple[str, Deliveries]:  # noqa: ARG002 - whatever it is
        """Drop."""
        return "dropped", []


class Partition(Cut):
    """Nothing gets from one side to the other, in both directions or (``one_way``) only from ``these`` to ``those``.

    Args:
        world: where.
        these: names of the machines on one side.
        those: names on the other.
        one_way: whether the answers still get through.
        name: what to call it.
    """

    def __init__(
        self,
        world: World,
        these: Iterable[str],
        those: Iterable[str],
        *,
        one_way: bool = False,
        name: str = "partition",
    ) -> None:
        pairs = [(a, b) for a in these for b in those]
        there = [Match(sender=a, receiver=b) for a, b in pairs]
        back = [Match(sender=b, receiver=a) for a, b in pairs]
        super().__init__(world, *there, *([] if one_way else back), name=name)


class _Chance(Fault):
    """A fault that strikes a frame with a probability.

    Args:
        world: where.
        probability: of a frame to be struck, 0 to 1.
        matches: deliveries that it is about; all when none is given.
        name: what to call it.
    """

    def __init__(self, world: World, probability: float, *matches: Match, name: str) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"{name}: {probability} is no probability; expected 0 to 1")
        super().__init__(world, name, *matches)
        self.probability = probability
        self.dice = world.random(f"fault:{name}")

    def decide(self, frame: Frame) -> tuple[str, Deliveries]:
        """Strike, or let pass."""
        if self.dice.random() >= self.probability:
            return "", [(0, frame)]
        return self.strike(frame)

    def strike(self, frame: Frame) -> tuple[str, Deliveries]:
        """What happens to a frame that is struck. Here: it is lost."""
        del frame
        return "dropped", []


class Loss(_Chance):
    """Frames are lost."""

    def __init__(self, world: World, probability: float, *matches: Match, name: str = "loss") -> None:
        super().__init__(world, probability, *matches, name=name)


class Duplication(_Chance):
    """Frames arrive twice, the second time up to ``within`` seconds later."""

    def __init__(
        self, world: World, probability: float, *matches: Match, within: float = 0.001, name: str = "duplication"
    ) -> None:
        super().__init__(world, probability, *matches, name=name)
        self._within = within

    def strike(self, frame: Frame) -> tuple[str, Deliveries]:
        """Deliver twice."""
        return "duplicated", [(0, frame), (_drawn(self, self._within), frame)]


class Reordering(_Chance):
    """Frames are held back up to ``hold`` seconds: what was sent meanwhile overtakes them."""

    def __init__(
        self, world: World, probability: float, *matches: Match, hold: float = 0.005, name: str = "reordering"
    ) -> None:
        super().__init__(world, probability, *matches, name=name)
        self._hold = hold

    def strike(self, frame: Frame) -> tuple[str, Deliveries]:
        """Deliver later."""
        return "reordered", [(_drawn(self, self._hold), frame)]


class Corruption(_Chance):
    """Frames are damaged on the way.

    The adapter's frame check or the stack's checksum finds that out and the frame is dropped, as in life. With
    ``checksum_valid`` the damage is older than the checksum (a bad switch or adapter makes a new one): one bit of a
    TCP or UDP payload arrives changed, and nobody below the application can tell. Frames without payload then pass.
    """

    def __init__(
        self,
        world: World,
        probability: float,
        *matches: Match,
        checksum_valid: bool = False,
        name: str = "corruption",
    ) -> None:
        super().__init__(world, probability, *matches, name=name)
        self._valid = checksum_valid

    def strike(self, frame: Frame) -> tuple[str, Deliveries]:
        """Damage a byte."""
        if not self._valid:
            return "corrupted, dropped by its checksum", []
        if frame[0] not in (TCP, UDP) or not frame[-1]:
            return "", [(0, frame)]
        payload = bytearray(frame[-1])
        payload[self.dice.randrange(len(payload))] ^= 1 << self.dice.randrange(_BITS)
        return "corrupted with a valid checksum", [(0, (*frame[:-1], type(frame[-1])(payload)))]


class Latency(Fault):
    """Every frame takes ``delay`` seconds longer, and up to ``jitter`` more; frames keep their order."""

    def __init__(self, world: World, delay: float, *matches: Match, jitter: float = 0.0, name: str = "latency") -> None:
        if delay < 0 or jitter < 0 or not delay + jitter:
            raise ValueError(f"{name}: expected a delay or jitter above 0, got {delay} and {jitter}")
        super().__init__(world, name, *matches)
        self.dice = world.random(f"fault:{name}")
        self._delay = round(delay * _SECOND)
        self._jitter = jitter
        self._latest: dict[tuple[str, str], int] = {}

    def decide(self, frame: Frame) -> tuple[str, Deliveries]:
        """Delay, but not past a frame that went before between the same two adapters."""
        now, way = self.world.loop.now, (frame[1], frame[2])
        arrives = now + self._delay + (_drawn(self, self._jitter) if self._jitter else 0)
        arrives = self._latest[way] = max(arrives, self._latest.get(way, 0))
        return "delayed", [(arrives - now, frame)]


class Squeeze(Fault):
    """All matching traffic shares ``bits_per_second``; what finds more than ``queue`` bytes waiting is dropped."""

    def __init__(
        self, world: World, bits_per_second: float, *matches: Match, queue: int = 65_536, name: str = "squeeze"
    ) -> None:
        if bits_per_second <= 0:
            raise ValueError(f"{name}: expected more than 0 bits a second, got {bits_per_second}")
        super().__init__(world, name, *matches)
        self._byte = _BITS * _SECOND / bits_per_second
        self._queue = queue
        self._free = 0

    def decide(self, frame: Frame) -> tuple[str, Deliveries]:
        """Queue behind what is on its way, or drop."""
        now, length = self.world.loop.now, wire_length(frame)
        begins = max(now, self._free)
        if (begins - now) / self._byte + length > self._queue:
            return "dropped from a full queue", []
        self._free = begins + round(length * self._byte)
        return "delayed", [(self._free - now, frame)]


class LostAnnouncements(Fault):
    """Gratuitous ARPs are lost, those for one address or (``address`` None) for any; ``sender`` limits it to a host.

    Neighbours go on with the MAC that they know until their cache entry ages out.
    """

    def __init__(
        self, world: World, address: str | None = None, sender: str | None = None, *, name: str = "lost-announcements"
    ) -> None:
        def announces(frame: Frame) -> bool:
            return frame[5] == frame[7] and address in (None, frame[5])

        super().__init__(world, name, Match(sender=sender, protocol=ARP, when=announces))

    def decide(self, frame: Frame) -> tuple[str, Deliveries]:  # noqa: ARG002 - `announces` has looked at it
        """Drop."""
        return "dropped", []


class BlackHole(Fault):
    """IP packets longer than ``mtu`` bytes vanish, and no router says so (RFC 2923, 2.1)."""

    def __init__(self, world: World, mtu: int, *matches: Match, name: str = "mtu-black-hole") -> None:
        if mtu < LEAST_MTU:
            raise ValueError(f"{name}: expected an MTU of at least {LEAST_MTU} bytes, got {mtu}")
        super().__init__(world, name, *matches)
        self._mtu = mtu

    def decide(self, frame: Frame) -> tuple[str, Deliveries]:
        """Drop what is too long."""
        if frame[0] == ARP or ip_length(frame) <= self._mtu:
            return "", [(0, frame)]
        return "dropped as too long", []


class InjectedReset(Fault):
    """Somebody in the path forges resets: a matching TCP segment is followed by one in its sender's name.

    Args:
        world: where.
        matches: deliveries that it is about; every TCP segment when none is given.
        every: strike every so many matching segments.
        name: what to call it.
    """

    def __init__(self, world: World, *matches: Match, every: int = 1, name: str = "injected-reset") -> None:
        super().__init__(world, name, *(matches or [Match(protocol=TCP)]))
        self._every = every
        self._seen = 0

    def decide(self, frame: Frame) -> tuple[str, Deliveries]:
        """Let pass, and follow with a reset in sequence."""
        if frame[0] != TCP or frame[7] & RST:
            return "", [(0, frame)]
        self._seen += 1
        if self._seen % self._every:
            return "", [(0, frame)]
        forged = (*frame[:7], RST | ACK, frame[8] + len(frame[11]), frame[9], 0, b"")
        return "followed by a forged reset", [(0, frame), (0, forged)]


class Flap(Fault):
    """A link goes down and comes up again, over and over: the cable of an adapter is really out meanwhile.

    The machine notices (media sense). `touched` counts the frames that the missing cable lost, both ways.
    """

    def __init__(self, world: World, nic: Nic, *, down: float, up: float, name: str = "link-flap") -> None:
        if down <= 0 or up <= 0:
            raise ValueError(f"{name}: expected times above 0, got {down} and {up}")
        super().__init__(world, name, Match(receiver=nic.machine.name))
        self._nic = nic
        self._down, self._up = round(down * _SECOND), round(up * _SECOND)
        self._turn = 0
        self._out = False
        self._lost = 0

    def start(self) -> None:
        """Pull the cable for the first time."""
        super().start()
        self._turn += 1
        self._pull(self._turn)

    def heal(self) -> None:
        """Leave the cable in."""
        self._turn += 1
        self._plug()
        super().heal()

    def _pull(self, turn: int) -> None:
        if turn == self._turn:
            self._out = True
            self._lost = self._nic.lost
            self._nic.disconnect()
            self.world.loop.schedule(self._down, self._return, turn)

    def _return(self, turn: int) -> None:
        if turn == self._turn:
            self._plug()
            self.world.loop.schedule(self._up, self._pull, turn)

    def _plug(self) -> None:
        if self._out:
            self._out = False
            self.touched += self._nic.lost - self._lost
            self._nic.connect()


class _Intruder(Machine):
    """A machine that says nothing of its own accord."""

    async def boot(self) -> None:
        """Register no name."""


class _Intrusion(Fault):
    """A fault made by one more machine on the segment of ``beside``.

    `touched` counts the frames from it that another adapter got.
    """

    def __init__(self, world: World, beside: Nic, address: str, name: str) -> None:
        number = sum(machine.startswith("INTRUDER") for machine in world.machines) + 1
        self.machine = _Intruder(world, f"INTRUDER-{number}")
        self.address = address
        self.nic = self.machine.plug(beside.segment, address, duplicate=True)
        self.nic.static.clear()
        super().__init__(world, name, Match(sender=self.machine.name))

    def start(self) -> None:
        """Switch the intruder on."""
        super().start()
        self.machine.power_on()

    def heal(self) -> None:
        """Switch it off. Neighbours that believed it find out when their cache ages or the owner speaks."""
        self.machine.power_off()
        super().heal()

    def decide(self, frame: Frame) -> tuple[str, Deliveries]:
        """Count, and let pass."""
        return "sent by an intruder", [(0, frame)]


class DuplicatedAddress(_Intrusion):
    """A second machine uses an address (``10.0.0.10/24``) as well, and takes no objection.

    It answers ARP requests for it, in a race with the owner. ``announced``: it also broadcasts it once.
    """

    def __init__(
        self, world: World, beside: Nic, address: str, *, announced: bool = False, name: str = "duplicated-address"
    ) -> None:
        super().__init__(world, beside, address, name)
        self._announced = announced

    def start(self) -> None:
        """Switch the intruder on and have it use the address."""
        super().start()
        self.machine.stack.add_address(self.nic.name, self.address)
        if self._announced:
            self.machine.stack.announce(self.nic.name, self.address)


class SpoofedArp(_Intrusion):
    """An intruder tells one victim, every ``interval`` seconds, that an address (``10.0.0.10/24``) is at its own MAC.

    It drops what it gets for the address. The owner is told nothing and cannot object.
    """

    def __init__(
        self, world: World, victim: Nic, address: str, *, interval: float = 1.0, name: str = "spoofed-arp"
    ) -> None:
        super().__init__(world, victim, address, name)
        self._victim = victim
        self._interval = round(interval * _SECOND)

    def start(self) -> None:
        """Switch the intruder on and begin to lie."""
        super().start()
        self._lie(self.machine.incarnation)

    def _lie(self, life: object) -> None:
        if life is not self.machine.incarnation:
            return
        mac, to = self.nic.mac, self._victim.mac
        plain = self.address.partition("/")[0]
        self.nic.send((ARP, mac, to, ARP_REPLY, mac, plain, to, self._victim_address()))
        self.world.loop.schedule(self._interval, self._lie, life)

    def _victim_address(self) -> str:
        return self._victim.machine.stack.first_address(self._victim) or NO_ADDRESS


def _drawn(fault: _Chance | Latency, most: float) -> int:
    """Nanoseconds up to ``most`` seconds, at least one."""
    return 1 + int(fault.dice.random() * most * _SECOND)
