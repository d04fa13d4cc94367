"""The timeline as one self-contained HTML page: no script is needed to read it, nothing is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jinja2

from bodydouble_labs.report import wording
from bodydouble_labs.report.drawing import draw
from bodydouble_labs.report.lanes import timeline

if TYPE_CHECKING:
    from bodydouble_labs.history import History
    from bodydouble_labs.result import Result
    from bodydouble_labs.scenario.model import Scenario

MAX_EVENTS = 200
"""Product events that the page lists; all are in ``events.jsonl``."""


def render(result: Result, history: History, scenario: Scenario) -> str:
    """The page. All text that comes from outside is escaped by the template engine."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bodydouble_labs.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = wording.clock
    environment.filters["split"] = wording.split
    shown = timeline(history, scenario)
    return environment.get_template("timeline.html.j2").render(
        result=result,
        scenario=scenario,
        figures=wording.figures(result),
        signs=wording.VERDICT_SIGNS,
        shown=shown,
        events=shown.events[:MAX_EVENTS],
        more_events=len(shown.events[MAX_EVENTS:]),
        drawing=draw(shown, scenario),
    )
