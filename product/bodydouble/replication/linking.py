"""Linking: has the names be one file on the replica that are one file on the source, and no others.

What a mirror does about hard links. Which names belong together is `names`; here is what is queued because of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.replication.names import NameGroups
from bodydouble.replication.protocol import RemoveTree
from bodydouble.replication.touches import Touches
from bodydouble.vocabulary.capabilities import Capabilities
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import MakeHardLink, Operation, Rename, changes_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.ports import FileSystem
    from bodydouble.replication.agenda import Agenda
    from bodydouble.replication.protocol import Body
    from bodydouble.replication.questions import Outlet
    from bodydouble.vocabulary.operations import Entry


class Linking:
    """Joins and parts names of one mirror.

    Args:
        outlet: the connection.
        file_system: where to read.
        agenda: gets what has to be visited because names were joined or parted.
        touches: kept up to date by the connection.
        take_away: queues the removal of a path on the target, unless something was done to it since a moment.
        key: the form in which the file system compares paths.

    Attributes:
        kept: what the volumes of both sides keep.
    """

    def __init__(
        self,
        outlet: Outlet,
        file_system: FileSystem,
        agenda: Agenda,
        touches: Touches,
        *,
        take_away: Callable[[str, int], bool],
        key: Callable[[str], str],
    ) -> None:
        self.kept = Capabilities()
        self._outlet = outlet
        self._file_system = file_system
        self._agenda = agenda
        self._touches = touches
        self._take_away = take_away
        self._groups = NameGroups(key)
        self._renames = Touches(key)
        self._copied: set[str] = set()
        """Files that were sent from a volume without hard links."""
        self._told = False

    # --- what is known of names ---

    def note(self, body: Body) -> None:
        """An application's operation was queued."""
        if isinstance(body, RemoveTree) or (isinstance(body, Operation) and changes_names(body)):
            self._renames.note(body)
        if isinstance(body, MakeHardLink):
            # On the target the one may mean something else so far, and the other was perhaps met as a file of its own.
            self._agenda.revisit(body.path, body.existing)
        if isinstance(body, Rename):
            self._groups.renamed(body.path, body.new_path)

    def appeared(self, path: str) -> None:
        """Something with unknown content came into the set."""
        self._renames.note_tree(path)

    def refused(self, path: str) -> None:
        """The target had to skip something that was done with ``path``."""
        self._groups.refuse(path)

    def sent(self, path: str) -> None:
        """The bytes of a file are sent under this name."""
        if not self.kept.hard_links:
            self._copied.add(path)

    def was_copied(self, path: str) -> bool:
        """Whether a file was sent under this name, on volumes that keep no hard links."""
        return path in self._copied

    def outside(self) -> int:
        """How many files have names that the mirror has not met: changes made through these are not seen."""
        return self._groups.outside()

    def others_again(self, entry: Entry) -> None:
        """What ``entry`` names is another file from now on; its further names stay what they were: look at them."""
        self._agenda.revisit(*self._groups.others(entry))

    # --- parting ---

    def strays(self, here: Entry, there: Entry, *, whole: bool) -> tuple[bool, str | None]:
        """Whether the replica's file has a name that is not this one's, and which, if this mirror met it.

        One name more than here may be that of a file that this mirror does not come to, and that keeps its bytes.

        Args:
            here: the source's file.
            there: the replica's.
            whole: the mirror comes to everything in the set.
        """
        other = self._groups.strayed(here, there)
        more = there.links > here.links or not (whole or self._groups.complete(here, there))
        return other is not None or (self.kept.hard_links and more), other

    def part(self, here: Entry, other: str | None, mark: int) -> bool:
        """The replica has one file for two of the source's: what went to the one went to the other, too.

        Args:
            here: the source's file.
            other: the name of the other one, if it is known.
            mark: the moment at which ``here`` was so.

        Returns:
            Whether the name is free on the replica now; False: it is visited again.
        """
        parted = self._take_away(here.path, mark)
        if other is not None and other != here.path:
            self._agenda.again(other)
        if parted:
            self._touches.note_tree(here.path)
            self.others_again(here)  # they were names of what it is no more
        else:
            self._agenda.again(here.path)
        return parted

    # --- joining ---

    def _tell(self, path: str) -> None:
        """Names become copies, which the target cannot see: it gets a file for each of them."""
        if not self._told:
            self._told = True
            self._outlet.report(EventCode.NOT_KEPT, f"mirror: hard links are not kept there, first of {path}")

    async def join(self, here: Entry) -> bool:
        """Queue one more name of a file that the replica has under another; False when it must be sent itself."""
        first = self._groups.first(here)
        if first is None or self._groups.alone(here.path):
            return False
        if not self.kept.hard_links:
            self._tell(here.path)
            return False
        now = self._renames.now
        leader = await self._file_system.stat(first)
        entry = await self._file_system.stat(here.path)
        changed = self._renames.since(first, now) or self._renames.since(here.path, now)
        same = leader is not None and entry is not None and entry.identity and leader.identity == entry.identity
        if self._groups.leads(here.path) or changed or not same:
            self._agenda.revisit(*self._groups.lead(here))
            return False
        self._outlet.put(MakeHardLink(here.path, first))
        return True
