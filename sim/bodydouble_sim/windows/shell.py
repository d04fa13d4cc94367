"""What a running command has at hand: the system, variables, the current directory, and where input and output go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bodydouble_sim.windows.command_interpreter.environment import Environment
from bodydouble_sim.windows.command_interpreter.limits import (
    INTERPRETER_DEPTH,
    OUTPUT_LIMIT,
    SETLOCAL_DEPTH,
    STEP_LIMIT,
    SYNTAX_ERROR,
    InterpreterEnd,
)
from bodydouble_sim.windows.command_interpreter.streams import Budget, Console, Input

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bodydouble_sim.windows.command_interpreter.streams import Sink
    from bodydouble_sim.windows.system import WindowsSystem

__all__ = ["DEFAULT_DIRECTORY", "OUTPUT_LIMIT", "Shell", "windows_path"]

DEFAULT_DIRECTORY = "C:/WINNT/system32"
Handles = tuple[Input, "Sink", "Sink"]


class Steps:
    """How many commands an interpreter and those it starts have run."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self) -> None:
        """Count one.

        Raises:
            InterpreterEnd: it is one too many.
        """
        self.taken += 1
        if self.taken > STEP_LIMIT:
            raise InterpreterEnd(f"The batch job was ended after {STEP_LIMIT} commands.", SYNTAX_ERROR)


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``setlocal`` saves besides the variables: the directory and which extensions are on."""

    directory: str
    extensions: bool
    delayed: bool


@dataclass(slots=True)
class Shell:
    """The state of one command interpreter.

    Attributes:
        system: the machine.
        environment: variables, found in any case.
        directory: current directory, product form.
        errorlevel: what the last program returned.
        echo: whether batch lines are shown before they run.
        extensions: whether command extensions are on.
        delayed: whether ``!NAME!`` is expanded.
        console: what the operator sees in the end.
        handles: input, output and error output of the command that runs.
        base: those of the batch file that runs, None at the prompt.
        budget: characters that may still be written into files.
        steps: commands run so far, with those of interpreters started from here.
        directories: what ``pushd`` keeps, newest last.
        nesting: how deep commands stand in each other, with those of the interpreters around this one.
        current: the current directory of drives other than the current one.
    """

    system: WindowsSystem
    environment: Environment
    directory: str = DEFAULT_DIRECTORY
    errorlevel: int = 0
    echo: bool = True
    extensions: bool = True
    delayed: bool = False
    console: Console = field(default_factory=Console)
    handles: Handles = field(init=False)
    base: Handles | None = None
    budget: Budget = field(default_factory=Budget)
    steps: Steps = field(default_factory=Steps)
    directories: list[str] = field(default_factory=list)
    nesting: int = 0
    current: dict[str, str] = field(default_factory=dict)
    _saved: list[tuple[Environment, Settings]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.handles = (Input(), self.console.sink(1), self.console.sink(2))

    @classmethod
    def open(cls, system: WindowsSystem, variables: Mapping[str, str], answers: Sequence[str] = ()) -> Shell:
        """A new interpreter at the console.

        Args:
            system: the machine.
            variables: its environment.
            answers: what the operator types at prompts, in order; afterwards input is at its end.
        """
        made = cls(system, Environment(variables))
        made.handles = (Input(answers, interactive=True), *made.handles[1:])
        return made

    def child(self, handles: Handles | None = None) -> Shell:
        """An interpreter started from this one: it begins with the same variables and changes none of these."""
        made = Shell(self.system, self.environment.copy(), self.directory, console=self.console)
        made.handles = handles or self.handles
        made.budget, made.steps = self.budget, self.steps
        made.current = dict(self.current)
        made.errorlevel = self.errorlevel
        made.nesting = self.nesting + INTERPRETER_DEPTH
        return made

    # --- input and output -------------------------------------------------------------------------------------------

    def write(self, text: str) -> None:
        """Write to standard output.

        Raises:
            FileSystemError: it goes into a file that does not take it.
        """
        self.handles[1].write(text)

    def line(self, text: str = "") -> None:
        """Write a line to standard output; raises as `write`."""
        self.handles[1].write(text + "\r\n")

    def error(self, text: str = "") -> None:
        """Write a line to standard error; raises as `write`."""
        self.handles[2].write(text + "\r\n")

    def ask(self, question: str) -> str | None:
        """Show a question and read the answer, None at the end of input."""
        self.write(question)
        answer = self.handles[0].line()
        if answer is None or self.handles[0].interactive:
            self.write("\r\n")
        return answer

    def output(self) -> str:
        """Everything that the operator has seen so far."""
        return self.console.text()

    # --- directories ------------------------------------------------------------------------------------------------

    def path(self, text: str) -> str:
        """A Windows path, absolute or relative to the current directory, in product form."""
        text = text.replace('"', "").replace("\\", "/")
        if text[1:2] == ":":
            text = text[0].upper() + text[1:]
            whole = text if text[2:3] == "/" else f"{self.directory_of(text[0])}/{text[2:]}"
        elif text.startswith("//"):
            return "//" + "/".join(part for part in text.split("/") if part)
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

    def directory_of(self, drive: str) -> str:
        """The current directory of a drive: each has its own."""
        letter = drive.upper()
        return self.directory if self.directory[:1] == letter else self.current.get(letter, f"{letter}:")

    def enter(self, path: str) -> None:
        """Make ``path`` the current directory of its drive, and that the current drive."""
        self.current[self.directory[:1]] = self.directory
        self.directory = path

    def prompt(self) -> str:
        """What stands before a command, as ``PROMPT`` says (``$P$G`` when it is not set)."""
        text = self.environment.get("PROMPT", "$P$G")
        if text.upper() == "$P$G":
            return windows_path(self.directory) + ">"
        signs = {"P": windows_path(self.directory), "N": self.directory[:1], "G": ">", "L": "<", "B": "|", "A": "&"}
        signs |= {"C": "(", "F": ")", "Q": "=", "S": " ", "_": "\r\n", "$": "$", "E": "\x1b", "H": "\b"}
        pieces = text.split("$")
        shown, index = pieces[0], 1
        while index < len(pieces):
            piece = pieces[index]
            if not piece:
                shown += "$" + (pieces[index + 1] if index + 1 < len(pieces) else "")
                index += 2
                continue
            shown += signs.get(piece[0].upper(), "") + piece[1:]
            index += 1
        return shown

    # --- setlocal ---------------------------------------------------------------------------------------------------

    @property
    def saved(self) -> int:
        """How many ``setlocal`` are open."""
        return len(self._saved)

    def save(self) -> bool:
        """``setlocal``: False when `SETLOCAL_DEPTH` are open already."""
        if len(self._saved) >= SETLOCAL_DEPTH:
            return False
        self._saved.append((self.environment.copy(), Settings(self.directory, self.extensions, self.delayed)))
        return True

    def restore(self) -> None:
        """``endlocal``."""
        self.environment, settings = self._saved.pop()
        self.directory, self.extensions, self.delayed = settings.directory, settings.extensions, settings.delayed


if TYPE_CHECKING:
    Program = Callable[[Shell, list[str]], Awaitable[int]]


def windows_path(path: str) -> str:
    """A product form path as Windows prints it."""
    return path.replace("/", "\\") if "/" in path else path + "\\"
