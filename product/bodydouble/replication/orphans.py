"""Orphans: what the target has beneath the roots of a set and the source has not.

Whoever compares a directory (a mirror, or `OrphanSearch` by itself) hands over what is left on the target's side. What
is beneath is asked for, a directory at a time, judged by the rules and by age, and put on the list or ordered away. An
order is queued only if no application touched the path since the source was looked at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bodydouble.replication.comparison import keeps_link
from bodydouble.replication.protocol import MAX_ORPHANS, Orphans
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.capabilities import Capabilities
from bodydouble.vocabulary.orphans import ORPHANS_SHOWN, Orphan, OrphanTotals

if TYPE_CHECKING:
    from bodydouble.replication.questions import Outlet, Questions
    from bodydouble.replication.rules import Selection
    from bodydouble.replication.touches import Touches
    from bodydouble.vocabulary.operations import Entry
    from bodydouble.vocabulary.records import OrphanAction

_EPOCH = datetime.fromtimestamp(0, UTC)

Room = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class OrphanPolicy:
    """What to do with orphans.

    Attributes:
        action: see `OrphanAction`.
        min_age: seconds; younger ones stay.
        now: when the search began, by the source's calendar.
    """

    action: OrphanAction
    min_age: float = 0.0
    now: datetime = _EPOCH

    @property
    def day(self) -> str:
        """Under which orphans are moved."""
        return f"{self.now.year:04}-{self.now:%m-%d}"

    def is_young(self, entry: Entry) -> bool:
        """Whether an orphan stays for its age."""
        return self.min_age > 0 and entry.mtime_ns > (self.now.timestamp() - self.min_age) * 1e9


KEEP = OrphanPolicy("keep")


@dataclass(slots=True)
class OrphanFinds:
    """What was found so far."""

    files: int = 0
    directories: int = 0
    bytes: int = 0
    young: int = 0
    first: list[Orphan] = field(default_factory=list)

    def add(self, entry: Entry, *, young: bool) -> None:
        """One more."""
        directory = entry.kind == "directory"
        self.directories += directory
        self.files += not directory
        self.bytes += entry.size
        self.young += young
        if len(self.first) < ORPHANS_SHOWN:
            self.first.append(Orphan(entry.path, entry.kind, entry.size, _moment(entry.mtime_ns), young))

    @property
    def totals(self) -> OrphanTotals:
        """The counts."""
        return OrphanTotals(self.files, self.directories, self.bytes, self.young)


def _moment(time_ns: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    except (OverflowError, OSError, ValueError):
        return None


class OrphanHandling:
    """Lists orphans and orders them away.

    Args:
        outlet: the connection.
        questions: to the target.
        selection: the rules: what they leave out is no orphan.
        touches: kept up to date by whoever looks.
        policy: what to do.
        room: waits until more may be queued.
        say: hears of each orphan, and what becomes of it, in words.
        again: hears of a directory that applications made meanwhile: it is no orphan, but what is inside may be.

    Attributes:
        kept: what the volumes of both sides keep.
    """

    def __init__(
        self,
        outlet: Outlet,
        questions: Questions,
        selection: Selection,
        touches: Touches,
        *,
        policy: OrphanPolicy,
        room: Room,
        say: Callable[[str], None],
        again: Callable[[str], None],
    ) -> None:
        self.finds = OrphanFinds()
        self.policy = policy
        self.kept = Capabilities()
        self._outlet = outlet
        self._questions = questions
        self._selection = selection
        self._touches = touches
        self._room = room
        self._say = say
        self._again = again
        self._batch: list[Entry] = []
        self._kept: set[str] = set()
        self._displaced = False

    async def take(self, entry: Entry, mark: int) -> None:
        """Handle one path that only the target has, with everything beneath.

        Args:
            entry: as the target shows it.
            mark: the moment, in `Touches`, at which the source did not have it.
        """
        await self._take(entry, mark, displaced=False)

    async def make_room(self, entry: Entry, mark: int) -> None:
        """Handle what is in a directory in whose place the source has something else: nothing of it can stay."""
        if entry.kind == "directory":
            await self._take(entry, mark, displaced=True)

    async def _take(self, entry: Entry, mark: int, *, displaced: bool) -> None:
        if self.policy.action == "keep" or not self._is_candidate(entry):
            return
        self._kept.clear()
        self._displaced = displaced
        stack = [(entry, False)]
        while stack:
            each, opened = stack.pop()
            if each.kind != "directory":
                self._file(each, mark, entry.path)
            elif opened:
                self._directory(each, mark, entry.path)
            else:
                stack.append((each, True))
                stack += reversed([(child, False) for child in await self._inside(each, mark)])
        self._flush(mark)

    def _is_candidate(self, entry: Entry) -> bool:
        if self._selection.replicates_nothing(entry.path):
            return False
        if entry.kind == "link" and not keeps_link(entry, self.kept):
            return False  # the source's volume could not have it: that it has not says nothing
        return entry.kind == "directory" or self._selection.selects(entry.path)

    async def _inside(self, directory: Entry, mark: int) -> list[Entry]:
        self._flush(mark)
        await self._room()
        listed = await self._questions.children(directory.path)
        found = [each.entry for each in listed.values() if self._is_candidate(each.entry)]
        if len(found) < len(listed):
            self._keep(directory.path, "")
        return found

    def _keep(self, path: str, top: str) -> None:
        """``path`` stays, and so do the directories that it is in."""
        while path not in self._kept and paths.is_beneath(path, top or path):
            self._kept.add(path)
            path = paths.parent(path)

    def _file(self, entry: Entry, mark: int, top: str) -> None:
        if self._touches.since(entry.path, mark):
            return
        if not self._displaced and self.policy.is_young(entry):
            self.finds.add(entry, young=True)
            self._say(f"{entry.path}: only the target has it, too young: it stays")
            self._keep(entry.path, top)
            return
        if self._batch and paths.parent(self._batch[0].path) != paths.parent(entry.path):
            self._flush(mark)
        self._batch.append(entry)
        if len(self._batch) >= MAX_ORPHANS:
            self._flush(mark)

    def _directory(self, entry: Entry, mark: int, top: str) -> None:
        self._flush(mark)
        if self._touches.since(entry.path, mark):
            self._again(entry.path)
        elif entry.path in self._kept and not self._displaced:
            return
        elif self._selection.replicates(entry.path):
            self._send([entry])
        else:
            self._keep(entry.path, top)

    def _flush(self, mark: int) -> None:
        """Order what was collected, as far as applications have not touched it since; nothing is awaited here."""
        batch, self._batch = self._batch, []
        self._send([entry for entry in batch if not self._touches.since(entry.path, mark)])

    def _send(self, entries: list[Entry]) -> None:
        action = self.policy.action
        if entries and action != "log":
            root = len(entries) == 1 and not self._selection.within_roots(paths.parent(entries[0].path))
            directory = entries[0].path if root else paths.parent(entries[0].path)
            names = [""] if root else [paths.name(entry.path) for entry in entries]
            self._outlet.put(Orphans(directory, names, action == "move", self.policy.day))
        words = {"log": "removed" if self._displaced else "kept", "move": "moved"}.get(action, "removed")
        for entry in entries:
            self.finds.add(entry, young=False)
            self._say(f"{entry.path}: only the target has it, {words}")
