"""The report of a run: what machines read (JSON) and what people read (a page; `terminal` for the console)."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from bodydouble_labs import result as results
from bodydouble_labs.report.page import render

if TYPE_CHECKING:
    from pathlib import Path

    from bodydouble_labs.history import History
    from bodydouble_labs.result import Result
    from bodydouble_labs.scenario.model import Scenario

__all__ = ["FILES", "write"]

FILES = ("result.json", "events.jsonl", "history.json", "timeline.html")


def write(directory: Path, result: Result, history: History, scenario: Scenario) -> list[str]:
    """Write the report into ``directory`` (made if missing) and return the names of the files.

    ``result.json`` lists these files among its artifacts; ``events.jsonl`` has every mark of the run, one JSON object a
    line, in order of time; ``history.json`` is the history as it was recorded; ``timeline.html`` stands alone.

    Raises:
        OSError: a file could not be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    listed = [*result.artifacts, *(name for name in FILES if name not in result.artifacts)]
    complete = msgspec.structs.replace(result, artifacts=listed)
    marks = sorted(history.marks, key=attrgetter("at"))
    contents = {
        "result.json": results.encode(complete),
        "events.jsonl": b"".join(msgspec.json.encode(mark) + b"\n" for mark in marks),
        "history.json": msgspec.json.encode(history.told()),
        "timeline.html": render(complete, history, scenario).encode(),
    }
    for name, data in contents.items():
        (directory / name).write_bytes(data)
    return list(contents)
