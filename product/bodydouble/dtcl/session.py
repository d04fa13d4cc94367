"""What a script has in hand between its commands, and how commands are found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from bodydouble.errors import InputError
from bodydouble.vocabulary.records import MirrorScripts, MonitorRequest, ReplicationSet

if TYPE_CHECKING:
    from bodydouble.control.client import ControlClient
    from bodydouble.dtcl.machines import Machines, Surroundings
    from bodydouble.dtcl.values import Call, Given
    from bodydouble.vocabulary.records import ConnectionStatus

POLL = 0.5
"""Seconds between two looks at something that is waited for."""


@dataclass(slots=True)
class Draft:
    """A replication set in use.

    Attributes:
        saved: nothing was changed since it was saved or fetched.
    """

    set: ReplicationSet
    saved: bool


@dataclass(slots=True)
class Session:
    """What is in use.

    Attributes:
        machines: source, target, logins.
        surroundings: the console.
        sets: sets in use, by name.
        used_set: the one that rules go to.
        monitors: monitors in use, by source.
        used_monitor: the one that options go to.
        scripts: what new connections run at their mirrors.
        connection: the number that the source gave to the latest connection.
        verification: the latest.
        restoration: the latest.
    """

    machines: Machines
    surroundings: Surroundings
    sets: dict[str, Draft] = field(default_factory=dict)
    used_set: str = ""
    monitors: dict[str, MonitorRequest] = field(default_factory=dict)
    used_monitor: str = ""
    scripts: MirrorScripts = field(default_factory=MirrorScripts)
    connection: int | None = None
    verification: int | None = None
    restoration: int | None = None

    def use_machine(self, role: str, machine: str) -> None:
        """Give a role to another machine: what was in use on the former one is so no more."""
        if self.machines.roles.get(role) == machine:
            return
        self.machines.roles[role] = machine
        if role == "source":
            self.sets.clear()
            self.used_set, self.connection, self.verification = "", None, None
        else:
            self.restoration = None

    async def source(self) -> ControlClient:
        """The source's client."""
        return await self.machines.client("source")

    async def target(self) -> ControlClient:
        """The target's client."""
        return await self.machines.client("target")

    async def on(self, call: Call, default: str) -> ControlClient:
        """The client of the machine that ``on`` names."""
        given = call.option("on")
        return await self.machines.client(default if given is None else given.text())

    async def connections(self, given: Given | None) -> list[ConnectionStatus]:
        """The source's connections that are meant: a number, a set's name, ``*`` for all; or the only one there is.

        Raises:
            InputError: there are none such, or several and none is named.
        """
        listed = await (await self.source()).connections()
        if given is None:
            latest = [each for each in listed if each.id == self.connection]
            return latest or [_only(listed)]
        word = given.text()
        if word == "*":
            return listed
        found = [each for each in listed if word in (str(each.id), each.replication_set)]
        if not found:
            has = ", ".join(f"{each.id} ({each.replication_set})" for each in listed) or "none"
            raise InputError(f"no connection {word!r}; there are: {has}")
        return found

    async def one_connection(self, given: Given | None) -> ConnectionStatus:
        """The same where there can be only one."""
        return _only(await self.connections(given))


def _only(found: list[ConnectionStatus]) -> ConnectionStatus:
    if len(found) != 1:
        has = ", ".join(f"{each.id} ({each.replication_set})" for each in found)
        raise InputError(f"name a connection; there are: {has}" if found else "there is no connection")
    return found[0]


Handler = Callable[[Session, "Call"], Awaitable[object]]

HANDLERS: dict[str, Handler] = {}
"""What carries out each command, by the grammar's name."""


def carries_out(name: str) -> Callable[[Handler], Handler]:
    """Register what carries out a command."""

    def register(handler: Handler) -> Handler:
        HANDLERS[name] = handler
        return handler

    return register


T = TypeVar("T")


async def until(call: Call, look: Callable[[], Awaitable[T]], done: Callable[[T], bool]) -> T:
    """Look again and again until it is done, for as long as ``timeout`` allows.

    Raises:
        TimeoutError: it was not done by then.
    """
    given = call.option("timeout")
    seconds = None if given is None else given.seconds()
    try:
        async with asyncio.timeout(seconds) as limit:
            while not done(seen := await look()):  # noqa: ASYNC110 - a daemon is asked from outside, it sends nothing
                await asyncio.sleep(POLL)
            return seen
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimeoutError(f"not done after {seconds:g} s") from None
