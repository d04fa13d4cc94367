"""What a network's parts must agree on, and errors that name both places when they do not."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from bodydouble_sim.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.segment import Network, Segment


class Plan(NamedTuple):
    """An adapter that is to be put in; ``place`` is machine and adapter name."""

    place: str
    addresses: list[str]
    mac: str | None
    gateway: str | None
    duplicate: bool


def check_segment(segments: Mapping[str, Segment], name: str, subnet: str) -> None:
    """Refuse a subnet that is none, that the segment's contradicts, or that overlaps another segment's.

    Raises:
        ConfigurationError: so it is.
    """
    try:
        wanted = ipaddress.IPv4Network(subnet)
    except ValueError as error:
        raise ConfigurationError(f"segment {name}: expected a subnet like 10.0.0.0/24: {error}") from None
    for other, segment in segments.items():
        if other == name and segment.subnet != subnet:
            raise ConfigurationError(f"segment {name} has the subnet {segment.subnet} already; {subnet} differs")
        if other != name and wanted.overlaps(ipaddress.IPv4Network(segment.subnet)):
            raise ConfigurationError(f"segment {name}: {subnet} overlaps {segment.subnet} of segment {other}")


def unknown_segment(segments: Mapping[str, Segment], name: str, place: str) -> ConfigurationError:
    """The error for a segment that is not there."""
    return ConfigurationError(f"{place}: no segment {name!r}; segments: {', '.join(segments) or 'none'}")


def check_adapter(network: Network, segment: Segment, plan: Plan) -> None:
    """Refuse addresses outside the segment's subnet, and names, addresses and MACs that are given already.

    Raises:
        ConfigurationError: so it is.
    """
    if not plan.addresses:
        raise ConfigurationError(f"{plan.place}: an adapter has at least one address")
    if plan.gateway is not None:
        _inside(segment, plan.place, "the gateway ", f"{plan.gateway}/{segment.subnet.partition('/')[2]}")
    ours = [_inside(segment, plan.place, "", text) for text in plan.addresses]
    for address in ours:
        if ours.count(address) > 1:
            raise ConfigurationError(f"{plan.place}: {address} is given twice")
    for nic in _nics(network):
        other = f"{nic.machine.name}/{nic.name}"
        if other == plan.place:
            raise ConfigurationError(f"{plan.place}: the machine has an adapter of that name already")
        if nic.mac == plan.mac and nic.segment is segment:
            raise ConfigurationError(f"{plan.place}: the MAC {plan.mac} is {other}'s on segment {segment.name} already")
        for address in ours:
            if not plan.duplicate and address in {text.partition("/")[0] for text in nic.static}:
                raise ConfigurationError(f"{plan.place}: the address {address} is {other}'s already")


def _nics(network: Network) -> Iterator[Nic]:
    for segment in network.segments.values():
        yield from segment.nics


def _inside(segment: Segment, place: str, what: str, text: str) -> str:
    try:
        interface = ipaddress.IPv4Interface(text)
    except ValueError as error:
        raise ConfigurationError(f"{place}: {what}expected an address like 10.0.0.10/24: {error}") from None
    subnet = ipaddress.IPv4Network(segment.subnet)
    ends = () if subnet.num_addresses <= 2 else (subnet.network_address, subnet.broadcast_address)  # noqa: PLR2004
    if interface.network != subnet or interface.ip in ends:
        raise ConfigurationError(
            f"{place}: {what}{text} is no host address of {subnet}, segment {segment.name}'s subnet"
        )
    return str(interface.ip)
