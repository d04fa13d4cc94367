"""Who answers for which address and name on this body's wire: what every frame says, and ARP probes that ask.

The probes come from the client's place in the network, from a MAC address of their own and without an address
(RFC 5227), so that no neighbour learns anything from them and the client's own cache from no answer.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Final

from bodydouble.adapters.network import nbns
from bodydouble.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bodydouble_labs.owners import OwnerLog

INTERVAL: Final = 1.0
"""Seconds between two probes of one address."""
OBSERVER_MAC: Final = "02:bd:00:00:01:01"

_EVERYBODY = b"\xff" * 6
_ARP, _IPV4 = b"\x08\x06", b"\x08\x00"
_REQUEST = 1
_UDP = 17
_LONGEST_HEADERS = 42


class WireHearing:
    """Takes the frames of the wire, as bytes, and writes down what the hosts say of themselves.

    Args:
        macs: the hosts' names by their MAC addresses (``02:bd:00:00:00:01``).
    """

    def __init__(self, macs: Mapping[str, str], log: OwnerLog) -> None:
        self._owners = {bytes.fromhex(mac.replace(":", "")): name for mac, name in macs.items()}
        self._log = log

    def heard(self, frame: bytes) -> None:
        """Take one frame."""
        owner = self._owners.get(frame[6:12])
        if owner is None or len(frame) < _LONGEST_HEADERS:
            return
        if frame[12:14] == _ARP:
            self._hear_arp(owner, frame)
        elif frame[12:14] == _IPV4:
            self._log.answered(socket.inet_ntoa(frame[26:30]), owner)
            if frame[23] == _UDP:
                self._hear_names(owner, frame[14 + (frame[14] & 15) * 4 :])

    def _hear_arp(self, owner: str, frame: bytes) -> None:
        (operation,) = struct.unpack_from("!H", frame, 20)
        sender, target = frame[28:32], frame[38:42]
        if not any(sender):
            return  # a probe asks and claims nothing
        address = socket.inet_ntoa(sender)
        if sender == target and (operation == _REQUEST or frame[:6] == _EVERYBODY):
            self._log.claimed(address, owner)
        else:
            self._log.answered(address, owner)

    def _hear_names(self, owner: str, datagram: bytes) -> None:
        if struct.unpack_from("!H", datagram)[0] != nbns.PORT:
            return
        try:
            packet = nbns.decode(datagram[8:])
        except IdentityError:
            return  # broken, or of a kind that does not concern names
        subjects = [*packet.questions, *(record.name for record in packet.records)]
        if not subjects or subjects[0].kind != nbns.WORKSTATION:
            return  # other kinds belong to services, domains and groups
        name = subjects[0].text
        of = packet.operation
        if not packet.response and of in (nbns.Operation.REGISTRATION, nbns.Operation.RELEASE):
            self._log.claimed(name.upper(), owner, given_up=of is nbns.Operation.RELEASE)
        elif packet.response and (
            of is nbns.Operation.REGISTRATION or (of is nbns.Operation.QUERY and not packet.code)
        ):
            self._log.answered(name.upper(), owner)


async def probe(interface: str, addresses: Sequence[str]) -> None:
    """Ask for each address, again and again, until cancelled.

    Raises:
        OSError: not root, or no such interface.
    """
    mac = bytes.fromhex(OBSERVER_MAC.replace(":", ""))
    head = _EVERYBODY + mac + _ARP + struct.pack("!HHBBH", 1, 0x0800, 6, 4, _REQUEST) + mac + bytes(4) + bytes(6)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.setblocking(False)
        wire.bind((interface, 0))
        while True:
            for address in addresses:
                wire.send(head + socket.inet_aton(address) + bytes(18))
            await asyncio.sleep(INTERVAL)
