"""Routes of the control API: the prefix, the methods, and what the path names."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from bodydouble.control.answers import not_found

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from bodydouble.replication.service import ReplicationService

    Endpoint = Callable[[Request], Awaitable[Response]]


def get(path: str, endpoint: Endpoint) -> Route:
    """A route that only looks."""
    return Route(f"/v1/{path}", endpoint, methods=["GET"])


def post(path: str, endpoint: Endpoint) -> Route:
    """A route that makes something happen."""
    return Route(f"/v1/{path}", endpoint, methods=["POST"])


def put(path: str, endpoint: Endpoint) -> Route:
    """A route that replaces a setting."""
    return Route(f"/v1/{path}", endpoint, methods=["PUT"])


def delete(path: str, endpoint: Endpoint) -> Route:
    """A route that takes something away."""
    return Route(f"/v1/{path}", endpoint, methods=["DELETE"])


def done() -> Response:
    """The answer to what has no other."""
    return Response(status_code=HTTPStatus.NO_CONTENT)


def connection_of(request: Request, service: ReplicationService) -> int:
    """The connection that the path names.

    Raises:
        HTTPException: 404, there is none.
    """
    id_: int = request.path_params["id"]
    if id_ not in [item.id for item in service.connections()]:
        raise not_found(f"no connection {id_}")
    return id_


def set_of(request: Request, service: ReplicationService) -> str:
    """The replication set that the path names.

    Raises:
        HTTPException: 404, there is none.
    """
    name: str = request.path_params["name"]
    if name not in [item.name for item in service.sets()]:
        raise not_found(f"no replication set {name!r}")
    return name
