"""Calculation: how large a replication set is, found by walking what its rules select."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.sets import RuleSize, SetSize

if TYPE_CHECKING:
    from datetime import datetime

    from bodydouble.ports import FileSystem
    from bodydouble.replication.rules import Selection
    from bodydouble.vocabulary.operations import Entry
    from bodydouble.vocabulary.records import ReplicationSet
    from bodydouble.vocabulary.sets import CalculationState

Counted = TypeVar("Counted", SetSize, RuleSize)

MAX_IDENTITIES = 1_000_000
"""Files with several names that are told apart; of further ones each name counts."""


class Calculation:
    """One walk. Directories are listed in one order, so that equal trees give equal results.

    Args:
        file_system: the host's.
        replication_set: its rules.
        selection: these, made ready for the host.
        started: the calendar's time.

    Attributes:
        size: what was found so far.
    """

    def __init__(
        self, file_system: FileSystem, replication_set: ReplicationSet, selection: Selection, started: datetime
    ) -> None:
        self.size = SetSize(replication_set.name, "running", started, known=len(selection.roots))
        self._file_system = file_system
        self._selection = selection
        self._rules = [rule for rule in replication_set.rules if rule.include]
        self._found = {rule: RuleSize(rule) for rule in self._rules}
        self._identities: set[str] = set()
        self._show()

    async def run(self) -> None:
        """Walk to the end; it is complete then, or has failed."""
        try:
            await self._walk()
        except FileSystemError as error:
            self.end("failed", str(error))
        else:
            self.end("complete")

    async def _walk(self) -> None:
        pending = list(reversed(self._selection.roots))
        for root in self._selection.roots:
            entry = await self._file_system.stat(root)
            if entry is None or not entry.directory:
                pending.remove(root)
                self._change(known=-1)
            if entry is not None:
                self._count(entry)
        while pending:
            pending += await self._directory(pending.pop())

    def end(self, state: CalculationState, detail: str = "") -> None:
        """It is over, if it was not before."""
        if self.size.state == "running":
            self._show()
            self.size = msgspec.structs.replace(self.size, state=state, detail=detail, current="")

    async def _directory(self, path: str) -> list[str]:
        """Count what is directly inside; the directories there that are to be listed, the last one first."""
        self.size = msgspec.structs.replace(self.size, current=path)
        try:
            entries = await self._file_system.list_directory(path)
        except FileSystemError as error:
            self._change(looked=1, unreadable=int(error.code != "not_found"))
            return []
        deeper = []
        for entry in entries:
            self._count(entry)
            if entry.kind == "directory" and not self._selection.replicates_nothing(entry.path):
                deeper.append(entry.path)
        self._change(looked=1, known=len(deeper))
        self._show()
        await asyncio.sleep(0)
        return deeper[::-1]

    def _count(self, entry: Entry) -> None:
        rule = self._selection.deciding(entry.path)
        if rule is None or not self._selection.selects(entry.path):
            return
        directory = entry.kind == "directory"
        size = self._bytes(entry)
        counted = {"files": int(not directory), "directories": int(directory), "bytes": size}
        self._change(**counted)
        self._found[rule] = _grown(self._found[rule], counted)

    def _bytes(self, entry: Entry) -> int:
        if entry.kind != "file" or entry.identity in self._identities:
            return 0
        if entry.identity and len(self._identities) < MAX_IDENTITIES:
            self._identities.add(entry.identity)
        return entry.size

    def _change(self, **more: int) -> None:
        self.size = _grown(self.size, more)

    def _show(self) -> None:
        self.size = msgspec.structs.replace(self.size, rules=tuple(self._found[rule] for rule in self._rules))


def _grown(counted: Counted, more: dict[str, int]) -> Counted:
    return msgspec.structs.replace(counted, **{name: getattr(counted, name) + each for name, each in more.items()})
