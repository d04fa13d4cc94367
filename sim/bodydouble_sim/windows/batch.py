"""cmd.exe: one line at a prompt, or a batch file with labels, calls and conditions.

It runs the application note's POSTOVER.BAT and PREBACK.BAT as printed. Not built: ``for``, pipes, blocks in parentheses
over several lines.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.windows.command_line import (
    Piece,
    expand_batch,
    expand_line,
    head_and_rest,
    parse_if,
    split_batch_arguments,
    split_commands,
    split_program_arguments,
)
from bodydouble_sim.windows.internal_commands import INTERNAL, NOT_FOUND, matches, message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble_sim.windows.shell import Shell

STEP_LIMIT = 10_000
NOT_RECOGNISED = 9009
_PATHEXT = (".COM", ".EXE", ".BAT", ".CMD")
_MAX_DEPTH = 16


class _Exit(Exception):  # noqa: N818 - control flow of `exit`, never leaves this module
    """``exit``: the interpreter ends."""


class _Return(Exception):  # noqa: N818 - control flow of `exit /b` and `goto :eof`, never leaves this module
    """``exit /b``: the batch file ends."""


@dataclass(slots=True)
class _Frame:
    """A batch file that is running: its lines, where it is, and ``%0`` - ``%9``."""

    lines: list[str]
    arguments: list[str]
    position: int = 0

    def go_to(self, label: str) -> bool:
        for number, line in enumerate(self.lines):
            match = re.match(r"\s*:([^\s:+]+)", line)
            if match and match[1].upper() == label.upper():
                self.position = number + 1
                return True
        return False


class Interpreter:
    """Runs commands in a `Shell`, at most `STEP_LIMIT` of them."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._frames: list[_Frame] = []

    async def run_line(self, line: str) -> int:
        """Run what ``cmd /c`` would; the exit code is the last errorlevel (1 for an unknown command)."""
        with suppress(_Exit, _Return):
            await self._line(expand_line(line.strip(), self._shell.environment))
        level = self._shell.errorlevel
        return 1 if level == NOT_RECOGNISED else level

    async def run_file(self, path: str, arguments: Sequence[str]) -> int:
        """Run a batch file with arguments; the exit code is the last errorlevel.

        Raises:
            FileSystemError: the file cannot be read.
        """
        quoted = [f'"{text}"' if re.search(r"\s", text) and not text.startswith('"') else text for text in arguments]
        with suppress(_Exit):
            await self._batch(path, [path.replace("/", "\\"), *quoted])
        return self._shell.errorlevel

    async def _batch(self, path: str, arguments: list[str]) -> None:
        text = _decoded(self._shell.system.files.read(path))
        await self._frame(_Frame(text.splitlines(), arguments))

    async def _frame(self, frame: _Frame) -> None:
        if len(self._frames) >= _MAX_DEPTH:
            self._shell.line("****** BATCH RECURSION exceeds STACK limits ******")
            raise _Exit
        self._frames.append(frame)
        try:
            while frame.position < len(frame.lines):
                line = frame.lines[frame.position].strip()
                frame.position += 1
                if line and not line.startswith(":"):
                    await self._batch_line(line, frame)
        except _Return:
            pass
        finally:
            self._frames.pop()

    async def _batch_line(self, line: str, frame: _Frame) -> None:
        line = expand_batch(line, self._variables(), frame.arguments)
        quiet = line.startswith("@")
        line = line.lstrip("@ \t")
        if self._shell.echo and not quiet:
            self._shell.line()
            self._shell.line(self._shell.prompt() + line)
        await self._line(line)

    def _variables(self) -> dict[str, str]:
        return {"ERRORLEVEL": str(self._shell.errorlevel), "CD": self._shell.directory, **self._shell.environment}

    async def _line(self, line: str) -> None:
        await self._count()
        if re.match(r"rem(\s|$)", line, re.IGNORECASE):
            return
        if re.match(r"if(\s|$)", line, re.IGNORECASE):
            await self._if(line)
            return
        try:
            pieces = split_commands(line)
        except ValueError as error:
            self._shell.line(str(error))
            self._shell.errorlevel = 255
            return
        for piece in pieces:
            if piece.when == "always" or (piece.when == "and") == (self._shell.errorlevel == 0):
                await self._piece(piece)

    async def _count(self) -> None:
        self._shell.steps += 1
        if self._shell.steps > STEP_LIMIT:
            self._shell.line(f"The batch job was ended after {STEP_LIMIT} commands.")
            self._shell.errorlevel = 255
            raise _Exit
        await asyncio.sleep(0)  # an endless loop can be timed out from outside

    async def _if(self, line: str) -> None:
        shell = self._shell
        condition = parse_if(line, shell.errorlevel, shell.environment, lambda path: bool(matches(shell, path)))
        if condition is None:
            shell.line("The syntax of the command is incorrect.")
            shell.errorlevel = 255
            raise _Exit
        command = condition.command if condition.holds else condition.otherwise
        if command:
            await self._line(command)

    async def _piece(self, piece: Piece) -> None:
        if piece.input and piece.input.lower() != "nul" and not matches(self._shell, piece.input):
            self._shell.line(NOT_FOUND)
            self._shell.errorlevel = 1
            return
        if not piece.output:
            await self._command(piece.text)
            return
        kept = self._shell.divert()
        try:
            await self._command(piece.text)
        finally:
            collected = self._shell.restore(kept)
            self._redirect(piece, collected)

    def _redirect(self, piece: Piece, text: str) -> None:
        if piece.output.lower() == "nul":
            return
        path, files = self._shell.path(piece.output), self._shell.system.files
        try:
            if not piece.append or files.stat(path) is None:
                files.create(path)
            if text:
                files.append(path, text.encode())
        except FileSystemError as error:
            self._shell.line(message(error))
            self._shell.errorlevel = 1

    async def _command(self, text: str) -> None:
        if re.match(r"if(\s|$)", text, re.IGNORECASE):
            await self._if(text)
            return
        head, rest = head_and_rest(text.lstrip("@ \t"))
        word, inside = _internal_head(head)
        if word in ("goto", "call", "exit"):
            await self._flow(word, rest.strip())
        elif re.fullmatch(r"[A-Za-z]:", head):
            self._drive(head)
        elif word in INTERNAL:
            self._internal(word, inside + rest)
        elif head:
            await self._external(head, rest)

    def _drive(self, head: str) -> None:
        if self._shell.system.files.stat(head.upper()) is None:
            self._shell.line("The system cannot find the drive specified.")
            self._shell.errorlevel = 1
        else:
            self._shell.directory = head.upper()

    def _internal(self, word: str, rest: str) -> None:
        try:
            self._shell.errorlevel = INTERNAL[word](self._shell, rest)
        except FileSystemError as error:
            self._shell.line(message(error))
            self._shell.errorlevel = 1

    async def _flow(self, word: str, rest: str) -> None:
        if word == "goto":
            self._go_to(rest.split(maxsplit=1)[0].lstrip(":") if rest else "")
        elif word == "call":
            await self._call(rest)
        else:
            self._exit(rest)

    def _go_to(self, label: str) -> None:
        if not self._frames:
            return
        if label.upper() == "EOF":
            raise _Return
        if not self._frames[-1].go_to(label):
            self._shell.line(f"The system cannot find the batch label specified - {label}")
            self._shell.errorlevel = 1
            raise _Exit

    async def _call(self, rest: str) -> None:
        head, arguments = head_and_rest(rest)
        if head.startswith(":") and self._frames:
            frame = _Frame(self._frames[-1].lines, [head, *split_batch_arguments(arguments)])
            if head.upper() == ":EOF":
                return
            if frame.go_to(head[1:]):
                await self._frame(frame)
                return
            self._shell.line(f"The system cannot find the batch label specified - {head[1:]}")
            self._shell.errorlevel = 1
        elif _internal_head(head)[0] in INTERNAL:
            await self._command(rest)
        else:
            await self._external(head, arguments, called=True)

    def _exit(self, rest: str) -> None:
        match = re.match(r"(/b)?\s*(-?\d+)?", rest, re.IGNORECASE)
        if match and match[2]:
            self._shell.errorlevel = int(match[2])
        if match and match[1] and self._frames:
            raise _Return
        raise _Exit

    async def _external(self, head: str, rest: str, *, called: bool = False) -> None:
        path = self._program_file(head)
        if path is None:
            self._shell.line(f"'{head}' is not recognized as an internal or external command,")
            self._shell.line("operable program or batch file.")
            self._shell.errorlevel = NOT_RECOGNISED
        elif path.upper().endswith((".BAT", ".CMD")):
            await self._batch(path, [head, *split_batch_arguments(rest)])
            if self._frames and not called:
                raise _Return  # a batch file that is not called does not come back
        else:
            self._shell.errorlevel = await self._program(path, split_program_arguments(rest))

    async def _program(self, path: str, arguments: list[str]) -> int:
        program = self._shell.system.program_in(path)
        if program is None:
            self._shell.line(f"{path.replace('/', chr(92))} is not a valid Win32 application.")
            return 193
        try:
            return await program(self._shell, arguments)
        except FileSystemError as error:
            self._shell.line(message(error))
            return 1

    def _program_file(self, head: str) -> str | None:
        if re.search(r"[\\/:]", head):
            return self._with_suffix(self._shell.path(head))
        places = [self._shell.directory, *self._shell.environment.get("PATH", "").replace("\\", "/").split(";")]
        for place in places:
            if place and (found := self._with_suffix(f"{place}/{head}")):
                return found
        return None

    def _with_suffix(self, path: str) -> str | None:
        names = [path] if path.upper().endswith(_PATHEXT) else [path + suffix for suffix in _PATHEXT]
        for name in names:
            entry = self._shell.system.files.stat(name)
            if entry is not None and not entry.directory:
                return entry.path
        return None


def _internal_head(head: str) -> tuple[str, str]:
    r"""``echo.`` and ``cd\`` are commands with an argument stuck to them."""
    match = re.match(r"(echo|cd|md|rd|dir|del)(?=[.\\(/])", head, re.IGNORECASE)
    return (match[1].lower(), head[match.end() :]) if match else (head.lower(), "")


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
