"""Who may do what over the control API, and what the events log says of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.product.control.asgi import Api, api, filled, with_api
from tests.product.control.fakes import TOKEN
from tests.product.failover.fakes import SOURCE, request, run_jumping

from bodydouble.control.api import OPERATIONS
from bodydouble.control.audit import FORBIDDEN_A_MINUTE
from bodydouble.control.backends import Backends
from bodydouble.control.routing import post
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.tokens import IssuedToken, TokenRequest

if TYPE_CHECKING:
    from bodydouble.control.routing import Operation

LOOKING = [each for each in OPERATIONS if not each.changes and each.role == "monitor"]
OTHERS = [each for each in OPERATIONS if each not in LOOKING]


async def monitor_token(api: Api, name: str = "grafana") -> str:
    return (await api.backends.tokens.create(TokenRequest(name, "monitor"))).secret


async def statuses(api: Api, operations: list[Operation], token: str) -> dict[str, int]:
    return {
        each.name: (await api.ask(each.method, filled(each), b"{}", token=token)).status_code for each in operations
    }


# --- roles ----------------------------------------------------------------------------------------------------------


def test_a_monitor_may_look_where_no_secrets_are_and_change_nothing() -> None:
    async def action(api: Api) -> None:
        token = await monitor_token(api)
        before = (await api.ask("GET", "/v1/status")).content
        looked = await statuses(api, LOOKING, token)
        assert set(looked.values()) <= {200, 404}, looked
        refused = await statuses(api, OTHERS, token)
        assert set(refused.values()) == {403}, refused
        assert (await api.ask("GET", "/v1/status")).content == before
        assert set(api.codes()) == {EventCode.TOKEN_CREATED, EventCode.CHANGE_REFUSED}

    with_api(action)


def test_what_a_monitor_may_not_is_to_change_and_to_see_tokens() -> None:
    assert {each.name for each in OTHERS if not each.changes} == {"tokens"}
    assert all(each.role == "admin" for each in OPERATIONS if each.changes)


def test_an_operation_that_forgot_its_role_is_seen() -> None:
    planted = [replace(each, role="monitor") if each.name == "connect" else each for each in OPERATIONS]

    async def action(api: Api) -> None:
        assert (await statuses(api, planted, await monitor_token(api)))["connect"] != 403

    with_api(action, planted)


def test_an_admin_is_forbidden_nothing() -> None:
    async def action(api: Api) -> None:
        made = await api.backends.tokens.create(TokenRequest("alice", "admin"))
        for token in (TOKEN, made.secret):
            found = await statuses(api, [each for each in OPERATIONS if each.name != "accept_pairing"], token)
            assert not {401, 403, 405} & set(found.values()), found

    with_api(action)


def test_a_monitor_may_ask_for_the_head_of_what_it_may_look_at() -> None:
    async def action(api: Api) -> None:
        token = await monitor_token(api)
        assert (await api.ask("HEAD", "/v1/status", token=token)).status_code == 200
        assert (await api.ask("HEAD", "/v1/tokens", token=token)).status_code == 403

    with_api(action)


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_is_made_used_listed_and_revoked() -> None:
    async def action(api: Api) -> None:
        body = msgspec.json.encode(TokenRequest("grafana", "monitor"))
        made = msgspec.json.decode((await api.ask("POST", "/v1/tokens", body)).content, type=IssuedToken)
        assert (await api.ask("GET", "/v1/status", token=made.secret)).status_code == 200
        listed = await api.ask("GET", "/v1/tokens")
        assert [(each["name"], each["role"]) for each in listed.json()] == [
            ("configured", "admin"),
            ("grafana", "monitor"),
        ]
        assert made.secret not in listed.text
        assert (await api.ask("POST", "/v1/tokens", body)).status_code == 409
        assert (await api.ask("DELETE", "/v1/tokens/grafana")).status_code == 204
        assert (await api.ask("GET", "/v1/status", token=made.secret)).status_code == 401
        assert (await api.ask("DELETE", "/v1/tokens/grafana")).status_code == 404
        assert (await api.ask("DELETE", "/v1/tokens/configured")).status_code == 409
        assert not any(made.secret in text for text in api.texts())

    with_api(action)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "-x", "x\n", "käse", "a/b"])
def test_a_name_that_would_not_read_well_in_the_log_is_refused(name: str) -> None:
    async def action(api: Api) -> int:
        body = msgspec.json.encode({"name": name, "role": "monitor"})
        return (await api.ask("POST", "/v1/tokens", body)).status_code

    assert with_api(action) == 400


@pytest.mark.parametrize("header", ["bearer ", "BEARER ", "Bearer "])
def test_the_schemes_name_has_no_case(header: str) -> None:
    async def action(api: Api) -> None:
        seen: list[int] = []

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                seen.append(int(str(message["status"])))

        scope = {
            "type": "http", "method": "GET", "path": "/v1/monitors", "query_string": b"", "client": ("10.0.0.5", 1),
            "headers": [(b"authorization", (header + TOKEN).encode())],
        }  # fmt: skip

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        await api.app(scope, receive, send)  # type: ignore[arg-type]  # plainer than ASGI's types
        assert seen == [200]

    with_api(action)


# --- the audit ------------------------------------------------------------------------------------------------------


def test_every_change_is_told_with_who_what_and_how_it_ended() -> None:
    async def action(api: Api) -> None:
        body = msgspec.json.encode(request())
        await api.ask("POST", "/v1/monitors", body, address="10.0.0.5")
        await api.ask("POST", f"/v1/monitors/{SOURCE}/failover", address="10.0.0.5")
        await api.ask("DELETE", "/v1/monitors/a%0Ab?token=secret")
        told = [(code, text) for code, text in zip(api.codes(), api.texts(), strict=True) if code >= 9200]
        who = "token 'configured' (admin) from"
        assert told == [
            (9200, f"{who} 10.0.0.5: POST /v1/monitors: done"),
            (9201, f"{who} 10.0.0.5: POST /v1/monitors/{SOURCE}/failover: refused with status 409"),
            (9201, f"{who} 127.0.0.1: DELETE /v1/monitors/a%0Ab: refused with status 400"),
        ]  # fmt: skip

    with_api(action)


def test_looking_is_not_told() -> None:
    async def action(api: Api) -> list[int]:
        await statuses(api, LOOKING, TOKEN)
        return api.codes()

    assert with_api(action) == []


@post("explode")
async def explode(_backends: Backends) -> None:
    """Fail."""
    raise RuntimeError("planted")


@post("hang")
async def hang(_backends: Backends) -> None:
    """Never end."""
    inside.set()
    await asyncio.Event().wait()


inside = asyncio.Event()


def test_a_change_that_failed_or_was_cut_off_is_told() -> None:
    async def action(api: Api) -> None:
        assert (await api.ask("POST", "/v1/explode")).status_code == 500
        hanging = asyncio.create_task(api.ask("POST", "/v1/hang"))
        await inside.wait()
        hanging.cancel()
        await asyncio.wait([hanging])
        assert [text.rpartition("/v1/")[2] for text in api.texts()] == [
            "explode: refused with status 500",
            "hang: not ended",
        ]

    with_api(action, [explode, hang])


def test_a_monitor_cannot_fill_the_events_log() -> None:
    async def main() -> None:
        async with api() as found:
            token = await monitor_token(found)
            for _ in range(10 * FORBIDDEN_A_MINUTE):
                await found.ask("POST", "/v1/restorations", token=token)
            assert found.codes().count(EventCode.CHANGE_REFUSED) == FORBIDDEN_A_MINUTE
            await asyncio.sleep(61)
            await found.ask("POST", "/v1/restorations", token=token)
            assert f"{9 * FORBIDDEN_A_MINUTE} more before were not told" in found.texts()[-1]

    run_jumping(main())


# --- wrong tokens ---------------------------------------------------------------------------------------------------


def test_guessing_is_slowed_down_and_nobody_elsewhere_is_locked_out() -> None:
    async def main() -> None:
        async with api() as found:
            first = [await found.ask("GET", "/v1/status", token="guess", address="10.0.0.66") for _ in range(10)]
            assert [each.status_code for each in first] == [401] * 10
            slowed = await found.ask("GET", "/v1/status", token="guess", address="10.0.0.66")
            assert (slowed.status_code, slowed.headers["retry-after"]) == (429, "6")
            assert (await found.ask("GET", "/v1/status", address="10.0.0.66")).status_code == 429, "or guesses go on"
            assert (await found.ask("GET", "/v1/status", address="10.0.0.5")).status_code == 200
            await asyncio.sleep(6.1)
            assert (await found.ask("GET", "/v1/status", address="10.0.0.66")).status_code == 200
            assert found.codes() == [EventCode.WRONG_TOKEN]
            assert found.texts() == ["10.0.0.66 showed a wrong token to the control API"]

    run_jumping(main())


def test_asking_without_a_token_is_no_guess() -> None:
    async def action(api: Api) -> None:
        for _ in range(50):
            assert (await api.ask("GET", "/v1/status", token=None)).status_code == 401
        assert (await api.ask("GET", "/v1/status")).status_code == 200
        assert api.codes() == []

    with_api(action)
