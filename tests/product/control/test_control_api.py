from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import msgspec
import pytest
from tests.peers import credential_of
from tests.product.control.fakes import CERTIFICATE, TOKEN, Served
from tests.product.failover.fakes import SOURCE, request

from bodydouble.control.answers import MAX_BODY
from bodydouble.control.client import ControlClient, fetch_certificate
from bodydouble.control.server import STRANGERS_OF_ONE, ControlServer
from bodydouble.control.settings import ControlSettings
from bodydouble.errors import ControlError, InputError, UnreachableError
from bodydouble.security.tls import http_client_context
from bodydouble.vocabulary.records import (
    ConnectRequest,
    FailbackDecision,
    MonitorRequest,
    ReplicationSet,
    RestoreRequest,
    Rule,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
IIS = ReplicationSet(name="IIS data", rules=[Rule(path="C:/InetPub")])


def ask(served: Served, action: Callable[[ControlClient], Awaitable[T]], token: str = TOKEN) -> T:
    async def main() -> T:
        async with ControlClient("127.0.0.1", served.port, token, CERTIFICATE) as client:
            return await action(client)

    return asyncio.run(main())


def secured(served: Served) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", served.port))
    return http_client_context(CERTIFICATE).wrap_socket(plain)


no_trust: Any = None  # for servers that never listen, or not with TLS


def raw(
    served: Served, method: str, path: str, body: bytes = b"", token: str | None = TOKEN
) -> tuple[int, dict[str, str], httpx.Headers]:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    url = f"https://127.0.0.1:{served.port}{path}"
    with httpx.Client(trust_env=False, verify=http_client_context(CERTIFICATE)) as client:
        response = client.request(method, url, content=body, headers=headers)
    return response.status_code, response.json() if response.content else {}, response.headers


# --- who may ask ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "wrong", TOKEN + "x", TOKEN[:-1], "käse"])
@pytest.mark.parametrize("path", ["/v1/status", "/v1/nowhere", "/"])
def test_without_the_token_nothing_is_answered(served: Served, token: str | None, path: str) -> None:
    async def main() -> httpx.Response:
        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        async with httpx.AsyncClient(trust_env=False, verify=http_client_context(CERTIFICATE)) as client:
            return await client.get(f"https://127.0.0.1:{served.port}{path}", headers=headers)

    response = asyncio.run(main())
    assert response.status_code == 401
    assert response.json() == {"error": "a valid bearer token is required"}


def test_a_token_that_is_no_secret_is_refused() -> None:
    async def app(_scope: object, _receive: object, _send: object) -> None:
        """Never called."""

    with pytest.raises(InputError, match=r"control\.token: expected at least 8"):
        ControlServer(ControlSettings(token="short"), app, no_trust)


def test_a_token_may_have_any_letters() -> None:
    async def main() -> None:
        served = Served()
        app = await served.build("Schlüssel £")
        server = ControlServer(ControlSettings(token="Schlüssel £", port=0), app, served.trust)
        running = asyncio.create_task(server.run())
        await server.ready.wait()
        async with ControlClient("127.0.0.1", server.port, "Schlüssel £", CERTIFICATE) as client:
            assert await client.sets() == []
        running.cancel()
        await asyncio.wait([running])
        await served.target.stop()

    asyncio.run(main())


def test_a_token_is_not_shown_with_the_settings() -> None:
    assert TOKEN not in repr(ControlSettings(token=TOKEN))


def test_answers_name_neither_server_nor_date(served: Served) -> None:
    _, _, headers = raw(served, "GET", "/v1/status")
    assert sorted(headers) == ["content-length", "content-type"]


# --- over TLS -------------------------------------------------------------------------------------------------------


def test_nothing_is_said_to_a_client_without_tls(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            answered = connection.recv(1000)
        except ConnectionResetError:
            answered = b""
        assert b"HTTP" not in answered


def test_older_tls_is_refused(served: Served) -> None:
    context = http_client_context(CERTIFICATE)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    plain = socket.create_connection(("127.0.0.1", served.port))
    with plain, pytest.raises((ssl.SSLError, ConnectionResetError)):
        context.wrap_socket(plain)


def test_a_client_sends_no_token_to_whoever_shows_another_certificate(served: Served) -> None:
    async def main() -> None:
        other = credential_of("SOMEBODY ELSE").certificate
        async with ControlClient("127.0.0.1", served.port, TOKEN, other) as client:
            await client.status()

    with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
        asyncio.run(main())


def test_a_certificate_is_fetched_without_a_request(served: Served) -> None:
    assert asyncio.run(fetch_certificate("127.0.0.1", served.port)) == CERTIFICATE


@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.1", "::", ""])
def test_plain_http_is_served_on_loopback_only(address: str) -> None:
    async def app(_scope: object, _receive: object, _send: object) -> None:
        """Never called."""

    with pytest.raises(InputError, match=r"control\.plain_http"):
        ControlServer(ControlSettings(token=TOKEN, address=address, plain_http=True), app, no_trust)
    with pytest.raises(InputError, match="plain HTTP"):
        ControlClient("10.0.0.1", 1, TOKEN, None)


def asked_again(connection: ssl.SSLSocket) -> bytes:
    """The answer to a request for the events, of which there are none."""
    head = b"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
    connection.sendall(head + TOKEN.encode() + b"\r\n\r\n")
    answer = b""
    while not answer.endswith(b"[]"):
        answer += (piece := connection.recv(10_000))
        assert piece, answer
    return answer


def test_connections_without_a_token_keep_nobody_out_and_do_not_pile_up(served: Served) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(secured(served)) for _ in range(STRANGERS_OF_ONE)]
        kept = stack.enter_context(secured(served))
        assert asked_again(kept).startswith(b"HTTP/1.1 200")
        more = [stack.enter_context(secured(served)) for _ in range(2 * STRANGERS_OF_ONE)]
        assert raw(served, "GET", "/v1/status")[0] == 200
        assert all(_ended(each) for each in (*silent, *more[:STRANGERS_OF_ONE]))
        assert asked_again(kept).startswith(b"HTTP/1.1 200"), "it has shown its token, and stays"


def _ended(connection: ssl.SSLSocket) -> bool:
    try:
        return connection.recv(1) == b""
    except (ssl.SSLError, ConnectionError):
        return True


# --- strictness -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "the request's body"),
        (b"{", "the request's body"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"name": 1, "rules": []}', "Expected `str`, got `int` - at `$.name`"),
        (b'{"name": "x", "rules": [], "extra": 1}', "unknown field `extra`"),
        (b'{"name": "x", "rules": [{"include": true}]}', "missing required field `path` - at `$.rules[0]`"),
        (b'{"name": "x", "rules": []}', "1 to 1000 rules, one of them an include"),
    ],
)
def test_a_wrong_body_is_refused_with_the_place(served: Served, body: bytes, expected: str) -> None:
    status, answer, _ = raw(served, "POST", "/v1/replication-sets", body)
    assert status == 400
    assert expected in answer["error"]


def test_a_body_over_the_limit_is_refused(served: Served) -> None:
    status, answer, _ = raw(served, "POST", "/v1/replication-sets", b" " * (MAX_BODY + 1))
    assert (status, "too long" in answer["error"]) == (400, True)


def test_a_body_of_the_limit_is_read(served: Served) -> None:
    body = msgspec.json.encode(IIS)
    assert raw(served, "POST", "/v1/replication-sets", body + b" " * (MAX_BODY - len(body)))[0] == 200


@pytest.mark.parametrize("query", ["events?after=x", "events?after=1.5", "statistics?after=soon"])
def test_a_wrong_query_is_refused_with_its_name(served: Served, query: str) -> None:
    status, answer, _ = raw(served, "GET", f"/v1/{query}")
    assert (status, "'after'" in answer["error"]) == (400, True)


@pytest.mark.parametrize("interval", ["0", "1e-300", "1e300", "-1"])
def test_an_interval_by_which_a_daemon_would_do_nothing_else_or_nothing_is_refused(
    served: Served, interval: str
) -> None:
    body = f'{{"interval": {interval}}}'.encode()
    assert raw(served, "PUT", "/v1/connections/1/verification-schedule", body)[0] == 400


@pytest.mark.parametrize("query", ["drain=true&hasten=true", "drain=true&drain=false"])
def test_a_parameter_that_is_not_known_or_comes_twice_is_refused(served: Served, query: str) -> None:
    status, answer, _ = raw(served, "DELETE", f"/v1/connections/1?{query}")
    assert (status, "query parameter" in answer["error"]) == (400, True)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nowhere", 404),
        ("DELETE", "/v1/replication-sets/none", 404),
        ("DELETE", "/v1/connections/7", 404),
        ("POST", "/v1/connections/7/mirror", 404),
        ("POST", "/v1/connections/seven/mirror", 404),
        ("DELETE", "/v1/monitors/none", 404),
        ("POST", "/v1/monitors/none/failover", 404),
        ("POST", "/v1/monitors/none/failback", 404),
        ("POST", "/v1/monitors/none/decision", 404),
        ("GET", "/v1/services/none", 404),
        ("POST", "/v1/services/none/start", 404),
        ("PUT", "/v1/status", 405),
    ],
)
def test_what_is_not_there_is_said_as_json(served: Served, method: str, path: str, status: int) -> None:
    found, answer, _ = raw(served, method, path, b'{"decision": "stop"}' if path.endswith("decision") else b"")
    assert found == status
    assert answer["error"]


def test_a_defect_answers_500_and_tells_a_client_nothing_of_the_inside(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.replication.defect = True
    status, answer, _ = raw(served, "GET", "/v1/replication-sets")
    assert (status, "planted" in str(answer)) == (500, False)
    served.wait_until(lambda: "planted" in caplog.text)


def test_a_failing_host_answers_500_with_its_own_words(served: Served) -> None:
    served.target.files.refuse = 2
    status, answer, _ = raw(served, "POST", "/v1/monitors", msgspec.json.encode(request()))
    assert (status, "no_space" in answer["error"]) == (500, True)


def test_a_broken_request_does_not_end_the_server(served: Served) -> None:
    with secured(served) as connection:
        connection.sendall(b"\x00\x01 nonsense\r\n\r\n")
        assert b"400" in connection.recv(1000)
    with secured(served) as connection:
        head = b"POST /v1/monitors HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + TOKEN.encode()
        connection.sendall(head + b"\r\nContent-Length: 10\r\n\r\n{")
    assert raw(served, "GET", "/v1/status")[0] == 200


# --- every route through the client ---------------------------------------------------------------------------------


def test_status_shows_everything_at_a_glance(served: Served) -> None:
    status = ask(served, lambda client: client.status())
    assert status.identity.primary_name == "TARGET"
    assert status.target_connections[0].restore_required


def test_replication_sets_are_saved_listed_and_deleted(served: Served) -> None:
    async def action(client: ControlClient) -> None:
        assert await client.save_set(IIS) == IIS
        assert await client.sets() == [IIS]
        await client.delete_set(IIS.name)
        assert await client.sets() == []

    ask(served, action)


def test_connections_are_made_mirrored_and_ended(served: Served) -> None:
    async def action(client: ControlClient) -> None:
        await client.save_set(IIS)
        made = await client.connect(ConnectRequest(replication_set=IIS.name, target="10.0.0.20"))
        assert [item.id for item in await client.connections()] == [made.id]
        assert (await client.mirror(made.id)).id == made.id
        assert (await client.order_mirror(made.id, "pause")).mirror_state == "paused"
        with pytest.raises(ControlError, match="no order 'hasten'"):
            await client.order_mirror(made.id, "hasten")  # type: ignore[arg-type]
        await client.disconnect(made.id)
        assert await client.connections() == []

    ask(served, action)


def test_a_monitor_goes_the_whole_way_over_the_api(served: Served) -> None:
    fast = msgspec.structs.replace(request(), interval=0.05, missed=3)

    async def reach(client: ControlClient, state: str) -> None:
        async with asyncio.timeout(10):
            while (await client.monitors())[0].state != state:  # noqa: ASYNC110 - the daemon has its own loop
                await asyncio.sleep(0.02)

    async def action(client: ControlClient) -> None:
        assert (await client.create_monitor(fast)).state == "monitoring"
        served.target.wire.cut()
        await reach(client, "failed-over")
        assert (await client.failback(SOURCE)).state == "failing-back"
        await reach(client, "failed-back")
        with pytest.raises(ControlError, match="bring the source back online") as refused:
            await client.decide(SOURCE, FailbackDecision(decision="continue"))
        assert refused.value.status == 409
        served.target.wire.heal()
        assert (await client.decide(SOURCE, FailbackDecision(decision="continue"))).state == "monitoring"
        await client.delete_monitor(SOURCE)
        assert await client.monitors() == []

    ask(served, action)


def test_manual_failover_over_the_api_is_refused_while_the_source_answers(served: Served) -> None:
    async def action(client: ControlClient) -> None:
        await client.create_monitor(request())
        with pytest.raises(ControlError, match="take it off the network first") as refused:
            await client.failover(SOURCE)
        assert refused.value.status == 409

    ask(served, action)


def test_wrong_monitor_settings_are_refused(served: Served) -> None:
    with pytest.raises(ControlError, match="missed: expected") as refused:
        ask(served, lambda client: client.create_monitor(request(missed=0)))
    assert refused.value.status == 400
    assert isinstance(request(), MonitorRequest)


def test_restorations_are_begun_and_listed(served: Served) -> None:
    async def action(client: ControlClient) -> None:
        begun = await client.restore(
            RestoreRequest(original_source=SOURCE, replication_set="IIS", restore_to="10.0.0.10")
        )
        assert begun.state == "running"
        assert [item.state for item in await client.restorations()] == ["complete"]

    ask(served, action)


def test_services_are_queried_started_and_stopped(served: Served) -> None:
    async def action(client: ControlClient) -> None:
        assert (await client.service("W3SVC")).state == "stopped"
        assert (await client.start_service("W3SVC")).state == "running"
        assert (await client.stop_service("W3SVC")).state == "stopped"
        served.target.services.refuse = True
        with pytest.raises(ControlError, match="did not start") as refused:
            await client.start_service("W3SVC")
        assert refused.value.status == 409

    ask(served, action)


def test_events_are_read_from_a_number_on(served: Served) -> None:
    async def action(client: ControlClient) -> None:
        await client.create_monitor(request())
        await client.delete_monitor(SOURCE)
        events = await client.events()
        assert [event.code for event in events] == [9100, 9200, 9101, 9200]
        assert await client.events(events[0].number) == events[1:]

    ask(served, action)


def test_samples_are_read_from_an_instant_on(served: Served) -> None:
    async def action(client: ControlClient) -> None:
        await client.create_monitor(request())
        async with asyncio.timeout(10):
            while len(samples := await client.statistics()) < 2:  # noqa: ASYNC110 - the daemon has its own loop
                await asyncio.sleep(0.05)
        assert samples[0].operations_generated == 3
        assert samples[-1].time_to_fail is not None
        later = await client.statistics(samples[0].at)
        assert later[: len(samples) - 1] == samples[1:]

    ask(served, action)


# --- no answer ------------------------------------------------------------------------------------------------------


def test_no_daemon_is_unreachable_and_the_message_says_where() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> None:
        async with ControlClient("127.0.0.1", port, TOKEN, CERTIFICATE) as client:
            await client.status()

    with pytest.raises(UnreachableError, match=f"127.0.0.1 port {port}"):
        asyncio.run(main())


def test_a_host_that_cannot_be_one_is_an_input_error() -> None:
    with pytest.raises(InputError, match="not the name or address"):
        ControlClient("bad host\n", 1, TOKEN, CERTIFICATE)


def test_another_programs_answer_is_not_taken_for_the_daemons() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server, ControlClient("127.0.0.1", server.sockets[0].getsockname()[1], TOKEN, None) as client:
            await client.status()

    with pytest.raises(ControlError, match="is not understood"):
        asyncio.run(main())


def test_a_port_in_use_is_named(served: Served) -> None:
    async def app(_scope: object, _receive: object, _send: object) -> None:
        """Never called."""

    server = ControlServer(ControlSettings(token=TOKEN, port=served.port), app, served.trust)
    with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1 port {served.port}"):
        asyncio.run(server.run())


def test_a_closing_server_lets_a_request_under_way_end() -> None:
    began, finish = asyncio.Event(), asyncio.Event()

    async def app(_scope: object, _receive: object, send: Callable[[dict[str, object]], Awaitable[None]]) -> None:
        began.set()
        await finish.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def main() -> bytes:
        server = ControlServer(ControlSettings(token=TOKEN, port=0, plain_http=True), app, no_trust)
        running = asyncio.create_task(server.run())
        await server.ready.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await began.wait()
        running.cancel()
        await asyncio.sleep(0)
        finish.set()
        answer = await reader.read()
        writer.close()
        await asyncio.wait([running])
        return answer

    assert asyncio.run(main()).endswith(b"ok")
