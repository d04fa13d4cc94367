"""Requests read strictly, answers and errors written as JSON."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from bodydouble.errors import (
    BodydoubleError,
    ConnectionStateError,
    DuplicateIdentityError,
    FilterError,
    InputError,
    PairingError,
    PathError,
    ServiceError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

MAX_BODY = 1 << 20
"""Bytes that the body of a request may have."""

JSON = "application/json"

_STATUS: tuple[tuple[type[BodydoubleError], int], ...] = (
    (InputError, HTTPStatus.BAD_REQUEST),
    (PathError, HTTPStatus.BAD_REQUEST),
    (ConnectionStateError, HTTPStatus.CONFLICT),
    (DuplicateIdentityError, HTTPStatus.CONFLICT),
    (PairingError, HTTPStatus.CONFLICT),
    (ServiceError, HTTPStatus.CONFLICT),
    (FilterError, HTTPStatus.CONFLICT),
)

_log = logging.getLogger(__name__)


async def read_body(request: Request, type_: type[T], *, empty: T | None = None) -> T:
    """Read the body as a ``type_``; no body at all means ``empty``, where there is such a thing.

    Raises:
        InputError: too long, not JSON, or not what is expected there; names the place.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise InputError(f"the request's body is too long: at most {MAX_BODY} bytes are read")
    if not body and empty is not None:
        return empty
    try:
        return msgspec.json.decode(body, type=type_, strict=True)
    except msgspec.DecodeError as error:
        raise InputError(f"the request's body: {error}") from error


def read_query(request: Request, name: str, type_: type[T], default: T) -> T:
    """One query parameter.

    Raises:
        InputError: it is not a ``type_``.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        return msgspec.convert(text, type_, strict=False)
    except msgspec.ValidationError as error:
        raise InputError(f"query parameter {name!r}: {error}") from error


def answer(value: Any, status: int = HTTPStatus.OK) -> Response:
    """A record, or a list of them, as JSON."""
    return Response(msgspec.json.encode(value), status, media_type=JSON)


def error_response(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """The JSON shape of every error."""
    return Response(msgspec.json.encode({"error": text}), status, headers, JSON)


def not_found(what: str) -> HTTPException:
    """To be raised where a named thing does not exist."""
    return HTTPException(HTTPStatus.NOT_FOUND, what)


async def _refused(_request: Request, error: Exception) -> Response:
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("a request failed: %s", error)
    return error_response(status, str(error))


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, error.detail, error.headers)


async def _gone(_request: Request, _error: Exception) -> Response:
    return error_response(HTTPStatus.BAD_REQUEST, "the request ended early")


async def _defect(_request: Request, _error: Exception) -> Response:
    # The traceback goes to the log (the server writes it); a client learns nothing of the inside.
    return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the daemon's log has the details")


EXCEPTION_HANDLERS: dict[Any, Callable[..., Any]] = {
    BodydoubleError: _refused,
    HTTPException: _http_error,
    ClientDisconnect: _gone,
    Exception: _defect,
}
