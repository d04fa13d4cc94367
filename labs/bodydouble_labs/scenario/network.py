"""What a scenario says about its network: segments, routers between them, and the adapters of its machines."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Identifier = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9-]{0,62}$", description="a lower-case word: letters, digits and '-', up to 63")
]
ComputerName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z0-9][A-Z0-9-]{0,14}$",
        description="a NetBIOS computer name: up to 15 characters of A-Z, 0-9 and '-'",
    ),
]
Cidr = Annotated[
    str, Meta(pattern=r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$", description="an address with its prefix, like 10.0.0.10/24")
]
Address = Annotated[str, Meta(pattern=r"^\d{1,3}(\.\d{1,3}){3}$", description="an address, like 10.0.0.1")]
Mac = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$",
        description="the MAC of one adapter in lower case, like 02:00:00:00:00:10",
    ),
]
DriveLetter = Annotated[str, Meta(pattern=r"^[A-Z]$", description="a drive letter A-Z")]

DEFAULT_LATENCY = 0.0002


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every part of a scenario: immutable, strict about unknown keys."""


class SegmentSpec(Part, frozen=True, kw_only=True):
    """One Ethernet segment: a switch and its cables.

    Attributes:
        subnet: the addresses on it.
        latency: seconds from adapter to adapter.
        bandwidth: bits per second of each cable; without limit when absent.
        jitter: at most so many seconds are added to the latency of each direction of a cable.
        queue: bytes that wait in front of a cable at most; for segments with a ``bandwidth``.
    """

    subnet: Cidr
    latency: Annotated[float, Meta(ge=0, le=10)] = DEFAULT_LATENCY
    bandwidth: Annotated[float, Meta(ge=1000, le=1e12)] | None = None
    jitter: Annotated[float, Meta(ge=0, le=10)] = 0.0
    queue: Annotated[int, Meta(ge=1600, le=1 << 30)] | None = None

    @property
    def plain(self) -> bool:
        """Whether it is a cable like any other: no latency of its own, no limits."""
        return self == SegmentSpec(subnet=self.subnet)


class RouterSpec(Part, frozen=True, kw_only=True):
    """A router: it forwards between the segments on which it has an address.

    Attributes:
        addresses: its address on each segment, by the segment's name.
        routes: networks behind other routers, each with the address of the next one.
    """

    addresses: Annotated[dict[Identifier, Cidr], Meta(min_length=1)]
    routes: dict[Cidr, Address] = {}


class NetworkSpec(Part, frozen=True, kw_only=True):
    """The network: either one ``segment`` with its ``subnet``, or ``segments`` and the ``routers`` between them."""

    segment: Identifier | None = None
    subnet: Cidr | None = None
    segments: Annotated[dict[Identifier, SegmentSpec], Meta(min_length=1)] | None = None
    routers: dict[Identifier, RouterSpec] = {}

    @property
    def all_segments(self) -> dict[str, SegmentSpec]:
        """The segments by name, in whichever way they are written."""
        if self.segments is not None:
            return self.segments
        return {self.segment: SegmentSpec(subnet=self.subnet)} if self.segment and self.subnet else {}

    def segment_of(self, adapter: AdapterSpec) -> str:
        """Name of the segment that an adapter is on; where there is one only, nobody has to say it."""
        return adapter.segment or next(iter(self.all_segments))


class AdapterSpec(Part, frozen=True, kw_only=True):
    """A network adapter.

    Attributes:
        address: its static address.
        segment: the segment that its cable goes to; needed where the network has several.
        more_addresses: further static addresses.
        mac: its MAC; one that nobody else has when absent.
        gateway: its default gateway, a router's address on the segment.
    """

    address: Cidr
    segment: Identifier | None = None
    more_addresses: list[Cidr] = []
    mac: Mac | None = None
    gateway: Address | None = None

    @property
    def addresses(self) -> list[str]:
        """All its addresses, its own first."""
        return [self.address, *self.more_addresses]


class HostSpec(AdapterSpec, frozen=True, kw_only=True):
    """One machine, with its first adapter.

    Attributes:
        role: ``server`` (can be a source or a target) or ``client`` (runs the workload and the operator's console).
        computer_name: its permanent NetBIOS name.
        more_adapters: further adapters.
        hosts_file: names with their addresses that it need not ask for; broadcasts for a name end at routers.
        operating_system: what a server runs; a client has none to name.
        service_pack: its service pack, 0 for none; the latest when absent.
        drives: a server's volumes by letter, each with its file system.
    """

    role: Literal["server", "client"]
    computer_name: ComputerName
    more_adapters: list[AdapterSpec] = []
    hosts_file: dict[ComputerName, Address] = {}
    operating_system: Literal["windows-nt-4", "windows-2000"] | None = None
    service_pack: Annotated[int, Meta(ge=0, le=6)] | None = None
    drives: dict[DriveLetter, Literal["ntfs", "fat32", "fat16"]] = {}

    @property
    def ip(self) -> str:
        """The address without its prefix length."""
        return self.address.partition("/")[0]

    @property
    def adapters(self) -> list[AdapterSpec]:
        """All its adapters, the first one first."""
        return [self, *self.more_adapters]
