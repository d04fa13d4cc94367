"""The machines that a script speaks to: who is the source, who the target, and by which token each is reached."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bodydouble.errors import InputError

if TYPE_CHECKING:
    from bodydouble.control.client import ControlClient
    from bodydouble.dtcl.syntax import Command

ROLES = ("source", "target")


@dataclass(frozen=True, slots=True)
class Login:
    """How to reach a machine; what is None is as the console has it.

    Attributes:
        port: of its control API.
        token: its daemon's.
        pin: the fingerprint of its certificate.
    """

    port: int | None = None
    token: str | None = field(default=None, repr=False)
    pin: str | None = None


class Surroundings(Protocol):
    """What a script asks of the console that runs it."""

    async def open(self, machine: str | None, login: Login) -> ControlClient:
        """A client of a machine's daemon; None: of the one that the console was started for."""

    def token_file(self, name: str) -> str:
        """The token in a file."""

    def environment(self, name: str) -> str | None:
        """A variable of the console's environment."""

    async def ask_token(self, machine: str) -> str | None:
        """A token that a person types unseen; None when nobody is there."""

    def show(self, command: Command, result: object) -> None:
        """What a command answered."""

    def write(self, text: str) -> None:
        """A line that the script prints."""


class Machines:
    """Clients, opened when first needed.

    Args:
        surroundings: opens them.

    Attributes:
        roles: machine by role; without one, the machine that the console was started for.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self.roles: dict[str, str] = {}
        self._surroundings = surroundings
        self._logins: dict[str, Login] = {}
        self._open: dict[str | None, tuple[ControlClient, AsyncExitStack]] = {}

    def login(self, machine: str, login: Login) -> None:
        """Reach a machine so from now on; a client that is open has to be closed first."""
        self._logins[machine] = login

    async def logout(self, machine: str | None) -> None:
        """Forget the login of a machine, or of all.

        Raises:
            InputError: there was none.
        """
        if machine is not None and machine not in self._logins:
            raise InputError(f"nobody is logged in at {machine!r}")
        for name in list(self._logins) if machine is None else [machine]:
            del self._logins[name]
            await self.close(name)

    async def close(self, machine: str | None) -> None:
        """Close the client of a machine."""
        found = self._open.pop(machine, None)
        if found is not None:
            await found[1].aclose()

    async def close_all(self) -> None:
        """Close every client."""
        for machine in list(self._open):
            await self.close(machine)

    def named(self, word: str) -> str | None:
        """The machine that a word means: a role or a machine's own name."""
        return self.roles.get(word) if word in ROLES else word

    async def client(self, word: str) -> ControlClient:
        """The client of a role's machine, or of a machine by name.

        Raises:
            InputError: it cannot be reached so.
        """
        machine = self.named(word)
        found = self._open.get(machine)
        if found is None:
            stack = AsyncExitStack()
            login = Login() if machine is None else self._logins.get(machine, Login())
            client = await stack.enter_async_context(await self._surroundings.open(machine, login))
            found = self._open[machine] = (client, stack)
        return found[0]
