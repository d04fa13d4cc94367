"""Events over an answer that does not end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.product.control.asgi import Api, api, with_api
from tests.product.control.fakes import CERTIFICATE, TOKEN, Served, serving
from tests.product.failover.fakes import run_jumping

from bodydouble.control import stream as module
from bodydouble.control.access import CALLER, Caller
from bodydouble.control.client import ControlClient
from bodydouble.control.line import Line, state_with
from bodydouble.control.stream import BATCH, HEARTBEAT, MAX_STREAMS, PATIENCE, STREAMS_OF_ONE, EventStream, Streams
from bodydouble.errors import ControlError
from bodydouble.security.tls import http_client_context
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import Event
from bodydouble.vocabulary.tokens import TokenRequest

if TYPE_CHECKING:
    from collections.abc import Callable


class Reader:
    """Reads a stream of the events log, as the server would have it sent; stuck, it takes nothing more."""

    def __init__(self, api: Api, after: int = 0, holder: bytes = TOKEN.encode()) -> None:
        found = api.backends.tokens.holder(holder)
        assert found is not None
        self.text = ""
        self.ended = False
        self.was_cut = False
        self.stuck = False
        self.line = Line(cut=self._cut)
        scope = {"method": "GET", CALLER: Caller(found, "here"), "state": state_with(self.line)}
        answer = EventStream(api.backends.events, api.backends.tokens, api.backends.streams, after)
        self.task = asyncio.create_task(answer(scope, None, self._send))  # type: ignore[arg-type]  # reads nothing

    def _cut(self) -> None:
        self.was_cut = True
        self.line.end()

    async def _send(self, message: Any) -> None:
        if self.stuck:
            await asyncio.Event().wait()
        self.text += message.get("body", b"").decode()
        self.ended = message["type"] == "http.response.body" and not message["more_body"]

    @property
    def numbers(self) -> list[int]:
        return [int(line[4:]) for line in self.text.splitlines() if line.startswith("id: ")]


def record(api: Api, times: int = 1) -> None:
    for _ in range(times):
        api.backends.events.record(EventCode.CONNECTED, "käse\nand a line")


async def settled() -> None:
    await asyncio.sleep(0.01)


def test_what_was_and_what_comes_is_sent_in_order_with_heartbeats_in_between() -> None:
    async def main() -> None:
        async with api() as found:
            record(found, 2 * BATCH + 1)
            reader = Reader(found)
            await settled()
            assert reader.numbers == list(range(1, 2 * BATCH + 2))
            record(found)
            await settled()
            assert reader.numbers[-1] == 2 * BATCH + 2
            sent = reader.text
            await asyncio.sleep(2 * HEARTBEAT + 1)
            assert reader.text == sent + ":\n\n" * 2
            reader.line.end()
            await reader.task
            assert (reader.ended, reader.was_cut) == (True, False)

    run_jumping(main())


def test_an_event_is_framed_as_the_standard_has_it() -> None:
    async def action(api: Api) -> None:
        record(api)
        reader = Reader(api)
        await settled()
        lines = reader.text.split("\n")
        assert (lines[0], lines[1], lines[3:]) == ("id: 1", "event: log", ["", ""])
        assert msgspec.json.decode(lines[2].removeprefix("data: "), type=Event) == api.backends.events.after(0)[0]
        reader.line.end()
        await reader.task

    with_api(action)


def test_a_reader_that_takes_nothing_is_cut_off_and_costs_no_queue() -> None:
    async def main() -> None:
        async with api() as found:
            record(found)
            reader = Reader(found)
            await settled()
            reader.stuck = True
            record(found, 20_000)
            await asyncio.sleep(PATIENCE - 1)
            assert not reader.was_cut
            await asyncio.sleep(2)
            assert (reader.was_cut, reader.task.done()) == (True, True)
            record(found)
            assert found.backends.events._listeners == [], "nothing is kept for it"

    run_jumping(main())


def test_a_revoked_token_ends_its_stream_at_once() -> None:
    async def action(api: Api) -> None:
        made = await api.backends.tokens.create(TokenRequest("grafana", "monitor"))
        reader, other = Reader(api, holder=made.secret.encode()), Reader(api)
        await settled()
        await api.backends.tokens.revoke("grafana")
        record(api)
        await reader.task
        assert (reader.ended, reader.numbers) == (True, [1])
        await settled()
        assert (other.ended, other.numbers) == (False, [1, 2, 3])
        other.line.end()
        await other.task

    with_api(action)


@pytest.mark.parametrize(
    ("query", "headers", "first"),
    [("", {}, 1), ("?after=2", {}, 3), ("", {"last-event-id": "3"}, 4), ("?after=2", {"last-event-id": "3"}, 4)],
)
def test_a_stream_resumes_behind_the_last_event_that_was_read(
    served: Served, query: str, headers: dict[str, str], first: int
) -> None:
    async def main() -> None:
        async with ControlClient("127.0.0.1", served.port, TOKEN, CERTIFICATE) as client:
            request = client._http.build_request("GET", f"events/stream{query}", headers=headers)
            response = await client._opened(request)
            assert response.headers["content-type"].partition(";")[0] == "text/event-stream"
            assert await anext(response.aiter_lines()) == f"id: {first}"
            await response.aclose()

    served.record(*"12345")
    asyncio.run(main())


@pytest.mark.parametrize("header", ["x", "-1", "1.5"])
def test_a_wrong_last_event_id_is_refused(header: str) -> None:
    async def main() -> None:
        with serving() as served:
            async with ControlClient("127.0.0.1", served.port, TOKEN, CERTIFICATE) as client:
                request = client._http.build_request("GET", "events/stream", headers={"last-event-id": header})
                with pytest.raises(ControlError, match="header parameter 'Last-Event-ID'") as refused:
                    await client._opened(request)
                assert refused.value.status == 400

    asyncio.run(main())


def test_streams_of_one_token_and_of_all_are_bounded() -> None:
    async def action(api: Api) -> None:
        readers = [Reader(api) for _ in range(STREAMS_OF_ONE)]
        await settled()
        refused = await api.ask("GET", "/v1/events/stream")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        other = (await api.backends.tokens.create(TokenRequest("grafana", "monitor"))).secret.encode()
        holder = api.backends.tokens.holder(other)
        assert holder is not None
        assert not api.backends.streams.full(holder)
        for reader in readers:
            reader.line.end()
            await reader.task
        assert api.backends.streams._open == {}

    with_api(action)
    streams = Streams()
    holders: list[Any] = [type("Holder", (), {"name": str(number)}) for number in range(MAX_STREAMS + 1)]
    for holder in holders[:-1]:
        streams.opened(holder)
    assert streams.full(holders[-1])


# --- with a server and a client -------------------------------------------------------------------------------------


def streamed(served: Served, heard: Callable[[Event], bool]) -> list[Event]:
    """What a client hears until ``heard`` says that it is enough, or the stream ends."""

    async def main() -> list[Event]:
        found = []
        async with ControlClient("127.0.0.1", served.port, TOKEN, CERTIFICATE) as client:
            stream = client.stream_events()
            async for event in stream:
                found.append(event)
                if heard(event):
                    break
            await stream.aclose()
        return found

    return asyncio.run(main())


def test_a_client_hears_events_as_they_happen(served: Served) -> None:
    served.record("first")

    def heard(event: Event) -> bool:
        if event.number < 3:
            served.record("later")
        return event.number == 3

    assert [event.text for event in streamed(served, heard)] == ["first", "later", "later"]
    served.wait_until(lambda: served.target.events._listeners == [])


def test_a_closing_server_ends_streams_in_good_order(served: Served) -> None:
    served.record("first")

    def heard(_event: Event) -> bool:
        served.loop.call_soon_threadsafe(served.stop.set)
        return False

    assert [event.text for event in streamed(served, heard)] == ["first"]


def test_a_slow_connection_is_cut_without_a_complaint_in_the_log(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    served.record(*["x" * 2_000] * 9_000)

    async def main() -> None:
        secured = http_client_context(CERTIFICATE)
        _, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=secured, server_hostname="", limit=1)
        head = f"GET /v1/events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        writer.write(head.encode())
        await asyncio.to_thread(served.wait_until, lambda: len(served.target.events._listeners) == 1)
        await asyncio.to_thread(served.wait_until, lambda: served.target.events._listeners == [])
        writer.transport.abort()

    asyncio.run(main())
    assert caplog.text == ""
