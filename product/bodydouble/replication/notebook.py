"""Notebook: which of the filter's records a stream's elements were made of, so that a stream outlives its daemon. Pure.

The filter keeps the memory that this is written into, and its latest records with it (`bodydouble.ports.FileFilter`).
A daemon that was started again asks its target how far the stream came there, looks up what record that was, and goes
on behind it. One record may have become several elements; so one that others of the same record follow is marked.

Times of directories are sent some time after what changed them (`directory_times`). What made times that the target
may lack has to be read again, for that alone: so it is noted, too, up to where times were sent and when that was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError
from bodydouble.replication.directory_times import directories_of

if TYPE_CHECKING:
    from bodydouble.ports import FilterAttachment
    from bodydouble.replication.protocol import Body

_VALID, _SIZE, _LAST, _COMPLETE, _APART, _PAIRS, _OLDEST = range(7)
"""Where the numbers are: whether there is anything, bytes of the heading, the last element, whether the replica was
complete, the last element that came of no record and changed a directory, and which pairs of times there are."""
_TEXT = 16
_TIMES = 512
_MOST_TIMES = 1024
_ELEMENTS = _TIMES + 2 * _MOST_TIMES
MOST_HEADING = 8 * (_TIMES - _TEXT)
LEAST_WORDS = _ELEMENTS + 4096
_PART = 1
"""Positions are multiples of eight; this says that further elements of the same record follow."""


class ForgottenError(BodydoubleError):
    """Nobody can tell any more what followed an element."""


@dataclass(slots=True)
class Place:
    """Where a stream goes on.

    Attributes:
        sequence: the last element that the target has.
        position: end of the last of the filter's records of which it has everything.
        part: elements of the next record that it has.
        since: end of the record behind which directories may want their times.
    """

    sequence: int
    position: int
    part: int
    since: int


class Notebook:
    """One stream's notes.

    Args:
        words: memory of at least `LEAST_WORDS` numbers of 64 bits, zeros at first.
    """

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self._elements = words[_ELEMENTS:]
        self._count = len(self._elements)

    @property
    def heading(self) -> bytes:
        """What `begin` was given; empty when nothing was noted, or all was forgotten."""
        words = self._words
        return bytes(words[_TEXT:_TIMES].cast("B")[: words[_SIZE]]) if words[_VALID] else b""

    @property
    def used(self) -> bool:
        """Whether there was ever a stream."""
        return self._words[_SIZE] > 0

    def begin(self, heading: bytes) -> None:
        """A new stream, of which nothing is noted yet."""
        words = self._words
        words[_VALID] = 0
        for at in (_LAST, _COMPLETE, _APART, _PAIRS, _OLDEST):
            words[at] = 0
        words[_SIZE] = len(heading)
        words[_TEXT:_TIMES].cast("B")[: len(heading)] = heading
        words[_VALID] = 1

    def forget(self) -> None:
        """The stream cannot be continued."""
        self._words[_VALID] = 0

    def complete(self, *, complete: bool) -> None:
        """Whether the replica is complete, or a mirror is needed, or runs."""
        self._words[_COMPLETE] = complete

    @property
    def memory(self) -> tuple[memoryview, memoryview, int]:
        """For `StreamNotes`: the numbers; of those the elements' positions; how many of these."""
        return self._words, self._elements, self._count

    def note(self, sequence: int, position: int, *, part: bool = False) -> None:
        """Element ``sequence`` was made of the record that ends at ``position``, or comes behind it.

        Args:
            sequence: its number.
            position: of the filter's records.
            part: further elements of the record follow.
        """
        self._elements[sequence % self._count] = position | (_PART if part else 0)
        self._words[_LAST] = sequence

    def note_apart(self, sequence: int) -> None:
        """Element ``sequence`` changes a directory, and was made of no record."""
        self._words[_APART] = sequence

    def note_times(self, begun: int, ended: int) -> None:
        """With what was queued up to ``ended``, the target has the times for everything up to ``begun``."""
        words, count = self._words, self._words[_PAIRS]
        at = _TIMES + 2 * (count % _MOST_TIMES)
        words[_OLDEST] = max(words[_OLDEST], count + 1 - _MOST_TIMES)
        words[at], words[at + 1] = begun, ended
        words[_PAIRS] = count + 1

    # --- after a restart ---

    def find(self, sequence: int) -> Place:
        """Where the stream goes on for a target that has everything up to ``sequence``.

        Raises:
            ForgottenError: that cannot be told, or the replica was not complete.
        """
        if not self._words[_COMPLETE]:
            raise ForgottenError("the replica was not complete")
        begun = self._times_before(sequence)
        since, _ = self._whole(begun)
        position, part = self._whole(sequence)
        return Place(sequence, position, part, since)

    def _whole(self, sequence: int) -> tuple[int, int]:
        """The last record of which everything had been queued by ``sequence``, and how many elements follow it."""
        last = self._words[_LAST]
        if sequence > last:
            raise ForgottenError(f"the target has element {sequence}, only {last} were made")
        for at in range(sequence, max(0, last + 1 - self._count), -1):
            position = self._elements[at % self._count]
            if not position & _PART:
                return position, sequence - at
        raise ForgottenError(f"what followed element {sequence} was noted too long ago, {last} were made")

    def _times_before(self, sequence: int) -> int:
        words = self._words
        for count in range(words[_PAIRS] - 1, words[_OLDEST] - 1, -1):
            at = _TIMES + 2 * (count % _MOST_TIMES)
            if words[at + 1] <= sequence and words[at] >= words[_APART]:
                return words[at]
        raise ForgottenError(f"the times of directories that element {sequence} left open are not known")

    def go_back(self, sequence: int) -> None:
        """What was noted of elements after ``sequence`` holds no more: others take their numbers."""
        words = self._words
        words[_OLDEST] = max(words[_OLDEST], words[_PAIRS] + 1 - _MOST_TIMES)
        while words[_PAIRS] > words[_OLDEST]:
            if words[_TIMES + 2 * ((words[_PAIRS] - 1) % _MOST_TIMES) + 1] <= sequence:
                break
            words[_PAIRS] -= 1
        words[_LAST] = sequence


class StreamNotes:
    """What a living stream notes while elements are queued.

    Args:
        notebook: where.

    Attributes:
        attachment: says how far the filter has told the stream; None before it is attached.
        more: how many elements of the record that is being reported are still to be queued.
    """

    def __init__(self, notebook: Notebook) -> None:
        self.attachment: FilterAttachment | None = None
        self.more = 0
        self._notebook = notebook
        self._words, self._elements, self._count = notebook.memory

    def note(self, sequence: int, body: Body) -> None:
        """An element was queued."""
        position = 0 if self.attachment is None else self.attachment.position
        more = self.more
        if more > 1:
            position |= _PART
        # As `Notebook.note` does; here, because this is done for each element.
        self._elements[sequence % self._count] = position
        self._words[_LAST] = sequence
        if more:
            self.more = more - 1
        elif directories_of(body):
            self._notebook.note_apart(sequence)

    def note_times(self, begun: int, ended: int) -> None:
        """See `Notebook.note_times`; a stream that has ended in between counts from zero."""
        if ended >= begun:
            self._notebook.note_times(begun, ended)

    def complete(self, *, complete: bool) -> None:
        """See `Notebook.complete`."""
        self._notebook.complete(complete=complete)

    def forget(self) -> None:
        """See `Notebook.forget`."""
        self._notebook.forget()


class NoNotes(StreamNotes):
    """Of a stream that ends with its daemon: its filter keeps nothing, or part of it comes by other ways."""

    def __init__(self) -> None:
        super().__init__(Notebook(memoryview(bytearray(8 * LEAST_WORDS)).cast("Q")))
