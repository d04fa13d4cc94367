"""Tally: how far a mirror is, how fast it goes, and when it may end.

The end is estimated from the work that is done, the time that it took (pauses left out) and the work that is known to
be left; without a calculation beforehand only what was found so far is known, so the estimate grows while directories
are found. A file weighs as much as `FILE_WEIGHT` bytes besides its contents: many small files take their time, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.records import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

FILE_WEIGHT = 16 * 1024
MAX_LEFT_OUT = 1000
"""So many paths are told apart that were left out; where there are more, so many are shown."""


class Tally:
    """Counts of one mirror.

    Args:
        time: a steady clock, in seconds.
    """

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._began = time()
        self._paused_at: float | None = None
        self._ended_at: float | None = None
        self._files_done = self._files_found = self._files_expected = 0
        self._bytes_done = self._bytes_found = self._bytes_expected = 0
        self._bytes_skipped = 0
        self._left_out: dict[str, None] = {}
        self._calculated = False

    # --- what there is ---

    def expect(self, files: int, size: int) -> None:
        """The calculation found so much more."""
        self._files_expected += files
        self._bytes_expected += size

    def calculated(self) -> None:
        """The calculation is complete."""
        self._calculated = True
        self._began = self._time()

    def find(self, files: int, size: int) -> None:
        """The mirror came to a directory with so much directly in it."""
        self._files_found += files
        self._bytes_found += size

    # --- what is done ---

    def file(self) -> None:
        """A file or link is done."""
        self._files_done += 1

    def sent(self, size: int) -> None:
        """Bytes were sent."""
        self._bytes_done += size

    def skipped(self, size: int) -> None:
        """Bytes need not be sent."""
        self._bytes_done += size
        self._bytes_skipped += size

    def leave_out(self, path: str) -> None:
        """Nothing of what is at ``path`` can be sent; a mirror may come to it more than once."""
        if len(self._left_out) < MAX_LEFT_OUT:
            self._left_out[path] = None

    def pause(self) -> None:
        """Time does not count from now on."""
        self._paused_at = self._time() if self._paused_at is None else self._paused_at

    def resume(self) -> None:
        """Time counts again."""
        if self._paused_at is not None:
            self._began += self._time() - self._paused_at
            self._paused_at = None

    def end(self) -> None:
        """Everything was looked at: files that went meanwhile are missed by nobody."""
        self._ended_at = self._time()

    # --- what the operator sees ---

    @property
    def seconds(self) -> float:
        """How long it worked."""
        ended = self._ended_at if self._paused_at is None else self._paused_at
        return (self._time() if ended is None else ended) - self._began

    def progress(self) -> Progress:
        """As it is now."""
        files = max(self._files_expected, self._files_found, self._files_done)
        size = max(self._bytes_expected, self._bytes_found, self._bytes_done)
        if self._ended_at is not None:
            files, size = self._files_done, self._bytes_done
        seconds = self.seconds
        return Progress(
            files_done=self._files_done,
            files_total=files,
            bytes_done=self._bytes_done,
            bytes_total=size,
            bytes_skipped=self._bytes_skipped,
            rate=self._bytes_done / seconds if seconds > 0 else 0.0,
            remaining=self._remaining(files, size, seconds),
            calculated=self._calculated,
            left_out=len(self._left_out),
        )

    def _remaining(self, files: int, size: int, seconds: float) -> float | None:
        done = self._bytes_done + FILE_WEIGHT * self._files_done
        left = size - self._bytes_done + FILE_WEIGHT * (files - self._files_done)
        if self._ended_at is not None:
            return 0.0
        return seconds * left / done if done else None
