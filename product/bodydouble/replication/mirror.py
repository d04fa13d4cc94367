"""The mirror: brings the replica to the source's state while applications keep changing it.

Everything that the mirror sends travels in the one ordered stream. It may therefore queue what it read only if nothing
came in between that it does not know of; between that check and the queuing there is never an ``await``.

1. Walk the roots. A directory is queued before it is listed: what is created later arrives as an operation.
2. Revisit what was renamed meanwhile, because the replica may not have had it under its old name.
3. Settle: the target tells what it had to skip. Revisit that, until there is nothing left.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import BodydoubleError, FileSystemError
from bodydouble.replication.agenda import Agenda
from bodydouble.replication.comparison import (
    digest_file,
    is_newer,
    keeps_link,
    same_attributes,
    same_created,
    same_link,
    same_metadata,
    same_time,
)
from bodydouble.replication.file_sending import FileSending
from bodydouble.replication.holes import has_holes
from bodydouble.replication.keeping import Keeping
from bodydouble.replication.left import MAX_LEFT
from bodydouble.replication.linking import Linking
from bodydouble.replication.orphans import OrphanFinds, OrphanHandling, OrphanPolicy
from bodydouble.replication.pairing import Pair, Pairing, pair
from bodydouble.replication.protocol import (
    BLOCK_BYTES,
    SMALL_FILE_BYTES,
    ListedEntry,
    MirrorComplete,
    RemoveTree,
    Settle,
    Settled,
)
from bodydouble.replication.questions import AnswerLostError, Questions, expect
from bodydouble.replication.scan import listings, weight
from bodydouble.replication.streams import StreamSender
from bodydouble.replication.tally import Tally
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.capabilities import Capabilities
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import (
    Entry,
    MakeDirectory,
    MakeSymbolicLink,
    Rename,
    SetMetadata,
    SetTimes,
)

if TYPE_CHECKING:
    from bodydouble.ports import FileSystem
    from bodydouble.replication.left import LeftFiles
    from bodydouble.replication.mirror_plan import MirrorPlan
    from bodydouble.replication.protocol import Body
    from bodydouble.replication.questions import Outlet
    from bodydouble.replication.rules import Selection
    from bodydouble.replication.touches import Touches
    from bodydouble.vocabulary.records import Progress

MAX_ROUNDS = 50
MAX_EVENTS = 100


class MirrorError(BodydoubleError):
    """The mirror cannot come to an end: the target keeps refusing what it is sent."""


class TooManyNewerError(BodydoubleError):
    """So much is newer on the target that the mirror was ended."""


class Mirror:
    """One run of the mirror.

    Args:
        outlet: the connection.
        file_system: where to read.
        selection: the rules.
        touches: kept up to date by the connection.
        left: where files are noted that are left alone.
        plan: what to do.
    """

    def __init__(
        self,
        outlet: Outlet,
        file_system: FileSystem,
        selection: Selection,
        touches: Touches,
        *,
        left: LeftFiles,
        plan: MirrorPlan,
    ) -> None:
        self.calculating = False
        self._tally = Tally(asyncio.get_running_loop().time)
        self._outlet = outlet
        self._questions = Questions(outlet, digests=plan.kind == "checksum")
        self._keeping = Keeping(self._questions, file_system, selection)
        self._pairing = Pairing(self._questions, file_system, selection, touches, plan.begun)
        self._kept = Capabilities()
        self._file_system = file_system
        self._streams = StreamSender(file_system, touches, outlet.put, self._room, checksum=plan.kind == "checksum")
        self._selection = selection
        self._touches = touches
        self._left = left
        self._plan = plan
        self._going = asyncio.Event()
        self._going.set()
        self._agenda = agenda = Agenda(plan.paths, touches)
        self._walking = True
        self._events = 0
        self._linking = Linking(outlet, file_system, agenda, touches, take_away=self._take_away, key=selection.key)
        self._sending = FileSending(outlet, file_system, touches, tally=self._tally, room=self._room, key=selection.key)
        self._orphans = OrphanHandling(
            outlet,
            self._questions,
            selection,
            touches,
            policy=plan.orphans,
            room=self._room,
            say=lambda text: self._report(EventCode.ORPHAN, text),
            again=agenda.add,
        )

    # --- called by the connection, synchronously, for everything that goes into the stream ---

    def note(self, body: Body) -> None:
        """An application's operation was queued."""
        self._streams.note(body)
        self._sending.note(body)
        self._linking.note(body)
        if isinstance(body, Rename) and (self._walking or self._agenda.concerns(body.path)):
            self._agenda.revisit(body.new_path)

    def changed(self, path: str) -> None:
        """What was left alone at ``path``, and perhaps is no file, was changed by an application."""
        self._agenda.revisit(path)

    def appeared(self, path: str) -> None:
        """Something with unknown content came into the set."""
        self._sending.note(RemoveTree(path))
        self._linking.appeared(path)
        self._agenda.revisit(path)

    # --- what the operator orders ---

    @property
    def paused(self) -> bool:
        """Whether it waits for the operator."""
        return not self._going.is_set()

    def pause(self) -> None:
        """Read and send nothing more until `resume`; what applications do goes on being noted."""
        self._going.clear()
        self._tally.pause()

    def resume(self) -> None:
        """Go on."""
        self._going.set()
        self._tally.resume()

    # --- the run ---

    async def run(self) -> None:
        """Mirror, and queue `MirrorComplete`.

        Raises:
            MirrorError: the target keeps refusing.
            TooManyNewerError: so much would be left alone that it is no replica.
        """
        if self._plan.calculate:
            await self._calculate()
        for path in self._plan.directories:
            await self._attributes(path)
        for _ in range(MAX_ROUNDS):
            await self._work()
            await self._going.wait()
            self._walking = False
            await self._outlet.settle_times()
            if await self._settled() and not self._agenda and not self._widened():
                self._outlet.put(MirrorComplete())
                self._tally.end()
                self._report_outside()
                return
        raise MirrorError(f"the replica could not be completed in {MAX_ROUNDS} rounds")

    def _widened(self) -> bool:
        """Look into the whole set, once, for further names of what was met; False: nothing is missing."""
        if self._plan.whole or not self._linking.outside():
            return False
        everything = self._left.everything
        newer_only = self._plan.newer_only or (len(self._left) > 0 and not everything)
        self._plan = replace(
            self._plan, kind="checksum", whole=True, newer_only=newer_only, missing_only=everything, flat=False
        )
        self._questions.digests = True
        self._agenda.revisit(*self._selection.roots)
        return True

    async def _calculate(self) -> None:
        """Count what there is, a directory at a time."""
        self.calculating = True
        async for _, listing in listings(self._file_system, self._selection, self._plan.paths):
            self._tally.expect(*weight(listing))
            await self._going.wait()
        self._tally.calculated()
        self.calculating = False

    async def _room(self) -> None:
        """Wait until more may be queued and nobody wants the mirror to wait."""
        await self._going.wait()
        await self._outlet.room()
        await self._going.wait()

    async def _attributes(self, path: str) -> None:
        await self._room()
        self._kept = await self._keeping.of(path)
        mark = self._touches.now
        here = await self._file_system.stat(path)
        if here is not None and here.directory:
            made = await self._make(_Directory(here, None, mark))
            if made and self._kept.streams and (there := await self._questions.look(path)) is not None:
                await self._streams.send(path, there.entry)

    async def _work(self) -> None:
        while self._agenda:
            path, revisit = self._agenda.take()
            await self._visit(path, revisit=revisit)
            self._agenda.done()

    async def _settled(self) -> bool:
        try:
            answer = expect(await self._outlet.ask(Settle()), Settled)
        except AnswerLostError:
            self._again_everything()
            return False
        if answer.overflow:
            self._again_everything()
        for path in answer.skipped:
            self._agenda.again(path)
            self._linking.refused(path)
        return not answer.skipped and not answer.overflow

    def _again_everything(self) -> None:
        self._agenda.begin_anew(self._plan.paths)
        self._left.recount()
        self._walking = True

    async def _visit(self, path: str, *, revisit: bool) -> None:
        """One root, or one path that something happened to, with all that is beneath."""
        if self._selection.replicates_nothing(path) or not self._selection.within_roots(path):
            return
        await self._room()
        self._kept = self._orphans.kept = self._linking.kept = await self._keeping.of(path)
        mark = self._touches.now  # what happens while the target answers makes its answer an old one
        there, beside = await self._pairing.look(path)
        here = await self._file_system.stat(path)
        if here is not None and here.kind != "directory":
            self._tally.find(1, here.size)
        if here is None and there is not None and not revisit and path in self._selection.roots:
            self._tally.leave_out(path)
            self._report(EventCode.ORPHAN, f"{path}: this root is missing here (is its volume mounted?): kept there")
            return
        stack: list[_Directory] = []
        if here is not None:
            stack = await self._reconcile(Pair(here, there, beside), mark)
        elif there is not None and not self._pairing.is_other(path, there):
            await self._orphan(there.entry, mark, leftover=revisit)
        if stack:
            self._left.forget(path)  # a directory: the stream carries what is done to it
        while stack and not self._plan.flat:
            stack.extend(reversed(await self._directory(stack.pop())))

    async def _reconcile(self, found: Pair, mark: int) -> list[_Directory]:
        """Make one path of the source equal, if the target has room for it; the directory to go into, if it is one."""
        found = self._pairing.trusted(found)
        here, there = found.here, found.there
        if found.why:
            self._outlet.put(SetMetadata(here.path, here.metadata))  # makes nothing; the target says what it lacks
            if here.kind != "directory":
                self._skip(here)
            return []
        if there is not None and there.entry.kind != here.kind:
            if self._plan.missing_only:
                self._leave(here)
                return []
            if self._touches.since(here.path, mark):
                self._agenda.again(here.path)  # the target may have by now what the source has
                return []
            await self._orphans.make_room(there.entry, mark)
            self._take_away(there.entry.path, mark)
            there = None
        self._spell(here, there, mark)
        if here.kind == "directory":
            return [_Directory(here, there, mark)]
        if self._selection.selects(here.path):
            await self._match(here, there, mark)
        return []

    def _spell(self, here: Entry, there: ListedEntry | None, mark: int) -> None:
        """Give what the replica has the source's name, where the two differ in case only."""
        path, name = here.path, paths.name(here.path)
        if there is None or paths.name(there.entry.path) == name or path in self._selection.roots:
            return
        if self._touches.since(path, mark):
            self._agenda.again(path)  # under which name it is there now nobody knows
        elif self._selection.selects(path) or here.kind == "directory":
            self._outlet.put(Rename(paths.join(paths.parent(path), paths.name(there.entry.path)), path))

    async def _match(self, here: Entry, there: ListedEntry | None, mark: int) -> None:
        """Make a file or a symbolic link equal."""
        if here.kind == "link" and not keeps_link(here, self._kept):
            if here.target is not None and not self._touches.since(here.path, mark):  # the target says what it lacks
                self._outlet.put(MakeSymbolicLink(here.path, here.target, here.metadata, here.mtime_ns, here.directory))
            self._tally.file()
            return
        if self._is_cut(here, there) or self._leaves_alone(here, there):
            return
        if there is not None:
            strays, other = self._linking.strays(here, there.entry, whole=self._plan.whole)
            if other is not None and await self._stays_one(here, there, other, mark):
                self._skip(here)
                return
            if strays and not self._linking.part(here, other, mark):
                return
            there = None if strays else there
        if await self._linking.join(here):
            self._skip(here)
        else:
            await (self._file if here.kind == "file" else self._link)(here, there, mark)

    async def _stays_one(self, here: Entry, there: ListedEntry, other: str, mark: int) -> bool:
        """Whether names that are copies here, for want of hard links, may stay one file there: no copy was sent."""
        try:
            same = not self._kept.hard_links and await self._is_same(here, there, mark)
        except FileSystemError:
            return False
        return same and not self._linking.was_copied(other)

    def _is_cut(self, here: Entry, there: ListedEntry | None) -> bool:
        """Whether this side has only the beginning of what the target has, because its volume takes no more of it."""
        if there is None or here.size < self._kept.largest_file or there.entry.size <= here.size:
            return False
        self._report(EventCode.NOT_KEPT, f"mirror: {here.path}: only its beginning is here, the target's stays")
        self._skip(here)
        return True

    def _leaves_alone(self, here: Entry, there: ListedEntry | None) -> bool:
        """Whether the target's file is to stay as it is; then its names stay apart or together as they are."""
        if there is None:
            return False
        newer = self._plan.newer_only and here.kind == "file" and is_newer(there.entry, here, self._kept)
        if not (newer or self._plan.missing_only) or self._touches.since(here.path, self._plan.begun):
            return False  # the application's last write is on its way there
        self._leave(here)
        return True

    def _leave(self, here: Entry) -> None:
        """Note what the target is to keep."""
        if not self._left.add(here.path):
            raise TooManyNewerError(f"more than {MAX_LEFT} files are newer on the target: it is no replica of these")
        if here.kind != "directory":
            self._skip(here)

    def _take_away(self, path: str, mark: int) -> bool:
        """Queue the removal of what the target has at ``path``; False when something was done to it since ``mark``."""
        if self._touches.since(path, mark):
            return False  # the stream carries what happened to it
        self._outlet.put(RemoveTree(path))
        return True

    # --- directories ---

    async def _directory(self, at: _Directory) -> list[_Directory]:
        """Make a directory and all files in it equal; the directories inside that are still to do."""
        await self._room()
        path = at.here.path
        if not await self._make(at):
            return []
        mark = self._touches.now
        children = await self._children(at)
        try:
            if self._kept.streams:
                await self._streams.match(at.here, at.there, at.mark, trusted=self._plan.kind != "full")
            listing = await self._file_system.list_directory(path)
        except FileSystemError as error:
            self._unreadable(error)
            return []
        listing = [entry for entry in listing if self._selection.replicates(entry.path)]
        self._tally.find(*weight(listing))
        deeper: list[_Directory] = []
        pairs, orphans = pair(listing, children, self._kept)
        for each in pairs:
            deeper += await self._reconcile(each, mark)
        for orphan in orphans:
            await self._orphan(orphan.entry, mark, leftover=False)
        return deeper

    async def _make(self, at: _Directory) -> bool:
        """Queue the directory itself as it is now; False when it is gone."""
        entry: Entry | None = at.here
        mark = at.mark
        while self._touches.since(at.here.path, mark):
            mark = self._touches.now
            entry = await self._file_system.stat(at.here.path)
        if entry is None or entry.kind != "directory":
            return False
        known = at.there is not None and not self._touches.since(entry.path, self._plan.begun)
        if not known or at.there is None or not same_attributes(entry, at.there.entry, self._kept):
            self._outlet.put(MakeDirectory(entry.path, entry.metadata, entry.created_ns))
        elif not same_time(entry, at.there.entry, self._kept) and self._selection.selects(entry.path):
            self._outlet.owe_time(entry.path)
        return True

    async def _children(self, at: _Directory) -> dict[str, ListedEntry]:
        """What the replica has in the directory, by name."""
        if at.there is None and not self._touches.since(at.here.path, self._plan.begun):
            return {}
        return await self._questions.children(at.here.path)

    async def _orphan(self, entry: Entry, mark: int, *, leftover: bool) -> None:
        """A path that only the target has. A leftover was the source's own a moment ago and always goes."""
        if not leftover:
            await self._orphans.take(entry, mark)
        elif not self._selection.replicates_nothing(entry.path) and (
            entry.directory or self._selection.selects(entry.path)
        ):
            self._take_away(entry.path, mark)

    # --- symbolic links ---

    async def _link(self, here: Entry, there: ListedEntry | None, mark: int) -> None:
        """Queue a symbolic link as it is now."""
        entry: Entry | None = here
        while self._touches.since(here.path, mark):
            mark = self._touches.now
            entry = await self._file_system.stat(here.path)
        if entry is None or entry.target is None:
            return
        if entry.identity != here.identity:
            self._agenda.revisit(here.path)  # it became one of several names, or ceased to be one
            return
        known = there is not None and not self._touches.since(entry.path, self._plan.begun)
        if not known or there is None or not same_link(entry, there.entry, self._kept):
            self._outlet.put(
                MakeSymbolicLink(
                    entry.path, entry.target, entry.metadata, entry.mtime_ns, entry.directory, entry.created_ns
                )
            )
            # It takes the place of the one before, whose further names stay what they were.
            self._linking.others_again(entry)
        self._tally.file()

    # --- files ---

    async def _file(self, here: Entry, there: ListedEntry | None, mark: int) -> None:
        try:
            if same := await self._is_same(here, there, mark):
                self._tally.skipped(here.size)
                if there is not None and not same_metadata(here, there.entry, self._kept):
                    self._outlet.put(SetMetadata(here.path, here.metadata))
                if there is not None and not same_created(here, there.entry, self._kept):
                    self._outlet.put(SetTimes(here.path, here.mtime_ns, here.created_ns))
            else:
                await self._send_file(here, there, mark)
            if self._kept.streams:
                await self._streams.match(here, there, mark, trusted=same)
        except FileSystemError as error:
            self._unreadable(error)
        self._tally.file()

    async def _is_same(self, here: Entry, there: ListedEntry | None, mark: int) -> bool:
        """Whether the replica's file needs no bytes; never claimed of a file that changed during the mirror."""
        if there is None or self._plan.kind == "full" or self._touches.since(here.path, self._plan.begun):
            return False
        theirs = there.entry
        same = theirs.size == here.size and same_time(here, theirs, self._kept)
        if not same or self._plan.kind == "difference":
            return same
        if here.size > SMALL_FILE_BYTES or not there.digest:
            return False
        if self._kept.holes and not theirs.sparse and await has_holes(self._file_system, here):
            return False
        digest = await digest_file(self._file_system, here.path, here.size)
        return digest == there.digest and not self._touches.since(here.path, mark)

    async def _send_file(self, listed: Entry, there: ListedEntry | None, mark: int) -> None:
        self._left.forget(listed.path)
        self._linking.sent(listed.path)
        await self._room()
        digests = await self._digests(listed, there)
        equal = there is None and not self._touches.since(listed.path, self._plan.begun)
        if digests and not self._kept.holes:  # compared by blocks, zeros and all, as it is there
            listed = msgspec.structs.replace(listed, sparse=False)
        await self._sending.send(listed, digests, mark, empty=equal)

    async def _digests(self, listed: Entry, there: ListedEntry | None) -> list[bytes]:
        """Digests of the replica's blocks, for a file of several blocks that is compared by checksum."""
        if self._plan.kind != "checksum" or there is None or there.entry.size <= BLOCK_BYTES:
            return []
        mark = self._touches.now
        digests = await self._questions.blocks(listed.path)
        return [] if self._touches.since(listed.path, mark) else digests

    # --- what the operator sees ---

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._tally.progress()

    @property
    def orphans(self) -> tuple[OrphanPolicy, OrphanFinds]:
        """What was found that only the target has, and what was ordered about it."""
        return self._orphans.policy, self._orphans.finds

    def _skip(self, entry: Entry) -> None:
        """A file need not be sent."""
        self._tally.skipped(entry.size)
        self._tally.file()

    def _unreadable(self, error: FileSystemError) -> None:
        if error.code != "not_found":
            self._tally.leave_out(error.path)
            self._report(EventCode.REPLICATION_ERROR, f"mirror: {error}; left out")

    def _report_outside(self) -> None:
        if self._plan.whole and (count := self._linking.outside()):
            text = f"mirror: {count} files have further names outside of the replication set; changes made through"
            self._outlet.report(EventCode.REPLICATION_ERROR, f"{text} those are not replicated")

    def _report(self, code: EventCode, text: str) -> None:
        self._events += 1
        if self._events < MAX_EVENTS:
            self._outlet.report(code, text)
        elif self._events == MAX_EVENTS:
            self._outlet.report(code, "mirror: more of the same is not listed")


@dataclass(frozen=True, slots=True)
class _Directory:
    """A directory to do: as listed here, as found there, and when it was listed."""

    here: Entry
    there: ListedEntry | None
    mark: int
