"""What the wire of the netns body says of owners, from frames as scapy builds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether

from bodydouble.adapters.network import nbns
from bodydouble_labs.checkers import one_owner
from bodydouble_labs.history import History, IdentitySample
from bodydouble_labs.owners import OwnerLog
from bodydouble_labs.providers.netns.hearing import OBSERVER_MAC, WireHearing
from bodydouble_labs.scenario.loader import find, load

if TYPE_CHECKING:
    from scapy.packet import Packet

SCENARIO = load(find("iis5-power-loss"))
MACS = {"source": "02:bd:00:00:00:01", "target": "02:bd:00:00:00:02"}
ADDRESS, OWN, CLIENT = "10.0.0.10", "10.0.0.20", "10.0.0.100"
EVERYBODY = "ff:ff:ff:ff:ff:ff"
CLIENT_MAC = "02:bd:00:00:01:00"


class Wire:
    """Frames a second apart, and what is made of them."""

    def __init__(self) -> None:
        self.history = History(identities=[IdentitySample(0.0, {})])
        self._now = 0.0
        self._log = OwnerLog(self.history, lambda: self._now)
        self._hearing = WireHearing({mac: name for name, mac in MACS.items()}, self._log)
        self.put(reply("target", OWN))

    def put(self, *frames: Packet) -> None:
        for frame in frames:
            self._now += 1.0
            self._hearing.heard(bytes(frame).ljust(60, b"\0"))

    def judged(self) -> tuple[str, str]:
        self._log.close()
        check = one_owner.check(self.history, SCENARIO.expect, SCENARIO)
        return check.verdict, check.detail


def reply(host: str, address: str = ADDRESS) -> Packet:
    arp = ARP(op=2, hwsrc=MACS[host], psrc=address, hwdst=CLIENT_MAC, pdst=CLIENT)
    return Ether(src=MACS[host], dst=CLIENT_MAC) / arp


def claim(host: str, operation: int = 1) -> Packet:
    arp = ARP(op=operation, hwsrc=MACS[host], psrc=ADDRESS, pdst=ADDRESS)
    return Ether(src=MACS[host], dst=EVERYBODY) / arp


def probe(mac: str) -> Packet:
    return Ether(src=mac, dst=EVERYBODY) / ARP(op=1, hwsrc=mac, psrc="0.0.0.0", pdst=ADDRESS)


def page(host: str) -> Packet:
    return Ether(src=MACS[host], dst=CLIENT_MAC) / IP(src=ADDRESS, dst=CLIENT) / TCP(sport=80, dport=40_000, flags="A")


def names(host: str, packet: nbns.Packet) -> Packet:
    datagram = UDP(sport=nbns.PORT, dport=nbns.PORT) / nbns.encode(packet)
    return (
        Ether(src=MACS[host], dst=EVERYBODY) / IP(src=OWN if host == "target" else ADDRESS, dst="10.0.0.255") / datagram
    )


def answer(host: str) -> Packet:
    question = nbns.query("SOURCE", transaction=7)
    return names(host, nbns.positive_answer(question, (ADDRESS,), 300))


@pytest.mark.parametrize("operation", [1, 2])
def test_an_address_that_is_claimed_and_handed_back_has_one_owner(operation: int) -> None:
    wire = Wire()
    wire.put(reply("source"), page("source"), claim("target", operation), reply("target"), page("target"))
    wire.put(claim("source"), page("source"), reply("source"))
    verdict, detail = wire.judged()
    assert (verdict, "changed hands 2 times" in detail) == ("pass", True)


def test_the_machine_that_a_stale_cache_still_reaches_is_a_second_owner() -> None:
    wire = Wire()
    wire.put(reply("source"), claim("target"), reply("target"), page("source"), reply("target"))
    verdict, detail = wire.judged()
    assert verdict == "fail"
    assert "10.0.0.10 belonged to source and target at once from 4.000 s to 6.000 s" in detail


def test_two_that_answer_the_same_probes_are_two_owners() -> None:
    wire = Wire()
    wire.put(
        probe(OBSERVER_MAC), reply("source"), reply("target"), probe(OBSERVER_MAC), reply("source"), reply("target")
    )
    assert wire.judged()[0] == "fail"


def test_who_only_asks_whether_an_address_is_in_use_owns_nothing() -> None:
    wire = Wire()
    wire.put(reply("source"), probe(MACS["target"]), reply("source"))
    assert wire.judged()[0] == "pass"
    assert {run.owner for run in wire.history.answers if run.identity == ADDRESS} == {"source"}


def test_names_are_heard_with_claims_and_releases() -> None:
    wire = Wire()
    wire.put(answer("source"))
    wire.put(names("target", nbns.registration("SOURCE", OWN, transaction=8, kind=nbns.WORKSTATION)), answer("target"))
    wire.put(names("target", nbns.release("SOURCE", OWN, transaction=9, kind=nbns.WORKSTATION)), answer("source"))
    assert wire.judged()[0] == "pass"
    wire.put(answer("target"))
    assert "SOURCE belonged to target and source at once" in wire.judged()[1]


def test_what_is_no_hosts_frame_or_broken_is_left_alone() -> None:
    wire = Wire()
    before = len(wire.history.claims)
    wire.put(reply("source"), Ether(src=OBSERVER_MAC, dst=EVERYBODY) / ARP(op=2, psrc=ADDRESS, pdst=ADDRESS))
    broken = Ether(src=MACS["source"], dst=EVERYBODY) / IP(src=ADDRESS, dst=CLIENT)
    wire.put(broken / UDP(sport=nbns.PORT, dport=nbns.PORT) / b"\x00\x01")
    assert len(wire.history.claims) == before
    assert wire.judged()[0] == "pass"
