"""Declares the control API's operations: a handler's signature and docstring are all that is said about each.

``@get("connections/{id}/orphans")`` makes an `Operation` of an async function. Its first parameter is the `Backends`.
Of the others, one that the path names comes from there, ``body`` is the request's body, ``request`` the request
itself, and the rest are query parameters, or headers where their type says ``header(NAME)``; what has a default may be
left out. What is annotated as returned is the answer; ``None`` means 204. `bodydouble.control.calls` carries operations
out, `bodydouble.control.openapi` describes them, both from the same record.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from bodydouble.control.answers import JSON, not_found

if TYPE_CHECKING:
    from types import ModuleType

    from bodydouble.replication.service import ReplicationService
    from bodydouble.vocabulary.tokens import AccessRole

Handler = Callable[..., Awaitable[Any]]
Method = Literal["GET", "POST", "PUT", "DELETE"]
Place = Literal["path", "query", "header"]

ConnectionId = Annotated[int, msgspec.Meta(ge=1, description="number of a connection of this source")]
SetPath = Annotated[str, msgspec.Meta(description="name of a replication set")]

_HEADER = "header"


def header(name: str, description: str, *, ge: int | None = None) -> msgspec.Meta:
    """Says of a parameter that it is a header."""
    return msgspec.Meta(description=description, ge=ge, extra={_HEADER: name})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation.

    Attributes:
        keyword: of the handler.
        name: in the path, the query or the header.
        place: which of these.
        type: with its bounds.
        default: `msgspec.NODEFAULT` where it may not be left out.
    """

    keyword: str
    name: str
    place: Place
    type: Any
    default: Any = msgspec.NODEFAULT

    @property
    def required(self) -> bool:
        """Whether it may not be left out."""
        return self.default is msgspec.NODEFAULT


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path.

    Attributes:
        method: HTTP's.
        path: with its parameters in braces.
        name: of the operation in the document and of the client's method.
        group: what it is about.
        text: what it does, the handler's docstring.
        role: the least that may.
        handler: does it.
        parameters: of path, query and headers.
        body: the type of the request's body; None: none is read.
        no_body: what no body at all means; `msgspec.NODEFAULT`: there has to be one.
        asks: the handler is given the request.
        answer: the type of the answer; NoneType: none, status 204.
        media: the answer's media type; other than JSON it is text.
        conflicts: it may not fit the present state.
    """

    method: Method
    path: str
    name: str
    group: str
    text: str
    role: AccessRole
    handler: Handler
    parameters: tuple[Parameter, ...]
    body: Any
    no_body: Any
    asks: bool
    answer: Any
    media: str
    conflicts: bool

    @property
    def changes(self) -> bool:
        """Whether it does more than look."""
        return self.method != "GET"


def get(
    path: str, *, role: AccessRole = "monitor", media: str = JSON, answer: Any = str, conflicts: bool = False
) -> Callable[[Handler], Operation]:
    """An operation that only looks.

    Args:
        path: in the version, without the leading slash.
        role: the least that may.
        media: of the answer.
        answer: what other media than JSON hold.
        conflicts: the present state may have nothing to look at, status 409.
    """
    return _declared("GET", path, role, media, answer, conflicts=conflicts)


def post(path: str) -> Callable[[Handler], Operation]:
    """An operation that makes something happen."""
    return _declared("POST", path, "admin")


def put(path: str) -> Callable[[Handler], Operation]:
    """An operation that replaces a setting."""
    return _declared("PUT", path, "admin")


def delete(path: str) -> Callable[[Handler], Operation]:
    """An operation that takes something away."""
    return _declared("DELETE", path, "admin")


def operations_of(*modules: ModuleType) -> tuple[Operation, ...]:
    """All that were declared in these modules, in the order in which they are written."""
    return tuple(each for module in modules for each in vars(module).values() if isinstance(each, Operation))


def _declared(
    method: Method, path: str, role: AccessRole, media: str = JSON, answer: Any = str, *, conflicts: bool = True
) -> Callable[[Handler], Operation]:
    # A path with a leading slash is outside of the version.
    full = path if path.startswith("/") else f"/v1/{path}"

    def declare(handler: Handler) -> Operation:
        hints = get_type_hints(handler, include_extras=True)
        signature = inspect.signature(handler)
        _, *asked = signature.parameters.values()
        found = {each.name: (hints[each.name], _default(each)) for each in asked}
        body, no_body = found.pop("body", (None, msgspec.NODEFAULT))
        asks = found.pop("request", None) is not None
        return Operation(
            method=method, path=full, name=handler.__name__, group=handler.__module__.rpartition(".")[2],
            text=inspect.getdoc(handler) or "", role=role, handler=handler,
            parameters=tuple(_parameter(full, keyword, *about) for keyword, about in found.items()),
            body=body, no_body=no_body, asks=asks, answer=hints["return"] if media == JSON else answer, media=media,
            conflicts=conflicts,
        )  # fmt: skip

    return declare


def _default(parameter: inspect.Parameter) -> Any:
    return msgspec.NODEFAULT if parameter.default is inspect.Parameter.empty else parameter.default


def _parameter(path: str, keyword: str, type_: Any, default: Any) -> Parameter:
    name = keyword.rstrip("_")
    if f"{{{name}}}" in path:
        return Parameter(keyword, name, "path", type_)
    named = _header_of(type_)
    if named is not None:
        return Parameter(keyword, named, "header", type_, default)
    return Parameter(keyword, name, "query", type_, default)


def _header_of(type_: Any) -> str | None:
    if get_origin(type_) is not Annotated:
        return None
    metas = [each for each in get_args(type_)[1:] if isinstance(each, msgspec.Meta)]
    return next((each.extra[_HEADER] for each in metas if each.extra and _HEADER in each.extra), None)


def the_connection(id_: int, service: ReplicationService) -> int:
    """The connection that the path names.

    Raises:
        HTTPException: 404, there is none.
    """
    if id_ not in [item.id for item in service.connections()]:
        raise not_found(f"no connection {id_}")
    return id_


def the_set(name: str, service: ReplicationService) -> str:
    """The replication set that the path names.

    Raises:
        HTTPException: 404, there is none.
    """
    if name not in [item.name for item in service.sets()]:
        raise not_found(f"no replication set {name!r}")
    return name
