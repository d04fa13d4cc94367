"""HTTP/1.1 requests as IIS reads them, and the words of its answers' heads.

Source: RFC 2616 (4.2 headers, 4.4 length of a message, 5.1 request line, 14.23 Host). What makes two readings of one
message possible (two lengths, a length beside chunks) is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, unquote

HEAD_LIMIT = 16 * 1024
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TYPES = {
    "asp": "text/plain",
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
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ODD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ONCE = ("host", "content-length", "transfer-encoding")
_DATE = re.compile(r"\w{3}, (\d{2}) (\w{3}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT")


@dataclass(frozen=True, slots=True)
class Request:
    """One request's head.

    Attributes:
        method: as sent.
        path: decoded, begins with a slash.
        query: as sent, without the question mark.
        version: ``HTTP/1.0`` or ``HTTP/1.1``.
        keep_alive: whether the client wants to keep the connection.
        headers: by name in lower case; repeated ones are joined by commas.
        length: bytes of its body; None when it comes in chunks.
        size: bytes of the head.
    """

    method: str
    path: str
    query: str
    version: str
    keep_alive: bool
    headers: dict[str, str]
    length: int | None = 0
    size: int = 0

    @property
    def host(self) -> str:
        """The name that the client calls the server, without a port, in lower case."""
        return self.headers.get("host", "").partition(":")[0].lower()


def parse_request(head: bytes) -> Request | None:
    """Read a request's head (without the empty line); None when it is not HTTP."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.0", "HTTP/1.1") or not _TOKEN.fullmatch(parts[0]):  # noqa: PLR2004
        return None
    headers = _headers(lines[1:])
    target, _, query = parts[1].partition("?")
    path = decoded_path(target) if target != "*" else "/"
    if headers is None or path is None or (parts[2] == "HTTP/1.1" and "host" not in headers):
        return None
    length = _length(headers, parts[2])
    if length == -1:
        return None
    connection = headers.get("connection", "").lower()
    keep = "close" not in connection if parts[2] == "HTTP/1.1" else "keep-alive" in connection
    return Request(parts[0], path, query, parts[2], keep, headers, length, len(head) + 4)


def _headers(lines: list[str]) -> dict[str, str] | None:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or _ODD_VALUE.search(value):
            return None
        name, value = name.lower(), value.strip()
        if name in headers:
            if name in _ONCE:
                return None
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def _length(headers: dict[str, str], version: str) -> int | None:
    """The body's length, None for chunks, -1 for nonsense."""
    length = headers.get("content-length")
    coding = headers.get("transfer-encoding")
    if coding is not None:
        return None if coding.lower() == "chunked" and length is None and version == "HTTP/1.1" else -1
    if length is None:
        return 0
    return int(length) if length.isascii() and length.isdigit() and len(length) <= 18 else -1  # noqa: PLR2004 - 2**59


def decoded_path(target: str) -> str | None:
    """The path that a request's target names, None for one that leaves the site or can be no file's."""
    if target[:7].lower() == "http://":
        target = "/" + target[7:].partition("/")[2]
    path = unquote(target, errors="replace") if "%" in target else target
    if not path.startswith("/") or "\\" in path or "\0" in path or ":" in path or "/.." in path:
        return None
    return re.sub("/{2,}", "/", path) if "//" in path else path


def encoded_path(path: str) -> str:
    """A path as it stands in a header."""
    return quote(path, safe="/-_.~!$&'()*+,;=@")


@lru_cache(maxsize=1024)
def http_date(second: int) -> str:
    """Seconds since 1970 as an RFC 1123 date."""
    moment = datetime.fromtimestamp(second, UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02d} {month} {moment.year} {moment:%H:%M:%S} GMT"


def parse_date(text: str) -> int | None:
    """The second of an RFC 1123 date (what follows a semicolon is ignored), None for anything else."""
    match = _DATE.fullmatch(text.partition(";")[0].strip())
    if match is None or match[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(match[index]) for index in (1, 3, 4, 5, 6))
    try:
        return int(datetime(year, _MONTHS.index(match[2]) + 1, day, hour, minute, second, tzinfo=UTC).timestamp())
    except ValueError:
        return None


def content_type(path: str) -> str:
    """The MIME type that the file's suffix is mapped to."""
    return _TYPES.get(path.rpartition(".")[2].lower(), "application/octet-stream")
