"""Open handles and what they let others do: the share modes of CreateFile.

Source: Microsoft's reference of CreateFile, ``dwShareMode`` (a later open that asks for an access which an earlier
handle does not share fails with ERROR_SHARING_VIOLATION, 32).
"""

from __future__ import annotations

from enum import Flag
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError

if TYPE_CHECKING:
    from collections.abc import Callable


class Share(Flag):
    """What others may do to a file while a handle on it is open; a flag set, none of them locks everybody out."""

    NONE = 0
    READ = 1
    WRITE = 2
    DELETE = 4


ALL = Share.READ | Share.WRITE | Share.DELETE


class Hold:
    """An open handle: it keeps others out until it is released."""

    def __init__(self, path: str, share: Share, uses: Share, release: Callable[[Hold], None]) -> None:
        self.path = path
        self.share = share
        self.uses = uses
        self._release: Callable[[Hold], None] | None = release

    def release(self) -> None:
        """Close the handle. Idempotent."""
        if self._release is not None:
            self._release(self)
            self._release = None

    def check(self, path: str, wanted: Share) -> None:
        """Refuse a use of the file that this handle does not share.

        Raises:
            FileSystemError: ``sharing``.
        """
        if wanted & ~self.share:
            raise FileSystemError("sharing", path, "another process uses the file")


class HoldTable:
    """The handles on one volume.

    Attributes:
        open: the handles by the key of what they hold; empty most of the time.
    """

    def __init__(self) -> None:
        self.open: dict[object, list[Hold]] = {}

    def add(self, key: object, path: str, share: Share, uses: Share) -> Hold:
        """Open a handle that ``uses`` the file and lets others ``share`` it.

        Raises:
            FileSystemError: ``sharing``: an earlier handle does not let it, or it would not let an earlier one go on.
        """
        others = self.open.get(key, [])
        for other in others:
            other.check(path, uses)
            if other.uses & ~share:
                raise FileSystemError("sharing", path, "another process uses the file")
        hold = Hold(path, share, uses, lambda closed: self._remove(key, closed))
        self.open[key] = [*others, hold]
        return hold

    def check(self, key: object, path: str, wanted: Share) -> None:
        """Whether all handles let somebody use the file so.

        Raises:
            FileSystemError: ``sharing``.
        """
        for hold in self.open.get(key, ()):
            hold.check(path, wanted)

    def clear(self) -> None:
        """The processes are gone, and their handles with them."""
        self.open.clear()

    def _remove(self, key: object, hold: Hold) -> None:
        left = [other for other in self.open.get(key, ()) if other is not hold]
        if left:
            self.open[key] = left
        else:
            self.open.pop(key, None)
