"""A drive that Windows cannot make out: new and unformatted, or with a file system of another release."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from bodydouble.errors import FileSystemError
from bodydouble_sim.storage.ntfs_log import NtfsLog
from bodydouble_sim.storage.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.storage.disk import Disk
    from bodydouble_sim.storage.journal import Journal


class UnformattedVolume(Volume):
    """Every call fails as Windows' error 1005 (the volume does not contain a recognized file system).

    Args:
        letter: drive letter.
        clock: nanoseconds since 1970 UTC.
        disk: the disk.
        hidden: what really is on it, when another release of Windows could mount it.
    """

    def __init__(self, letter: str, clock: Callable[[], int], disk: Disk, hidden: Volume | None = None) -> None:
        super().__init__(letter, clock, disk, cluster=512)
        self.serial = 0
        self.hidden = hidden

    def _new_journal(self) -> Journal:
        return NtfsLog(self._tree, self._settle)

    def _check_disk(self, path: str) -> NoReturn:
        super()._check_disk(path)
        raise FileSystemError("io", path, "the volume does not contain a recognized file system")

    def stat(self, path: str) -> Entry | None:  # noqa: ARG002 - wherever it is
        """Nothing is there."""
        return None

    def flush(self, path: str | None = None) -> None:
        """Nothing is in the cache."""

    def _repair(self) -> tuple[str, ...]:
        return ()
