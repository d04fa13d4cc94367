"""What one run of the interpreter may use, so that no script runs away, and what it raises when it ends early.

Source: the input line of 2047 characters is that of Windows NT 4.0 and 2000 (KB 830473). The other figures are this
model's choice: generous for an operator's script, small for the host.
"""

from __future__ import annotations

STEP_LIMIT = 10_000
OUTPUT_LIMIT = 64 * 1024
PIPE_LIMIT = 256 * 1024
WRITE_BUDGET = 4 * 1024 * 1024
READ_LIMIT = 1024 * 1024
LINE_LIMIT = 2047
ENVIRONMENT_LIMIT = 64 * 1024
CALL_DEPTH = 16
NESTING = 24
EXECUTION_DEPTH = 64
INTERPRETER_DEPTH = 6
SETLOCAL_DEPTH = 32
DIRECTORY_STACK = 256

NOT_RECOGNISED = 9009
SYNTAX_ERROR = 255
SYNTAX_TEXT = "The syntax of the command is incorrect."
RECURSION_TEXT = (
    "****** B A T C H   R E C U R S I O N  exceeds STACK limits ******\r\n"
    "******       B A T C H   PROCESSING IS    A B O R T E D   ******"
)


class InterpreterEnd(Exception):  # noqa: N818 - control flow of `exit`, caught by the interpreter that runs
    """The interpreter ends; ``text`` is printed first (to standard error) when it is a failure."""

    def __init__(self, text: str = "", errorlevel: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.errorlevel = errorlevel


class BatchEnd(Exception):  # noqa: N818 - control flow of `exit /b` and `goto :eof`
    """The batch file, or the subroutine called in it, ends."""


class Jump(Exception):  # noqa: N818 - control flow of `goto`: leaves blocks and loops
    """``goto`` has moved the batch file's position: what is left of the line does not run."""


class BatchSyntaxError(Exception):
    """A line that cmd.exe cannot parse; the text is its message."""
