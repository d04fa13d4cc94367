"""Beginning: how a connection comes to a stream, a new one or the one that an earlier daemon had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from bodydouble.errors import BodydoubleError
from bodydouble.replication.resumption import Recollection, ResumedStream, terms_of
from bodydouble.replication.sight import HostSight
from bodydouble.replication.stream import SourceStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.replication.context import Context
    from bodydouble.replication.protocol import Purpose, Welcome
    from bodydouble.replication.sight import Sight
    from bodydouble.replication.source import SourceConnection

Stream = TypeVar("Stream", bound=SourceStream)


class Beginning:
    """Makes the streams of one connection.

    Args:
        connection: whose.
        context: the daemon's surroundings.
        purpose: what it is for.
        find_sight: gives the files for each stream; None: this host's.
        callbacks: what streams are made with, see `SourceStream`.

    Attributes:
        name: of the latest new stream.
        latest: the stream that was made last.
    """

    def __init__(
        self,
        connection: SourceConnection,
        context: Context,
        purpose: Purpose,
        find_sight: Callable[[], Sight] | None,
        **callbacks: Any,
    ) -> None:
        self._connection = connection
        self._context = context
        self._purpose: Purpose = purpose
        self._find_sight = find_sight
        self._callbacks = callbacks
        self._count = 0
        self.name = ""
        self.latest: SourceStream | None = None
        self._recollection = Recollection(connection.record.id if purpose == "replicate" else None, context)
        self._recalled = ""

    def offer(self) -> str:
        """The stream of an earlier daemon that the target is to be asked for; empty when there is none."""
        record = self._connection.record
        if self._connection.mirror_ordered or record.replication_stopped:
            self.forget()
        return self._recollection.offer(terms_of(self._context, self._connection.rules(), record))

    def forget(self) -> None:
        """What comes next is a new stream."""
        self._recollection.settle()

    @property
    def why_not(self) -> str:
        """Why the earlier daemon's stream was not continued, told once; empty when there was none to think of."""
        why, self._recollection.why = self._recollection.why, ""
        return why

    async def again(self, welcome: Welcome) -> ResumedStream | None:
        """The earlier daemon's stream, where the target has it; None when a new one has to begin."""
        stream = await self._recollection.resume(welcome, lambda name: self._make(ResumedStream, name, welcome))
        if stream is not None:
            operations, size = stream.recalled
            self._recalled = f"; the filter had kept {operations} operations, {size} bytes, for a daemon started again"
        return stream

    @property
    def recalled(self) -> str:
        """What was taken out of the filter's records, in words, told once; empty when nothing was to be."""
        recalled, self._recalled = self._recalled, ""
        return recalled

    async def anew(self, welcome: Welcome) -> SourceStream:
        """A new stream, with a mirror.

        Raises:
            BodydoubleError: it cannot begin.
        """
        connection = self._connection
        self._count += 1
        name = self.name = f"{self._context.incarnation}/{self._purpose}-{connection.record.id}-{self._count}"
        trusted = welcome.trusted and connection.record.trusted
        options = connection.mirrors.options(trusted=trusted, automatic=not connection.mirror_ordered)
        paused = connection.record.mirror_paused
        connection.note(msgspec.structs.replace(connection.record, trusted=False))
        stream = self._make(SourceStream, name, welcome)
        if self._purpose == "replicate":
            terms = terms_of(self._context, connection.rules(), connection.record)
            stream.notes = self._recollection.begin(
                name, terms, stream.selection.roots, case_sensitive=welcome.case_sensitive
            )
        try:
            await stream.open(options, paused=paused)
        except BodydoubleError:
            if self._purpose != "restore":
                raise
            # A stand-in without a filter can restore all the same: users stay off during a restoration.
            await stream.close()
            stream = self._make(SourceStream, name, welcome)
            await stream.open(options, filtered=False)
        return stream

    def _make(self, kind: type[Stream], name: str, welcome: Welcome) -> Stream:
        queue = f"source-queue-{self._purpose}-{self._connection.record.id}"
        sight = self._sight()
        meter = self._connection.meter
        stream = kind(name, self._context, queue, sight=sight, meter=meter, **self._callbacks)
        stream.moves_orphans = welcome.moves_orphans
        self.latest = stream
        return stream

    def _sight(self) -> Sight:
        if self._find_sight is not None:
            return self._find_sight()
        request = self._connection.record.request
        return HostSight(self._context, self._connection.rules(), request.mapping, request.base)
