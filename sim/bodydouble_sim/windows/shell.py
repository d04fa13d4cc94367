"""What a running command has at hand: the system, variables, the current directory, and where output goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble_sim.windows.system import WindowsSystem

OUTPUT_LIMIT = 64 * 1024
DEFAULT_DIRECTORY = "C:/WINNT/system32"


@dataclass(slots=True)
class Shell:
    """The state of one command interpreter.

    Attributes:
        system: the machine.
        environment: variables by upper-case name.
        directory: current directory, product form.
        errorlevel: what the last program returned.
        echo: whether batch lines are shown before they run.
        steps: commands run so far.
    """

    system: WindowsSystem
    environment: dict[str, str]
    directory: str = DEFAULT_DIRECTORY
    errorlevel: int = 0
    echo: bool = True
    steps: int = 0
    _written: list[str] = field(default_factory=list)
    _length: int = 0

    def write(self, text: str) -> None:
        """Print; everything past `OUTPUT_LIMIT` characters is dropped."""
        text = text[: OUTPUT_LIMIT - self._length]
        self._length += len(text)
        self._written.append(text)

    def line(self, text: str = "") -> None:
        """Print a line."""
        self.write(text + "\r\n")

    def output(self) -> str:
        """Everything printed so far."""
        return "".join(self._written)

    def divert(self) -> tuple[list[str], int]:
        """Begin to collect output apart; give what this returns to `restore`."""
        kept = (self._written, self._length)
        self._written, self._length = [], 0
        return kept

    def restore(self, kept: tuple[list[str], int]) -> str:
        """End `divert` and return what was collected."""
        collected = self.output()
        self._written, self._length = kept
        return collected

    def path(self, text: str) -> str:
        """A Windows path, absolute or relative to the current directory, in product form."""
        text = text.strip('"').replace("\\", "/")
        if text[1:2] == ":":
            text = text[0].upper() + text[1:]
            whole = text if text[2:3] == "/" else f"{text[:2]}/{text[2:]}"
        elif text.startswith("/"):
            whole = self.directory[:2] + text
        else:
            whole = f"{self.directory}/{text}"
        parts: list[str] = []
        for part in whole.split("/")[1:]:
            if part == "..":
                del parts[-1:]
            elif part not in ("", "."):
                parts.append(part)
        return "/".join([whole[:2], *parts])

    def prompt(self) -> str:
        """What stands before a command: the current directory and ``>``."""
        return windows_path(self.directory) + ">"


if TYPE_CHECKING:
    Program = Callable[[Shell, list[str]], Awaitable[int]]


def windows_path(path: str) -> str:
    """A product form path as Windows prints it."""
    return path.replace("/", "\\") if "/" in path else path + "\\"
