"""One run seen as one run of each of its protections, so that every checker judges one source and its stand-in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bodydouble_labs.history import History, Mark
    from bodydouble_labs.scenario.model import Scenario


class View(NamedTuple):
    """What concerns one protection. ``name`` is empty for the only one of a scenario."""

    name: str
    history: History
    scenario: Scenario


def views(history: History, scenario: Scenario) -> list[View]:
    """The protections of a scenario, each with its part of the history.

    To a protection belong the marks that name it or none, on its own hosts or on none in particular. What was unmet in
    a step that is about no single protection is unmet for all.
    """
    if "" in scenario.protections:
        return [View("", history, scenario)]
    found = []
    for name in scenario.protections:
        part = history.of(name)
        others = [host for host in scenario.servers if host not in scenario.protections[name].hosts]
        marks = [mark for mark in history.marks if _concerns(mark, name, others)]
        mine = replace(part, marks=marks, unmet=[*history.unmet, *part.unmet])
        found.append(View(name, mine, scenario.of(name)))
    return found


def _concerns(mark: Mark, name: str, others: list[str]) -> bool:
    return mark.protection in ("", name) and mark.host not in others
