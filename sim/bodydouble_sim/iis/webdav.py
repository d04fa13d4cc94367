"""WebDAV of IIS 5.0 (RFC 2518): MKCOL, COPY, MOVE, LOCK and UNLOCK; properties are in `webdav_properties`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bodydouble_sim.iis import host, web_upload, webdav_locks
from bodydouble_sim.iis.http_exchange import HTML, Response
from bodydouble_sim.iis.http_message import decoded_path, encoded_path
from bodydouble_sim.iis.http_status import RefusalError, Status
from bodydouble_sim.iis.metabase_schema import WRITE
from bodydouble_sim.iis.web_security import require
from bodydouble_sim.iis.webdav_properties import XML, active_lock, body_of
from bodydouble_sim.iis.webdav_xml import DAV

if TYPE_CHECKING:
    from bodydouble.errors import FileSystemError
    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.iis.content import Content
    from bodydouble_sim.iis.http_exchange import Exchange
    from bodydouble_sim.iis.webdav_locks import Lock, Locks
    from bodydouble_sim.plain_xml import Element

_COPY_CHUNK = 64 * 1024


async def mkcol(exchange: Exchange, locks: Locks) -> Response:
    """Make a directory (RFC 2518, 8.3).

    Raises:
        RefusalError: 415 with a body, 405 when something is there, 409 without its parent, and those of `writable`.
        FileSystemError: the volume refused.
    """
    if exchange.request.length != 0:
        raise RefusalError(415)
    web_upload.writable(exchange, exchange.request.path, locks)
    if await exchange.content.stat(exchange.path) is not None:
        raise RefusalError(405)
    parent = await exchange.content.stat(exchange.path.rpartition("/")[0])
    if parent is None or not parent.directory:
        raise RefusalError(409)
    require(exchange, parent.path, "write")
    await exchange.content.mkdir(exchange.path)
    return Response(Status(201), f"Location: {encoded_path(exchange.request.path)}\r\n")


async def copy(exchange: Exchange, locks: Locks) -> Response:
    """Copy a file, or a directory with what is in it unless Depth is 0 (RFC 2518, 8.8).

    Raises:
        RefusalError: 400, 403, 404, 409, 412, 423, 502, 401.3.
        FileSystemError: the volume refused; what was copied before stays.
    """
    entry, path, url, replaced = await _prepared(exchange, locks)
    deep = exchange.request.headers.get("depth", "infinity") != "0"
    await _copy_tree(exchange.content, entry, path, deep=deep)
    return _done(url, replaced=replaced)


async def move(exchange: Exchange, locks: Locks) -> Response:
    """Rename a file or directory (RFC 2518, 8.9).

    Raises:
        RefusalError: as `copy`.
        FileSystemError: the volume refused.
    """
    web_upload.writable(exchange, exchange.request.path, locks)
    entry, path, url, replaced = await _prepared(exchange, locks)
    require(exchange, entry.path, "delete")
    if entry.path[:2].upper() == path[:2].upper():
        await exchange.content.rename(entry.path, path)
    else:
        await _copy_tree(exchange.content, entry, path, deep=True)
        await web_upload.remove_tree(exchange.content, entry)
    locks.forget(exchange.request.path)
    return _done(url, replaced=replaced)


def _done(url: str, *, replaced: bool) -> Response:
    if replaced:
        return Response(Status(204))
    return Response(Status(201), f"{HTML}Location: {encoded_path(url)}\r\n", b"<body><h1>Created</h1></body>\r\n")


async def _prepared(exchange: Exchange, locks: Locks) -> tuple[Entry, str, str, bool]:
    """What is copied or moved, where to (as a path and as a URL path), and whether something there was removed."""
    entry = await exchange.content.stat(exchange.path)
    if entry is None:
        raise RefusalError(404)
    require(exchange, entry.path, "read")
    url = exchange.site.named(_destination(exchange))
    settings = exchange.site.settings(url)
    if settings.remote != exchange.settings.remote:
        raise RefusalError(502)
    web_upload.writable(exchange, url, locks)
    path = settings.physical(url)
    source = entry.path.upper()
    if path.upper() == source or path.upper().startswith(f"{source}/") or source.startswith(f"{path.upper()}/"):
        raise RefusalError(403, text="Source and destination are the same, or one is in the other.")
    parent = await exchange.content.stat(path.rpartition("/")[0])
    if parent is None or not parent.directory:
        raise RefusalError(409)
    require(exchange, parent.path, "write")
    return entry, path, url, await _make_way(exchange, path)


async def _make_way(exchange: Exchange, path: str) -> bool:
    present = await exchange.content.stat(path)
    if present is None:
        return False
    if exchange.request.headers.get("overwrite", "T").upper() == "F":
        raise RefusalError(412)
    require(exchange, present.path, "delete")
    await web_upload.remove_tree(exchange.content, present)
    return True


def _destination(exchange: Exchange) -> str:
    """The URL path of the Destination header.

    Raises:
        RefusalError: 400 without one, 502 when it is on another server.
    """
    parts = urlsplit(exchange.request.headers.get("destination", ""))
    if parts.netloc and parts.netloc.lower() != exchange.request.headers.get("host", "").lower():
        raise RefusalError(502)
    url = decoded_path(parts.path)
    if url is None or not url.strip("/"):
        raise RefusalError(400)
    return url.rstrip("/")


async def _copy_tree(content: Content, entry: Entry, path: str, *, deep: bool) -> None:
    if not entry.directory:
        await content.create(path)
        offset = 0
        while data := await content.read(entry.path, offset, _COPY_CHUNK):
            await content.write(path, offset, data)
            offset += len(data)
        return
    await content.mkdir(path)
    for child in await content.list(entry.path) if deep else []:
        await _copy_tree(content, child, f"{path}/{child.path.rpartition('/')[2]}", deep=True)


async def lock(exchange: Exchange, locks: Locks) -> Response:
    """Lock a resource, or refresh its lock (RFC 2518, 8.10); a name that is free becomes an empty file.

    Raises:
        RefusalError: 400, 409, 412, 423, 401.3.
        FileSystemError: the volume refused.
    """
    headers, path = exchange.request.headers, exchange.request.path
    request = await body_of(exchange)
    seconds = webdav_locks.timeout_of(headers)
    if request is None:
        return _locked(locks.refresh(path, webdav_locks.tokens(headers), seconds), Status(200))
    scope, owner = request.find(DAV, "lockscope"), request.find(DAV, "owner")
    if (request.namespace, request.name) != (DAV, "lockinfo") or scope is None:
        raise RefusalError(400)
    if not exchange.settings.access & WRITE:
        raise RefusalError(403, 3)
    entry = await exchange.content.stat(exchange.path)
    if entry is None:
        await web_upload.target(exchange)
        await exchange.content.create(exchange.path)
    made = locks.add(
        path,
        exclusive=scope.find(DAV, "exclusive") is not None,
        deep=headers.get("depth", "infinity") != "0",
        owner=_all_text(owner).strip() if owner is not None else "",
        seconds=seconds,
    )
    return _locked(made, Status(200 if entry is not None else 201))


def _all_text(element: Element) -> str:
    return element.text + "".join(_all_text(child) for child in element.children)


def _locked(made: Lock, status: Status) -> Response:
    body = (
        f'<?xml version="1.0"?><a:prop xmlns:a="DAV:"><a:lockdiscovery>{active_lock(made)}</a:lockdiscovery></a:prop>'
    )
    return Response(status, f"{XML}Lock-Token: <{made.token}>\r\n", body.encode())


async def unlock(exchange: Exchange, locks: Locks) -> Response:
    """Unlock a resource (RFC 2518, 8.11).

    Raises:
        RefusalError: 400, 412.
    """
    locks.remove(exchange.request.path, webdav_locks.token_of(exchange.request.headers))
    return Response(Status(204))


def refusal_of(error: FileSystemError) -> RefusalError:
    """How a refusal of the files is told to an HTTP client."""
    number = {"not_found": 404, "exists": 409, "not_empty": 409, "denied": 403, "sharing": 423, "no_space": 507}
    return RefusalError(
        number.get(error.code, 500), text="" if error.code in number else host.text_of(error, error.code)
    )
