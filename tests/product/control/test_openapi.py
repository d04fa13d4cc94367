from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from bodydouble.cli.main import cli
from bodydouble.control import api, connections
from bodydouble.control.access import CALLER, Caller
from bodydouble.control.api import OPERATIONS, description
from bodydouble.control.backends import Backends
from bodydouble.control.openapi import document
from bodydouble.control.routing import Operation, delete, get, operations_of, post
from bodydouble.security.tokens import Holder

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis, of the extra [dev], is not installed")


no_services: Any = None  # of these operations nothing is asked
anyone = Holder("anyone", "admin", b"")


def answered(operations: tuple[Operation, ...], method: str, path: str) -> httpx.Response:
    async def main() -> httpx.Response:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await api.serve(operations, no_services)({**scope, CALLER: Caller(anyone, "here")}, receive, send)

        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://daemon") as client:
            return await client.request(method, path)

    return asyncio.run(main())


def described(found: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, item in found["paths"].items() for method in item}


def test_every_operation_is_described_and_nothing_else() -> None:
    assert described(description()) == {(each.method, each.path) for each in OPERATIONS}
    assert len({each.name for each in OPERATIONS}) == len(OPERATIONS), "an operation's name is its own"


def test_the_served_routes_are_those_of_the_operations() -> None:
    app: Any = api.serve(OPERATIONS, no_services)
    served = {(method, route.path) for route in app.routes for method in route.methods - {"HEAD"}}
    assert served == described(description())


def test_the_document_is_valid() -> None:
    schemathesis.openapi.from_dict(description()).validate()


def test_an_invalid_document_is_seen() -> None:
    broken = description()
    broken["paths"]["/v1/events"]["get"]["parameters"][0]["in"] = "cellar"
    with pytest.raises(Exception, match="cellar"):
        schemathesis.openapi.from_dict(broken).validate()


def test_the_document_says_bounds_bodies_answers_refusals_and_roles() -> None:
    paths = description()["paths"]
    events = paths["/v1/events"]["get"]
    assert events["parameters"] == [
        {
            "name": "after",
            "in": "query",
            "required": False,
            "schema": {"type": "integer", "minimum": 0, "default": 0},
            "description": "only events with a higher number",
        }
    ]
    assert events["security"] == [{"token": ["monitor"]}]
    mirror = paths["/v1/connections/{id}/mirror"]["post"]
    assert mirror["requestBody"]["required"] is False
    assert mirror["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/MirrorOrder"
    }
    assert mirror["security"] == [{"token": ["admin"]}]
    assert {"200", "400", "401", "404", "409", "500"} <= set(mirror["responses"])
    assert "204" in paths["/v1/connections/{id}"]["delete"]["responses"]


def test_the_command_prints_what_the_daemon_answers() -> None:
    printed = CliRunner().invoke(cli, ["openapi"])
    assert printed.exit_code == 0
    assert json.loads(printed.output) == answered(OPERATIONS, "GET", "/v1/openapi.json").json()


def test_all_operations_of_a_module_are_found() -> None:
    assert {each.name for each in operations_of(connections)} >= {"connections", "disconnect", "resume_replica"}


def test_a_handler_is_described_by_its_signature_alone() -> None:
    @post("widgets/{id}")
    async def widget(_backends: Backends, id_: int, body: dict[str, int], colour: str = "red") -> list[int]:
        """Make a widget."""
        raise NotImplementedError

    (path,) = document([widget])["paths"].values()
    assert path["post"]["summary"] == "Make a widget."
    assert [(each["name"], each["in"]) for each in path["post"]["parameters"]] == [("id", "path"), ("colour", "query")]
    assert path["post"]["responses"]["200"]["content"]["application/json"]["schema"]["type"] == "array"
    assert widget.changes


def test_methods_of_one_path_are_told_when_another_is_asked_for() -> None:
    @get("widgets")
    async def widgets(_backends: Backends) -> list[int]:
        """All."""
        return []

    @delete("widgets")
    async def clear(_backends: Backends) -> None:
        """None."""

    refused = answered((widgets, clear), "PUT", "/v1/widgets")
    assert (refused.status_code, sorted(refused.headers["allow"].split(", "))) == (405, ["DELETE", "GET", "HEAD"])
    assert answered((widgets, clear), "GET", "/v1/widgets").json() == []
    assert answered((widgets, clear), "GET", "/v1/widgets/").status_code == 404
