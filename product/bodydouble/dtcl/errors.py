"""What goes wrong with DTCL: its branch of the error tree.

InputError
└── StatementError     a text is no DTCL: file, line, column, what was expected
BodydoubleError
├── CommandError       a command failed; says which, and where it is written
└── ScriptTimeoutError a script, a loop or a wait took longer than it may
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError, InputError

if TYPE_CHECKING:
    from bodydouble.dtcl.syntax import Place


class StatementError(InputError):
    """A text that is no DTCL.

    Attributes:
        file: where the text is from.
        line: counts from 1.
        column: counts from 1.
        reason: what is wrong there.
        expected: what could have stood there.
        excerpt: the line, with secrets blanked out, and a line with a caret.
        incomplete: the text ends too early; more of it could make it whole.
    """

    def __init__(
        self, file: str, place: Place, reason: str, *, expected: tuple[str, ...] = (), excerpt: str = "",
        incomplete: bool = False,
    ) -> None:  # fmt: skip
        wanted = f"; expected {_listed(expected)}" if expected else ""
        shown = f"\n{excerpt}" if excerpt else ""
        super().__init__(f"{file}:{place.line}:{place.column}: {reason}{wanted}{shown}")
        self.file, self.line, self.column = file, place.line, place.column
        self.reason, self.expected, self.excerpt = reason, expected, excerpt
        self.incomplete = incomplete

    def record(self) -> dict[str, object]:
        """What happened, for programs."""
        return {
            "kind": "syntax", "file": self.file, "line": self.line, "column": self.column, "reason": self.reason,
            "expected": list(self.expected),
        }  # fmt: skip


def _listed(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


class CommandError(BodydoubleError):
    """A command of a script failed.

    Attributes:
        place: where it is written.
        command: its words.
        reason: why it failed.
    """

    def __init__(self, file: str, place: Place, command: str, reason: str) -> None:
        super().__init__(f"{file}:{place.line}:{place.column}: {command}: {reason}")
        self.file, self.place, self.command, self.reason = file, place, command, reason

    def record(self) -> dict[str, object]:
        """What happened, for programs."""
        return {
            "kind": "command", "file": self.file, "line": self.place.line, "column": self.place.column,
            "command": self.command, "reason": self.reason,
        }  # fmt: skip


class ScriptTimeoutError(CommandError):
    """It took longer than it may."""
