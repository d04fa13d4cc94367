"""Verification: compares source and replica while applications go on writing, and changes nothing.

The questions travel in the ordered stream, so an answer shows the replica after exactly the operations before it. A
path is judged only if no operation touched it between the question and the last look at the source; otherwise it is
compared again later. So a difference that is reported is one: operations on their way are none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble.replication.comparison import (
    difference,
    digest_bytes,
    digest_file,
    digest_streams,
    is_newer,
    keeps_link,
)
from bodydouble.replication.directory_times import directories_of
from bodydouble.replication.holes import has_holes
from bodydouble.replication.keeping import Keeping
from bodydouble.replication.names import SameNames
from bodydouble.replication.pairing import Pairing, pair, why_not_beside
from bodydouble.replication.protocol import BLOCK_BYTES, SMALL_FILE_BYTES, ListedEntry, RemoveTree
from bodydouble.replication.questions import Outlet, Questions
from bodydouble.replication.touches import Touches
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.capabilities import Capabilities
from bodydouble.vocabulary.operations import Entry, MakeHardLink, RemoveFile, Rename
from bodydouble.vocabulary.verification import Difference, VerificationOptions, VerificationTotals

if TYPE_CHECKING:
    from bodydouble.ports import FileSystem
    from bodydouble.replication.protocol import Body
    from bodydouble.replication.rules import Selection

MAX_ROUNDS = 10
"""Times that a path is looked at before applications are taken to be changing it all the time."""
MAX_FINDINGS = 100_000
"""Differences that are kept; what is beyond is counted, and repaired by a mirror of everything."""
MAX_AGAIN = 100_000


class CalmOutlet(Outlet, Protocol):
    """What a verification needs of the connection."""

    async def calm(self) -> None:
        """Wait until no mirror runs."""


@dataclass(slots=True)
class Findings:
    """What a verification found.

    Attributes:
        differences: in the order in which they were found; at most `MAX_FINDINGS`.
        paths: what a mirror has to look at to repair them, with all that is beneath.
        directories: existing directories that only their attributes or security tell apart.
        complete: nothing was left out of the lists.
    """

    totals: VerificationTotals = field(default_factory=VerificationTotals)
    differences: list[Difference] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    complete: bool = True


class Verification:
    """One run.

    Args:
        outlet: the connection.
        file_system: the source's.
        selection: the rules.
        options: how to compare.
    """

    def __init__(
        self, outlet: CalmOutlet, file_system: FileSystem, selection: Selection, options: VerificationOptions
    ) -> None:
        self.findings = Findings()
        self._outlet = outlet
        self._questions = Questions(outlet, digests=options.checksum)
        self._keeping = Keeping(self._questions, file_system, selection)
        self._kept = Capabilities()
        self._file_system = file_system
        self._selection = selection
        self._options = options
        self._touches = Touches(selection.key)
        self._pairing = Pairing(self._questions, file_system, selection, self._touches, 0)
        self._again: dict[str, bool] = {}
        self._trees: dict[str, None] = {}
        self._names = SameNames()
        self._named = 0
        """When names last came or went, in `Touches`."""
        self._began = 0
        self._restless: set[str] = set()
        """Directories in which something happened: their times are still on their way."""

    # --- called by the connection, synchronously, for everything that goes into the stream ---

    def note(self, body: Body) -> None:
        """An application's operation was queued."""
        self._touches.note(body)
        for directory in directories_of(body):
            self._restless.add(self._selection.key(directory))
        if isinstance(body, MakeHardLink | Rename | RemoveFile | RemoveTree):
            self._named = self._touches.now
        if isinstance(body, Rename):
            self._later(body.new_path, deep=True)

    def appeared(self, path: str) -> None:
        """Something with unknown content came into the set; a mirror of it follows."""
        self._touches.note_tree(path)
        self._later(path, deep=True)

    # --- the run ---

    async def run(self) -> None:
        """Compare everything in the set; `findings` grows meanwhile."""
        await self._outlet.settle_times()
        work = dict.fromkeys(self._selection.roots, True)
        for _ in range(MAX_ROUNDS):
            self._names.clear()
            self._began = self._touches.now
            for path, deep in work.items():
                await self._visit(path, deep=deep)
            work, self._again = self._again, {}
            if not work:
                return
            await self._outlet.calm()
        self._count(unsettled=len(work))

    def _later(self, path: str, *, deep: bool) -> None:
        """Look at ``path`` once more in the next round; ``deep`` with all that is beneath."""
        if len(self._again) < MAX_AGAIN:
            self._again[path] = deep or self._again.get(path, False)
        else:
            self._count(unsettled=1)

    async def _visit(self, path: str, *, deep: bool) -> None:
        """One root, or one path that something happened to."""
        if self._selection.replicates_nothing(path) or not self._selection.within_roots(path):
            return
        self._kept = await self._keeping.of(path)
        mark = self._touches.now
        there, beside = await self._pairing.look(path)
        here = await self._file_system.stat(path)
        stack = await self._compare(path, here, there, mark, why_not_beside(beside))
        while stack and deep:
            stack.extend(reversed(await self._directory(stack.pop())))

    async def _directory(self, path: str) -> list[str]:
        """Compare what is inside a directory; the directories inside."""
        await self._outlet.room()
        mark = self._touches.now
        there = await self._questions.children(path)
        try:
            listing = await self._file_system.list_directory(path)
        except FileSystemError as error:
            self._unreadable(path, error)
            return []
        deeper: list[str] = []
        pairs, orphans = pair([each for each in listing if self._selection.replicates(each.path)], there, self._kept)
        for each in pairs:
            deeper += await self._compare(each.here.path, each.here, each.there, mark, each.why)
        for orphan in orphans:
            deeper += await self._compare(orphan.entry.path, None, orphan, mark)
        return deeper

    async def _compare(
        self, path: str, here: Entry | None, there: ListedEntry | None, mark: int, why: str = ""
    ) -> list[str]:
        """Judge one path; itself when it is a directory on the source whose inside is to be compared."""
        if self._touches.since(path, mark) or (there is not None and self._touches.since(there.entry.path, mark)):
            is_known = here is not None and here.directory and there is not None and there.entry.directory
            self._later(path, deep=not is_known)
            return [path] if is_known else []
        if here is None:
            self._judge_orphan(there)
            return []
        if here.kind == "directory":
            await self._judge_directory(here, there, mark, why)
            return [path]
        if self._selection.selects(path) and not (here.kind == "link" and not keeps_link(here, self._kept)):
            await self._judge_file(here, there, mark, why)
        return []

    def _is_still(self, directory: str) -> bool:
        """Whether a directory's time can be judged."""
        return self._selection.selects(directory) and self._selection.key(directory) not in self._restless

    # --- verdicts ---

    def _judge_orphan(self, there: ListedEntry | None) -> None:
        if there is None:
            return
        path = there.entry.path
        if self._selection.replicates_nothing(path) or not (there.entry.directory or self._selection.selects(path)):
            return
        self._find(Difference(path, "orphan", "a directory" if there.entry.directory else ""))
        self._count(orphans=1)

    async def _judge_directory(self, here: Entry, there: ListedEntry | None, mark: int, why: str) -> None:
        try:
            words = (
                ""
                if there is None
                else self._misspelt(here, there)
                or difference(here, there.entry, self._kept, times=self._is_still(here.path))
                or await self._hidden(here, there)
            )
        except FileSystemError as error:
            self._unreadable(here.path, error)
            return
        if self._touches.since(here.path, mark):
            self._later(here.path, deep=False)
            return
        self._count(directories=1)
        if there is None:
            self._find(Difference(here.path, "missing", why or "a directory"))
            self._count(missing=1)
        elif words:
            shallow = there.entry.directory and not self._misspelt(here, there)
            self._find(Difference(here.path, "different", words), shallow=shallow)
            self._count(different=1)

    def _misspelt(self, here: Entry, there: ListedEntry) -> str:
        """How the target spells a name that differs in case only; roots have the name that their mapping gives them."""
        name = paths.name(there.entry.path)
        return (
            "" if name == paths.name(here.path) or here.path in self._selection.roots else f"there it is called {name}"
        )

    async def _judge_file(self, here: Entry, there: ListedEntry | None, mark: int, why: str) -> None:
        try:
            words = "" if there is None else self._misspelt(here, there) or difference(here, there.entry, self._kept)
            if there is not None and not words:
                words = await self._bytes(here, there)
        except FileSystemError as error:
            self._unreadable(here.path, error)
            return
        if self._touches.since(here.path, mark):
            self._later(here.path, deep=False)
            return
        if there is not None and not words and self._kept.hard_links:
            words, other = self._names.compare(here, there.entry)
            if words and self._named > self._began:  # the other one may have been looked at before
                self._later(here.path, deep=False)
                self._later(other, deep=False)
                return
            if words and not self._is_covered(other):
                self.findings.paths.append(other)  # a mirror needs to meet both
        self._count(files=1, bytes=here.size)
        if there is None:
            self._find(Difference(here.path, "missing", why))
            self._count(missing=1)
        elif words and self._options.newer_only and not is_newer(here, there.entry, self._kept):
            self._count(not_newer=1)
        elif words:
            self._find(Difference(here.path, "different", words))
            self._count(different=1)

    async def _bytes(self, here: Entry, there: ListedEntry) -> str:
        """What two files that are equal in everything else have in them, by holes and checksum."""
        if self._kept.holes and not there.entry.sparse and await has_holes(self._file_system, here):
            return "holes"
        if hidden := await self._hidden(here, there):
            return hidden
        return await self._contents(here, there) if self._options.checksum and here.size else ""

    async def _hidden(self, here: Entry, there: ListedEntry) -> str:
        """What a checksum says about named streams of the same names and lengths."""
        if not self._options.checksum or not self._kept.streams or not here.streams:
            return ""
        same = await digest_streams(self._file_system, here) == there.streams
        return "" if same else "contents of named streams"

    async def _contents(self, here: Entry, there: ListedEntry) -> str:
        if here.size > SMALL_FILE_BYTES:
            return await self._blocks(here)
        if not there.digest:
            return "cannot be read on the target"
        same = await digest_file(self._file_system, here.path, here.size) == there.digest
        return "" if same else "contents"

    async def _blocks(self, here: Entry) -> str:
        theirs = await self._questions.blocks(here.path)
        for block, expected in enumerate(theirs):
            data = await self._file_system.read(here.path, block * BLOCK_BYTES, BLOCK_BYTES)
            if digest_bytes(data) != expected:
                return f"contents from byte {block * BLOCK_BYTES} on"
        complete = len(theirs) * BLOCK_BYTES >= here.size
        return "" if complete else "cannot be read on the target"

    # --- results ---

    def _find(self, found: Difference, *, shallow: bool = False) -> None:
        findings = self.findings
        if len(findings.differences) >= MAX_FINDINGS:
            findings.complete = False
            return
        findings.differences.append(found)
        if shallow:
            findings.directories.append(found.path)
        elif not self._is_covered(found.path):
            findings.paths.append(found.path)
            if found.kind == "missing":
                self._trees[found.path] = None

    def _is_covered(self, path: str) -> bool:
        """Whether a directory above is missing as well, so that its repair covers the path."""
        above = paths.parent(path)
        while self._trees and above != path:
            if above in self._trees:
                return True
            path, above = above, paths.parent(above)
        return False

    def _unreadable(self, path: str, error: FileSystemError) -> None:
        if error.code == "not_found":
            self._later(path, deep=True)  # it went while it was being looked at
        else:
            self._count(unreadable=1)

    def _count(self, **more: int) -> None:
        totals = self.findings.totals
        grown = {name: getattr(totals, name) + count for name, count in more.items()}
        self.findings.totals = msgspec.structs.replace(totals, **grown)
