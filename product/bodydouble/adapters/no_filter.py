"""The filter of a host that intercepts nothing: a pure target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FilterError

if TYPE_CHECKING:
    from bodydouble.ports import Attachment, Lost, Sink


class NoFilter:
    """Refuses every attachment and says what would help."""

    async def attach(self, root: str, sink: Sink, lost: Lost | None = None) -> Attachment:  # noqa: ARG002 - the port's
        """Refuse.

        Raises:
            FilterError: always.
        """
        raise FilterError(
            f'{root}: no filter is loaded, so changes cannot be seen; set kind = "fuse" and roots = [...] under '
            "[host.filter] (needs root and /dev/fuse)"
        )

    async def settled(self) -> None:
        """See the port: nothing is reported."""
