"""The client has every route, and says so by what it sends."""

from __future__ import annotations

import asyncio
import inspect
import re
from typing import Any

import httpx
import pytest

from bodydouble.control import client as module
from bodydouble.control.api import OPERATIONS
from bodydouble.control.client import ControlClient
from bodydouble.errors import BodydoubleError, ControlError
from bodydouble.vocabulary.mirror import MirrorOrder
from bodydouble.vocabulary.verification import VerificationSchedule

WORDS = {"order": ("start", "stop", "pause", "resume"), "word": ("pause", "resume", "stop")}


def methods() -> list[str]:
    return [name for name, _ in inspect.getmembers(ControlClient, inspect.isfunction) if not name.startswith("_")]


def arguments(method: Any) -> list[dict[str, Any]]:
    """Values for what a method takes; with each word, and each value of a switch."""
    found: list[dict[str, Any]] = [{}]
    for each in list(inspect.signature(method).parameters.values())[1:]:
        values: tuple[Any, ...] = ("x",)
        if each.name in WORDS:
            values = WORDS[each.name]
        elif each.annotation == "bool":
            values = (False, True)
        elif each.annotation in ("int", "float", "int | None"):
            values = (1,)
        elif each.name == "schedule":
            values = (None, VerificationSchedule(interval=1))
        elif each.annotation not in ("str", "str | None"):
            values = (MirrorOrder(),)  # any record is sent as it is
        found = [{**before, each.name: value} for before in found for value in values]
    return found


def sent(name: str) -> set[tuple[str, str]]:
    """The requests that a method of the client makes."""
    seen: set[tuple[str, str]] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.add((request.method, request.url.path))
        return httpx.Response(418, json={"error": "enough"})

    async def call(client: ControlClient, values: dict[str, Any]) -> None:
        called = getattr(client, name)(**values)
        if inspect.isasyncgen(called):
            await anext(called)
        else:
            await called

    async def main() -> None:
        async with ControlClient("127.0.0.1", 1, "token", None) as client:
            client._http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://127.0.0.1/v1/")
            for values in arguments(getattr(ControlClient, name)):
                with pytest.raises(ControlError, match="enough"):
                    await call(client, values)
            await client._http.aclose()

    asyncio.run(main())
    return seen


def operation_of(method: str, path: str) -> str | None:
    """The operation that a request is for; one without parameters in its path goes first."""
    for each in sorted(OPERATIONS, key=lambda each: each.path.count("{")):
        if each.method == method and re.fullmatch(re.sub(r"{[a-z]+}", "[^/]+", each.path), path):
            return each.name
    return None


def test_the_client_has_every_operation_and_no_other() -> None:
    requests = {request for name in methods() for request in sent(name)}
    found = {operation_of(*request) for request in requests}
    assert None not in found, requests
    assert {each.name for each in OPERATIONS} - found == set()


def test_an_operation_that_the_client_lacks_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ControlClient, "restorations")
    found = {operation_of(*request) for name in methods() for request in sent(name)}
    assert {each.name for each in OPERATIONS} - found == {"restorations"}


def test_what_the_client_raises_is_in_the_tree_and_what_it_answers_is_what_the_daemon_does() -> None:
    assert issubclass(ControlError, BodydoubleError)
    answers = {each.name: each.answer for each in OPERATIONS}
    for name in set(methods()) & set(answers) - {"stream_events", "schedule_verification"}:
        written = inspect.signature(getattr(ControlClient, name)).return_annotation
        answered = eval(written, vars(module))
        assert answered == (None if answers[name] is type(None) else answers[name]), name
