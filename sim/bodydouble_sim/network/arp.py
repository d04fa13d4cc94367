"""ARP (RFC 826): who has which address on a segment, as each adapter believes it.

Caches age as Windows 2000's do: an entry that is not used for 2 minutes goes, and every entry goes 10 minutes after
the wire last confirmed it. A gratuitous announcement overwrites an entry at once; without it a neighbour keeps talking
to the MAC it knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.network.frames import (
    ARP,
    ARP_REPLY,
    ARP_REQUEST,
    BROADCAST_MAC,
    NO_ADDRESS,
    NO_MAC,
    Frame,
    hopped,
    time_to_live,
)

if TYPE_CHECKING:
    import asyncio

    from bodydouble_sim.loop import SimLoop
    from bodydouble_sim.network.nic import Nic

SECOND = 1_000_000_000
UNUSED_AGE = 120 * SECOND
FULL_AGE = 600 * SECOND
REQUEST_INTERVAL = SECOND  # RFC 1122, 2.3.2.1: at most one request a second for one address
HOLD = 3 * SECOND
HELD_FRAMES = 64  # RFC 1122, 2.3.2.2 asks for at least one


class _Entry:
    __slots__ = ("confirmed", "mac", "used")

    def __init__(self, mac: str, now: int) -> None:
        self.mac = mac
        self.confirmed = now
        self.used = now


class _Question:
    __slots__ = ("asked", "frames")

    def __init__(self, asked: int) -> None:
        self.asked = asked
        self.frames: list[Frame] = []


class ArpTable:
    """One adapter's ARP cache, its open questions and the frames that wait for an answer."""

    def __init__(self, nic: Nic, loop: SimLoop) -> None:
        self._nic = nic
        self._loop = loop
        self._entries: dict[str, _Entry] = {}
        self._questions: dict[str, _Question] = {}
        self._probes: dict[str, list[asyncio.Future[str]]] = {}

    def reset(self) -> None:
        """Forget everything, as a boot does."""
        self._entries = {}
        self._questions = {}
        self._probes = {}

    def entries(self) -> dict[str, str]:
        """What the cache holds and has not aged out: address to MAC."""
        now = self._loop.now
        return {address: entry.mac for address, entry in sorted(self._entries.items()) if not _aged(entry, now)}

    def lookup(self, address: str) -> str | None:
        """The MAC to send to, or None when it has to be asked for."""
        entry = self._entries.get(address)
        if entry is None:
            return None
        now = self._loop.now
        if now - entry.used > UNUSED_AGE or now - entry.confirmed > FULL_AGE:
            del self._entries[address]
            return None
        entry.used = now
        return entry.mac

    def hold(self, source: str, address: str, frame: Frame) -> None:
        """Keep a frame until the address is resolved, and ask for it."""
        question = self._questions.get(address)
        now = self._loop.now
        if question is None:
            question = self._questions[address] = _Question(now)
            self._ask(source, address)
            self._loop.schedule(HOLD, self._give_up, (address, question))
        elif now - question.asked >= REQUEST_INTERVAL:
            question.asked = now
            self._ask(source, address)
        if len(question.frames) < HELD_FRAMES:
            question.frames.append(frame)

    def _give_up(self, waited: tuple[str, _Question]) -> None:
        address, question = waited
        if self._questions.get(address) is question:
            del self._questions[address]
            self._nic.machine.stack.undeliverable(question.frames)

    def _ask(self, source: str, address: str) -> None:
        nic = self._nic
        nic.send((ARP, nic.mac, BROADCAST_MAC, ARP_REQUEST, nic.mac, source, NO_MAC, address))

    def announce(self, address: str) -> None:
        """Broadcast one gratuitous ARP request: sender and target are ``address``."""
        self._ask(address, address)

    def probe(self, address: str, waiter: asyncio.Future[str]) -> None:
        """Ask who has ``address`` without claiming anything (sender 0.0.0.0, as RFC 5227); resolves to its MAC."""
        self._probes.setdefault(address, []).append(waiter)
        self._ask(NO_ADDRESS, address)

    def reply(self, address: str, to_mac: str, to_address: str) -> None:
        """Answer a question for an address of ours."""
        nic = self._nic
        nic.send((ARP, nic.mac, to_mac, ARP_REPLY, nic.mac, address, to_mac, to_address))

    def learn(self, address: str, mac: str, *, add: bool) -> None:
        """Take in what a frame's sender says about itself; only known addresses unless ``add`` (RFC 826, merge)."""
        entry = self._entries.get(address)
        if entry is not None:
            entry.mac = mac
            entry.confirmed = self._loop.now
        elif add or address in self._questions:
            self._entries[address] = _Entry(mac, self._loop.now)
        for waiter in self._probes.pop(address, ()):
            if not waiter.done():
                waiter.set_result(mac)
        question = self._questions.pop(address, None)
        if question is not None:
            for frame in question.frames:
                addressed = (frame[0], frame[1], mac, *frame[3:])
                self._nic.send(addressed if type(frame) is tuple else hopped(addressed, time_to_live(frame)))


def _aged(entry: _Entry, now: int) -> bool:
    return now - entry.used > UNUSED_AGE or now - entry.confirmed > FULL_AGE
