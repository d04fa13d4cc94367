"""Server-sent events: the events log as it is written, over one answer that does not end.

Source: the HTML standard, "Server-sent events". A stream keeps no queue of its own: it remembers the number that it has
come to and reads on in the events log, so a slow reader costs the daemon one batch; one that takes nothing for
`PATIENCE` seconds is cut off, and resumes where it was.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Literal

import msgspec
from starlette.responses import Response

from bodydouble.control.access import CALLER
from bodydouble.control.line import Line, line_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from bodydouble.security.tokens import Holder, Tokens
    from bodydouble.state.events import EventLog
    from bodydouble.vocabulary.records import Event

MEDIA = "text/event-stream"
HEARTBEAT = 15.0
"""Seconds without an event after which a comment is sent, so that both sides notice a dead connection."""
PATIENCE = 30.0
"""Seconds that a reader may take to read what is on its way."""
BATCH = 50
"""Events in one write."""
MAX_STREAMS = 32
STREAMS_OF_ONE = 8
"""Streams at one time, and of one token."""
RETRY_AFTER = 10


class StreamedEvent(msgspec.Struct, frozen=True):
    """One event of the stream; ``data`` is an event of the events log, as JSON."""

    id: str
    event: Literal["log"]
    data: str


class Streams:
    """The streams that are open, by token."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def full(self, holder: Holder) -> bool:
        """Whether ``holder`` may open no more."""
        return self._open[holder.name] >= STREAMS_OF_ONE or self._open.total() >= MAX_STREAMS

    def opened(self, holder: Holder) -> None:
        """One more."""
        self._open[holder.name] += 1

    def closed(self, holder: Holder) -> None:
        """One less."""
        self._open[holder.name] -= 1
        self._open += Counter()  # forgets who has none


class _CutOffError(Exception):
    """The reader was too slow."""


class EventStream(Response):
    """The answer.

    Args:
        events: the events log.
        tokens: say when the reader's token is valid no more.
        streams: where the stream is counted.
        after: the number of the last event that the reader has.
    """

    media_type = MEDIA

    def __init__(self, events: EventLog, tokens: Tokens, streams: Streams, after: int) -> None:
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._events = events
        self._tokens = tokens
        self._streams = streams
        self._after = after
        self._wake = asyncio.Event()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send events until the reader leaves, its token is revoked, or the server closes."""
        holder, line = scope[CALLER].holder, line_of(scope)
        self._streams.opened(holder)
        unsubscribe = self._events.subscribe(lambda _event: self._wake.set())
        line.when_ended(self._wake.set)
        try:
            await _patiently(
                send, {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            if scope["method"] != "HEAD":
                await self._send_all(send, line, holder)
            await _patiently(send, _body(b"", more=False))
        except _CutOffError:
            line.cut()
            await self._until_gone(line)
        finally:
            unsubscribe()
            self._streams.closed(holder)

    async def _send_all(self, send: Send, line: Line, holder: Holder) -> None:
        while True:
            self._wake.clear()
            while self._tokens.valid(holder) and (batch := self._events.after(self._after, BATCH)):
                await _patiently(send, _body(b"".join(_framed(event) for event in batch)))
                self._after = batch[-1].number
            if line.ended or not self._tokens.valid(holder):
                return
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await self._wake.wait()
            except TimeoutError:
                await _patiently(send, _body(b":\n\n"))

    async def _until_gone(self, line: Line) -> None:
        """The transport closes on the loop's next turn, and the server would complain of an answer without an end."""
        while not line.ended:
            await self._wake.wait()
            self._wake.clear()


async def _patiently(send: Send, message: dict[str, object]) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await send(message)
    except TimeoutError:
        raise _CutOffError from None


def _body(content: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": content, "more_body": more}


def _framed(event: Event) -> bytes:
    # JSON has no line break outside of its escapes, so one line of data holds it.
    return b"id: %d\nevent: log\ndata: %b\n\n" % (event.number, msgspec.json.encode(event))
