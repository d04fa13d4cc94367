"""What a network's parts must agree on, and errors that name both places when they do not.

Everything here is about plans: parts as somebody described them, in a program or in a file. The simulator checks what
is plugged in; whoever reads a description from elsewhere checks that, and finds in the error which of its values is
wrong and which other one it contradicts.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from bodydouble_sim.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Plan(NamedTuple):
    """An adapter that is to be put in.

    Attributes:
        place: what it is called in messages: machine and adapter name.
        segment: name of the segment that its cable goes to.
        addresses: with prefix length (``10.0.0.10/24``).
        mac: its MAC; None: one that nobody has.
        gateway: its default gateway, an address on the segment.
        duplicate: whether an address may be another adapter's as well.
    """

    place: str
    segment: str
    addresses: Sequence[str]
    mac: str | None = None
    gateway: str | None = None
    duplicate: bool = False


class Spot(NamedTuple):
    """One value of a plan: ``key`` is a field of `Plan`, or ``subnet`` of a segment; ``item`` counts addresses."""

    place: str
    key: str
    item: int = 0


def segment_place(name: str) -> str:
    """What a segment is called in messages and spots."""
    return f"segment {name}"


def check_segment(subnets: Mapping[str, str], name: str, subnet: str) -> None:
    """Refuse a subnet that is none, that the segment's contradicts, or that overlaps another segment's.

    Args:
        subnets: of the segments that there are, by name.
        name: of the segment.
        subnet: that it is to have.

    Raises:
        ConfigurationError: so it is.
    """
    spot = Spot(segment_place(name), "subnet")
    try:
        wanted = ipaddress.IPv4Network(subnet)
    except ValueError as error:
        raise _wrong(spot, f"expected a subnet like 10.0.0.0/24: {error}") from None
    for other, known in subnets.items():
        if other == name and known != subnet:
            raise ConfigurationError(f"segment {name} has the subnet {known} already; {subnet} differs")
        if other != name and wanted.overlaps(ipaddress.IPv4Network(known)):
            problem = f"{subnet} overlaps {known} of {segment_place(other)}"
            raise _wrong(spot, problem, Spot(segment_place(other), "subnet"))


def unknown_segment(segments: Iterable[str], name: str, place: str) -> ConfigurationError:
    """The error for a segment that is not there."""
    return _wrong(Spot(place, "segment"), f"no segment {name!r}; segments: {', '.join(segments) or 'none'}")


def check_adapter(subnets: Mapping[str, str], others: Iterable[Plan], plan: Plan) -> None:
    """Refuse addresses outside the segment's subnet, and names, addresses and MACs that are given already.

    Args:
        subnets: of the segments that there are, by name.
        others: the adapters that there are.
        plan: the adapter that is to be put in.

    Raises:
        ConfigurationError: so it is.
    """
    if plan.segment not in subnets:
        raise unknown_segment(subnets, plan.segment, plan.place)
    if not plan.addresses:
        raise _wrong(Spot(plan.place, "addresses"), "an adapter has at least one address")
    if plan.gateway is not None:
        prefixed = f"{plan.gateway}/{subnets[plan.segment].partition('/')[2]}"
        _check_inside(subnets, plan, Spot(plan.place, "gateway"), prefixed, "the gateway ")
    for index, text in enumerate(plan.addresses):
        _check_inside(subnets, plan, Spot(plan.place, "addresses", index), text)
    _check_once(plan)
    for other in others:
        _check_apart(other, plan)


def _check_once(plan: Plan) -> None:
    bare = [_bare(text) for text in plan.addresses]
    for index, address in enumerate(bare):
        first = bare.index(address)
        if first < index:
            spots = Spot(plan.place, "addresses", index), Spot(plan.place, "addresses", first)
            raise _wrong(spots[0], f"{address} is given twice", spots[1])


def _check_apart(other: Plan, plan: Plan) -> None:
    if other.place == plan.place:
        raise _wrong(Spot(plan.place, "name"), "the machine has an adapter of that name already")
    if plan.mac is not None and other.mac == plan.mac and other.segment == plan.segment:
        problem = f"the MAC {plan.mac} is {other.place}'s on {segment_place(plan.segment)} already"
        raise _wrong(Spot(plan.place, "mac"), problem, Spot(other.place, "mac"))
    if plan.duplicate:
        return
    theirs = [_bare(text) for text in other.addresses]
    for index, text in enumerate(plan.addresses):
        if _bare(text) in theirs:
            problem = f"the address {_bare(text)} is {other.place}'s already"
            spot = Spot(other.place, "addresses", theirs.index(_bare(text)))
            raise _wrong(Spot(plan.place, "addresses", index), problem, spot)


def _bare(address: str) -> str:
    return address.partition("/")[0]


def _check_inside(subnets: Mapping[str, str], plan: Plan, spot: Spot, text: str, what: str = "") -> None:
    try:
        interface = ipaddress.IPv4Interface(text)
    except ValueError as error:
        raise _wrong(spot, f"{what}expected an address like 10.0.0.10/24: {error}") from None
    subnet = ipaddress.IPv4Network(subnets[plan.segment])
    ends = () if subnet.num_addresses <= 2 else (subnet.network_address, subnet.broadcast_address)  # noqa: PLR2004
    if interface.network != subnet or interface.ip in ends:
        place = segment_place(plan.segment)
        problem = f"{what}{text} is no host address of {subnet}, {place}'s subnet"
        raise _wrong(spot, problem, Spot(place, "subnet"))


def _wrong(spot: Spot, problem: str, other: Spot | None = None) -> ConfigurationError:
    return ConfigurationError(f"{spot.place}: {problem}", problem=problem, spot=spot, other=other)
