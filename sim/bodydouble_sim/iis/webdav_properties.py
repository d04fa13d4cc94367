"""PROPFIND and PROPPATCH (RFC 2518, 8.1 and 8.2): the live properties of files and directories.

No others are kept: PROPPATCH answers 403 for each, except for the time of the last write, which Windows' clients set
after an upload.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from bodydouble_sim.iis import web_ranges, web_static
from bodydouble_sim.iis.http_exchange import Response
from bodydouble_sim.iis.http_message import content_type, encoded_path, http_date, parse_date
from bodydouble_sim.iis.http_status import RefusalError, Status
from bodydouble_sim.iis.metabase_schema import BROWSE, READ
from bodydouble_sim.iis.web_security import require
from bodydouble_sim.iis.web_upload import writable
from bodydouble_sim.iis.webdav_xml import DAV, Property, multistatus, parse, response

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.iis.http_exchange import Exchange
    from bodydouble_sim.iis.webdav_locks import Lock, Locks
    from bodydouble_sim.plain_xml import Element

XML_LIMIT = 128 * 1024
XML = "Content-Type: text/xml\r\n"
WIN32 = "urn:schemas-microsoft-com:"
_OK, _FORBIDDEN, _MISSING = "HTTP/1.1 200 OK", "HTTP/1.1 403 Forbidden", "HTTP/1.1 404 Resource Not Found"


async def body_of(exchange: Exchange) -> Element | None:
    """The request's XML, None when it has none.

    Raises:
        RefusalError: 400, 413.
    """
    data = await exchange.body.whole(XML_LIMIT) if exchange.body is not None else b""
    return parse(data) if data else None


async def propfind(exchange: Exchange, locks: Locks) -> Response:
    """The properties of a resource (Depth 0) and of those directly in it (Depth 1).

    Source: "WebDAV Publishing" of the IIS 5.0 documentation: Read is needed, and Directory Browsing to see a
    directory's contents.

    Raises:
        RefusalError: 400, 403.2, 403.14, 404, 401.3; 403 for Depth infinity.
        FileSystemError: the files refuse.
    """
    depth = exchange.request.headers.get("depth", "infinity").lower()
    if depth not in ("0", "1", "1,noroot", "infinity"):
        raise RefusalError(400)
    wanted = _wanted(await body_of(exchange))
    if not exchange.settings.access & READ:
        raise RefusalError(403, 2)
    entry = await exchange.content.stat(exchange.path)
    if entry is None:
        raise RefusalError(404)
    require(exchange, entry.path, "read")
    url = exchange.request.path.rstrip("/") + ("/" if entry.directory else "")
    found = [] if depth == "1,noroot" and entry.directory else [(url, entry)]
    if entry.directory and depth != "0":
        if depth == "infinity":
            raise RefusalError(403, text="Depth infinity is not served.")
        if not exchange.settings.browse & BROWSE:
            raise RefusalError(403, 14)
        children = await exchange.content.list(entry.path)
        found += [(url + item.path.rpartition("/")[2] + ("/" if item.directory else ""), item) for item in children]
    answers = [_answer(exchange, path, item, wanted, locks.on(path)) for path, item in found]
    return Response(Status(207), XML, multistatus(answers))


def _wanted(request: Element | None) -> list[tuple[str, str]] | None:
    """The names asked for; None for all of them."""
    if request is None or request.find(DAV, "allprop") is not None:
        return None
    if request.find(DAV, "propname") is not None:
        return []
    names = request.find(DAV, "prop")
    if (request.namespace, request.name) != (DAV, "propfind") or names is None:
        raise RefusalError(400)
    return [(item.namespace, item.name) for item in names.children]


def _answer(
    exchange: Exchange, path: str, entry: Entry, wanted: list[tuple[str, str]] | None, locks: list[Lock]
) -> str:
    live = properties(path, entry, exchange.site.change, locks)
    href = f"http://{exchange.request.headers.get('host', exchange.server[0])}{encoded_path(path)}"
    if wanted is None:
        return response(href, {_OK: list(live.values())})
    if not wanted:
        return response(href, {_OK: [Property(item.name) for item in live.values()]})
    known = [live[name] for namespace, name in wanted if namespace == DAV and name in live]
    unknown = [Property(name, namespace=space) for space, name in wanted if space != DAV or name not in live]
    return response(href, {_OK: known, _MISSING: unknown})


def properties(path: str, entry: Entry, change: int, locks: list[Lock]) -> dict[str, Property]:
    """The live properties of a resource by name.

    The time of creation is that of the last write: volumes of the simulator keep no other.
    """
    written = entry.mtime_ns // 10**9
    values = {
        "displayname": escape(path.rstrip("/").rpartition("/")[2] or "/"),
        "creationdate": f"{datetime.fromtimestamp(written, UTC):%Y-%m-%dT%H:%M:%S.000Z}",
        "getlastmodified": http_date(written),
        "resourcetype": "<a:collection/>" if entry.directory else "",
        "iscollection": "1" if entry.directory else "0",
        "supportedlock": "".join(_supported(scope) for scope in ("exclusive", "shared")),
        "lockdiscovery": "".join(active_lock(lock) for lock in locks),
    }
    if not entry.directory:
        values["getcontentlength"] = str(entry.size)
        values["getcontenttype"] = content_type(path)
        values["getetag"] = escape(web_ranges.entity_tag(entry, change))
    return {name: Property(name, value) for name, value in values.items()}


def _supported(scope: str) -> str:
    kind = "<a:locktype><a:write/></a:locktype>"
    return f"<a:lockentry><a:lockscope><a:{scope}/></a:lockscope>{kind}</a:lockentry>"


def active_lock(lock: Lock) -> str:
    """A lock as an element of lockdiscovery."""
    scope = "exclusive" if lock.exclusive else "shared"
    return (
        f"<a:activelock><a:locktype><a:write/></a:locktype><a:lockscope><a:{scope}/></a:lockscope>"
        f"<a:depth>{'infinity' if lock.deep else 0}</a:depth><a:owner>{escape(lock.owner)}</a:owner>"
        f"<a:timeout>Second-{lock.seconds}</a:timeout>"
        f"<a:locktoken><a:href>{lock.token}</a:href></a:locktoken></a:activelock>"
    )


async def proppatch(exchange: Exchange, locks: Locks) -> Response:
    """Set properties; see the module.

    Raises:
        RefusalError: 400, 404, 401.3 and those of `bodydouble_sim.iis.web_upload.writable`.
        FileSystemError: the files refuse.
    """
    writable(exchange, exchange.request.path, locks)
    request = await body_of(exchange)
    if request is None or (request.namespace, request.name) != (DAV, "propertyupdate"):
        raise RefusalError(400)
    entry = await web_static.find(exchange)
    require(exchange, entry.path, "write")
    groups: dict[str, list[Property]] = {_OK: [], _FORBIDDEN: []}
    for action in request.children:
        names = action.find(DAV, "prop")
        for item in names.children if names is not None else []:
            done = action.name == "set" and _set(exchange, entry, item)
            groups[_OK if done else _FORBIDDEN].append(Property(item.name, namespace=item.namespace))
    href = encoded_path(exchange.request.path)
    return Response(Status(207), XML, multistatus([response(href, groups)]))


def _set(exchange: Exchange, entry: Entry, item: Element) -> bool:
    if (item.namespace, item.name) != (WIN32, "Win32LastModifiedTime") or exchange.settings.remote:
        return False
    second = parse_date(item.text.strip())
    if second is None:
        return False
    exchange.system.files.set_times(entry.path, second * 10**9)
    return True
