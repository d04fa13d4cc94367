"""Changing a site over HTTP: PUT and DELETE, on both versions with the Write access flag.

Source: RFC 2616, 9.6 and 9.7; IIS SDK, "AccessFlags" (Write). Bytes are written to the file as they arrive and nothing
is flushed: what a client was told is stored can still be lost with the power. On 5.0 a script can be written only with
script source access, and a locked resource only with its token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.iis import web_ranges, webdav_locks
from bodydouble_sim.iis.http_exchange import HTML, Response
from bodydouble_sim.iis.http_message import encoded_path
from bodydouble_sim.iis.http_status import RefusalError, Status
from bodydouble_sim.iis.metabase_schema import SOURCE, WRITE
from bodydouble_sim.iis.web_application import is_script
from bodydouble_sim.iis.web_security import require

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.iis.content import Content
    from bodydouble_sim.iis.http_exchange import Exchange
    from bodydouble_sim.iis.webdav_locks import Locks


def writable(exchange: Exchange, path: str, locks: Locks) -> None:
    """See to it that the site lets its resource ``path`` (a URL path) be changed.

    Raises:
        RefusalError: 403.3 without Write, 403 for a script without source access, 423 when it is locked.
    """
    access = exchange.site.settings(path).access
    if not access & WRITE:
        raise RefusalError(403, 3)
    if is_script(path) and exchange.site.metabase.version != "4.0" and not access & SOURCE:
        raise RefusalError(403, text="Script source access is not allowed here.")
    if not locks.allows(path, webdav_locks.tokens(exchange.request.headers)):
        raise RefusalError(423)


async def target(exchange: Exchange) -> Entry | None:
    """What PUT would replace, None for a new file whose directory is there.

    Raises:
        RefusalError: 404 or 409 (5.0) without the directory, 409 for a directory, 401.3, 412.
        FileSystemError: the files refuse.
    """
    path = exchange.path
    entry = await exchange.content.stat(path)
    directory = path.rpartition("/")[0]
    if entry is None:
        parent = await exchange.content.stat(directory)
        if parent is None or not parent.directory:
            raise RefusalError(404 if exchange.site.metabase.version == "4.0" else 409)
    elif entry.directory or exchange.request.path.endswith("/"):
        raise RefusalError(409)
    require(exchange, directory if entry is None else path, "write")
    _conditions(exchange, entry)
    return entry


def _conditions(exchange: Exchange, entry: Entry | None) -> None:
    headers = exchange.request.headers
    if entry is None:
        if "if-match" in headers:
            raise RefusalError(412)
        return
    written, tag = entry.mtime_ns // 10**9, web_ranges.entity_tag(entry, exchange.site.change)
    web_ranges.check_conditions(headers, tag, written)
    if "if-none-match" in headers and web_ranges.unchanged(headers, tag, written):
        raise RefusalError(412)


async def put(exchange: Exchange, locks: Locks) -> Response:
    """Store the body: 201 Created for a new file, 200 for one that was there.

    Raises:
        RefusalError: 411 without a length, 501 for a part of a file, and those of `writable` and `target`.
        FileSystemError: the volume refused.
    """
    headers = exchange.request.headers
    if "content-length" not in headers and "transfer-encoding" not in headers:
        raise RefusalError(411)
    if "content-range" in headers:
        raise RefusalError(501)
    writable(exchange, exchange.request.path, locks)
    entry = await target(exchange)
    path, offset = exchange.path, 0
    await exchange.content.create(path)
    while exchange.body is not None and (data := await exchange.body.chunk()):
        await exchange.content.write(path, offset, data)
        offset += len(data)
    if entry is not None:
        return Response(Status(200), HTML)
    return Response(Status(201), f"{HTML}Location: {_location(exchange)}\r\n", b"<body><h1>Created</h1></body>\r\n")


def _location(exchange: Exchange) -> str:
    host = exchange.request.headers.get("host", exchange.server[0])
    return f"http://{host}{encoded_path(exchange.request.path)}"


async def delete(exchange: Exchange, locks: Locks) -> Response:
    """Remove a file; on 5.0 also a directory with all that is in it.

    Raises:
        RefusalError: 404; 409 for a directory on 4.0 and for the site's root; those of `writable`; 401.3.
        FileSystemError: the files refuse; what was removed before stays removed.
    """
    writable(exchange, exchange.request.path, locks)
    entry = await exchange.content.stat(exchange.path)
    if entry is None:
        raise RefusalError(404)
    whole = exchange.request.path.rstrip("/")
    if entry.directory and (exchange.site.metabase.version == "4.0" or whole == exchange.settings.prefix):
        raise RefusalError(409)
    require(exchange, entry.path, "delete")
    await remove_tree(exchange.content, entry)
    locks.forget(exchange.request.path)
    return Response(Status(200), HTML)


async def remove_tree(content: Content, entry: Entry) -> None:
    """Remove a file, or a directory from its leaves up.

    Raises:
        FileSystemError: the files refuse.
    """
    if not entry.directory:
        await content.remove(entry.path)
        return
    for child in await content.list(entry.path):
        await remove_tree(content, child)
    await content.rmdir(entry.path)
