"""The control API, version 1: all of its operations, and the application that serves them.

What there is stands in the operations alone (`bodydouble.control.routing`). `bodydouble openapi` prints it, and
``GET /v1/openapi.json`` answers it; docs/control-api.md says the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette

from bodydouble.control import (
    chngname,
    connections,
    failover,
    guard,
    inventory,
    observation,
    options,
    pairing,
    replication_sets,
    restoration,
    services,
    tokens,
    verification,
)
from bodydouble.control.access import TokenGate
from bodydouble.control.answers import EXCEPTION_HANDLERS
from bodydouble.control.backends import Backends
from bodydouble.control.calls import routes
from bodydouble.control.openapi import document
from bodydouble.control.routing import get, operations_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from bodydouble.control.routing import Operation

__all__ = ["OPERATIONS", "Backends", "build_app", "description"]


def description() -> dict[str, Any]:
    """The OpenAPI document."""
    return document(OPERATIONS)


@get("openapi.json")
async def openapi(_backends: Backends) -> dict[str, Any]:
    """This description of the API."""
    return description()


OPERATIONS: tuple[Operation, ...] = (
    *operations_of(chngname),
    *operations_of(connections),
    *operations_of(failover),
    *operations_of(guard),
    *operations_of(inventory),
    *operations_of(observation),
    *operations_of(options),
    *operations_of(pairing),
    *operations_of(replication_sets),
    *operations_of(restoration),
    *operations_of(services),
    *operations_of(tokens),
    *operations_of(verification),
    openapi,
)
"""Every operation. One that is declared in a module of its own is served and described once the module stands here."""


def build_app(backends: Backends) -> ASGIApp:
    """The ASGI application, closed to everybody without a token."""
    return TokenGate(serve(OPERATIONS, backends), backends.tokens, backends.events)


def serve(operations: tuple[Operation, ...], backends: Backends) -> ASGIApp:
    """The application, open to everybody."""
    app = Starlette(routes=list(routes(operations, backends)), exception_handlers=EXCEPTION_HANDLERS)
    app.router.redirect_slashes = False  # a path with a slash at its end names nothing
    return app
