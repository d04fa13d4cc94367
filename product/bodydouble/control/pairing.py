"""The control API's operations on paired machines, and on pairing."""

from __future__ import annotations

from typing import Annotated

import msgspec

from bodydouble.control.answers import not_found
from bodydouble.control.backends import Backends
from bodydouble.control.routing import delete, get, post
from bodydouble.vocabulary.records import AcceptRequest, Offer, OfferRequest, OfferStatus, Pairings, Peer

PeerName = Annotated[str, msgspec.Meta(description="name of a paired machine")]


@get("peers")
async def pairings(backends: Backends) -> Pairings:
    """The daemon's own fingerprint, and the machines that it is paired with."""
    return Pairings(fingerprint=backends.trust.credential.fingerprint, peers=backends.trust.peers())


@delete("peers/{name}")
async def remove_peer(backends: Backends, name: PeerName) -> None:
    """Trust a machine no more."""
    if name.casefold() not in [peer.name.casefold() for peer in backends.trust.peers()]:
        raise not_found(f"no machine {name!r} is paired")
    await backends.trust.remove(name)


@post("pairing/offer")
async def offer_pairing(backends: Backends, body: OfferRequest) -> Offer:
    """Have a one-time code made up, for another machine to pair by."""
    return backends.pairing.offer(body)


@get("pairing/offer")
async def offered_pairing(backends: Backends) -> OfferStatus:
    """How the latest offer stands."""
    return backends.pairing.status()


@delete("pairing/offer")
async def withdraw_pairing(backends: Backends) -> None:
    """Let nobody use the offer any more."""
    backends.pairing.withdraw()


@post("pairing/accept")
async def accept_pairing(backends: Backends, body: AcceptRequest) -> Peer:
    """Pair with the machine that offers a code; answers when both have pinned each other."""
    return await backends.pairing.accept(body)
