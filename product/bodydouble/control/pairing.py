"""Routes of paired machines, and of pairing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.control.answers import answer, not_found, read_body
from bodydouble.control.routing import delete as _delete
from bodydouble.control.routing import done as _done
from bodydouble.control.routing import get as _get
from bodydouble.control.routing import post as _post
from bodydouble.vocabulary.records import AcceptRequest, OfferRequest, Pairings

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from bodydouble.security.pairing import Pairing
    from bodydouble.security.trust import Trust


def pairing_routes(trust: Trust, pairing: Pairing) -> list[Route]:
    """Everything about whom the machine is paired with."""

    async def peers(_request: Request) -> Response:
        return answer(Pairings(fingerprint=trust.credential.fingerprint, peers=trust.peers()))

    async def remove(request: Request) -> Response:
        name: str = request.path_params["name"]
        if name.casefold() not in [peer.name.casefold() for peer in trust.peers()]:
            raise not_found(f"no machine {name!r} is paired")
        await trust.remove(name)
        return _done()

    async def offer(request: Request) -> Response:
        return answer(pairing.offer(await read_body(request, OfferRequest)))

    async def offered(_request: Request) -> Response:
        return answer(pairing.status())

    async def withdraw(_request: Request) -> Response:
        pairing.withdraw()
        return _done()

    async def accept(request: Request) -> Response:
        return answer(await pairing.accept(await read_body(request, AcceptRequest)))

    return [
        _get("peers", peers),
        _delete("peers/{name}", remove),
        _post("pairing/offer", offer),
        _get("pairing/offer", offered),
        _delete("pairing/offer", withdraw),
        _post("pairing/accept", accept),
    ]
