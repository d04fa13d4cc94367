"""``pause target`` and ``resume target``: of all of a source's sets, or of one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bodydouble.dtcl.connecting import pause_target, resume_target


class Target:
    """Replicas of S: one of them is paused."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bool]] = []

    async def replicas(self) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(source=source, replication_set=name, state=state)
            for source, name, state in (("S", "a", "paused"), ("S", "b", "ok"), ("OTHER", "c", "ok"))
        ]

    async def pause_target(self, _source: str, name: str, *, paused: bool) -> str:
        self.asked.append((name, paused))
        return name


def call(**options: str) -> Any:
    texts = {name.strip("_"): SimpleNamespace(text=lambda value=value: value) for name, value in options.items()}
    return SimpleNamespace(option=texts.get)


@pytest.mark.parametrize(
    ("command", "options", "asked"),
    [
        (resume_target, {"for_": "s"}, [("a", False)]),
        (pause_target, {"for_": "S"}, [("b", True)]),
        (resume_target, {"for_": "S", "set_": "b"}, [("b", False)]),
        (resume_target, {"for_": "other"}, [("c", False)]),
    ],
    ids=["all that are paused", "all that are not", "the one that is named", "none: the daemon says so"],
)
def test_of_all_sets_those_are_meant_that_are_not_so_already(
    command: Any, options: dict[str, str], asked: list[tuple[str, bool]]
) -> None:
    target = Target()

    async def the_target() -> Target:
        return target

    asyncio.run(command(cast("Any", SimpleNamespace(target=the_target)), call(**options)))
    assert target.asked == asked
