"""Requests read strictly, answers and errors written as JSON."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

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
from bodydouble.vocabulary.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

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


async def read_body(request: Request, type_: Any, no_body: Any = msgspec.NODEFAULT) -> Any:
    """Read the body as a ``type_``; no body at all means ``no_body``, where there is such a thing.

    Raises:
        InputError: too long, not JSON, or not what is expected there; names the place.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise InputError(f"the request's body is too long: at most {MAX_BODY} bytes are read")
    if not body and no_body is not msgspec.NODEFAULT:
        return no_body
    try:
        return msgspec.json.decode(body, type=type_, strict=True)
    except msgspec.DecodeError as error:
        raise InputError(f"the request's body: {error}") from error


def read_query(place: str, name: str, text: str | None, type_: Any, default: Any) -> Any:
    """One parameter of the query, or of the headers.

    Raises:
        InputError: it is not a ``type_``, or is missing.
    """
    if text is None:
        if default is msgspec.NODEFAULT:
            raise InputError(f"{place} parameter {name!r} is missing")
        return default
    try:
        return msgspec.convert(text, type_, strict=False)
    except msgspec.ValidationError as error:
        raise InputError(f"{place} parameter {name!r}: {error}") from error


def read_path(name: str, text: str, type_: Any) -> Any:
    """One part of the path.

    Raises:
        HTTPException: 404, there can be no such thing.
    """
    try:
        return msgspec.convert(text, type_, strict=False)
    except msgspec.ValidationError as error:
        words = f": {', '.join(get_args(type_))}" if get_origin(type_) is Literal else ""
        raise not_found(f"no {name} {text!r}{words}") from error


def refuse_unknown(request: Request, known: Collection[str]) -> None:
    """Let nobody believe that a parameter was heeded which this version does not know.

    Raises:
        InputError: the query has such a one, or one twice.
    """
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            raise InputError(f"query parameter {name!r} is not known here")
        if given.count(name) > 1:
            raise InputError(f"query parameter {name!r} is given twice")


def answer(value: Any, status: int = HTTPStatus.OK) -> Response:
    """A record, or a list of them, as JSON."""
    return Response(msgspec.json.encode(value), status, media_type=JSON)


def error_response(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal."""
    return Response(msgspec.json.encode(Refusal(text)), status, headers, JSON)


def not_found(what: str) -> HTTPException:
    """To be raised where a named thing does not exist."""
    return HTTPException(HTTPStatus.NOT_FOUND, what)


REFUSALS = (BodydoubleError, HTTPException, ClientDisconnect)
"""What ends a request without being a defect."""


def refusal(error: Exception) -> Response:
    """The answer to a request that ended with one of `REFUSALS`."""
    if isinstance(error, HTTPException):
        return error_response(error.status_code, error.detail, error.headers)
    if isinstance(error, ClientDisconnect):
        return error_response(HTTPStatus.BAD_REQUEST, "the request ended early")
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("a request failed: %s", error)
    return error_response(status, str(error))


async def _refused(_request: Request, error: Exception) -> Response:
    return refusal(error)


async def _defect(_request: Request, _error: Exception) -> Response:
    # The traceback goes to the log (the server writes it); a client learns nothing of the inside.
    return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the daemon's log has the details")


EXCEPTION_HANDLERS: dict[Any, Callable[..., Any]] = {**dict.fromkeys(REFUSALS, _refused), Exception: _defect}
