"""One client of the web service: requests are answered in order, the next one once the last answer is written.

A hand-rolled `asyncio.Protocol` rather than h11: a lab runs thousands of requests a second of its own time through it.
A request without a body for local files is answered at once; any other one gets a task of the machine's. Behaviour that
clients see: keep-alive and pipelining (RFC 2616, 8.1), ``100 Continue`` only when the body is wanted (8.2.3),
connections closed after ConnectionTimeout seconds of silence, 403.9 when the site has MaxConnections clients already.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from bodydouble.errors import BodydoubleError
from bodydouble_sim.iis.http_body import HIGH_WATER, Body, BodyDecoder
from bodydouble_sim.iis.http_exchange import Exchange, Response, error
from bodydouble_sim.iis.http_message import HEAD_LIMIT, Request, http_date, parse_request
from bodydouble_sim.iis.http_status import RefusalError
from bodydouble_sim.iis.w3c_log import LogRecord

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble_sim.iis.http_exchange import Remaining
    from bodydouble_sim.iis.web_endpoint import WebEndpoint
    from bodydouble_sim.iis.web_site import WebSite

T = TypeVar("T")
_CHUNK = 64 * 1024
_NO_BODY = (100, 204, 304)
_WIN32 = {401: 5, 403: 5, 404: 2}  # access denied, file not found


def run_now(steps: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, without a task.

    Raises:
        RuntimeError: it does wait: a mistake of the caller's.
    """
    try:
        steps.send(None)
    except StopIteration as ended:
        value: T = ended.value
        return value
    steps.close()
    raise RuntimeError("a request for local files had to wait")


class HttpConnection(asyncio.Protocol):
    """One client."""

    def __init__(self, endpoint: WebEndpoint) -> None:
        self._endpoint = endpoint
        self._service = endpoint.service
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._client, self._server = "-", ("-", 0)
        self._writable: asyncio.Event | None = None
        self._paused = False
        self._task: asyncio.Task[None] | None = None
        self._decoder: BodyDecoder | None = None
        self._body: Body | None = None
        self._keep_alive = True
        self._expects = False
        self._site: WebSite | None = None
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # --- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._client = (transport.get_extra_info("peername") or ("-",))[0]
        self._server = (transport.get_extra_info("sockname") or ("-", 0))[:2]
        self._service.connections[self] = None
        self._heard = asyncio.get_running_loop().time()
        self._watch(self._service.timeout)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio.Protocol's signature
        """It is gone: what was being answered is given up."""
        self._service.connections.pop(self, None)
        self._transport = None
        if self._site is not None:
            self._site.clients -= 1
        if self._task is not None:
            self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        self._heard = asyncio.get_running_loop().time()
        self._buffer += data
        self._take_body()
        self._serve()
        busy = self._paused or self._decoder is not None or self._task is not None
        if busy and self._transport is not None and len(self._buffer) + self._held() > HIGH_WATER:
            self._transport.pause_reading()

    def _held(self) -> int:
        return self._body.held if self._body is not None else 0

    def pause_writing(self) -> None:
        """The client does not take what it is sent."""
        self._paused = True

    def resume_writing(self) -> None:
        """The client takes it again."""
        self._paused = False
        self._heard = asyncio.get_running_loop().time()  # the client takes what it is sent
        if self._writable is not None:
            self._writable.set()
        self._serve()
        if not self._paused and self._task is None:
            self._resume_reading()

    # --- the connection's life --------------------------------------------------------------------------------------

    def abort(self) -> asyncio.Task[None] | None:
        """Drop the connection at once; the task that was answering on it, if there is one, is being cancelled."""
        task = self._task
        if task is not None:
            task.cancel()
        if self._transport is not None:
            self._transport.abort()
        return task

    def serves(self, site: WebSite) -> bool:
        """Whether this is a client of ``site``."""
        return self._site is site

    def _watch(self, delay: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay, self._check_silence)

    def _check_silence(self) -> None:
        silent = asyncio.get_running_loop().time() - self._heard
        if silent >= self._service.timeout:
            self.abort()
        else:
            self._watch(self._service.timeout - silent)

    def _resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # --- requests ---------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Answer whatever is complete in the buffer."""
        while self._transport is not None and self._task is None and self._decoder is None and not self._paused:
            if not self._keep_alive or self._transport.is_closing():
                return
            if self._buffer[:2] == b"\r\n":
                self._buffer = self._buffer.lstrip(b"\r\n")
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0 or end > HEAD_LIMIT:
                if len(self._buffer) > HEAD_LIMIT:
                    line = self._buffer[:HEAD_LIMIT].find(b"\r\n")
                    self._refuse(RefusalError(414 if line < 0 else 400))
                return
            head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
            request = parse_request(head)
            if request is None:
                self._refuse(RefusalError(400))
            else:
                self._begin(request)

    def _begin(self, request: Request) -> None:
        site = self._endpoint.select(self._server[0], request.host)
        if site is None:
            self._refuse(RefusalError(404, 1))
            return
        named = site.named(request.path)
        if named != request.path:
            request = replace(request, path=named)
        settings = site.settings(request.path)
        self._keep_alive = request.keep_alive and settings.keep_alive
        exchange = Exchange(self._service.system, site, request, settings, self._client, self._server, self._heard)
        if not self._enter(site):
            self._keep_alive = False
            self._write(exchange, run_now(self._service.handler.refused(exchange, RefusalError(403, 9))))
            return
        if request.length == 0 and not settings.remote:
            self._finish(exchange, run_now(self._service.handler.answer(exchange)))
            return
        self._expects = "100-continue" in request.headers.get("expect", "").lower() and request.version != "HTTP/1.0"
        self._decoder = BodyDecoder(request.length)
        self._body = exchange.body = Body(self._continue, self._resume_reading)
        self._take_body()
        name = f"http request {self._service.next_request()}"
        self._task = self._service.system.spawn(self._work(exchange), name)

    def _enter(self, site: WebSite) -> bool:
        """Count this connection among the site's; False when it has too many already."""
        if self._site is site:
            return True
        if site.clients >= site.limit:
            return False
        if self._site is not None:
            self._site.clients -= 1
        self._site = site
        site.clients += 1
        return True

    def _continue(self) -> None:
        if self._expects and self._transport is not None:
            self._expects = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _take_body(self) -> None:
        """Hand the body's bytes in the buffer to whoever reads them; once its answer is sent they are dropped."""
        if self._decoder is None:
            return
        body = self._body
        try:
            data, self._buffer = self._decoder.take(self._buffer)
        except RefusalError as refusal:
            self._decoder, self._keep_alive = None, False
            if body is not None:
                body.end(refusal)
            elif self._transport is not None:
                self._transport.close()
            return
        if body is not None:
            body.feed(data)
        if self._decoder.done:
            self._decoder = None
            if body is not None:
                body.end()
            elif not self._keep_alive and self._transport is not None:
                self._transport.close()

    async def _work(self, exchange: Exchange) -> None:
        """Answer a request that may have to wait."""
        try:
            response = await self._service.handler.answer(exchange)
            self._body = None
            if self._expects:  # the client was never told to send its body, so it will not
                self._expects, self._decoder, self._keep_alive = False, None, False
            self._take_body()
            self._write(exchange, response)
            if response.rest is not None and exchange.request.method != "HEAD":
                await self._stream(response.rest)
        except Exception:
            self.abort()  # a mistake of the model's own: whoever runs the loop hears of it, the client does not wait
            raise
        finally:
            self._task = self._body = None
        if self._decoder is not None:
            self._resume_reading()
        self._end_answer()

    def _finish(self, exchange: Exchange, response: Response) -> None:
        """Send an answer that was found at once; a long file goes on in a task."""
        self._write(exchange, response)
        if response.rest is not None and exchange.request.method != "HEAD":
            name = f"http file {self._service.next_request()}"
            self._task = self._service.system.spawn(self._send_rest(response.rest), name)

    async def _send_rest(self, rest: Remaining) -> None:
        try:
            await self._stream(rest)
        finally:
            self._task = None
        self._end_answer()

    def _end_answer(self) -> None:
        if self._transport is None:
            return
        if not self._keep_alive and self._decoder is None:
            self._transport.close()
        elif self._decoder is None:
            self._resume_reading()
            self._serve()

    async def _stream(self, rest: Remaining) -> None:
        """Send the rest of a file as fast as the client takes it."""
        offset = rest.offset
        while offset < rest.end and self._transport is not None:
            try:
                data = await rest.content.read(rest.path, offset, min(_CHUNK, rest.end - offset))
            except BodydoubleError:
                data = b""
            if not data:
                self._transport.abort()  # the file shrank: the promised length cannot be kept
                return
            offset += len(data)
            self._transport.write(data)
            if self._paused:
                self._writable = asyncio.Event()
                await self._writable.wait()

    # --- answers ----------------------------------------------------------------------------------------------------

    def _refuse(self, refusal: RefusalError) -> None:
        """Answer what no site can be asked about, and close."""
        self._keep_alive = False
        self._buffer = b""
        response = error(refusal.status, refusal.headers, refusal.text)
        head = self._head(response, "HTTP/1.1")
        assert self._transport is not None
        self._transport.write(head + response.body)
        self._transport.close()

    def _write(self, exchange: Exchange, response: Response) -> None:
        if self._transport is None:
            return
        if response.parts is not None and exchange.request.version == "HTTP/1.0":
            self._keep_alive = False  # the end of the connection is the end of the page
        head = self._head(response, exchange.request.version)
        bare = exchange.request.method == "HEAD" or response.status.code in _NO_BODY
        body = b"" if bare else _encoded(response, exchange.request.version)
        self._transport.write(head + body)
        if exchange.site.log is not None:
            self._log(exchange, response, len(head) + len(body))
        if not self._keep_alive and response.rest is None and self._task is None and self._decoder is None:
            self._transport.close()

    def _head(self, response: Response, version: str) -> bytes:
        service = self._service
        date = http_date(service.system.clock() // 10**9)
        connection = "" if self._keep_alive else "Connection: close\r\n"
        if self._keep_alive and version == "HTTP/1.0":
            connection = "Connection: Keep-Alive\r\n"
        if response.parts is not None:
            length = "Transfer-Encoding: chunked\r\n" if version != "HTTP/1.0" else ""
        elif response.status.code in _NO_BODY:
            length = ""
        else:
            length = f"Content-Length: {len(response.body) if response.length is None else response.length}\r\n"
        return (
            f"HTTP/1.1 {response.status.code} {response.status.reason}\r\nServer: {service.server}\r\n{connection}"
            f"Date: {date}\r\n{response.headers}{length}\r\n"
        ).encode("latin-1", "replace")

    def _log(self, exchange: Exchange, response: Response, sent: int) -> None:
        request, headers = exchange.request, exchange.request.headers
        assert exchange.site.log is not None
        exchange.site.log.record(
            LogRecord(
                client=self._client,
                method=request.method,
                stem=request.path,
                status=response.status.code,
                query=request.query,
                user=exchange.user,
                server=self._server[0],
                port=self._server[1],
                sent=sent + (response.rest.end - response.rest.offset if response.rest is not None else 0),
                received=request.size + (request.length or 0),
                win32=_WIN32.get(response.status.code, 0),
                milliseconds=round((asyncio.get_running_loop().time() - exchange.started) * 1000),
                version=request.version,
                host=headers.get("host", ""),
                agent=headers.get("user-agent", ""),
                cookie=headers.get("cookie", ""),
                referer=headers.get("referer", ""),
            )
        )


def _encoded(response: Response, version: str) -> bytes:
    if response.parts is None:
        return response.body
    if version == "HTTP/1.0":
        return b"".join(response.parts)
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in response.parts if part) + b"0\r\n\r\n"
