"""Schedules of transmission as people write them: conditions and windows, separated by semicolons or lines.

::

    start at 10MB                      # or 50%; 5000 operations; every 30m; at mon-fri 22:00
    stop when empty                    # or after 10m; at 100MB
    window mon-fri 18:00-06:00 limit 2MB
    window sat,sun 00:00-00:00

Times of day are UTC. Sizes take kB, MB, GB (powers of 1,000) and KiB, MiB, GiB, durations s, m, h.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bodydouble.errors import InputError
from bodydouble.vocabulary.transmission import TransmissionSchedule

if TYPE_CHECKING:
    from collections.abc import Callable

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_BITS = {"k": 10**3, "m": 10**6, "g": 10**9}
_SPANS = {"s": 1, "m": 60, "h": 3600}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WHEN = r"(?:(?P<days>[a-z,-]+) +)?"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d"


def size(text: str) -> int:
    """Bytes, as in ``500000``, ``2MB``, ``64KiB``.

    Raises:
        InputError: it is no size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([kmg]?i?b?)", text.strip().lower())
    if match is None or match[2] not in _UNITS:
        raise InputError(f"{text!r} is no size: expected a number with B, kB, MB, GB, KiB, MiB or GiB")
    return int(float(match[1]) * _UNITS[match[2]])


def rate(text: str) -> int:
    """Bytes a second, as in ``2MB``, or as a share of a link, as in ``50% of 10Mbit``; only the bytes are kept.

    Raises:
        InputError: it is neither.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *% *of *(\d+(?:\.\d+)?) *([kmg])bit(?:/s)?", text.strip().lower())
    if match is None:
        return size(text)
    if not 0 < float(match[1]) <= 100:  # noqa: PLR2004 - of a hundred
        raise InputError(f"{text!r}: expected a share of more than 0 and at most 100 %")
    return int(float(match[2]) * _BITS[match[3]] / 8 * float(match[1]) / 100)


def _span(text: str) -> float:
    return float(text[:-1]) * _SPANS[text[-1]]


def _days(text: str | None) -> list[str]:
    """Weekdays named one by one or as a span, which may go over the end of the week."""
    days: list[str] = []
    for part in (text or "").split(",") if text else []:
        first, _, last = part.partition("-")
        if first not in _DAYS or (last and last not in _DAYS):
            raise InputError(f"{part!r} is no weekday: expected {', '.join(_DAYS)} or a span such as mon-fri")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        days += [_DAYS[(begin + step) % 7] for step in range((end - begin) % 7 + 1)]
    return days


def _put(name: str, convert: Callable[[str], Any]) -> Callable[[dict[str, Any], re.Match[str]], None]:
    def put(found: dict[str, Any], match: re.Match[str]) -> None:
        found[name] = convert(match[1])

    return put


def _moment(found: dict[str, Any], match: re.Match[str]) -> None:
    found.setdefault("start_at", []).append({"at": match["at"], "days": _days(match["days"])})


def _window(found: dict[str, Any], match: re.Match[str]) -> None:
    limit = {} if match["limit"] is None else {"bandwidth": size(match["limit"])}
    window = {"begin": match["begin"], "end": match["end"], "days": _days(match["days"]), **limit}
    found.setdefault("windows", []).append(window)


_CLAUSES: list[tuple[str, Callable[[dict[str, Any], re.Match[str]], None]]] = [
    (rf"start at {_WHEN}(?P<at>{_TIME})", _moment),
    (r"start at (\d+) operations?", _put("start_operations", int)),
    (r"start at (\d+) ?%", _put("start_percent", int)),
    (r"start at (\d[\d.]* *[kmgib]*)", _put("start_bytes", size)),
    (r"start every (\d[\d.]*[smh])", _put("start_every", _span)),
    (r"stop when (empty)", _put("stop_empty", bool)),
    (r"stop after (\d[\d.]*[smh])", _put("stop_after", _span)),
    (r"stop at (\d[\d.]* *[kmgib]*)", _put("stop_bytes", size)),
    (rf"window {_WHEN}(?P<begin>{_TIME})-(?P<end>{_TIME})(?: limit (?P<limit>\S+(?: \S+)?))?", _window),
]


def parse(text: str) -> TransmissionSchedule:
    """Read a schedule.

    Raises:
        InputError: names the clause and what was expected.
    """
    found: dict[str, Any] = {}
    for line in text.splitlines():
        for clause in line.partition("#")[0].split(";"):
            words = " ".join(clause.lower().split())
            if words:
                _take(found, words)
    try:
        return msgspec.convert(found, TransmissionSchedule)
    except msgspec.ValidationError as error:
        raise InputError(f"schedule: {error}") from error


def _take(found: dict[str, Any], words: str) -> None:
    for pattern, take in _CLAUSES:
        match = re.fullmatch(pattern, words)
        if match is not None:
            take(found, match)
            return
    raise InputError(
        f"schedule: {words!r} is not understood; expected 'start at SIZE|N%|N operations|[DAYS] HH:MM', "
        "'start every SPAN', 'stop when empty', 'stop after SPAN', 'stop at SIZE', "
        "'window [DAYS] HH:MM-HH:MM [limit SIZE]'"
    )


def read(text: str) -> TransmissionSchedule:
    """A schedule given in the command line itself, or the name of a file that holds it.

    Raises:
        InputError: see `parse`; the file cannot be read.
    """
    path = Path(text)
    try:
        content = path.read_text("utf-8") if len(text) < 256 and path.is_file() else text  # noqa: PLR2004 - a name's limit
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{text}: the schedule cannot be read: {error}") from error
    return parse(content)


def words(schedule: TransmissionSchedule | None) -> str:
    """A schedule as it may be given again."""
    if schedule is None:
        return "always"
    clauses = [f"start at {sized(schedule.start_bytes)}"] if schedule.start_bytes is not None else []
    clauses += [f"start at {schedule.start_percent}%"] if schedule.start_percent is not None else []
    clauses += [f"start at {schedule.start_operations} operations"] if schedule.start_operations is not None else []
    clauses += [f"start every {schedule.start_every:g}s"] if schedule.start_every is not None else []
    clauses += [f"start at {_listed(each.days)}{each.at}" for each in schedule.start_at]
    clauses += ["stop when empty"] if schedule.stop_empty else []
    clauses += [f"stop after {schedule.stop_after:g}s"] if schedule.stop_after is not None else []
    clauses += [f"stop at {sized(schedule.stop_bytes)}"] if schedule.stop_bytes is not None else []
    for each in schedule.windows:
        limit = "" if each.bandwidth is None else f" limit {sized(each.bandwidth)}"
        clauses.append(f"window {_listed(each.days)}{each.begin}-{each.end}{limit}")
    return "; ".join(clauses)


def sized(number: int) -> str:
    """So many bytes in the largest unit in which they are a whole number, as `size` reads it."""
    for unit in ("GiB", "GB", "MiB", "MB", "KiB", "kB"):
        if number and number % _UNITS[unit.lower()] == 0:
            return f"{number // _UNITS[unit.lower()]}{unit}"
    return f"{number}B"


def _listed(days: list[Any]) -> str:
    return f"{','.join(days)} " if days else ""
