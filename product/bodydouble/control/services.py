"""The control API's operations on the host's services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from bodydouble.control.answers import not_found
from bodydouble.control.backends import Backends
from bodydouble.control.routing import get, post
from bodydouble.errors import ServiceError
from bodydouble.vocabulary.records import ServiceStatus

if TYPE_CHECKING:
    from bodydouble.ports import Services

ServiceName = Annotated[str, msgspec.Meta(description="short name of a service")]


@get("services/{name}")
async def service(backends: Backends, name: ServiceName) -> ServiceStatus:
    """A service's state."""
    return await _found(name, backends.host.services)


@post("services/{name}/start")
async def start_service(backends: Backends, name: ServiceName) -> ServiceStatus:
    """Start a service; answers once it runs."""
    services = backends.host.services
    await services.start((await _found(name, services)).name)
    return await _found(name, services)


@post("services/{name}/stop")
async def stop_service(backends: Backends, name: ServiceName) -> ServiceStatus:
    """Stop a service and what depends on it; answers once it has stopped."""
    services = backends.host.services
    await services.stop((await _found(name, services)).name)
    return await _found(name, services)


async def _found(name: str, services: Services) -> ServiceStatus:
    try:
        return await services.query(name)
    except ServiceError as error:
        raise not_found(str(error)) from error
