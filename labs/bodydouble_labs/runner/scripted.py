"""The step that runs a script of the text client, as an operator runs it at the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.control.client import ControlClient
from bodydouble.dtcl import shipped
from bodydouble.dtcl.errors import CommandError
from bodydouble.dtcl.interpreter import Interpreter
from bodydouble.dtcl.parsing import parse
from bodydouble.errors import InputError
from bodydouble_labs.errors import UnmetError
from bodydouble_labs.runner.product import watch_replica

if TYPE_CHECKING:
    from bodydouble.dtcl.machines import Login
    from bodydouble.dtcl.syntax import Command
    from bodydouble_labs.runner.bench import Bench
    from bodydouble_labs.scenario.steps import DtclStep

SUFFIX = ".token"


class LabTerminal:
    """The console of a scenario: a daemon is opened only by its own token, which the script has to find in its file.

    Args:
        bench: the scenario's tools.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._hosts = {bench.address(name): name for name in bench.stage.hosts}

    async def open(self, machine: str | None, login: Login) -> ControlClient:
        """A client of a host's daemon.

        Raises:
            InputError: no machine is named, or nobody has logged in there.
        """
        if machine is None or machine not in self._hosts or login.token is None:
            raise InputError(f"no login at {machine or 'no machine'}")
        control = self._bench.host(self._hosts[machine]).control
        return ControlClient(machine, login.port or control.port, login.token, control.certificate)

    def token_file(self, name: str) -> str:
        """A host's token, by a file that is called as the host is.

        Raises:
            InputError: there is no such host.
        """
        host = name.removesuffix(SUFFIX)
        if host not in self._bench.stage.hosts:
            raise InputError(f"no file {name!r} at this console")
        return self._bench.host(host).control.token

    def environment(self, _name: str) -> str | None:
        """There is nothing in it."""
        return None

    async def ask_token(self, _machine: str) -> str | None:
        """Nobody is there."""
        return None

    def show(self, command: Command, _result: object) -> None:
        """Only what was answered last matters, for the message of a wait in vain."""
        self._bench.last_seen = f"{command.name.replace('_', ' ')} (line {command.place.line}) was answered"

    def write(self, text: str) -> None:
        """The same of what the script prints."""
        self._bench.last_seen = f"printed: {text}"


async def dtcl(bench: Bench, step: DtclStep) -> None:
    """Run the script, unattended.

    Raises:
        UnmetError: a command failed, or the script ended with another status than 0.
    """
    source, target = bench.source, bench.target
    variables = {
        "original": source.computer_name,
        "set": bench.scenario.protection.replication_set.name,
        "from": bench.address(target.name),
        "to": bench.address(source.name),
        "from_token": f"{target.name}{SUFFIX}",
        "to_token": f"{source.name}{SUFFIX}",
    }
    async with Interpreter(LabTerminal(bench), variables) as interpreter:
        try:
            status = await interpreter.run(parse(shipped.example(step.dtcl), step.dtcl), step.dtcl)
        except CommandError as error:
            raise UnmetError(str(error)) from error
    if status:
        raise UnmetError(f"the script {step.dtcl} ended with status {status}")
    watch_replica(bench)
