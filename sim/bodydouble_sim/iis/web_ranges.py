"""Entity tags, conditions and ranges of static files (RFC 2616, 13.3, 14.16, 14.24 to 14.28 and 14.35).

The entity tag has the form that IIS gives it: the bytes of the time of the last write as Windows counts it, in
hexadecimal, a colon, and the metabase's change number; it differs from one server to its stand-in.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble_sim.iis.http_message import parse_date
from bodydouble_sim.iis.http_status import RefusalError

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import Entry

_EPOCH_100NS = 116_444_736_000_000_000
_RANGE = re.compile(r"(\d{0,18})-(\d{0,18})")
_TAG = re.compile(r'(?:W/)?("[^"]*")')
MAX_RANGES = 16


def entity_tag(entry: Entry, change: int) -> str:
    """The entity tag of a file's present contents."""
    written = entry.mtime_ns // 100 + _EPOCH_100NS
    return f'"{"".join(f"{byte:x}" for byte in written.to_bytes(8, "little"))}:{change:x}"'


def unchanged(headers: dict[str, str], tag: str, written: int) -> bool:
    """Whether the client's copy is still good (304), after If-None-Match and If-Modified-Since."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return _matches(tags, tag)
    since = parse_date(headers.get("if-modified-since", ""))
    return since is not None and written <= since


def check_conditions(headers: dict[str, str], tag: str, written: int) -> None:
    """See to it that If-Match and If-Unmodified-Since hold.

    Raises:
        RefusalError: 412.
    """
    tags = headers.get("if-match")
    since = parse_date(headers.get("if-unmodified-since", ""))
    if (tags is not None and not _matches(tags, tag)) or (since is not None and written > since):
        raise RefusalError(412)


def _matches(tags: str, tag: str) -> bool:
    return tags.strip() == "*" or tag in _TAG.findall(tags)


def ranges(headers: dict[str, str], tag: str, written: int, size: int) -> list[tuple[int, int]]:
    """The parts of the file that are asked for, as offset and end; empty for the whole of it.

    Raises:
        RefusalError: 416 when none of them is in the file.
    """
    asked = headers.get("range", "")
    if not asked.startswith("bytes=") or not _still_valid(headers, tag, written):
        return []
    texts = asked[len("bytes=") :].split(",")
    matches = [_RANGE.fullmatch(text.strip()) for text in texts]
    if len(texts) > MAX_RANGES or not all(match is not None and (match[1] or match[2]) for match in matches):
        return []  # not a range: RFC 2616 14.35.1 wants it ignored
    found = [part for match in matches if match is not None and (part := _part(match[1], match[2], size)) is not None]
    if not found:
        raise RefusalError(416, headers=f"Content-Range: bytes */{size}\r\n")
    return found


def _part(first: str, last: str, size: int) -> tuple[int, int] | None:
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    return (start, end) if start < end else None


def _still_valid(headers: dict[str, str], tag: str, written: int) -> bool:
    condition = headers.get("if-range")
    if condition is None:
        return True
    since = parse_date(condition)
    return written <= since if since is not None else condition.strip() == tag
