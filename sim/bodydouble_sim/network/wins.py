"""WINS: a NetBIOS name server (RFC 1001, 15.1.4; RFC 1002, 5.1.4), which answers across subnets what broadcast cannot.

A name that another address has is challenged: the server asks the owner, three times 500 ms apart; an owner that still
answers for it keeps it and the newcomer is refused, a silent one loses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.network import nbns
from bodydouble_sim.network.frames import NO_ADDRESS

if TYPE_CHECKING:
    from bodydouble_sim.machine import Machine

CHALLENGES = 3
CHALLENGE_INTERVAL = 500_000_000  # nanoseconds


class WinsServer:
    """The name server on a machine; its database survives power cycles.

    Attributes:
        names: the database, name to address.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.names: dict[str, str] = {}
        self._challenges: dict[int, tuple[nbns.Packet, str]] = {}
        self._transaction = 0
        machine.netbios.server = self

    def receive(self, packet: nbns.Packet, source: str) -> None:
        """Take a request from a client."""
        if packet.operation == nbns.QUERY:
            known = self.names.get(packet.name)
            self._answer(packet, source, known or NO_ADDRESS, 0 if known else nbns.NAME_ERROR)
        elif packet.operation == nbns.RELEASE:
            if self.names.get(packet.name) == packet.address:
                del self.names[packet.name]
                self._trace(packet.name, packet.address, "released")
            self._answer(packet, source, packet.address, 0)
        elif packet.operation == nbns.REGISTRATION:
            self._register(packet, source)

    def _register(self, packet: nbns.Packet, source: str) -> None:
        owner = self.names.get(packet.name)
        if owner is None or owner == packet.address:
            self._grant(packet, source)
        elif (packet, source) not in self._challenges.values():
            self._transaction = 0x8000 | (self._transaction + 1)  # apart from those of the machine's own questions
            self._transaction &= 0xFFFF
            self._challenges[self._transaction] = (packet, source)
            self._challenge((self._transaction, owner, CHALLENGES, self._machine.incarnation))

    def _challenge(self, step: tuple[int, str, int, object]) -> None:
        transaction, owner, left, life = step
        if transaction not in self._challenges or life is not self._machine.incarnation:
            self._challenges.pop(transaction, None)
            return
        packet, source = self._challenges[transaction]
        if left == 0:
            del self._challenges[transaction]
            self._grant(packet, source)
            return
        self._machine.netbios.tell(owner, nbns.query(transaction, packet.name, broadcast=False))
        self._machine.world.loop.schedule(CHALLENGE_INTERVAL, self._challenge, (transaction, owner, left - 1, life))

    def answered(self, packet: nbns.Packet) -> bool:
        """Whether a response was an owner's answer to a challenge."""
        challenge = self._challenges.pop(packet.transaction, None)
        if challenge is None:
            return False
        asked, source = challenge
        if packet.code:
            self._grant(asked, source)  # it says itself that the name is not its own
        else:
            self._answer(asked, source, packet.address, nbns.ACTIVE_ERROR)
        return True

    def _grant(self, packet: nbns.Packet, source: str) -> None:
        self.names[packet.name] = packet.address
        self._trace(packet.name, packet.address, "registered")
        self._answer(packet, source, packet.address, 0)

    def _answer(self, packet: nbns.Packet, source: str, address: str, code: int) -> None:
        reply = nbns.answer(packet.operation, packet.transaction, packet.name, address, code)
        self._machine.netbios.tell(source, reply)

    def _trace(self, name: str, address: str, what: str) -> None:
        self._machine.world.trace.record("wins", self._machine.name, name, address, what)
