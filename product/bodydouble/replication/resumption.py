"""Resumption: a source whose daemon was started again goes on with the stream that the earlier daemon had begun.

The filter outlives the daemon. It still has the latest of its records, and notes of which record each element of the
stream was made of (`notebook`). So when the target says how far the stream came there, the records behind that point
are all that it lacks. Unless they are gone, or the stream was another one: then a mirror follows, and an event says so.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import ConnectionStateError, FilterError
from bodydouble.replication.notebook import (
    LEAST_WORDS,
    MOST_HEADING,
    ForgottenError,
    NoNotes,
    Notebook,
    StreamNotes,
)
from bodydouble.replication.spill import QueueExhaustedError
from bodydouble.replication.stream import SourceStream
from bodydouble.replication.translate import Translation, translate

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.replication.contact import ConnectionRecord
    from bodydouble.replication.context import Context
    from bodydouble.replication.notebook import Place
    from bodydouble.replication.protocol import Welcome
    from bodydouble.replication.rules import Selection
    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble.vocabulary.records import ReplicationSet


class ResumedStream(SourceStream):
    """A stream that an earlier daemon began.

    Attributes:
        recalled: operations and bytes that were taken out of the filter's records.
    """

    recalled = (0, 0)
    _place: Place

    async def open_at(self, place: Place) -> None:
        """Go on at ``place`` with what the filter has recorded since.

        Raises:
            FilterError: it has not.
            QueueExhaustedError: the queue cannot take it all, or the disk fails.
        """
        await self._spill.clear()
        self._place = place
        self.queue.go_on_from(place.sequence)
        self.task_prefix = f"{self.name}+{self._context.incarnation}"
        self._translate = self._rest
        self._start_tasks()
        roots = self.selection.roots
        watch = self._sight.resume(place.since, {root: partial(self._offer, root) for root in roots}, self._lose)
        self.notes.attachment = watch
        self._attachments.append(watch)
        for root in roots:
            self._attachments += self._sight.carry(root, partial(self._offer, root, carried=True))
        await watch.caught_up()
        if self._closed:
            raise QueueExhaustedError(str(self.failure))
        self._translate = translate
        self.recalled = (self.queue.generated - place.sequence, self.queue.generated_bytes)

    def _rest(self, operation: AnyOperation, selection: Selection, *, carried: bool = False) -> Translation:
        """What the target has not; of what it has, only the directories whose times may be missing."""
        translation, place = translate(operation, selection, carried=carried), self._place
        assert self.notes.attachment is not None
        if carried:  # where it belongs between what is recalled, nobody knows
            self.fail(ConnectionStateError("something was applied here while it was resumed"))
        behind = self.notes.attachment.position > place.position
        known = place.part if behind else len(translation.bodies)
        for body in translation.bodies[:known]:
            self.times.note(body)
        if not behind:
            return Translation()
        place.part -= min(known, len(translation.bodies))
        return replace(translation, bodies=translation.bodies[known:])


class Heading(msgspec.Struct, frozen=True):
    """What is noted of a whole stream.

    Attributes:
        stream: its name.
        terms: stands for the set, where it goes to, and all else that says what is replicated.
        case_sensitive: how the target compares names.
    """

    stream: str
    terms: str
    case_sensitive: bool


def terms_of(context: Context, rules: ReplicationSet, record: ConnectionRecord) -> str:
    """What a stream depends on: one that began under other terms is not continued."""
    parts = (rules, record.request.mapping, record.request.base, context.protected)
    return sha256(msgspec.json.encode(parts)).hexdigest()


class Recollection:
    """What the filter has kept of one connection's stream.

    Args:
        id_: the connection's number; None: there is nothing to go on with.
        context: the daemon's surroundings.

    Attributes:
        why: why the stream of an earlier daemon is not continued; empty when that was not tried.
    """

    def __init__(self, id_: int | None, context: Context) -> None:
        self.why = ""
        self._name = "" if id_ is None else notes_name(id_)
        self._context = context
        self._decided = id_ is None
        self._offered: Heading | None = None

    def offer(self, terms: str) -> str:
        """The stream that the target is to be asked for; empty when there is none to go on with."""
        self._offered, self.why = None, ""
        if self._decided:
            return ""
        notebook = self._notebook()
        heading = None if notebook is None else _read(notebook)
        if heading is not None and heading.terms == terms:
            self._offered = heading
            return heading.stream
        if heading is not None:
            self.why = "what is replicated, or where it goes, was changed"
        elif notebook is not None and notebook.used:
            self.why = "it had ended before the daemon did"
        else:
            self.why = "the filter has kept nothing: it began anew, as it does with the machine"
        return ""

    async def resume(self, welcome: Welcome, make: Callable[[str], ResumedStream]) -> ResumedStream | None:
        """The earlier stream where the target has it; None when it cannot be continued, or not any more."""
        if self._decided:
            return None
        if self._offered is None:
            self.settle()
            return None
        try:
            stream = await self._resumed(self._offered, welcome, make)
        except (ForgottenError, FilterError, QueueExhaustedError) as error:
            self.why = str(error)
            self.settle()
            return None
        self._decided = True
        return stream

    async def _resumed(self, heading: Heading, welcome: Welcome, make: Callable[[str], ResumedStream]) -> ResumedStream:
        notebook = self._notebook()
        if welcome.position is None:
            raise ForgottenError("the target does not go on with it")
        if notebook is None or welcome.case_sensitive != heading.case_sensitive:
            raise ForgottenError("the target compares names in another way")
        place = notebook.find(welcome.position)
        notebook.go_back(place.sequence)
        stream = make(heading.stream)
        stream.notes = StreamNotes(notebook)
        try:
            if self._context.lineage(stream.selection.roots):
                raise ForgottenError("what is here comes from another machine by now")  # noqa: TRY301 - one way out
            await stream.open_at(place)
        except BaseException:
            await stream.close()
            raise
        return stream

    def settle(self) -> None:
        """The stream of an earlier daemon ends here, whatever becomes of the next one."""
        self._decided = True
        self.forget()

    def forget(self) -> None:
        """The stream cannot be continued."""
        if (notebook := self._notebook()) is not None:
            notebook.forget()

    def begin(self, stream: str, terms: str, places: list[str], *, case_sensitive: bool) -> StreamNotes:
        """Notes for a new stream. What comes here from other machines has no records: such a stream gets none."""
        self.settle()
        notebook = self._notebook()
        heading = msgspec.json.encode(Heading(stream, terms, case_sensitive))
        if notebook is None or len(heading) > MOST_HEADING or self._context.lineage(places):
            return NoNotes()
        notebook.begin(heading)
        return StreamNotes(notebook)

    def _notebook(self) -> Notebook | None:
        words = self._context.host.file_filter.notes(self._name) if self._name else None
        return None if words is None or len(words) < LEAST_WORDS else Notebook(words)


def notes_name(id_: int) -> str:
    """Under what name the notes of a connection are kept."""
    return f"connection-{id_}"


def _read(notebook: Notebook) -> Heading | None:
    try:
        return msgspec.json.decode(notebook.heading, type=Heading) if notebook.heading else None
    except msgspec.DecodeError:
        return None
