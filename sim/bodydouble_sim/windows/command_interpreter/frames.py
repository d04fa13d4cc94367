"""A batch file that is running, or a subroutine called in one."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LABEL = re.compile(r"[\s,;=]*:\s*([^\s:+,;=|&<>]+)")


@dataclass(slots=True)
class Frame:
    """Lines, where it is in them, and its arguments.

    Attributes:
        lines: of the whole file.
        arguments: ``%0``, ``%1`` ...; ``shift`` moves them.
        everything: what ``%*`` is: the arguments as written, whatever was shifted.
        command_file: whether its name ends in ``.cmd``: some commands then clear the errorlevel.
        position: the next line.
        saved: how many ``setlocal`` were open when it began.
    """

    lines: list[str]
    arguments: list[str]
    everything: str = ""
    command_file: bool = False
    position: int = 0
    saved: int = 0

    def next(self) -> str | None:
        """The next line, None at the end of the file."""
        if self.position >= len(self.lines):
            return None
        self.position += 1
        return self.lines[self.position - 1]

    def go_to(self, label: str) -> bool:
        """Go behind ``:label``, searched from here to the end and then from the beginning; False when missing.

        Source: the order of the search is that of Stack Overflow 4094699 (labels below the ``goto`` come first).
        """
        count = len(self.lines)
        for step in range(count):
            number = (self.position + step) % count
            match = _LABEL.match(self.lines[number])
            if match and match[1].upper() == label.upper():
                self.position = number + 1
                return True
        return False

    def shift(self, first: int) -> None:
        """``shift /first``: the argument ``first`` goes, those behind it move down; ``%0`` may be one of them."""
        del self.arguments[first : first + 1]
