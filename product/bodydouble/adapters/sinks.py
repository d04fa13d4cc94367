"""Who wants to hear of changes beneath which directory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.vocabulary.operations import Rename, paths_of
from bodydouble.vocabulary.paths import is_beneath

if TYPE_CHECKING:
    from bodydouble.ports import Sink
    from bodydouble.vocabulary.operations import AnyOperation


class SinkAttachment:
    """One sink's hold; the port's `Attachment`."""

    def __init__(self, table: SinkTable, root: str, sink: Sink) -> None:
        self._table = table
        self.root = root
        self.sink = sink

    def detach(self) -> None:
        """See the port."""
        self._table.discard(self)


class SinkTable:
    """The attached sinks, told of each operation in the order of their attaching."""

    def __init__(self) -> None:
        self._attachments: list[SinkAttachment] = []

    def attach(self, root: str, sink: Sink) -> SinkAttachment:
        """Tell ``sink`` of everything at or beneath ``root`` from now on."""
        attachment = SinkAttachment(self, root, sink)
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
