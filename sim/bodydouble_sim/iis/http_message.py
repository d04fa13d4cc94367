"""HTTP/1.1 messages as IIS 5.0 reads and writes them: just enough of RFC 2616 for a server of static files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import unquote

REASONS = {
    200: "OK",
    302: "Object Moved",
    304: "Not Modified",
    400: "Bad Request",
    403: "Forbidden",
    404: "Object Not Found",
    405: "Method Not Allowed",
    414: "Request-URI Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TYPES = {
    "css": "text/css",
    "gif": "image/gif",
    "htm": "text/html",
    "html": "text/html",
    "jpg": "image/jpeg",
    "js": "application/x-javascript",
    "json": "application/json",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "xml": "text/xml",
    "zip": "application/x-zip-compressed",
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request: method, target as sent, its decoded path, query, version 1.1 or not, headers in lower case."""

    method: str
    path: str
    query: str
    keep_alive: bool
    headers: dict[str, str]


def parse_request(head: bytes) -> Request | None:
    """Read a request's head (without the empty line); None when it is not HTTP."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):  # noqa: PLR2004 - method, target, version
        return None
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            return None
        headers[name.strip().lower()] = value.strip()
    target, _, query = parts[1].partition("?")
    connection = headers.get("connection", "").lower()
    keep = connection != "close" if parts[2] != "HTTP/1.0" else connection == "keep-alive"
    if parts[2] != "HTTP/1.0" and "host" not in headers:
        return None  # RFC 2616 14.23
    path = _decoded_path(target)
    return None if path is None else Request(parts[0], path, query, keep, headers)


def _decoded_path(target: str) -> str | None:
    if target.startswith("http://"):
        target = "/" + target[7:].partition("/")[2]
    path = unquote(target, errors="replace") if "%" in target else target
    if not path.startswith("/") or "\\" in path or "\0" in path or ":" in path:
        return None
    return None if "/.." in path else path


@lru_cache(maxsize=1024)
def http_date(second: int) -> str:
    """Seconds since 1970 as an RFC 1123 date."""
    moment = datetime.fromtimestamp(second, UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02d} {month} {moment.year} {moment:%H:%M:%S} GMT"


def content_type(path: str) -> str:
    """The MIME type that the file's suffix is mapped to."""
    return _TYPES.get(path.rpartition(".")[2].lower(), "application/octet-stream")


def error_page(status: int) -> bytes:
    """The body of an answer that is not a file."""
    reason = REASONS[status]
    text = (
        f"<html><head><title>{status} {reason}</title></head><body><h1>HTTP Error {status}</h1>{reason}</body></html>"
    )
    return text.encode()
