"""Hears on a simulated segment who answers for which address and name: every frame, before anything happens to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.network import nbns
from bodydouble_sim.network.frames import ARP, ARP_REQUEST, BROADCAST_MAC, NO_ADDRESS, UDP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bodydouble_labs.owners import OwnerLog
    from bodydouble_sim.handles import Incarnation
    from bodydouble_sim.machine import Machine
    from bodydouble_sim.network.frames import Frame
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.segment import Segment


def listen(segment: Segment, hosts: Mapping[Machine, str], log: OwnerLog) -> None:
    """Stand between the adapters of a segment and its switch, and write down what the hosts say of themselves.

    What routers pass on and intruders invent is no host's.
    """
    transmit = segment.transmit
    owners = {nic: hosts[nic.machine] for nic in segment.nics if nic.machine in hosts}

    def heard(sender: Nic, life: Incarnation, frame: Frame) -> None:
        owner = owners.get(sender)
        if owner is not None:
            kind = frame[0]
            if kind == ARP:
                _hear_arp(log, owner, frame)
            else:
                log.answered(frame[3], owner)
                if kind == UDP and frame[5] == nbns.PORT:
                    _hear_names(log, owner, frame[-1])
        transmit(sender, life, frame)

    setattr(segment, "transmit", heard)  # noqa: B010 - a tap on this one segment


def _hear_arp(log: OwnerLog, owner: str, frame: Frame) -> None:
    operation, sender, target = frame[3], frame[5], frame[7]
    if sender == NO_ADDRESS:
        return  # a probe: it asks and claims nothing (RFC 5227)
    if sender == target and (operation == ARP_REQUEST or frame[2] == BROADCAST_MAC):
        log.claimed(sender, owner)
    else:
        log.answered(sender, owner)


def _hear_names(log: OwnerLog, owner: str, payload: bytes) -> None:
    packet = nbns.parse(payload)
    if packet is None or "<" in packet.name:
        return  # names with a type belong to domains and groups, which have many members
    if not packet.response and packet.operation in (nbns.REGISTRATION, nbns.RELEASE):
        log.claimed(packet.name, owner, given_up=packet.operation == nbns.RELEASE)
    elif packet.response and (
        packet.operation == nbns.REGISTRATION or (packet.operation == nbns.QUERY and not packet.code)
    ):
        log.answered(packet.name, owner)
