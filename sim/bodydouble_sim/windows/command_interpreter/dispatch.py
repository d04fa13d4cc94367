"""Finding what a command's name means: flow of the batch file, an internal command, a drive, a program or batch file.

Source: cmd.exe looks for internal commands first, then in the current directory and the directories of PATH, trying the
suffixes of PATHEXT (Tim Hill, "Windows NT Shell Scripting", "Launching Applications from the Shell"). Which internal
commands leave the errorlevel alone when they succeed is Dave Benham's table ("Which cmd.exe internal commands clear the
ERRORLEVEL to 0 upon success?", Stack Overflow). Status 9009 and both its lines are those of Windows 2000; NT 4.0's text
names no command, and that it also leaves 9009 is this model's choice, since nothing public says otherwise.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError, FileSystemError
from bodydouble_sim.windows.command_interpreter import flow
from bodydouble_sim.windows.command_interpreter.arguments import batch_arguments, head_and_rest, program_arguments
from bodydouble_sim.windows.command_interpreter.limits import NOT_RECOGNISED
from bodydouble_sim.windows.commands.deleting import NOTHING_DELETED
from bodydouble_sim.windows.commands.internal import INTERNAL, KEEPS_ERRORLEVEL, KEEPS_IN_BAT
from bodydouble_sim.windows.commands.matching import PATH_NOT_FOUND, message

if TYPE_CHECKING:
    from bodydouble_sim.windows.command_interpreter.interpreter import Interpreter

_NAMES = "|".join(sorted((*INTERNAL, *flow.FLOW), key=len, reverse=True))
_INTERNAL = re.compile(rf"({_NAMES})(?=$|[\s,;=/\\\"<>&|(+:\[\]]|\.(?!exe\b|com\b|bat\b|cmd\b))", re.IGNORECASE)
_PATHEXT = ".COM;.EXE;.BAT;.CMD"


class Dispatcher:
    """Runs one command line whose escapes, variables and redirections are done."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._shell = interpreter.shell

    async def run(self, text: str) -> int:
        """Run a command; the errorlevel is set, and what it returned is returned.

        Raises:
            InterpreterEnd: ``exit``.
            BatchEnd: the batch file ends.
            Jump: ``goto``.
        """
        text = text.lstrip(" \t,;=@")
        match = _INTERNAL.match(text)
        if match is not None:
            return await self._internal(match[1].lower(), text[match.end() :])
        if re.match(r"[A-Za-z]:\s*$", text):
            return self._drive(text[:2])
        head, rest = head_and_rest(text)
        return await self._external(head, rest, called=False) if head else 0

    async def _internal(self, word: str, rest: str) -> int:
        try:
            if word == "call":
                return await self._call(rest)
            if word in flow.FLOW:
                return await flow.FLOW[word](self._interpreter, rest)
            return self._settled(word, INTERNAL[word](self._shell, rest))
        except FileSystemError as error:
            self._shell.error(message(error, self._shell))
            return self._settled(word, 1)

    def _settled(self, word: str, status: int) -> int:
        """Set the errorlevel as this command does."""
        frames = self._interpreter.frames
        keeps = word in KEEPS_ERRORLEVEL or (word in KEEPS_IN_BAT and not (frames and frames[-1].command_file))
        if word in ("rd", "rmdir") or (status == 0 and keeps):
            return status  # `rd` reports a failure to `||` alone
        self._shell.errorlevel = 0 if word in ("del", "erase") and status == NOTHING_DELETED else status
        return status

    def _drive(self, head: str) -> int:
        drive = head.upper()
        if self._shell.system.files.stat(drive) is None:
            self._shell.error("The system cannot find the drive specified.")
            self._shell.errorlevel = 1
            return 1
        directory = self._shell.directory_of(drive[0])
        self._shell.enter(directory if self._shell.system.files.stat(directory) else drive)
        return 0

    async def _call(self, rest: str) -> int:
        text = self._interpreter.expand_again(rest).strip(" \t,;=")
        if text.startswith(":") and self._shell.extensions:
            return await self._call_label(text[1:])
        match = _INTERNAL.match(text)
        if match is not None:
            return await self._internal(match[1].lower(), text[match.end() :])
        head, arguments = head_and_rest(text)
        return await self._external(head, arguments, called=True) if head else 0

    async def _call_label(self, text: str) -> int:
        shell, interpreter = self._shell, self._interpreter
        if not interpreter.frames:
            shell.error("Invalid attempt to call batch label outside of batch script.")
            shell.errorlevel = 1
            return 1
        label, arguments = head_and_rest(text)
        if label.upper() == "EOF":
            return 0
        frame = interpreter.subroutine(label, arguments)
        if frame is None:
            shell.error(f"The system cannot find the batch label specified - {label}")
            shell.errorlevel = 1
            return 1
        return await interpreter.run_frame(frame)

    async def _external(self, head: str, rest: str, *, called: bool) -> int:
        path = self.program_file(head)
        if path is None:
            return self._not_recognised(head)
        if not path.upper().endswith((".BAT", ".CMD")):
            self._shell.errorlevel = status = await self._program(path, rest)
            return status
        try:
            frame = self._interpreter.batch_frame(path, [head, *batch_arguments(rest)], rest.strip())
        except FileSystemError as error:
            self._shell.error(message(error, self._shell))
            self._shell.errorlevel = 1
            return 1
        return await flow.run_batch(self._interpreter, frame, called=called)

    def _not_recognised(self, head: str) -> int:
        """Say that there is no such command; that the directory is missing is said instead where one is named.

        Source: zzz.buzz, "File not found errors in cmd.exe".
        """
        directory = self._shell.path(head).rpartition("/")[0] if re.search(r"[\\/]", head) else ""
        if directory and self._shell.system.files.stat(directory) is None:
            self._shell.error(PATH_NOT_FOUND)
            self._shell.errorlevel = 3
            return 3
        if self._shell.system.version.is_nt4:
            self._shell.error("The name specified is not recognized as an")
            self._shell.error("internal or external command, operable program or batch file.")
        else:
            self._shell.error(f"'{head}' is not recognized as an internal or external command,")
            self._shell.error("operable program or batch file.")
        self._shell.errorlevel = NOT_RECOGNISED
        return NOT_RECOGNISED

    async def _program(self, path: str, rest: str) -> int:
        program = self._shell.system.program_in(path)
        if program is None:
            self._shell.error(f"{path.replace('/', chr(92))} is not a valid Win32 application.")
            return 193
        try:
            return await program(self._shell, program_arguments(rest))
        except FileSystemError:
            raise
        except BodydoubleError as error:  # a program that fails takes no interpreter with it
            self._shell.error(str(error))
            return 1

    def program_file(self, head: str) -> str | None:
        """Where a command's file is, None when there is none."""
        if re.search(r"[\\/:]", head):
            return self._with_suffix(self._shell.path(head))
        places = [self._shell.directory, *self._shell.environment.get("PATH", "").replace("\\", "/").split(";")]
        for place in places:
            if place and (found := self._with_suffix(self._shell.path(f"{place}/{head}"))):
                return found
        return None

    def _with_suffix(self, path: str) -> str | None:
        if "/" not in path:
            return None
        suffixes = self._shell.environment.get("PATHEXT", _PATHEXT).upper().split(";")
        runnable = [suffix for suffix in suffixes if suffix in _PATHEXT.split(";")]
        names = [path] if path.upper().endswith(tuple(runnable)) else []
        for name in [*names, *(path + suffix for suffix in runnable)]:
            entry = self._shell.system.files.stat(name)
            if entry is not None and not entry.directory:
                return entry.path
        return None
