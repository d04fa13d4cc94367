"""A console in the simulator's network that scripts run on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from bodydouble.control.client import ControlClient
from bodydouble.dtcl.interpreter import Interpreter
from bodydouble.dtcl.parsing import parse
from bodydouble.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bodydouble.dtcl.machines import Login
    from bodydouble.dtcl.syntax import Command
    from bodydouble_labs.providers.sim_host import SimHost


class ScriptedConsole:
    """Opens the daemons of simulated hosts, each only with its own token.

    Args:
        hosts: by the address at which they are reached.
    """

    def __init__(self, hosts: Mapping[str, SimHost]) -> None:
        self.hosts = hosts
        self.shown: list[tuple[str, Any]] = []
        self.written: list[str] = []
        self.tokens = {f"{address}.token": host.control.token for address, host in hosts.items()}
        self.typed: str | None = None

    async def open(self, machine: str | None, login: Login) -> ControlClient:
        if machine is None:
            raise InputError("this console was started for no daemon")
        control = self.hosts[machine].control
        if login.token is None:
            raise InputError(f"nobody is logged in at {machine}")
        return ControlClient(machine, login.port or control.port, login.token, control.certificate)

    def token_file(self, name: str) -> str:
        return self.tokens[name]

    def environment(self, name: str) -> str | None:
        return self.tokens.get(name)

    async def ask_token(self, _machine: str) -> str | None:
        return self.typed

    def show(self, command: Command, result: object) -> None:
        self.shown.append((command.name, msgspec.to_builtins(result)))

    def write(self, text: str) -> None:
        self.written.append(text)

    def last(self, name: str) -> Any:
        """What a command answered last."""
        return next(result for shown, result in reversed(self.shown) if shown == name)


class Script:
    """Runs texts one after the other on a console."""

    def __init__(self, console: ScriptedConsole, variables: Mapping[str, str] | None = None) -> None:
        self.console = console
        self.interpreter = Interpreter(console, variables)

    async def run(self, text: str, timeout: float | None = None) -> int | None:  # noqa: ASYNC109
        return await self.interpreter.run(parse(text, "test.dtcl"), "test.dtcl", timeout)
