"""The remote shells of one machine and their commands, with the limits that keep clients from using it up."""

from __future__ import annotations

import asyncio
import codecs
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.live.winrm.command import RunningCommand
from bodydouble_sim.live.winrm.faults import (
    ACCESS_DENIED,
    INVALID_DIRECTORY,
    NO_SHELL_SELECTED,
    SCHEMA_ERROR,
    SHELL_NOT_FOUND,
    TOO_MANY_COMMANDS,
    TOO_MANY_SHELLS,
    UNSUPPORTED_FEATURE,
    WsmanFaultError,
)
from bodydouble_sim.windows.command_interpreter.environment import EnvironmentFullError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bodydouble_sim.windows.system import WindowsSystem

MOST_SHELLS = 30
"""Shells at once: Windows' ``MaxShellsPerUser``; here of all users together."""
MOST_COMMANDS = 25
"""Commands of one shell at once: Windows' ``MaxProcessesPerShell``."""
IDLE_TIMEOUT = 7200.0
"""Seconds without a request after which a shell is closed: Windows' ``IdleTimeout``."""
MOST_VARIABLES = 200
DEFAULT_CODE_PAGE = "437"


@dataclass(slots=True)
class RemoteShell:
    """A shell that a client has created.

    Attributes:
        owner: the account that it belongs to.
        environment: variables of each of its commands.
        directory: where its commands begin, product form; the interpreter's own when empty.
        encoding: what its output is encoded as.
        idle_timeout: seconds without a request after which it is closed.
        commands: by identifier.
        used: when the latest request for it came, by the loop's clock.
    """

    owner: str
    environment: dict[str, str]
    directory: str
    encoding: str
    idle_timeout: float
    commands: dict[str, RunningCommand] = field(default_factory=dict)
    used: float = 0.0

    def command(self, identifier: str) -> RunningCommand:
        """One of its commands.

        Raises:
            WsmanFaultError: it has none of that identifier.
        """
        try:
            return self.commands[identifier.upper()]
        except KeyError:
            raise WsmanFaultError(SHELL_NOT_FOUND, f"the shell has no command {identifier}") from None

    def close(self) -> None:
        """End all its commands."""
        for command in self.commands.values():
            command.interrupt()
        self.commands.clear()


class Shells:
    """All remote shells.

    Args:
        system: the machine.
        changed: called after each command, for who keeps the machine's state on disk.
    """

    def __init__(self, system: WindowsSystem, changed: Callable[[], None]) -> None:
        self._system = system
        self._changed = changed
        self._shells: dict[str, RemoteShell] = {}

    def new_id(self) -> str:
        """An identifier that nobody can guess, from the machine's own source of chance."""
        return str(uuid.UUID(int=self._system.random.getrandbits(128), version=4)).upper()

    def create(
        self, owner: str, environment: Mapping[str, str], directory: str, code_page: str, idle_timeout: float | None
    ) -> str:
        """Open a shell and return its identifier.

        Raises:
            WsmanFaultError: there are `MOST_SHELLS`, no such directory or code page, or too many variables.
        """
        self._close_idle()
        if len(self._shells) >= MOST_SHELLS:
            raise WsmanFaultError(TOO_MANY_SHELLS, f"there are {MOST_SHELLS} remote shells already; retry later")
        self._check_environment(environment)
        shell = RemoteShell(
            owner,
            dict(environment),
            self._directory(directory),
            encoding_of(code_page),
            min(idle_timeout or IDLE_TIMEOUT, IDLE_TIMEOUT),
            used=_now(),
        )
        identifier = self.new_id()
        self._shells[identifier] = shell
        return identifier

    def _check_environment(self, environment: Mapping[str, str]) -> None:
        if len(environment) > MOST_VARIABLES:
            raise WsmanFaultError(SCHEMA_ERROR, f"more than {MOST_VARIABLES} environment variables")
        if any("=" in name for name in environment):
            raise WsmanFaultError(SCHEMA_ERROR, "the name of an environment variable holds no '='")
        try:
            self._system.open_shell(environment)
        except EnvironmentFullError:
            raise WsmanFaultError(SCHEMA_ERROR, "the environment variables are too long") from None

    def _directory(self, text: str) -> str:
        if not text:
            return ""
        path = self._system.open_shell({}).path(text)
        try:
            entry = self._system.files.stat(path)
        except FileSystemError:
            entry = None
        if entry is None or not entry.directory:
            raise WsmanFaultError(INVALID_DIRECTORY, f"The directory name is invalid: {text}")
        return path

    def find(self, owner: str, selectors: Mapping[str, str]) -> RemoteShell:
        """The shell that a request's selectors pick.

        Raises:
            WsmanFaultError: no shell is selected, there is none of that identifier, or it belongs to another account.
        """
        self._close_idle()
        identifier = selectors.get("SHELLID", "").upper()
        if not identifier:
            raise WsmanFaultError(NO_SHELL_SELECTED, "the request needs the selector ShellId")
        shell = self._shells.get(identifier)
        if shell is None:
            reason = f"the shell {identifier} was not found: it does not exist any more, or never did"
            raise WsmanFaultError(SHELL_NOT_FOUND, reason)
        if shell.owner.upper() != owner.upper():
            raise WsmanFaultError(ACCESS_DENIED, f"the shell {identifier} belongs to another account")
        shell.used = _now()
        return shell

    def run(self, shell: RemoteShell, line: str) -> str:
        """Begin a command and return its identifier.

        Raises:
            WsmanFaultError: the shell has `MOST_COMMANDS`.
        """
        if len(shell.commands) >= MOST_COMMANDS:
            raise WsmanFaultError(TOO_MANY_COMMANDS, f"the shell has {MOST_COMMANDS} commands already")
        interpreter = self._system.open_shell(shell.environment)
        if shell.directory:
            interpreter.enter(shell.directory)
        identifier = self.new_id()
        shell.commands[identifier] = RunningCommand(self._system, interpreter, line, shell.encoding, self._changed)
        return identifier

    def delete(self, shell: RemoteShell) -> None:
        """Close a shell and end its commands."""
        shell.close()
        self._shells = {identifier: kept for identifier, kept in self._shells.items() if kept is not shell}

    def _close_idle(self) -> None:
        for shell in list(self._shells.values()):
            if _now() - shell.used > shell.idle_timeout:
                self.delete(shell)

    def close(self) -> None:
        """Close all of them."""
        for shell in list(self._shells.values()):
            self.delete(shell)


def encoding_of(code_page: str) -> str:
    """The codec of a Windows code page.

    Raises:
        WsmanFaultError: there is no such code page.
    """
    name = "utf-8" if code_page == "65001" else f"cp{code_page}"
    try:
        return codecs.lookup(name).name if code_page.isascii() and code_page.isdigit() else _no_code_page(code_page)
    except LookupError:
        return _no_code_page(code_page)


def _no_code_page(code_page: str) -> str:
    raise WsmanFaultError(UNSUPPORTED_FEATURE, f"there is no code page {code_page}")


def _now() -> float:
    return asyncio.get_running_loop().time()
