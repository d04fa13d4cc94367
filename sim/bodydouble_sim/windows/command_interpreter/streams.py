"""Where a command reads and writes: the console, files, pipes and NUL.

Text travels as str; files hold it as UTF-8, which for English scripts is what code page 437 or 1252 would hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bodydouble_sim.windows.command_interpreter.limits import (
    OUTPUT_LIMIT,
    PIPE_LIMIT,
    WRITE_BUDGET,
    InterpreterEnd,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bodydouble_sim.windows.files import HostFiles


class Sink(Protocol):
    """Where output goes."""

    def write(self, text: str) -> None:
        """Take text; what does not fit is dropped.

        Raises:
            FileSystemError: the file does not take it.
            InterpreterEnd: the interpreter has written too much.
        """


class Console:
    """Both output handles of the console; everything past `OUTPUT_LIMIT` characters is dropped.

    Attributes:
        listener: called with handle and text as they are shown.
    """

    def __init__(self) -> None:
        self._pieces: list[tuple[int, str]] = []
        self._length = 0
        self.listener: Callable[[int, str], None] = lambda _handle, _text: None

    def put(self, handle: int, text: str) -> None:
        """Show ``text`` that was written to handle 1 or 2."""
        text = text[: OUTPUT_LIMIT - self._length]
        self._length += len(text)
        if text:
            self._pieces.append((handle, text))
            self.listener(handle, text)

    def text(self, handle: int | None = None) -> str:
        """Everything shown, or what one handle wrote of it."""
        return "".join(text for of, text in self._pieces if handle in (None, of))

    def sink(self, handle: int) -> Sink:
        """One of its handles."""
        return _ConsoleHandle(self, handle)


class _ConsoleHandle:
    def __init__(self, console: Console, handle: int) -> None:
        self._console = console
        self._handle = handle

    def write(self, text: str) -> None:
        self._console.put(self._handle, text)


class NulSink:
    """The NUL device: takes everything, keeps nothing."""

    def write(self, text: str) -> None:
        """See `Sink.write`."""


class PipeSink:
    """The writing end of a pipe; what the reader would never get to is dropped past `PIPE_LIMIT` characters."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0

    def write(self, text: str) -> None:
        """See `Sink.write`."""
        text = text[: PIPE_LIMIT - self._length]
        self._length += len(text)
        self._pieces.append(text)

    def text(self) -> str:
        """What was written."""
        return "".join(self._pieces)


class Budget:
    """How many characters an interpreter and those it starts may still write into files."""

    def __init__(self) -> None:
        self._left = WRITE_BUDGET

    def spend(self, amount: int) -> None:
        """Use so much of it.

        Raises:
            InterpreterEnd: there is not so much left.
        """
        self._left -= amount
        if self._left < 0:
            raise InterpreterEnd(f"The batch job was ended after it wrote {WRITE_BUDGET} characters.", 255)


class FileSink:
    """A file at its end."""

    def __init__(self, files: HostFiles, path: str, budget: Budget) -> None:
        self._files = files
        self._path = path
        self._budget = budget

    def write(self, text: str) -> None:
        """See `Sink.write`."""
        if text:
            self._budget.spend(len(text))
            self._files.append(self._path, encoded(text))


class Input:
    """What a command reads: text from a file or a pipe, or the answers an operator has prepared.

    Args:
        lines: without their ends.
        interactive: the console: whoever reads all of it gets the answers that are left.
    """

    def __init__(self, lines: Sequence[str] = (), *, interactive: bool = False) -> None:
        self._lines = list(lines)
        self._next = 0
        self.interactive = interactive

    def line(self) -> str | None:
        """The next line, None at the end."""
        if self._next >= len(self._lines):
            return None
        self._next += 1
        return self._lines[self._next - 1]

    def rest(self) -> list[str]:
        """All lines that are left."""
        left = self._lines[self._next :]
        self._next = len(self._lines)
        return left


def lines_of(text: str) -> list[str]:
    """Lines of a text file: CR LF or LF ends one, and a last line need not be ended."""
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def decoded(data: bytes) -> str:
    """A text file's text: UTF-8, else Windows' Western code page."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def encoded(text: str) -> bytes:
    """The bytes of a text; what cannot be written becomes a question mark."""
    return text.encode("utf-8", "replace")
