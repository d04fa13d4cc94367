"""A typed conversation: lines become statements; what may be remembered of them, and what could come next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.dtcl.errors import StatementError
from bodydouble.dtcl.parsing import blanked, following, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bodydouble.dtcl.syntax import Block

FILE = "typed"


class Conversation:
    """Collects lines until they are whole statements."""

    def __init__(self) -> None:
        self._text = ""

    @property
    def waiting(self) -> bool:
        """A statement was begun and is not ended."""
        return bool(self._text)

    def say(self, line: str) -> tuple[Block, str] | None:
        """Take a line; the statements that it ends and their text, or None when more is needed.

        Raises:
            StatementError: it is no DTCL; what was begun is forgotten.
        """
        text = f"{self._text}{line}\n"
        try:
            block = parse(text, FILE)
        except StatementError as error:
            self._text = text if error.incomplete else ""
            if error.incomplete:
                return None
            raise
        self._text = ""
        return block, text.strip()

    def forget(self) -> None:
        """Begin anew."""
        self._text = ""

    def suggestions(self, before: str, begun: str, variables: Iterable[str]) -> list[str]:
        """What the word that is begun may be, behind what is typed before it on its line."""
        if begun.startswith("$"):
            return [f"${name}" for name in sorted(variables) if f"${name}".startswith(begun)]
        words = following(self._text + before)
        return [word for word in words if word.startswith(begun.lower())]


def memorable(text: str) -> str:
    """Statements as a line of the history; empty when they hold a token, which no history may keep."""
    return "" if blanked(text) != text else " ".join(line.strip() for line in text.splitlines())
