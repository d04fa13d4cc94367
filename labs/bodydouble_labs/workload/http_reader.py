"""A reader: asks for pages and uploaded records over HTTP/1.1, each on a fresh connection, and compares bytes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h11

from bodydouble_labs.history import Request
from bodydouble_labs.workload.outcomes import FAILURES, RefusalError, WrongContentError, outcome_of

if TYPE_CHECKING:
    import random

    from bodydouble_labs.scenario.model import ReaderSpec
    from bodydouble_labs.workload.content import Document, SiteContent
    from bodydouble_labs.workload.server import Server
    from bodydouble_labs.workload.shelf import Shelf

CHUNK = 65_536
NOT_FOUND = 404
OK = 200


class HttpReader:
    """One HTTP client, by address or by name. Alternates static pages and recently acknowledged records."""

    def __init__(
        self, spec: ReaderSpec, server: Server, content: SiteContent, shelf: Shelf, choices: random.Random
    ) -> None:
        self.name = spec.name
        self.spec = spec
        self._server = server
        self._content = content
        self._shelf = shelf
        self._choices = choices
        self._asked = 0

    async def work(self) -> Request:
        """Make the next request and say how it went."""
        key, document = self._next()
        started = self._server.elapsed()
        try:
            async with asyncio.timeout(self.spec.timeout):
                await self._get(document, record=key)
        except FAILURES as error:
            outcome, detail = outcome_of(error)
        else:
            outcome, detail = "ok", ""
        ended = self._server.elapsed()
        return Request(self.name, "http-get", self.spec.via, started, ended, outcome, detail, key)

    async def close(self) -> None:
        """Nothing to close: connections end with their requests."""

    def drop(self) -> None:
        """The same."""

    def _next(self) -> tuple[str, Document]:
        """A page, or every second time a record that the site acknowledged lately."""
        self._asked += 1
        recent = self._shelf.recent()
        if self._asked % 2 == 0 and recent:
            return self._choices.choice(recent)
        return "", self._choices.choice(self._content.pages)

    async def _get(self, document: Document, *, record: str) -> None:
        host, address = await self._server.find(self.spec.via)
        answer = await get(address, self._server.http_port, host, document.url_path)
        if record and answer.status == NOT_FOUND:
            raise RefusalError("missing record")
        if answer.status != OK:
            raise RefusalError(f"{answer.status} {answer.reason} {document.url_path}")
        if answer.body != document.body:
            raise WrongContentError(_difference(document, answer.body))


def _difference(document: Document, body: bytes) -> str:
    pairs = zip(document.body, body, strict=False)
    at = next((index for index, (left, right) in enumerate(pairs) if left != right), min(len(document.body), len(body)))
    return f"{document.url_path}: {len(body)} bytes for {len(document.body)}, first difference at byte {at}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    reason: str
    body: bytes


async def get(address: str, port: int, host: str, path: str) -> Answer:
    """One GET over a connection of its own.

    Raises:
        OSError: no connection, or it broke.
        h11.RemoteProtocolError: the answer is no HTTP, or ended too early.
    """
    reader, writer = await asyncio.open_connection(address, port)
    try:
        exchange = h11.Connection(h11.CLIENT)
        headers = [("Host", host), ("User-Agent", "bodydouble-lab"), ("Connection", "close")]
        request = exchange.send(h11.Request(method="GET", target=path, headers=headers))
        writer.write((request or b"") + (exchange.send(h11.EndOfMessage()) or b""))
        return await _receive(exchange, reader)
    finally:
        writer.close()


async def _receive(exchange: h11.Connection, reader: asyncio.StreamReader) -> Answer:
    status, reason, body = 0, "", bytearray()
    while True:
        event = exchange.next_event()
        if event is h11.NEED_DATA:
            exchange.receive_data(await reader.read(CHUNK))
        elif isinstance(event, h11.Response):
            status, reason = event.status_code, event.reason.decode("latin-1")
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, reason, bytes(body))
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionResetError("closed before the answer")
