"""Sight: how a stream reads its files and hears of changes: those of this host, or those of a replica it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FilterError
from bodydouble.replication.feed import GatedFileSystem
from bodydouble.replication.fence import FencedFileSystem
from bodydouble.replication.mapping import PathMap
from bodydouble.replication.rules import Selection
from bodydouble.replication.target_names import TargetNames
from bodydouble.replication.view import MappedFileSystem, MappedFilter
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bodydouble.ports import Attachment, FileFilter, FileSystem, FilterAttachment, Lost, ResumedAttachment, Sink
    from bodydouble.replication.context import Context
    from bodydouble.replication.place import Place
    from bodydouble.vocabulary.mapping import PathMapping
    from bodydouble.vocabulary.records import ReplicationSet


class Sight:
    """A stream's files.

    Attributes:
        files: to read from.
        selection: the set's rules, in the names that the stream uses.
    """

    files: FileSystem
    selection: Selection

    async def settled(self) -> None:
        """Return once the sinks were told of everything that applications did until now."""
        raise NotImplementedError

    async def attach(
        self, root: str, sink: Sink, carried: Sink, lost: Lost
    ) -> tuple[FilterAttachment, list[Attachment]]:
        """Report what applications change beneath a root of the set to ``sink``, what is applied here to ``carried``.

        Should it be impossible to report all that applications do, ``lost`` is told why.

        Raises:
            FilterError: changes under it cannot be intercepted.
        """
        raise NotImplementedError

    def resume(self, position: int, sinks: Mapping[str, Sink], lost: Lost) -> ResumedAttachment:
        """Report what applications have changed since a position in the filter's records, and change from now on.

        Raises:
            FilterError: changes cannot be intercepted.
        """
        del position, lost
        raise FilterError(f"{', '.join(sinks)}: only what is this host's own is resumed")

    def carry(self, root: str, carried: Sink) -> list[Attachment]:
        """Report what is applied here beneath a root of the set."""
        raise NotImplementedError


def _tell(context: Context, replication_set: str, path: str) -> None:
    text = f"{replication_set}: names that a host of the other kind cannot have are left out, first of {path}"
    context.events.record(EventCode.NOT_KEPT, text)


class HostSight(Sight):
    """This host's own files.

    Args:
        context: the daemon's surroundings.
        replication_set: what is replicated.
        mapping: where the target keeps it.
        base: the same.
    """

    def __init__(
        self, context: Context, replication_set: ReplicationSet, mapping: list[PathMapping], base: str
    ) -> None:
        host = context.host
        case_sensitive = host.file_system.case_sensitive
        self.selection = Selection(replication_set, case_sensitive=case_sensitive, protected=context.protected)
        path_map = PathMap(self.selection.roots, mapping, base, self.selection.key)
        self.selection.together = path_map.together
        self._feed = context.feed
        self.files = GatedFileSystem(FencedFileSystem(host.file_system, host.file_filter), context.feed)
        self._filter: FileFilter = host.file_filter
        if path_map.foreign:
            here = PathMap(self.selection.roots, [], "", self.selection.key)
            name = replication_set.name
            self.selection.fits = TargetNames(path_map, lambda path: _tell(context, name, path)).fit
            self.files = MappedFileSystem(self.files, here, plain=True)
            self._filter = MappedFilter(self._filter, here, case_sensitive=case_sensitive, plain=True)

    async def settled(self) -> None:
        """See the base."""
        await self._filter.settled()

    async def attach(
        self, root: str, sink: Sink, carried: Sink, lost: Lost
    ) -> tuple[FilterAttachment, list[Attachment]]:
        """See the base."""
        return await self._filter.attach(root, sink, lost), self.carry(root, carried)

    def resume(self, position: int, sinks: Mapping[str, Sink], lost: Lost) -> ResumedAttachment:
        """See the base."""
        return self._filter.resume(position, sinks, lost)

    def carry(self, root: str, carried: Sink) -> list[Attachment]:
        """See the base."""
        return [self._feed.attach(root, carried)]


class ReplicaSight(Sight):
    """A replica's files, under the names that their source has for them; for a restoration.

    Args:
        context: the daemon's surroundings.
        place: the replica's.
        mapping: where the receiving machine is to have it.
        base: the same.
    """

    def __init__(self, context: Context, place: Place, mapping: list[PathMapping], base: str) -> None:
        host, path_map = context.host, place.path_map
        self.selection = place.selection
        there = PathMap(self.selection.roots, mapping, base, self.selection.key)
        self.selection.together = there.together
        plain = path_map.foreign or there.foreign
        fenced = FencedFileSystem(host.file_system, host.file_filter)
        self.files = MappedFileSystem(fenced, path_map, plain=plain)
        if path_map.foreign:  # what could not come here is not gone where it came from
            self.selection.fits = TargetNames(path_map, lambda path: _tell(context, place.set_name, path)).fit
        self._filter = MappedFilter(
            host.file_filter, path_map, case_sensitive=host.file_system.case_sensitive, plain=plain
        )

    async def settled(self) -> None:
        """See the base."""
        await self._filter.settled()

    async def attach(
        self, root: str, sink: Sink, carried: Sink, lost: Lost
    ) -> tuple[FilterAttachment, list[Attachment]]:
        """See the base; nothing is applied to a replica that is being restored from."""
        return await self._filter.attach(root, sink, lost), self.carry(root, carried)

    def carry(self, root: str, carried: Sink) -> list[Attachment]:
        """See the base."""
        del root, carried
        return []
