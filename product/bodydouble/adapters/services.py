"""The `Services` port for services that are defined by commands: systemctl, init scripts, the live Windows door."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from bodydouble.adapters import processes
from bodydouble.errors import ServiceError
from bodydouble.vocabulary.records import ServiceState, ServiceStatus, StartupType

if TYPE_CHECKING:
    from collections.abc import Sequence

#: First words of a query's output that name a state: the product's own words and those of ``systemctl is-active``.
_STATES: dict[str, ServiceState] = {
    "stopped": "stopped",
    "start-pending": "start-pending",
    "running": "running",
    "pause-pending": "pause-pending",
    "paused": "paused",
    "continue-pending": "continue-pending",
    "stop-pending": "stop-pending",
    "active": "running",
    "reloading": "running",
    "inactive": "stopped",
    "failed": "stopped",
    "activating": "start-pending",
    "deactivating": "stop-pending",
}
_POLL_SECONDS = 0.2
_COMMAND_NOT_FOUND = 127


class CommandService(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one service is queried, started and stopped.

    Attributes:
        name: short name.
        display_name: the other name it goes by; may be empty.
        query: command whose output begins with a state (``running``, ``stopped``, ``active``, ...); with other output
            exit status 0 means running, any other stopped.
        start: command that starts it; exit status 0 means done or under way.
        stop: command that stops it, likewise.
        startup: what `query` reports as the startup type.
        query_timeout: seconds that a query may take.
        start_timeout: seconds until it must run.
        stop_timeout: seconds until it must have stopped.
    """

    name: str
    query: list[str]
    start: list[str]
    stop: list[str]
    display_name: str = ""
    startup: StartupType = "unknown"
    query_timeout: float = 10.0
    start_timeout: float = 60.0
    stop_timeout: float = 60.0


class CommandServices:
    """Services by short or display name, case ignored."""

    def __init__(self, services: Sequence[CommandService]) -> None:
        self._by_name = {
            name.casefold(): service for service in services for name in (service.display_name, service.name) if name
        }

    async def query(self, name: str) -> ServiceStatus:
        """See the port."""
        service = self._find(name)
        return ServiceStatus(
            name=service.name,
            display_name=service.display_name or service.name,
            state=await self._state(service),
            startup=service.startup,
        )

    async def start(self, name: str) -> None:
        """See the port; dependencies are the command's business."""
        await self._bring(self._find(name), "running")

    async def stop(self, name: str) -> None:
        """See the port; dependents are the command's business."""
        await self._bring(self._find(name), "stopped")

    def _find(self, name: str) -> CommandService:
        service = self._by_name.get(name.casefold())
        if service is None:
            known = ", ".join(sorted({each.name for each in self._by_name.values()})) or "none"
            raise ServiceError(f"{name}: no such service; defined under [[host.services]]: {known}")
        return service

    async def _bring(self, service: CommandService, wanted: ServiceState) -> None:
        if await self._state(service) == wanted:
            return
        starting = wanted == "running"
        command, seconds = (service.start, service.start_timeout) if starting else (service.stop, service.stop_timeout)
        deadline = asyncio.get_running_loop().time() + seconds
        await _checked(service, command, seconds)
        while (state := await self._state(service)) != wanted:
            if asyncio.get_running_loop().time() >= deadline:
                raise ServiceError(f"{service.name}: still {state} {seconds:g} s after {command[0]}")
            # The system offers nothing to wait on for a service that is defined by commands.
            await asyncio.sleep(_POLL_SECONDS)

    async def _state(self, service: CommandService) -> ServiceState:
        completed = await processes.run(service.query, timeout=service.query_timeout)
        if completed.timed_out:
            raise ServiceError(f"{service.name}: query took longer than {service.query_timeout:g} s")
        words = completed.output.split(maxsplit=1)
        if words and (state := _STATES.get(words[0].casefold())) is not None:
            return state
        if completed.exit_code == _COMMAND_NOT_FOUND:
            raise ServiceError(f"{service.name}: query failed: {completed.output.strip()}")
        return "running" if completed.exit_code == 0 else "stopped"


async def _checked(service: CommandService, command: Sequence[str], seconds: float) -> None:
    completed = await processes.run(command, timeout=seconds)
    if completed.timed_out:
        raise ServiceError(f"{service.name}: {command[0]} took longer than {seconds:g} s")
    if completed.exit_code != 0:
        raise ServiceError(f"{service.name}: {command[0]} ended with {completed.exit_code}: {completed.output.strip()}")
