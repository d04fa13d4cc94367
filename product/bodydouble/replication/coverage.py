"""Coverage: whether the replication sets hold what applications need.

Source: the application note, "Configure and Begin Mirroring and Replication": "The replication set must include all
directories that are used by any web sites."
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError, PathError
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.applications import ApplicationDirectory, Uncovered
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bodydouble.replication.context import Context
    from bodydouble.replication.home import SetHome
    from bodydouble.replication.rules import Selection


def judge(directory: ApplicationDirectory, selections: Mapping[str, Selection]) -> Uncovered | None:
    """What is wrong with a directory's protection by sets; None when one of them holds all of it.

    Explicit exclude rules beneath it are the administrator's decision and no fault.
    """
    names = tuple(selections)
    if directory.path.startswith(("\\\\", "//")):
        reason = "is a share of another machine: protect it there"
        return Uncovered(directory, "elsewhere", reason, names)
    try:
        path = paths.normalise(directory.path)
    except PathError as error:
        return Uncovered(directory, "outside", f"cannot be in a replication set: {error}", names)
    extents = {name: selection.extent(path) for name, selection in selections.items()}
    if "whole" in extents.values():
        return None
    part = next((name for name, extent in extents.items() if extent == "partly"), None)
    if part is not None:
        reason = f"is in the replication set {part!r} only in part: include it with everything beneath it"
        return Uncovered(directory, "partly", reason, names)
    return Uncovered(directory, "outside", _outside(path, selections), names)


def _outside(path: str, selections: Mapping[str, Selection]) -> str:
    """Why a directory is in no set, and what to do."""
    if len(selections) != 1:
        return f"lies outside of the replication sets {', '.join(selections)}: include it in one of them"
    ((name, selection),) = selections.items()
    explained = selection.explain(path)
    why = explained.reason if explained.rule is None else f"the rule {explained.rule.path} excludes it"
    return f"lies outside of the replication set {name!r} ({why}): include it"


class Coverage:
    """Compares sets with what the host's applications need, and tells the operator of what is not held.

    Args:
        context: the daemon's surroundings.
        home: has the sets.
        connected: names of the sets that connections use.
    """

    def __init__(self, context: Context, home: SetHome, connected: Callable[[], Sequence[str]]) -> None:
        self._context = context
        self._home = home
        self._connected = connected
        self._told: dict[str, list[str]] = {}

    async def saved(self) -> list[Uncovered]:
        """What no saved set holds."""
        return await self._check("saved", [each.name for each in self._home.sets()])

    async def connected(self) -> list[Uncovered]:
        """What no connected set holds; nothing when none is connected."""
        return await self._check("connected", self._connected())

    async def now(self) -> list[Uncovered]:
        """What no connected set holds, or, when none is connected, no saved one."""
        return await (self.connected() if self._connected() else self.saved())

    async def _check(self, scope: str, names: Sequence[str]) -> list[Uncovered]:
        """The same, with an event for what was not told of this scope before."""
        found: list[Uncovered] = []
        trouble: list[str] = []
        if names:
            selections = {name: self._home.selection(name) for name in dict.fromkeys(names)}
            try:
                judged = [judge(each, selections) for each in await self._directories()]
                found = [each for each in judged if each is not None]
            except BodydoubleError as error:
                trouble = [f"what the applications here need is not known: {error}"]
        self._tell(scope, [*(each.words for each in found), *trouble])
        return found

    async def _directories(self) -> list[ApplicationDirectory]:
        applications = self._context.host.applications
        return [] if applications is None else await applications.directories()

    def _tell(self, scope: str, sentences: list[str]) -> None:
        told, self._told[scope] = self._told.get(scope, []), sentences
        for sentence in sentences:
            if sentence not in told:
                self._context.events.record(EventCode.NOT_IN_THE_SET, f"{sentence} ({scope} sets)")
