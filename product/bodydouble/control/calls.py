"""Carries out operations: reads what they ask for, calls the handler, writes the answer."""

from __future__ import annotations

from http import HTTPStatus
from types import NoneType
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from bodydouble.control.access import CALLER
from bodydouble.control.answers import (
    JSON,
    REFUSALS,
    answer,
    error_response,
    read_body,
    read_path,
    read_query,
    refusal,
    refuse_unknown,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from bodydouble.control.backends import Backends
    from bodydouble.control.routing import Operation, Parameter


def routes(operations: Iterable[Operation], backends: Backends) -> list[Route]:
    """A route for each path, in the order of the operations."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [_route(path, by_method, backends) for path, by_method in by_path.items()]


def _route(path: str, by_method: dict[str, Operation], backends: Backends) -> Route:
    async def endpoint(request: Request) -> Response:
        operation = by_method["GET" if request.method == "HEAD" else request.method]
        return await (_audited if operation.changes else _allowed)(operation, backends, request)

    return Route(path, endpoint, methods=list(by_method))


async def _audited(operation: Operation, backends: Backends, request: Request) -> Response:
    status: int | None = None
    try:
        response = await _refusing(operation, backends, request)
        status = response.status_code
    except Exception:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        raise
    finally:
        backends.audit.note(request, request.scope[CALLER], status)
    return response


async def _refusing(operation: Operation, backends: Backends, request: Request) -> Response:
    try:
        return await _allowed(operation, backends, request)
    except REFUSALS as error:
        return refusal(error)


async def _allowed(operation: Operation, backends: Backends, request: Request) -> Response:
    """The one place where roles are looked at."""
    role = request.scope[CALLER].holder.role
    if operation.role == "admin" and role != "admin":
        return error_response(HTTPStatus.FORBIDDEN, f"a token with the role {role} may look, and change nothing")
    return await _carry_out(operation, backends, request)


async def _carry_out(operation: Operation, backends: Backends, request: Request) -> Response:
    refuse_unknown(request, [each.name for each in operation.parameters if each.place == "query"])
    values = {each.keyword: _read(each, request) for each in operation.parameters}
    if operation.body is not None:
        values["body"] = await read_body(request, operation.body, operation.no_body)
    if operation.asks:
        values["request"] = request
    result = await operation.handler(backends, **values)
    if isinstance(result, Response):
        return result
    if operation.answer is NoneType:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return answer(result) if operation.media == JSON else Response(result, media_type=operation.media)


def _read(parameter: Parameter, request: Request) -> Any:
    if parameter.place == "path":
        return read_path(parameter.name, request.path_params[parameter.name], parameter.type)
    given = request.query_params if parameter.place == "query" else request.headers
    return read_query(parameter.place, parameter.name, given.get(parameter.name), parameter.type, parameter.default)
