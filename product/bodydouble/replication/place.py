"""Place: where a replica is kept on this machine, how its files are reached, and who may be there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import InputError
from bodydouble.replication.feed import FeedingFileSystem
from bodydouble.replication.mapping import PathMap, check_mapping, overlap
from bodydouble.replication.rules import Selection, fold, roots_of, same
from bodydouble.replication.view import MappedFileSystem
from bodydouble.vocabulary import paths

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from bodydouble.ports import FileSystem
    from bodydouble.replication.context import Context
    from bodydouble.replication.protocol import Placement
    from bodydouble.vocabulary.records import ReplicationSet


class Place:
    """The rules and the files of one replica.

    Args:
        context: the daemon's surroundings.
        replication_set: the source's.
        placement: how the source wants it kept.
        lock: the replica's, see `bodydouble.replication.feed`.
    """

    def __init__(
        self, context: Context, replication_set: ReplicationSet, placement: Placement, lock: asyncio.Lock
    ) -> None:
        self.set_name = replication_set.name
        files = context.host.file_system
        key = same if files.case_sensitive and placement.case_sensitive else fold
        roots = roots_of(replication_set, key)
        self.path_map = PathMap(roots, placement.mapping, placement.base, key)
        self.selection = Selection(
            replication_set, case_sensitive=key is same, protected=self._protected(context, self.path_map)
        )
        self.host_files = FeedingFileSystem(files, context.feed, self.path_map.targets, lock)
        mapped = not self.path_map.one_to_one or self.path_map.foreign
        self.files: FileSystem = self.host_files
        if mapped:
            self.files = MappedFileSystem(self.host_files, self.path_map, plain=self.path_map.foreign)

    @staticmethod
    def _protected(context: Context, path_map: PathMap) -> list[str]:
        """This machine's protected directories under the names that the source has for them."""
        if path_map.one_to_one:
            return context.protected
        names = [path_map.here(own, context.feed.key) for own in context.protected]
        return [name for name in names if name is not None]

    @property
    def targets(self) -> list[str]:
        """The replica's directories, one for each root of the set."""
        return self.path_map.targets


def check_place(context: Context, replication_set: ReplicationSet, placement: Placement) -> None:
    """Refuse a placement that this machine cannot, or must not, take.

    Raises:
        InputError: see `check_mapping`; a root of another kind of host without a mapping; a protected directory.
    """
    key = same if context.host.file_system.case_sensitive and placement.case_sensitive else fold
    roots = roots_of(replication_set, key)
    check_mapping(roots, placement.mapping, placement.base, key)
    drives = paths.has_drive(context.state_directory)
    for root, place in PathMap(roots, placement.mapping, placement.base, key).places:
        if paths.has_drive(place) != drives:
            example = "C:/replicas" if drives else "/replicas"
            kind = "has drives" if drives else "has no drives"
            raise InputError(f"{root} would be {place} on this machine, which {kind}: map it, as in {root}={example}")
        own = next((own for own in context.protected if _beneath(place, own, context)), None)
        if own is not None:
            raise InputError(f"{root} would be {place}, which lies in {own}: that is this machine's own")


def _beneath(place: str, directory: str, context: Context) -> bool:
    return paths.is_beneath(context.feed.key(place), context.feed.key(directory))


def covers(selection: Selection, places: Sequence[str]) -> bool:
    """Whether a set of this machine holds anything of these directories."""
    within = [place for place in places if not selection.replicates_nothing(place)]
    return bool(within) and overlap(selection.roots, within, selection.key)
