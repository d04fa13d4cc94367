"""What the web service does with a request: who asks, which method, which document; and what a failure looks like.

Source: RFC 2616, 9; RFC 2518, 8 (WebDAV is part of 5.0); "Custom Error Messages" of the IIS 4.0 documentation: a file
replaces the page of an error; a URL is served as if it had been asked for, with the status that it has itself (200).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError, FileSystemError
from bodydouble_sim.iis import web_application, web_security, web_static, web_upload, webdav, webdav_properties
from bodydouble_sim.iis.content import product_path
from bodydouble_sim.iis.http_exchange import HTML, Response, error
from bodydouble_sim.iis.http_status import RefusalError, Status
from bodydouble_sim.iis.metabase_schema import EXECUTE, READ, SOURCE
from bodydouble_sim.iis.web_security import Logons
from bodydouble_sim.iis.webdav_locks import Locks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.iis.http_exchange import Exchange
    from bodydouble_sim.windows.system import WindowsSystem

_HTTP = ("OPTIONS", "TRACE", "GET", "HEAD", "POST", "PUT", "DELETE")
_WEBDAV = ("COPY", "MOVE", "MKCOL", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK")
_ERROR_PAGE_LIMIT = 1024 * 1024


class WebHandler:
    """Answers requests of all sites of a web service.

    Args:
        system: the machine.
        version: of IIS.
    """

    def __init__(self, system: WindowsSystem, version: str) -> None:
        self.logons = Logons(system)
        self.locks = Locks(system.random)
        self.methods = _HTTP if version == "4.0" else _HTTP + _WEBDAV
        self._webdav = version != "4.0"
        self._answers: dict[str, Callable[[Exchange], Awaitable[Response]]] = {
            "GET": self._get,
            "HEAD": self._get,
            "POST": self._get,
            "OPTIONS": self._options,
            "TRACE": _trace,
            "PUT": lambda exchange: web_upload.put(exchange, self.locks),
            "DELETE": lambda exchange: web_upload.delete(exchange, self.locks),
            "MKCOL": lambda exchange: webdav.mkcol(exchange, self.locks),
            "COPY": lambda exchange: webdav.copy(exchange, self.locks),
            "MOVE": lambda exchange: webdav.move(exchange, self.locks),
            "LOCK": lambda exchange: webdav.lock(exchange, self.locks),
            "UNLOCK": lambda exchange: webdav.unlock(exchange, self.locks),
            "PROPFIND": lambda exchange: webdav_properties.propfind(exchange, self.locks),
            "PROPPATCH": lambda exchange: webdav_properties.proppatch(exchange, self.locks),
        }

    async def answer(self, exchange: Exchange) -> Response:
        """The answer to a request, whatever goes wrong."""
        try:
            web_security.admit(exchange, self.logons)
            response = await self._step(exchange.request.method)(exchange)
        except RefusalError as refusal:
            response = await self.refused(exchange, refusal)
        except FileSystemError as failure:
            response = await self.refused(exchange, self._refusal_of(exchange, failure))
        except BodydoubleError as failure:  # a share on another machine says no
            response = await self.refused(exchange, RefusalError(500, text=str(failure)))
        if exchange.settings.headers:
            response = replace(response, headers=response.headers + exchange.settings.headers)
        return response

    def _step(self, method: str) -> Callable[[Exchange], Awaitable[Response]]:
        if method not in self.methods:
            raise RefusalError(501, headers=self._allow())
        return self._answers[method]

    def _refusal_of(self, exchange: Exchange, failure: FileSystemError) -> RefusalError:
        if failure.code == "denied" and exchange.request.method in ("GET", "HEAD"):
            return RefusalError(401, 3, headers=web_security.challenges(exchange))
        refusal = webdav.refusal_of(failure)
        webdav_only = refusal.status.code in (423, 507)
        if webdav_only and (not self._webdav or exchange.request.method in ("GET", "HEAD", "POST")):
            return RefusalError(500, text=str(failure))  # HTTP/1.1 itself knows neither
        return refusal

    # --- documents --------------------------------------------------------------------------------------------------

    async def _get(self, exchange: Exchange) -> Response:
        entry = await web_static.find(exchange)
        if entry.directory:
            document = await web_static.default_document(exchange, entry)
            if document is None:
                self._only_read(exchange)
                return await web_static.directory_listing(exchange, entry)
            entry = document
        if web_application.is_script(entry.path) and not self._source_wanted(exchange):
            return await web_application.run(exchange, entry)
        if entry.path.lower().endswith((".exe", ".dll")) and exchange.settings.access & EXECUTE:
            raise RefusalError(500, text="This model runs no CGI programs and no ISAPI extensions.")
        self._only_read(exchange)
        return await web_static.send_file(exchange, entry)

    def _source_wanted(self, exchange: Exchange) -> bool:
        """Whether an author asks for a script's text (5.0, ``Translate: f``); needs Read and script source access.

        Source: [MS-WDVSE], examples of the Translate header.
        """
        if not self._webdav or exchange.request.headers.get("translate", "").lower() != "f":
            return False
        if exchange.settings.access & (READ | SOURCE) != READ | SOURCE:
            raise RefusalError(403, text="Script source access is not allowed here.")
        return True

    def _only_read(self, exchange: Exchange) -> None:
        if exchange.request.method == "POST":
            raise RefusalError(405, headers=self._allow())

    def _allow(self) -> str:
        names = ["OPTIONS", "TRACE", "GET", "HEAD"]
        names += ["COPY", "PROPFIND", "LOCK", "UNLOCK"] if self._webdav else []
        return f"Allow: {', '.join(names)}\r\n"

    async def _options(self, exchange: Exchange) -> Response:  # noqa: ARG002 - all paths have the same options
        lines = f"Public: {', '.join(self.methods)}\r\n{self._allow()}"
        if self._webdav:
            lines += "DAV: 1, 2\r\nMS-Author-Via: DAV\r\nAccept-Ranges: bytes\r\n"
        return Response(Status(200), lines)

    # --- failures ---------------------------------------------------------------------------------------------------

    async def refused(self, exchange: Exchange, refusal: RefusalError) -> Response:
        """The answer to a refused request: the site's custom error, or a page of the model's."""
        status = refusal.status
        custom = exchange.settings.errors
        kind, target = custom.get(f"{status.code},{status.sub or '*'}") or custom.get(f"{status.code},*") or ("", "")
        if kind == "FILE":
            body = _error_file(exchange, target)
            if body is not None:
                return Response(status, refusal.headers + HTML, body)
        if kind == "URL" and target.startswith("/"):
            page = await _error_url(exchange, target)
            if page is not None:
                return page
        return error(status, refusal.headers, refusal.text)


async def _trace(exchange: Exchange) -> Response:
    request = exchange.request
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    target = request.path + (f"?{request.query}" if request.query else "")
    text = f"TRACE {target} {request.version}\r\n{lines}\r\n"
    return Response(Status(200), "Content-Type: message/http\r\n", text.encode("latin-1", "replace"))


def _error_file(exchange: Exchange, target: str) -> bytes | None:
    try:
        return exchange.system.files.read(product_path(target), 0, _ERROR_PAGE_LIMIT)
    except FileSystemError:
        return None


async def _error_url(exchange: Exchange, target: str) -> Response | None:
    """The page at ``target``, None when there is none (an error while answering an error is not followed)."""
    request = replace(exchange.request, method="GET", path=target.partition("?")[0], headers={})
    settings = exchange.site.settings(request.path)
    inner = replace(exchange, request=request, settings=settings)
    try:
        entry: Entry = await web_static.find(inner)
        if entry.directory:
            return None
        if web_application.is_script(entry.path):
            return await web_application.run(inner, entry)
        return await web_static.send_file(inner, entry)
    except (RefusalError, FileSystemError):
        return None
