"""The filter of a host that intercepts nothing: a pure target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FilterError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bodydouble.ports import FilterAttachment, Lost, ResumedAttachment, Sink


class NoFilter:
    """Refuses every attachment and says what would help."""

    async def attach(self, root: str, sink: Sink, lost: Lost | None = None) -> FilterAttachment:  # noqa: ARG002 - the port's
        """Refuse.

        Raises:
            FilterError: always.
        """
        raise _refusal(root)

    async def settled(self) -> None:
        """See the port: nothing is reported."""

    def resume(self, position: int, sinks: Mapping[str, Sink], lost: Lost) -> ResumedAttachment:
        """Refuse.

        Raises:
            FilterError: always.
        """
        del position, lost
        raise _refusal(", ".join(sinks))

    def notes(self, name: str) -> memoryview | None:  # noqa: ARG002 - the port's
        """See the port: nothing is recorded."""
        return None

    def keep_notes(self, names: Collection[str]) -> None:
        """See the port."""


def _refusal(root: str) -> FilterError:
    return FilterError(
        f'{root}: no filter is loaded, so changes cannot be seen; set kind = "fuse" and roots = [...] under '
        "[host.filter] (needs root and /dev/fuse)"
    )
