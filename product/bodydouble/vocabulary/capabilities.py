"""What volumes keep of a file: everything that an operation can carry, or less."""

from __future__ import annotations

import msgspec

EVERY_BIT = 0xFFFFFFFF
LARGEST = 2**62
EVER = 2**63 - 1
_REFUSED = frozenset('"*:<>?|\\')


class Capabilities(msgspec.Struct, frozen=True, array_like=True):
    """What a volume keeps of a file besides its names and bytes. Without arguments: everything.

    Attributes:
        security: owner and permissions.
        attributes: the bits of `Metadata.attributes` that it keeps.
        extended: how the names of the extended attributes begin that it keeps; the empty text begins all.
        hard_links: whether a file may have several names.
        symbolic_links: whether there may be symbolic links.
        junctions: whether a symbolic link may be a junction, or what stands for one.
        holes: whether holes take no space.
        time_grain_ns: times of last write are kept to so many nanoseconds.
        largest_file: bytes that a file can have.
        streams: whether there may be named streams.
        created_grain_ns: creation times are kept to so many nanoseconds; 0: they cannot be set.
        case_sensitive: whether two names that differ in case only are two files.
        every_name: whether a name may have every character and end with any; otherwise see `keeps_name`.
        earliest_ns: times of last write before this one become another one.
        latest_ns: those after this one, too.
    """

    security: bool = True
    attributes: int = EVERY_BIT
    extended: tuple[str, ...] = ("",)
    hard_links: bool = True
    symbolic_links: bool = True
    junctions: bool = True
    holes: bool = True
    time_grain_ns: int = 1
    largest_file: int = LARGEST
    streams: bool = True
    created_grain_ns: int = 1
    case_sensitive: bool = True
    every_name: bool = True
    earliest_ns: int = -EVER
    latest_ns: int = EVER

    def keeps_extended(self, name: str) -> bool:
        """Whether it keeps an extended attribute of that name."""
        return name.startswith(self.extended)

    def keeps_name(self, name: str) -> bool:
        """Whether it can have a file of this name."""
        return self.every_name or not (_REFUSED.intersection(name) or name.endswith((".", " ")))


def common(one: Capabilities, other: Capabilities) -> Capabilities:
    """What both of two volumes keep."""
    extended = [each for each in one.extended if each.startswith(other.extended)]
    grains = one.created_grain_ns, other.created_grain_ns
    extended += [each for each in other.extended if each.startswith(one.extended) and each not in extended]
    return Capabilities(
        security=one.security and other.security,
        attributes=one.attributes & other.attributes,
        extended=tuple(extended),
        hard_links=one.hard_links and other.hard_links,
        symbolic_links=one.symbolic_links and other.symbolic_links,
        junctions=one.junctions and other.junctions,
        holes=one.holes and other.holes,
        time_grain_ns=max(one.time_grain_ns, other.time_grain_ns),
        largest_file=min(one.largest_file, other.largest_file),
        streams=one.streams and other.streams,
        created_grain_ns=max(grains) if all(grains) else 0,
        case_sensitive=one.case_sensitive and other.case_sensitive,
        every_name=one.every_name and other.every_name,
        earliest_ns=max(one.earliest_ns, other.earliest_ns),
        latest_ns=min(one.latest_ns, other.latest_ns),
    )
