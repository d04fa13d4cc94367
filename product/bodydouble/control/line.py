"""What the one who answers a request may know of the connection that it came by."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Scope

_LINE = "bodydouble.line"


class Line:
    """A connection, as far as the API has to do with it; without a server behind it, it does nothing.

    Args:
        authorised: called once a request has shown a token.
        cut: ends the connection at once, whatever is on its way; `end` is called when it is gone.
    """

    def __init__(self, authorised: Callable[[], None] = lambda: None, cut: Callable[[], None] | None = None) -> None:
        self.authorised = authorised
        self._cut = cut
        self._listener: Callable[[], None] = lambda: None
        self.ended = False
        """The connection is gone, or the server is closing and waits for the answer's end."""

    def when_ended(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` at the end; one at a time."""
        self._listener = listener

    def end(self) -> None:
        """The server closes, or the connection is gone."""
        self.ended = True
        self._listener()

    def cut(self) -> None:
        """End the connection at once; `ended` once it is gone."""
        (self._cut or self.end)()


def state_with(line: Line) -> dict[str, object]:
    """The state of a connection's requests."""
    return {_LINE: line}


def line_of(scope: Scope) -> Line:
    """The connection that a request came by."""
    found = scope.get("state", {}).get(_LINE)
    return found if isinstance(found, Line) else Line()
