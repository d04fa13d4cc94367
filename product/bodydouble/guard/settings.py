"""The ``[guard]`` table of the daemon's configuration."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec

from bodydouble.errors import InputError
from bodydouble.vocabulary.records import InterfaceAddress  # noqa: TC001 - msgspec reads the annotations
from bodydouble.vocabulary.witnesses import MAX_LEASE, witness_of

LOOK_SECONDS = 3.0
"""What one look at the wire and the witnesses takes at most."""


class GuardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a source does lest it and its stand-in answer for one address.

    Attributes:
        addresses: those that another machine may take over; without any, nothing is guarded.
        witnesses: machines that answer while this one is not cut off: to a ping (``10.0.0.1``, the gateway), or, paired
            with this one, by leasing it its addresses (``10.0.0.30:6320``). Where there are such, only they count.
        interval: seconds between two looks.
        lost_after: seconds without any witness after which the addresses are given up: less than what the target's
            monitor waits, by two intervals at least, so that they are free before it takes them.
    """

    addresses: list[InterfaceAddress] = []
    witnesses: list[str] = []
    interval: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 1.0
    lost_after: Annotated[float, msgspec.Meta(ge=0.2, le=86_400)] = 15.0


def check_guard(settings: GuardSettings) -> None:
    """Check what the types do not say.

    Raises:
        InputError: names the key and what is expected.
    """
    for item in settings.addresses:
        try:
            ipaddress.IPv4Interface(item.address)
        except ValueError as error:
            raise InputError(
                f"guard.addresses: expected an address such as 10.0.0.10/24, got {item.address!r}"
            ) from error
        if "/" not in item.address:
            raise InputError(f"guard.addresses: expected a prefix length, such as {item.address}/24")
    own = [item.address.partition("/")[0] for item in settings.addresses]
    for each in settings.witnesses:
        witness = witness_of(each, "guard.witnesses")
        if witness.address in own:
            raise InputError(f"guard.witnesses: {witness.address} is one of the guarded addresses: it proves nothing")
    if settings.witnesses and settings.lost_after < 2 * settings.interval:
        least = f"two intervals at least ({2 * settings.interval:g} s)"
        raise InputError(f"guard.lost_after: expected {least}, got {settings.lost_after:g}")
    most = settings.lost_after + MAX_LEASE - lease_of(settings)
    if settings.lost_after > most and any(witness_of(each, "").port for each in settings.witnesses):
        raise InputError(f"guard.lost_after: expected {most:g} at most with a paired witness")


def lease_of(settings: GuardSettings) -> float:
    """For how many seconds a paired witness is to let nobody else have the addresses: until this one is off them."""
    return settings.lost_after + 2 * settings.interval + LOOK_SECONDS
