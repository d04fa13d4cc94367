"""Carries out a syntax tree: variables, blocks, conditions; each command by its handler. Only asyncio, any loop.

Bounded: a loop by the number of its rounds and by its own time, a text by the time that its caller gives it, depth by
the parser. Whatever ends it closes the clients; what daemons were ordered to do goes on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from bodydouble.dtcl import (  # noqa: F401 - they register what carries out each command
    comparing,
    connecting,
    looking,
    monitoring,
    reaching,
    scheduling,
    selecting,
)
from bodydouble.dtcl.errors import CommandError, ScriptTimeoutError
from bodydouble.dtcl.machines import Machines
from bodydouble.dtcl.printing import words_of
from bodydouble.dtcl.session import HANDLERS, Session
from bodydouble.dtcl.syntax import (
    NOWHERE,
    All,
    Any,
    Assignment,
    Command,
    Comparison,
    If,
    Not,
    Secret,
    Substitution,
    Succeeds,
    Text,
    Truth,
    Variable,
    While,
)
from bodydouble.dtcl.values import Call, Given, UnfitValueError, compare, field_of, is_true, text_of
from bodydouble.errors import BodydoubleError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from bodydouble.dtcl.machines import Surroundings
    from bodydouble.dtcl.syntax import Block, Condition, Place, Statement, Value

MAX_ROUNDS = 1_000_000
"""Of one loop."""


class _QuitError(Exception):
    """``quit`` was reached."""

    def __init__(self, status: int) -> None:
        self.status = status


class Interpreter:
    """Runs texts one after the other, with the same variables and machines; an async context manager.

    Args:
        surroundings: the console.
        variables: what variables hold at the beginning.
    """

    def __init__(self, surroundings: Surroundings, variables: Mapping[str, str] | None = None) -> None:
        self.variables: dict[str, object] = dict(variables or {})
        self.session = Session(Machines(surroundings), surroundings)
        self._surroundings = surroundings
        self._file = ""

    async def __aenter__(self) -> Self:
        """Nothing is opened yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close every client."""
        await self.close()

    async def close(self) -> None:
        """Close every client."""
        await self.session.machines.close_all()

    async def run(self, block: Block, file: str = "<text>", timeout: float | None = None) -> int | None:  # noqa: ASYNC109
        """Carry a text out.

        Args:
            block: its statements.
            file: what errors call it.
            timeout: seconds that it may take; None: as long as it takes.

        Returns:
            The status that ``quit`` gives, None when the end was reached.

        Raises:
            CommandError: a command failed, or took too long; nothing after it was done.
        """
        self._file = file
        try:
            async with asyncio.timeout(timeout) as limit:
                await self._block(block)
        except _QuitError as quit_:
            return quit_.status
        except TimeoutError:
            if not limit.expired():
                raise
            where = block[0].place if block else NOWHERE
            raise ScriptTimeoutError(file, where, "the script", f"not at its end after {timeout:g} s") from None
        return None

    async def _block(self, block: Block) -> None:
        for statement in block:
            await self._statement(statement)

    async def _statement(self, statement: Statement) -> None:
        if isinstance(statement, Command):
            result = await self._command(statement)
            if result is not None:
                self._surroundings.show(statement, result)
        elif isinstance(statement, Assignment):
            self.variables[statement.name] = await self._value(statement.value)
        elif isinstance(statement, If):
            await self._if(statement)
        else:
            await self._while(statement)

    async def _if(self, statement: If) -> None:
        for condition, block in statement.branches:
            if await self._holds(condition):
                await self._block(block)
                return
        await self._block(statement.otherwise or ())

    async def _while(self, statement: While) -> None:
        within = None if statement.within is None else await self._seconds(statement.within)
        try:
            async with asyncio.timeout(within) as limit:
                await self._rounds(statement)
        except TimeoutError:
            if not limit.expired():
                raise
            raise ScriptTimeoutError(self._file, statement.place, "while", f"not done after {within:g} s") from None

    async def _rounds(self, statement: While) -> None:
        for _ in range(MAX_ROUNDS):
            if not await self._holds(statement.condition):
                return
            await self._block(statement.block)
            await asyncio.sleep(0)  # a loop that waits for nothing must not shut everybody else out
        raise CommandError(self._file, statement.place, "while", f"{MAX_ROUNDS} rounds and no end")

    async def _seconds(self, value: Value) -> float:
        try:
            return Given(await self._value(value), value.place).seconds()
        except UnfitValueError as error:
            raise CommandError(self._file, error.place, "while", str(error)) from error

    # --- conditions and values ------------------------------------------------------------------------------------

    async def _holds(self, condition: Condition) -> bool:
        if isinstance(condition, Comparison):
            left, right = await self._value(condition.left), await self._value(condition.right)
            return compare(left, condition.operator, right)
        if isinstance(condition, Truth):
            return is_true(await self._value(condition.value))
        if isinstance(condition, Succeeds):
            return await self._succeeds(condition.command)
        if isinstance(condition, Not):
            return not await self._holds(condition.condition)
        return await self._combined(condition)

    async def _combined(self, condition: All | Any) -> bool:
        decisive = isinstance(condition, Any)
        for each in condition.conditions:
            if await self._holds(each) == decisive:
                return decisive
        return not decisive

    async def _succeeds(self, command: Command) -> bool:
        try:
            self.variables["result"] = msgspec.to_builtins(await self._command(command))
        except CommandError as error:
            self.variables["error"] = error.reason
            return False
        self.variables["error"] = ""
        return True

    async def _value(self, value: Value) -> object:
        if isinstance(value, Text | Secret):
            return value.text
        try:
            if isinstance(value, Variable):
                return field_of(self._variable(value), value.fields, value.place)
            assert isinstance(value, Substitution), "there are no other values"
            return field_of(msgspec.to_builtins(await self._command(value.command)), value.fields, value.place)
        except UnfitValueError as error:
            raise CommandError(self._file, error.place, "value", str(error)) from error

    def _variable(self, value: Variable) -> object:
        if value.name not in self.variables:
            raise UnfitValueError(value.place, f"${value.name} was never set")
        return self.variables[value.name]

    # --- commands -------------------------------------------------------------------------------------------------

    async def _command(self, command: Command) -> object:
        call = await self._call(command)
        if command.name == "quit":
            self._quit(call)
        if command.name == "print":
            self._surroundings.write(" ".join(text_of(each.data) for each in call.values))
            return None
        try:
            return await HANDLERS[command.name](self.session, call)
        except UnfitValueError as error:
            raise self._failed(command, error.place, error) from error
        except TimeoutError as error:
            raise ScriptTimeoutError(self._file, command.place, words_of(command), str(error)) from error
        except BodydoubleError as error:
            raise self._failed(command, command.place, error) from error

    def _failed(self, command: Command, place: Place, error: BodydoubleError) -> CommandError:
        return CommandError(self._file, place, words_of(command), str(error))

    def _quit(self, call: Call) -> None:
        given = call.value()
        try:
            status = 0 if given is None else given.number(0, 125)
        except UnfitValueError as error:
            raise self._failed(call.command, error.place, error) from error
        raise _QuitError(status)

    async def _call(self, command: Command) -> Call:
        values = [Given(await self._value(each), each.place) for each in command.values]
        options: dict[str, list[list[Given]]] = {}
        for option in command.options:
            given = [Given(await self._value(each), each.place) for each in option.values]
            options.setdefault(option.name, []).append(given)
        return Call(command, values, options)
