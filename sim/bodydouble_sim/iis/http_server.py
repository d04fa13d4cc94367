"""The World Wide Web Publishing Service: a static HTTP/1.1 server with keep-alive and W3C logs.

A hand-rolled `asyncio.Protocol` rather than h11: a lab runs thousands of requests a second of its own time through it.
Behaviour of IIS 5.0 that clients can see: ``Server: Microsoft-IIS/5.0``, 302 to a directory's name with its slash, 403
for a directory without a default document, connections closed after 900 s of silence, all dropped at stop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis.http_message import REASONS, Request, content_type, error_page, http_date, parse_request
from bodydouble_sim.iis.metabase import LOG_FILES
from bodydouble_sim.iis.w3c_log import W3cLog

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.iis.metabase import Site
    from bodydouble_sim.windows.system import WindowsSystem

SERVER = "Microsoft-IIS/5.0"
HEAD_LIMIT = 16 * 1024
CONNECTION_TIMEOUT = 900.0
_CHUNK = 64 * 1024
_ALLOW = "Allow: OPTIONS, TRACE, GET, HEAD\r\n"


class HttpServer:
    """One web site.

    Args:
        system: the machine.
        site: what it serves and where it listens.
    """

    def __init__(self, system: WindowsSystem, site: Site) -> None:
        self.system = system
        self.site = site
        self.log = W3cLog(system, "W3SVC", f"{LOG_FILES}/W3SVC{site.number}")
        self.connections: dict[_Connection, None] = {}
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken, or the address is not this machine's.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), self.site.address, self.site.port)

    def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self.connections):
            connection.abort()

    def find(self, path: str) -> Entry | None:
        """The file or directory behind a request's path."""
        base, rest = self.site.directory_for(path)
        return self.system.files.stat((base + rest).rstrip("/"))

    def default_document(self, directory: Entry) -> Entry | None:
        """The first default document that the directory has."""
        for name in self.site.default_documents:
            entry = self.system.files.stat(f"{directory.path}/{name}")
            if entry is not None and not entry.directory:
                return entry
        return None


class _Connection(asyncio.Protocol):
    """One client: requests are answered in order, the next one once the last answer is written."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._client = self._local = "-"
        self._paused = False
        self._sending: tuple[str, int, int] | None = None
        self._keep_alive = True
        self._skip = 0
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # --- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._client = (transport.get_extra_info("peername") or ("-",))[0]
        self._local = (transport.get_extra_info("sockname") or ("-",))[0]
        self._server.connections[self] = None
        self._heard = asyncio.get_running_loop().time()
        self._watch(CONNECTION_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio.Protocol's signature
        self._server.connections.pop(self, None)
        self._transport = None
        self._sending = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        self._buffer += data
        self._serve()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._heard = asyncio.get_running_loop().time()  # the client takes what it is sent
        self._pump()
        self._serve()

    # --- the connection's life --------------------------------------------------------------------------------------

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _watch(self, delay: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay, self._check_silence)

    def _check_silence(self) -> None:
        silent = asyncio.get_running_loop().time() - self._heard
        if silent >= CONNECTION_TIMEOUT:
            self.abort()
        else:
            self._watch(CONNECTION_TIMEOUT - silent)

    def _serve(self) -> None:
        while self._transport is not None and self._sending is None and not self._paused and self._keep_alive:
            if self._skip:
                taken = min(self._skip, len(self._buffer))
                self._buffer, self._skip = self._buffer[taken:], self._skip - taken
            end = self._buffer.find(b"\r\n\r\n")
            if self._skip or end < 0:
                if len(self._buffer) > HEAD_LIMIT:
                    self._refuse(414)
                return
            head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
            request = parse_request(head.lstrip(b"\r\n"))
            if request is None or not self._take_body(request):
                self._refuse(400)
            else:
                self._answer(request)

    def _take_body(self, request: Request) -> bool:
        if "transfer-encoding" in request.headers:
            return False
        length = request.headers.get("content-length", "0")
        self._skip = int(length) if length.isdigit() else 0
        return length.isdigit()

    # --- answers ----------------------------------------------------------------------------------------------------

    def _refuse(self, status: int) -> None:
        self._keep_alive = False
        self._send(Request("GET", "/", "", keep_alive=False, headers={}), status, error_page(status))

    def _answer(self, request: Request) -> None:
        self._keep_alive = request.keep_alive
        if request.method == "OPTIONS":
            self._send(request, 200, b"", _ALLOW)
        elif request.method not in ("GET", "HEAD"):
            status = 405 if request.method in ("POST", "PUT", "DELETE", "TRACE") else 501
            self._send(request, status, error_page(status), _ALLOW)
        else:
            try:
                self._answer_file(request)
            except FileSystemError as error:
                status = 404 if error.code == "not_found" else 500
                self._send(request, status, error_page(status))

    def _answer_file(self, request: Request) -> None:
        entry = self._server.find(request.path)
        if entry is None or (not entry.directory and request.path.endswith("/")):
            self._send(request, 404, error_page(404))
            return
        if entry.directory:
            if not request.path.endswith("/"):
                self._send(request, 302, error_page(302), f"Location: {request.path}/\r\n")
                return
            document = self._server.default_document(entry)
            if document is None:
                self._send(request, 403, error_page(403))
                return
            entry = document
        self._send_file(request, entry)

    def _send_file(self, request: Request, entry: Entry) -> None:
        written = http_date(entry.mtime_ns // 10**9)
        if request.headers.get("if-modified-since") == written:
            self._send(request, 304, b"")
            return
        head = self._head(
            200, f"Content-Type: {content_type(entry.path)}\r\nLast-Modified: {written}\r\n", str(entry.size)
        )
        body = (
            b"" if request.method == "HEAD" else self._server.system.files.read(entry.path, 0, min(_CHUNK, entry.size))
        )
        self._log(request, 200)
        if request.method != "HEAD" and entry.size > _CHUNK:
            self._sending = (entry.path, len(body), entry.size)
        self._write(head + body)
        if self._sending:
            self._pump()

    def _send(self, request: Request, status: int, body: bytes, extra: str = "") -> None:
        kind = "Content-Type: text/html\r\n" if body else ""
        head = self._head(status, extra + kind, str(len(body)))
        self._log(request, status)
        self._write(head if request.method == "HEAD" else head + body)

    def _head(self, status: int, extra: str, length: str) -> bytes:
        date = http_date(self._server.system.clock() // 10**9)
        connection = "" if self._keep_alive else "Connection: close\r\n"
        return (
            f"HTTP/1.1 {status} {REASONS[status]}\r\nServer: {SERVER}\r\n{connection}Date: {date}\r\n{extra}"
            f"Content-Length: {length}\r\n\r\n"
        ).encode("latin-1", "replace")

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)
        if self._sending is None and not self._keep_alive:
            self._transport.close()

    def _pump(self) -> None:
        while self._sending is not None and not self._paused and self._transport is not None:
            path, offset, size = self._sending
            try:
                data = self._server.system.files.read(path, offset, min(_CHUNK, size - offset))
            except FileSystemError:
                data = b""
            if not data:
                self._transport.abort()  # the file shrank: the promised length cannot be kept
                return
            offset += len(data)
            self._sending = (path, offset, size) if offset < size else None
            self._write(data)

    def _log(self, request: Request, status: int) -> None:
        agent = request.headers.get("user-agent", "").replace(" ", "+")
        line = (request.method, request.path, request.query)
        self._server.log.record(self._client, (self._local, self._server.site.port), line, status, agent)
