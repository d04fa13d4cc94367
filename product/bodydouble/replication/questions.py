"""What mirror and verification ask the target, in order with the operations.

The answer to a question shows the replica as it was at the question's place in the stream. Compared with what the
source has now it says something only about paths that no operation touched since; whoever asks must look at that.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

from bodydouble.errors import BodydoubleError, ProtocolError
from bodydouble.replication.protocol import (
    MAX_BLOCKS,
    Blocks,
    BlocksRequest,
    ListedEntry,
    Listing,
    ListRequest,
    Volume,
    VolumeRequest,
)
from bodydouble.vocabulary import paths

if TYPE_CHECKING:
    from bodydouble.replication.protocol import AnyMessage, Body
    from bodydouble.vocabulary.capabilities import Capabilities
    from bodydouble.vocabulary.events import EventCode

T = TypeVar("T")


class AnswerLostError(BodydoubleError):
    """The connection broke and was resumed behind the question, so that no answer will come."""


class AwaitedAnswers:
    """Who waits for the answer to which question, by the question's number in the stream."""

    def __init__(self) -> None:
        self._futures: dict[int, asyncio.Future[AnyMessage]] = {}

    async def wait(self, sequence: int) -> AnyMessage:
        """The answer.

        Raises:
            AnswerLostError: the connection broke and was resumed behind the question.
        """
        future: asyncio.Future[AnyMessage] = asyncio.get_running_loop().create_future()
        self._futures[sequence] = future
        try:
            return await future
        finally:
            self._futures.pop(sequence, None)

    def come(self, sequence: int, message: AnyMessage) -> None:
        """An answer came; one that nobody waits for is dropped."""
        future = self._futures.get(sequence)
        if future is not None and not future.done():
            future.set_result(message)

    def lose(self, position: int) -> None:
        """The stream goes on behind ``position``: nobody answers what was asked up to there."""
        for sequence, future in self._futures.items():
            if sequence <= position and not future.done():
                future.set_exception(AnswerLostError("the answer was lost with the connection"))

    def cancel(self) -> None:
        """The stream has ended."""
        for future in self._futures.values():
            future.cancel()
        self._futures.clear()


class Outlet(Protocol):
    """What mirror and verification need of the connection."""

    def put(self, body: Body) -> None:
        """Queue an element now."""

    async def room(self) -> None:
        """Wait until more may be queued."""

    async def ask(self, body: Body) -> AnyMessage:
        """Queue a question and wait for its answer; `AnswerLostError` when a break swallowed it."""

    def owe_time(self, path: str) -> None:
        """The replica's time of a directory differs: have it queued as it is then, which `settle_times` awaits."""

    async def settle_times(self) -> None:
        """Queue the times of directories in which something was done before."""

    def report(self, code: EventCode, text: str) -> None:
        """Tell the operator."""


class Questions:
    """Questions that are put again until they are answered.

    Args:
        outlet: the connection.
        digests: ask for the digests of small files with their entries.
    """

    def __init__(self, outlet: Outlet, *, digests: bool) -> None:
        self.digests = digests
        self._outlet = outlet

    async def look(self, path: str) -> ListedEntry | None:
        """The replica's entry at ``path``."""
        answer = expect(await self._ask(ListRequest(path, True, "", self.digests)), Listing)
        return answer.entries[0] if answer.entries else None

    async def children(self, path: str) -> dict[str, ListedEntry]:
        """What the replica has in a directory, by name."""
        found: dict[str, ListedEntry] = {}
        after = ""
        while True:
            answer = expect(await self._ask(ListRequest(path, False, after, self.digests)), Listing)
            for listed in answer.entries:
                after = paths.name(listed.entry.path)
                found[after] = listed
            if not answer.more or not answer.entries:
                return found

    async def blocks(self, path: str) -> list[bytes]:
        """Digests of the blocks of the replica's file; empty when it cannot be read there."""
        digests: list[bytes] = []
        while True:
            answer = expect(await self._ask(BlocksRequest(path, len(digests))), Blocks)
            digests += answer.digests
            if len(answer.digests) < MAX_BLOCKS:
                return digests

    async def kept(self, path: str) -> Capabilities:
        """What the replica's volume keeps."""
        return expect(await self._ask(VolumeRequest(path)), Volume).kept

    async def _ask(self, body: Body) -> AnyMessage:
        while True:
            try:
                return await self._outlet.ask(body)
            except AnswerLostError:
                continue


def expect(answer: AnyMessage, kind: type[T]) -> T:
    """``answer``, which must be a ``kind``.

    Raises:
        ProtocolError: it is something else.
    """
    if not isinstance(answer, kind):
        raise ProtocolError(f"{type(answer).__name__} in answer to a question for {kind.__name__}")
    return answer
