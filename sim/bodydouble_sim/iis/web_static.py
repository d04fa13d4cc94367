"""Static files and directories: GET and HEAD with default documents, directory browsing, conditions and ranges.

Source: RFC 2616; IIS SDK, "DirBrowseFlags" (a default document comes first, then the directory's listing if it may be
browsed, else 403.14). A directory's name without its slash is answered with 302 Object Moved.
"""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

from bodydouble_sim.iis import host, web_ranges
from bodydouble_sim.iis.http_exchange import HTML, Remaining, Response
from bodydouble_sim.iis.http_message import content_type, encoded_path, http_date
from bodydouble_sim.iis.http_status import RefusalError, Status
from bodydouble_sim.iis.metabase_schema import BROWSE, DEFAULT_DOCUMENT, READ
from bodydouble_sim.iis.web_security import require

if TYPE_CHECKING:
    from datetime import tzinfo

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.iis.http_exchange import Exchange

CHUNK = 64 * 1024
_BOUNDARY = "IisByteRangeBoundary"
_SECOND = 10**9


async def find(exchange: Exchange) -> Entry:
    """What the request's path names: a file, or a directory with its slash.

    Raises:
        RefusalError: 404; 302 for a directory without its slash.
        FileSystemError: the files refuse.
    """
    path = exchange.request.path
    entry = await exchange.content.stat(exchange.path)
    if entry is None or (not entry.directory and path.endswith("/")):
        raise RefusalError(404)
    if entry.directory and not path.endswith("/"):
        query = f"?{exchange.request.query}" if exchange.request.query else ""
        raise RefusalError(302, headers=f"Location: {encoded_path(path)}/{query}\r\n")
    return entry


async def default_document(exchange: Exchange, directory: Entry) -> Entry | None:
    """The first default document that the directory has, None when it has none or they are switched off."""
    if not exchange.settings.browse & DEFAULT_DOCUMENT:
        return None
    for name in exchange.settings.documents:
        entry = await exchange.content.stat(f"{directory.path}/{name}")
        if entry is not None and not entry.directory:
            return entry
    return None


async def directory_listing(exchange: Exchange, directory: Entry) -> Response:
    """A page that lists the directory.

    Raises:
        RefusalError: 403.2 without Read, 403.14 when it may not be browsed, 401.3.
        FileSystemError: the files refuse.
    """
    _readable(exchange)
    if not exchange.settings.browse & BROWSE:
        raise RefusalError(403, 14)
    require(exchange, directory.path, "read")
    zone = host.zone(exchange.system)
    entries = await exchange.content.list(directory.path)
    path = exchange.request.path
    lines = [_line(entry, path, zone) for entry in entries]
    if path != "/":
        lines.insert(0, f'<A HREF="{encoded_path(path.rstrip("/").rpartition("/")[0])}/">[To Parent Directory]</A><br>')
    title = escape(f"{exchange.request.host or exchange.server[0]} - {path}")
    text = f"<html><head><title>{title}</title></head><body><H1>{title}</H1><hr><pre>"
    return Response(Status(200), HTML, (text + "\r\n".join(lines) + "</pre><hr></body></html>").encode())


def _line(entry: Entry, path: str, zone: tzinfo) -> str:
    name = entry.path.rpartition("/")[2]
    written = datetime.fromtimestamp(entry.mtime_ns // _SECOND, zone)
    what = "&lt;dir&gt;" if entry.directory else str(entry.size)
    link = encoded_path(path + name) + ("/" if entry.directory else "")
    return f'{written:%m/%d/%Y %I:%M %p} {what:>12} <A HREF="{link}">{escape(name)}</A><br>'


def _readable(exchange: Exchange) -> None:
    if not exchange.settings.access & READ:
        raise RefusalError(403, 2)


async def send_file(exchange: Exchange, entry: Entry) -> Response:
    """The file, a part of it, or that the client's copy is good.

    Raises:
        RefusalError: 403.2, 401.3, 412, 416.
        FileSystemError: the files refuse.
    """
    _readable(exchange)
    require(exchange, entry.path, "read")
    headers = exchange.request.headers
    written, tag = entry.mtime_ns // _SECOND, web_ranges.entity_tag(entry, exchange.site.change)
    validators = f"Last-Modified: {http_date(written)}\r\nETag: {tag}\r\n"
    web_ranges.check_conditions(headers, tag, written)
    if web_ranges.unchanged(headers, tag, written):
        return Response(Status(304), validators)
    kind = content_type(entry.path)
    wanted = web_ranges.ranges(headers, tag, written, entry.size) if "range" in headers else []
    if len(wanted) > 1:
        return await _parts(exchange, entry, wanted, validators)
    start, end = wanted[0] if wanted else (0, entry.size)
    span = f"Content-Range: bytes {start}-{end - 1}/{entry.size}\r\n" if wanted else ""
    lines = f"Content-Type: {kind}\r\nAccept-Ranges: bytes\r\n{validators}{span}"
    status = Status(206 if wanted else 200)
    if exchange.request.method == "HEAD":
        return Response(status, lines, length=end - start)
    body = await exchange.content.read(entry.path, start, min(CHUNK, end - start))
    sent = start + len(body)
    rest = Remaining(exchange.content, entry.path, sent, end) if sent < end else None
    return Response(status, lines, body, rest, end - start)


async def _parts(exchange: Exchange, entry: Entry, wanted: list[tuple[int, int]], validators: str) -> Response:
    """Several ranges as multipart/byteranges (RFC 2616, 19.2).

    Raises:
        RefusalError: 416 when they are more than the whole file.
    """
    if sum(end - start for start, end in wanted) > entry.size:
        raise RefusalError(416, headers=f"Content-Range: bytes */{entry.size}\r\n")
    body = bytearray()
    for start, end in wanted:
        head = f"--{_BOUNDARY}\r\nContent-Type: {content_type(entry.path)}\r\n"
        body += f"{head}Content-Range: bytes {start}-{end - 1}/{entry.size}\r\n\r\n".encode()
        body += await exchange.content.read(entry.path, start, end - start)
        body += b"\r\n"
    body += f"--{_BOUNDARY}--\r\n".encode()
    lines = f"Content-Type: multipart/byteranges; boundary={_BOUNDARY}\r\n{validators}"
    return Response(Status(206), lines, bytes(body))
