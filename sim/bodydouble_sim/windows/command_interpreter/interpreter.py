"""cmd.exe: one line at a prompt, or a batch file.

It runs what `parser` made of a line: commands with redirections, blocks, conditions, loops, pipes. A script cannot run
away: steps, nesting, calls and output have limits (`limits`), and each step lets the loop breathe so that a caller can
give up waiting.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.windows.command_interpreter import loops
from bodydouble_sim.windows.command_interpreter.arguments import batch_arguments
from bodydouble_sim.windows.command_interpreter.conditions import judge
from bodydouble_sim.windows.command_interpreter.dispatch import Dispatcher
from bodydouble_sim.windows.command_interpreter.environment import EnvironmentFullError
from bodydouble_sim.windows.command_interpreter.frames import Frame
from bodydouble_sim.windows.command_interpreter.limits import (
    CALL_DEPTH,
    EXECUTION_DEPTH,
    LINE_LIMIT,
    NOT_RECOGNISED,
    READ_LIMIT,
    RECURSION_TEXT,
    SYNTAX_ERROR,
    BatchEnd,
    BatchSyntaxError,
    InterpreterEnd,
    Jump,
)
from bodydouble_sim.windows.command_interpreter.parser import parse
from bodydouble_sim.windows.command_interpreter.redirecting import opened
from bodydouble_sim.windows.command_interpreter.streams import Input, PipeSink, decoded, lines_of
from bodydouble_sim.windows.command_interpreter.syntax import Block, Chain, For, If, Quiet, Redirection, Simple
from bodydouble_sim.windows.command_interpreter.variables import expander
from bodydouble_sim.windows.commands.matching import message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bodydouble_sim.windows.command_interpreter.expansion import Expander
    from bodydouble_sim.windows.command_interpreter.loops import Bindings
    from bodydouble_sim.windows.command_interpreter.syntax import Node
    from bodydouble_sim.windows.shell import Shell

TOO_LONG = "The input line is too long."


class Replaced(Exception):  # noqa: N818 - control flow of a batch file that another one starts without `call`
    """Another batch file goes on in place of the one that runs."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.frame = frame


class Interpreter:
    """Runs commands in a `Shell`.

    Args:
        shell: its state.
        command_line: what ``%CMDCMDLINE%`` shows.

    Attributes:
        shell: the same.
        frames: the batch files and subroutines that run, innermost last.
        loop: the variables of the loops that run.
    """

    def __init__(self, shell: Shell, command_line: str = "cmd") -> None:
        self.shell = shell
        self.frames: list[Frame] = []
        self.loop: dict[str, str] = {}
        self.expander: Expander = expander(shell, command_line)
        self._dispatcher = Dispatcher(self)

    async def run_line(self, line: str) -> int:
        """Run what ``cmd /c`` would; the exit code is the errorlevel, or what the last command returned."""
        status = await self._guarded(self._typed(line))
        level = self.shell.errorlevel or status
        return 1 if level == NOT_RECOGNISED else level

    async def run_node(self, node: Node, loop: Mapping[str, str]) -> int:
        """Run one side of a pipe, as the interpreter that cmd.exe starts for it."""
        self.loop = dict(loop)
        await self._guarded(self.execute(node), rethrow=True)
        return self.shell.errorlevel

    async def run_file(self, path: str, arguments: Sequence[str]) -> int:
        """Run a batch file with arguments; the exit code is the last errorlevel.

        Raises:
            FileSystemError: the file cannot be read.
        """
        quoted = [f'"{text}"' if re.search(r"\s", text) and not text.startswith('"') else text for text in arguments]
        frame = self.batch_frame(path, [path.replace("/", "\\"), *quoted], " ".join(quoted))
        await self._guarded(self.run_frame(frame))
        return self.shell.errorlevel

    async def _guarded(self, running: object, *, rethrow: bool = False) -> int:
        try:
            return int(await running)  # type: ignore[misc]
        except (BatchEnd, Jump):
            return self.shell.errorlevel
        except Replaced as other:
            return await self._guarded(self.run_frame(other.frame), rethrow=rethrow)
        except InterpreterEnd as end:
            if end.text and rethrow:
                raise
            if end.text:
                self._complain(end.text)
            if end.errorlevel is not None:
                self.shell.errorlevel = end.errorlevel
            return self.shell.errorlevel

    async def _typed(self, line: str) -> int:
        try:
            text = self._checked(self.expander.prompt(line.strip()))
            node = parse(text, lambda: None)
        except BatchSyntaxError as error:
            raise InterpreterEnd(str(error), SYNTAX_ERROR) from None
        return await self.execute(node) if node is not None else 0

    @staticmethod
    def _checked(line: str) -> str:
        if len(line) > LINE_LIMIT:
            raise BatchSyntaxError(TOO_LONG)
        return line

    # --- batch files ------------------------------------------------------------------------------------------------

    def batch_frame(self, path: str, arguments: list[str], everything: str) -> Frame:
        """A batch file ready to run.

        Raises:
            FileSystemError: it cannot be read.
        """
        text = decoded(self.shell.system.files.read(path, 0, READ_LIMIT)).partition("\x1a")[0]
        return Frame(lines_of(text), arguments, everything, path.lower().endswith(".cmd"))

    async def run_frame(self, frame: Frame) -> int:
        """Run a batch file, or a subroutine, to its end; ``setlocal`` does not outlive it."""
        if len(self.frames) >= CALL_DEPTH:
            raise InterpreterEnd(RECURSION_TEXT, 1)
        saved, loop = self.shell.saved, self.loop
        frame.saved, self.loop = saved, {}
        base, self.shell.base = self.shell.base, self.shell.handles
        self.frames.append(frame)
        try:
            await self._lines()
        except BatchEnd:
            pass
        finally:
            self.frames.pop()
            self.loop, self.shell.base = loop, base
            while self.shell.saved > saved:
                self.shell.restore()
        return self.shell.errorlevel

    async def _lines(self) -> None:
        while (line := (frame := self.frames[-1]).next()) is not None:
            if not line.strip() or line.lstrip(" \t,;=").startswith(":"):
                continue
            try:
                await self._batch_line(line)
            except Jump:
                continue
            except Replaced as other:
                other.frame.saved = frame.saved
                self.frames[-1] = other.frame

    async def _batch_line(self, line: str) -> None:
        frame, shown = self.frames[-1], []

        def read(text: str) -> str:
            text = self._checked(self.expander.batch(text, frame.arguments, frame.everything))
            shown.append(text)
            return text

        def more() -> str | None:
            following = frame.next()
            return None if following is None else read(following)

        try:
            node = parse(read(line), more)
        except BatchSyntaxError as error:
            self._show("\r\n".join(shown))
            raise InterpreterEnd(str(error), SYNTAX_ERROR) from None
        if node is not None:
            if not isinstance(node, Quiet):
                self._show("\r\n".join(shown))
            await self.execute(node)

    def _show(self, text: str) -> None:
        if self.shell.echo:
            self.shell.line()
            self.shell.line(self.shell.prompt() + text.strip())

    # --- nodes ------------------------------------------------------------------------------------------------------

    async def execute(self, node: Node) -> int:
        """Run a node; returns what its last command returned.

        Raises:
            InterpreterEnd: ``exit``, or a limit is reached.
            BatchEnd: the batch file ends.
            Jump: ``goto``.
        """
        self.shell.nesting += 1
        if self.shell.nesting > EXECUTION_DEPTH:
            self.shell.nesting -= 1
            raise InterpreterEnd(RECURSION_TEXT, 1)
        try:
            return await self._execute(node)
        except FileSystemError as error:  # of a command that cannot say so itself, or of what it wrote to
            self._complain(message(error, self.shell))
            self.shell.errorlevel = 1
            return 1
        except BatchSyntaxError as error:
            raise InterpreterEnd(str(error), SYNTAX_ERROR) from None
        finally:
            self.shell.nesting -= 1

    def _complain(self, text: str) -> None:
        """Write to standard error, if that is still to be written to."""
        with suppress(FileSystemError, InterpreterEnd):
            self.shell.error(text)

    async def _execute(self, node: Node) -> int:
        if isinstance(node, Quiet):
            return await self._execute(node.body)
        if isinstance(node, Chain):
            return await self._chain(node)
        await self._count()
        if isinstance(node, If):
            return await self._if(node)
        if isinstance(node, For):
            return await self._for(node)
        return await self._redirected(node)

    async def _count(self) -> None:
        self.shell.steps.take()
        await asyncio.sleep(0)  # an endless loop can be timed out from outside

    async def _chain(self, node: Chain) -> int:
        links: list[Chain] = []
        left: Node = node
        while isinstance(left, Chain) and left.operator == node.operator and node.operator != "|":
            links.append(left)
            left = left.left
        if node.operator == "|":
            return await self._pipe(node)
        status = await self.execute(left)
        for link in reversed(links):
            if link.operator == "||" and status and not self.shell.errorlevel:
                self.shell.errorlevel = status
            if link.operator == "&" or (link.operator == "&&") == (status == 0):
                status = await self.execute(link.right)
        return status

    async def _pipe(self, node: Chain) -> int:
        """Both sides are interpreters of their own: what they change in variables or directories is lost."""
        shell, pipe = self.shell, PipeSink()
        left = shell.child((shell.handles[0], pipe, shell.handles[2]))
        await self._side(left, node.left)
        right = shell.child((Input(lines_of(pipe.text())), *shell.handles[1:]))
        status = await self._side(right, node.right)
        shell.errorlevel = right.errorlevel
        return status or right.errorlevel

    async def _side(self, shell: Shell, node: Node) -> int:
        side = Interpreter(shell)
        shell.echo = False
        return await side.run_node(node, self.loop)

    def late(self, text: str) -> str:
        """What is put in when a command runs: loop variables, then ``!NAME!``."""
        text = self.expander.loop(text, self.loop)
        text = self.expander.delayed(text) if self.shell.delayed else text
        return self._checked(text)

    async def _if(self, node: If) -> int:
        test = replace(node.test, left=self.late(node.test.left), right=self.late(node.test.right))
        defined = self.expander.variable(test.left) is not None
        branch = node.then if judge(self.shell, test, defined) else node.otherwise
        return await self.execute(branch) if branch is not None else 0

    async def _redirected(self, node: Simple | Block) -> int:
        before = self.shell.handles
        try:
            self.shell.handles = opened(self.shell, self._targets(node.redirections))
        except FileSystemError as error:
            self.shell.error(message(error, self.shell))
            return 1
        try:
            return await self._inner(node)
        finally:
            self.shell.handles = before

    def _targets(self, redirections: Sequence[Redirection]) -> list[Redirection]:
        return [replace(redirection, target=self.late(redirection.target)) for redirection in redirections]

    async def _inner(self, node: Simple | Block) -> int:
        if isinstance(node, Simple):
            try:
                return await self._dispatcher.run(self.late(node.text))
            except EnvironmentFullError:
                self.shell.error("Not enough storage is available to process this command.")
                self.shell.errorlevel = 1
                return 1
        status = 0
        for command in node.body:
            status = await self.execute(command)
        return status

    # --- for --------------------------------------------------------------------------------------------------------

    async def _for(self, node: For) -> int:
        outer = self.loop
        status = 0
        try:
            for bindings in await self._bindings(node):
                await self._count()
                self.loop = loops.merged(outer, bindings)
                if not isinstance(node.body, Quiet) and self.frames:
                    self._show(self.expander.loop(node.source, self.loop))
                status = await self.execute(node.body)
                self.loop = outer
        except FileSystemError as error:
            self.shell.error(loops.missing_file(error) if node.kind == "f" else message(error, self.shell))
            self.shell.errorlevel = status = 1
        finally:
            self.loop = outer
        return status

    async def _bindings(self, node: For) -> Iterator[Bindings]:
        items = self.late(node.items)
        if node.kind == "l":
            return loops.numbers(items, node.variable)
        if node.kind == "r":
            return loops.below(self.shell, self.late(node.option), items, node.variable)
        if node.kind == "f":
            return await self._line_bindings(node, items)
        return loops.files(self.shell, items, node.variable, directories=node.kind == "d")

    async def _line_bindings(self, node: For, items: str) -> Iterator[Bindings]:
        options = loops.line_options(self.late(node.option), windows_2000=not self.shell.system.version.is_nt4)
        kind, text = loops.source_of(items, options)
        if kind == "file":
            lines = loops.lines_of_files(self.shell, text)
        elif kind == "text":
            lines = [text]
        else:
            lines = await self._output_lines(text)
        return loops.bound(lines, options, node.variable)

    async def _output_lines(self, line: str) -> list[str]:
        pipe = PipeSink()
        shell = self.shell.child((self.shell.handles[0], pipe, self.shell.handles[2]))
        shell.echo = False
        await self.inner(shell, line)
        return lines_of(pipe.text())

    # --- for the commands that move the batch file ------------------------------------------------------------------

    @property
    def saved_before(self) -> int:
        """How many ``setlocal`` were open when the batch file that runs began."""
        return self.frames[-1].saved if self.frames else 0

    def replaced(self, frame: Frame) -> Replaced:
        """What is raised so that ``frame`` runs in place of the batch file that runs."""
        return Replaced(frame)

    async def inner(self, shell: Shell, line: str) -> int:
        """``cmd /c line`` in an interpreter of its own, on this one's stack.

        Raises:
            InterpreterEnd: a limit that counts for both was reached.
        """
        inner = Interpreter(shell, f"cmd /c {line}")
        status = await inner._guarded(inner._typed(line), rethrow=True)
        return shell.errorlevel or status

    async def unseen(self, shell: Shell, line: str) -> None:
        """What ``start`` runs in a window of its own: nobody waits for it or sees how it ends."""
        await Interpreter(shell, f"cmd /c {line}").run_line(line)

    def expand_again(self, text: str) -> str:
        """What ``call`` does: percent signs count once more."""
        if not self.frames:
            return self._checked(self.expander.prompt(text))
        frame = self.frames[-1]
        return self._checked(self.expander.batch(text, frame.arguments, frame.everything))

    def subroutine(self, label: str, arguments: str) -> Frame | None:
        """A frame behind a label of the batch file that runs, None when there is no such label."""
        outer = self.frames[-1]
        words = [":" + label, *batch_arguments(arguments)]
        frame = Frame(outer.lines, words, arguments.strip(), outer.command_file, outer.position)
        return frame if frame.go_to(label) else None
