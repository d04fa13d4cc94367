"""Who wants to hear of changes beneath which directory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import FilterError
from bodydouble.vocabulary.operations import Rename, paths_of
from bodydouble.vocabulary.paths import is_beneath

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bodydouble.ports import Lost, Sink
    from bodydouble.vocabulary.operations import AnyOperation


class SinkAttachment:
    """One sink's hold; the port's `FilterAttachment`."""

    def __init__(self, table: SinkTable, root: str, sink: Sink, lost: Lost | None) -> None:
        self._table = table
        self.root = root
        self.sink = sink
        self.lost = lost

    @property
    def position(self) -> int:
        """See the port."""
        return self._table.position

    def detach(self) -> None:
        """See the port."""
        self._table.discard(self)


class SinkTable:
    """The attached sinks, told of each operation in the order of their attaching.

    Attributes:
        position: where the record ends that is reported, or was last.
    """

    def __init__(self) -> None:
        self.position = 0
        self._attachments: list[SinkAttachment] = []

    def __bool__(self) -> bool:
        return bool(self._attachments)

    def attach(self, root: str, sink: Sink, lost: Lost | None = None) -> SinkAttachment:
        """Tell ``sink`` of everything at or beneath ``root`` from now on, and ``lost`` when that is not possible."""
        attachment = SinkAttachment(self, root, sink, lost)
        self.add(attachment)
        return attachment

    def add(self, attachment: SinkAttachment) -> None:
        """Tell it from now on."""
        self._attachments.append(attachment)

    def discard(self, attachment: SinkAttachment) -> None:
        """Tell this one nothing more."""
        if attachment in self._attachments:
            self._attachments.remove(attachment)

    def report(self, operation: AnyOperation) -> None:
        """Hand one operation to every sink whose root it touches; a rename touches both its names."""
        for attachment in tuple(self._attachments):
            if _touches(operation, attachment.root):
                _tell(attachment.sink, operation)

    def lose(self, why: str, root: str = "/") -> None:
        """Say that changes beneath ``root`` happen of which nobody is told; whom that concerns is told nothing more."""
        for attachment in tuple(self._attachments):
            if not is_beneath(attachment.root, root):
                continue
            self.discard(attachment)
            try:
                if attachment.lost is None:
                    raise FilterError(f"{attachment.root}: {why}")  # noqa: TRY301 - it is told like a sink's failure
                attachment.lost(why)
            except Exception as error:  # noqa: BLE001 - the others must hear of it all the same
                asyncio.get_running_loop().call_exception_handler(
                    {"message": f"changes beneath {attachment.root} are not reported: {why}", "exception": error}
                )


class Behind:
    """Several sinks that are told of what was recorded earlier; the port's `ResumedAttachment`.

    Args:
        table: the others, whom they join when they have caught up.
        position: where the last record ends that they were told of.
        sinks: by root.
        lost: whom to tell when not everything can be reported.
        catch_up: tells them of everything until now, and has them join.
    """

    def __init__(
        self,
        table: SinkTable,
        position: int,
        sinks: Mapping[str, Sink],
        lost: Lost,
        catch_up: Callable[[Behind], Awaitable[None]],
    ) -> None:
        self._table = table
        self._position = position
        self._catch_up = catch_up
        self._joined = False
        self._attachments = [SinkAttachment(table, root, sink, lost) for root, sink in sinks.items()]

    @property
    def position(self) -> int:
        """See the port."""
        return self._table.position if self._joined else self._position

    def detach(self) -> None:
        """See the port."""
        for attachment in self._attachments:
            attachment.detach()
        self._attachments.clear()

    async def caught_up(self) -> None:
        """See the port.

        Raises:
            FilterError: see the port.
        """
        try:
            await self._catch_up(self)
        except BaseException:
            self.detach()
            raise

    def report(self, operation: AnyOperation, position: int) -> None:
        """Hand one operation, whose record ends at ``position``, to each whose root it touches."""
        self._position = position
        for attachment in tuple(self._attachments):
            if _touches(operation, attachment.root):
                _tell(attachment.sink, operation)

    def join(self) -> None:
        """They were told of everything that the others were told of: from now on they are told with them."""
        self._joined = True
        for attachment in self._attachments:
            self._table.add(attachment)


def _tell(sink: Sink, operation: AnyOperation) -> None:
    try:
        sink(operation)
    except Exception as error:  # noqa: BLE001 - the change has happened; the application must get its answer
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"a sink raised on {type(operation).__name__} {operation.path}", "exception": error}
        )


def _touches(operation: AnyOperation, root: str) -> bool:
    if is_beneath(operation.path, root):
        return True
    if not isinstance(operation, Rename):
        return False
    return is_beneath(operation.new_path, root) or any(is_beneath(root, path) for path in paths_of(operation))
