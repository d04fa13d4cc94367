"""The OpenAPI 3.1 document of the control API, made from its operations.

Source: OpenAPI Specification 3.1. The schemas are msgspec's, of the very types that are decoded and encoded. In a
security requirement the list names roles, which 3.1 allows for schemes that have no scopes.
"""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any

import msgspec

from bodydouble import __version__
from bodydouble.control.answers import JSON
from bodydouble.vocabulary.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bodydouble.control.routing import Operation, Parameter

_SCHEME = "token"
_REFUSALS = {
    400: ("WrongRequest", "The request is wrong; the text names the place, what was expected and what to do."),
    401: ("NoToken", "No valid token was shown."),
    403: ("Forbidden", "The token's role does not allow it."),
    404: ("NotFound", "There is no such thing."),
    409: ("Conflict", "It does not fit the present state; the text says which state, and what to do first."),
    429: ("TooOften", "Too often; Retry-After says in how many seconds it may be tried again."),
    500: ("Failed", "The host failed; the text, or the daemon's log, says how."),
}
"""By status: the name of the answer among the components, and what it means."""


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The document, as JSON has it."""
    listed = list(operations)
    types = [Refusal, *(type_ for each in listed for type_ in _types(each))]
    found, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schemas = iter(found)
    refusal = next(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for each in listed:
        paths.setdefault(each.path, {})[each.method.lower()] = _described(each, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bodydouble control API",
            "version": __version__,
            "description": "Durations are seconds, times are UTC, sizes are bytes. Errors say what to do.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {name: _refused(text, refusal) for name, text in _REFUSALS.values()},
            "securitySchemes": {
                _SCHEME: {"type": "http", "scheme": "bearer", "description": "A token of the daemon, by its role."}
            },
        },
    }


def refused_statuses(operation: Operation) -> list[int]:
    """With which statuses an operation may be refused."""
    asked = operation.parameters or operation.body is not None or operation.changes
    named = any(each.place == "path" for each in operation.parameters)
    forbidden = operation.role == "admin"
    return [
        401,
        *([403] if forbidden else []),
        *([400] if asked else []),
        *([404] if named else []),
        *([409] if operation.conflicts else []),
        429,
        500,
    ]


def _types(operation: Operation) -> Iterator[Any]:
    """The types whose schemas `_described` needs, in the order in which it takes them."""
    yield from (each.type for each in operation.parameters)
    if operation.body is not None:
        yield operation.body
    if operation.answer is not NoneType:
        yield operation.answer


def _described(operation: Operation, schemas: Iterator[dict[str, Any]]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.text.partition("\n")[0],
        "tags": [operation.group],
        "security": [{_SCHEME: [operation.role]}],
    }
    if operation.parameters:
        described["parameters"] = [_parameter(each, next(schemas)) for each in operation.parameters]
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.no_body is msgspec.NODEFAULT,
            "content": {JSON: {"schema": next(schemas)}},
        }
    done: dict[str, Any]
    if operation.answer is NoneType:
        done = {"204": {"description": "Done."}}
    else:
        done = {"200": {"description": "The answer.", "content": {operation.media: {"schema": next(schemas)}}}}
    refused = {
        str(status): {"$ref": f"#/components/responses/{_REFUSALS[status][0]}"}
        for status in sorted(refused_statuses(operation))
    }
    return {**described, "responses": done | refused}


def _parameter(parameter: Parameter, schema: dict[str, Any]) -> dict[str, Any]:
    found = dict(schema)
    text = found.pop("description", "")
    if not parameter.required:
        found["default"] = parameter.default
    described = {"name": parameter.name, "in": parameter.place, "required": parameter.required, "schema": found}
    return {**described, "description": text} if text else described


def _refused(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"schema": schema}}}
