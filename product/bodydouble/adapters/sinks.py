"""Who wants to hear of changes beneath which directory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import FilterError
from bodydouble.vocabulary.operations import Rename, paths_of
from bodydouble.vocabulary.paths import is_beneath

if TYPE_CHECKING:
    from bodydouble.ports import Lost, Sink
    from bodydouble.vocabulary.operations import AnyOperation


class SinkAttachment:
    """One sink's hold; the port's `Attachment`."""

    def __init__(self, table: SinkTable, root: str, sink: Sink, lost: Lost | None) -> None:
        self._table = table
        self.root = root
        self.sink = sink
        self.lost = lost

    def detach(self) -> None:
        """See the port."""
        self._table.discard(self)


class SinkTable:
    """The attached sinks, told of each operation in the order of their attaching."""

    def __init__(self) -> None:
        self._attachments: list[SinkAttachment] = []

    def __bool__(self) -> bool:
        return bool(self._attachments)

    def attach(self, root: str, sink: Sink, lost: Lost | None = None) -> SinkAttachment:
        """Tell ``sink`` of everything at or beneath ``root`` from now on, and ``lost`` when that is not possible."""
        attachment = SinkAttachment(self, root, sink, lost)
        self._attachments.append(attachment)
        return attachment

    def discard(self, attachment: SinkAttachment) -> None:
        """Tell this one nothing more."""
        if attachment in self._attachments:
            self._attachments.remove(attachment)

    def report(self, operation: AnyOperation) -> None:
        """Hand one operation to every sink whose root it touches; a rename touches both its names."""
        for attachment in tuple(self._attachments):
            if _touches(operation, attachment.root):
                self._tell(attachment.sink, operation)

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

    @staticmethod
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
