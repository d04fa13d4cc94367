"""The service control manager.

Source: reference/windows-iis.md, "Services": states, startup types, dependencies; a crash of a process stops all
services in it. Registrations live in the registry under ``Services`` and so survive power cycles. Event numbers are
those of the Service Control Manager on Windows 2000.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bodydouble_sim.windows.registry import SERVICES
from bodydouble_sim.windows.service import (
    ALREADY_RUNNING,
    DEPENDENCY_FAILED,
    DEPENDENTS_RUNNING,
    DISABLED,
    FILE_NOT_FOUND,
    NO_SUCH_SERVICE,
    NOT_ACTIVE,
    SPECIFIC_ERROR,
    TIMED_OUT,
    Service,
    ServiceConfig,
    ServiceControlError,
    ServiceFailedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from bodydouble.vocabulary.records import StartupType
    from bodydouble_sim.windows.event_log import EventLog
    from bodydouble_sim.windows.registry import Registry
    from bodydouble_sim.windows.service import ServiceProgram

SOURCE = "Service Control Manager"
HINT = 30.0
_STARTS: dict[int, StartupType] = {2: "automatic", 3: "manual", 4: "disabled"}
_START_NUMBERS = {name: number for number, name in _STARTS.items()}


class ServiceControlManager:
    """Registers, starts and stops services.

    Every transition runs as a task of the machine, so that a caller that is cancelled (a script that ran out of time)
    leaves no service half-way.

    Args:
        registry: where registrations are kept.
        event_log: gets 7036 at each change of state and 7000 and up at failures.
        spawn: starts a named task that belongs to the machine.
    """

    def __init__(
        self,
        registry: Registry,
        event_log: EventLog,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._registry = registry
        self._log = event_log
        self._spawn = spawn
        self._factories: dict[str, Callable[[], ServiceProgram]] = {}
        self._services: dict[str, Service] = {}
        self._transitions: dict[asyncio.Task[None], None] = {}

    # --- registration -----------------------------------------------------------------------------------------------

    def register(self, config: ServiceConfig, factory: Callable[[], ServiceProgram]) -> None:
        """Register a service, or replace the registration of one that is stopped."""
        key = rf"{SERVICES}\{config.name}"
        self._registry.set(key, "DisplayName", config.display_name)
        self._registry.set(key, "Start", _START_NUMBERS[config.startup])
        self._registry.set(key, "DependOnService", list(config.depends_on))
        self._registry.set(key, "ImagePath", config.process)
        self._registry.set(key, "Aliases", list(config.aliases))
        self._services[config.name.upper()] = Service(config)
        self.provide(config.name, factory)

    def provide(self, name: str, factory: Callable[[], ServiceProgram]) -> None:
        """Say what program a registration that was loaded from the registry runs."""
        self._factories[name.upper()] = factory

    def load(self) -> None:
        """Read the registrations from the registry; all services are stopped afterwards."""
        self._services = {}
        for name in self._registry.subkeys(SERVICES):
            key = rf"{SERVICES}\{name}"
            start = self._registry.get(key, "Start")
            self._services[name.upper()] = Service(
                ServiceConfig(
                    name,
                    self._registry.text(key, "DisplayName", name),
                    _STARTS.get(start, "manual") if isinstance(start, int) else "manual",
                    self._names(key, "DependOnService"),
                    self._registry.text(key, "ImagePath"),
                    self._names(key, "Aliases"),
                )
            )

    def _names(self, key: str, name: str) -> tuple[str, ...]:
        value = self._registry.get(key, name)
        return tuple(value) if isinstance(value, list) else ()

    def set_startup(self, name: str, startup: StartupType) -> None:
        """Change a service's startup type; it counts from the next start or boot.

        Raises:
            ServiceControlError: 1060.
        """
        service = self.find(name)
        service.config = replace(service.config, startup=startup)
        self._registry.set(rf"{SERVICES}\{service.config.name}", "Start", _START_NUMBERS[startup])

    def services(self) -> Sequence[Service]:
        """All services in order of registration."""
        return list(self._services.values())

    def find(self, name: str) -> Service:
        """A service by short name, display name or alias, in any case.

        Raises:
            ServiceControlError: 1060 when there is none.
        """
        if (service := self._services.get(name.upper())) is not None:
            return service
        for service in self._services.values():
            if service.answers_to(name):
                return service
        raise ServiceControlError(NO_SUCH_SERVICE, name)

    def running_dependents(self, service: Service) -> list[Service]:
        """Services that do not stand still and need ``service``, those that depend on others of them first."""
        found: dict[Service, None] = {}
        for other in self._services.values():
            if service.config.name in other.config.depends_on and other.state != "stopped":
                found.update(dict.fromkeys(self.running_dependents(other)))
                found[other] = None
        return list(found)

    # --- transitions ------------------------------------------------------------------------------------------------

    async def start(self, name: str) -> None:
        """Start a service, its dependencies first; returns when it runs.

        Raises:
            ServiceControlError: 1060, 1056 (runs already), 1058 (disabled), 1068 (a dependency failed), 1066 (the
                service failed), 1053 (no answer within `HINT` seconds), 2 (no program).
        """
        await self._transition(self._start(self.find(name)), f"start {name}")

    async def stop(self, name: str, *, dependents: bool = False) -> None:
        """Stop a service; returns when it has stopped.

        Args:
            name: the service.
            dependents: stop running dependents first, instead of refusing.

        Raises:
            ServiceControlError: 1060, 1062 (not started), 1051 (running dependents), 1053.
        """
        await self._transition(self._stop(self.find(name), dependents=dependents), f"stop {name}")

    async def _transition(self, steps: Coroutine[Any, Any, None], name: str) -> None:
        task = self._spawn(steps, f"scm {name}")
        self._transitions[task] = None
        task.add_done_callback(self._transition_ended)
        await asyncio.shield(task)

    def _transition_ended(self, task: asyncio.Task[None]) -> None:
        self._transitions.pop(task, None)
        if not task.cancelled():
            task.exception()

    async def _start(self, service: Service) -> None:
        async with service.lock:
            if service.state == "running":
                raise ServiceControlError(ALREADY_RUNNING, service.config.display_name)
            if service.config.startup == "disabled":
                raise ServiceControlError(DISABLED, service.config.display_name)
            await self._start_dependencies(service)
            factory = self._factories.get(service.config.name.upper())
            if factory is None:
                raise self._failed(service, ServiceControlError(FILE_NOT_FOUND, service.config.display_name))
            await self._run(service, factory())

    async def _start_dependencies(self, service: Service) -> None:
        for name in service.config.depends_on:
            try:
                await self._start(self.find(name))
            except ServiceControlError as error:
                if error.number != ALREADY_RUNNING:
                    self._log.record(
                        SOURCE,
                        7001,
                        "error",
                        f"The {service.config.display_name} service depends on the {name} service which failed to "
                        f"start because of the following error: {error}",
                    )
                    raise ServiceControlError(DEPENDENCY_FAILED, service.config.display_name) from error

    async def _run(self, service: Service, program: ServiceProgram) -> None:
        service.state = "start-pending"
        service.program = program
        try:
            async with asyncio.timeout(HINT):
                await program.start(lambda reason: self._died(service, program, reason))
        except ServiceFailedError as error:
            raise self._specific(service, error) from error
        except TimeoutError as error:
            program.kill()
            raise self._failed(service, ServiceControlError(TIMED_OUT, service.config.display_name)) from error
        if service.program is program:
            self._enter(service, "running")

    def _specific(self, service: Service, error: ServiceFailedError) -> ServiceControlError:
        service.state, service.program = "stopped", None
        text = f"The {service.config.display_name} service terminated with service-specific error {error.specific}. "
        text += str(error)
        self._log.record(SOURCE, 7024, "error", text)
        return ServiceControlError(SPECIFIC_ERROR, f"{service.config.display_name}: {error}", error.specific)

    def _failed(self, service: Service, error: ServiceControlError) -> ServiceControlError:
        service.state, service.program = "stopped", None
        text = f"The {service.config.display_name} service failed to start due to the following error: {error}"
        self._log.record(SOURCE, 7000, "error", text)
        return error

    def _enter(self, service: Service, state: str) -> None:
        service.state = "running" if state == "running" else "stopped"
        self._log.record(
            SOURCE, 7036, "information", f"The {service.config.display_name} service entered the {state} state."
        )

    async def _stop(self, service: Service, *, dependents: bool) -> None:
        if service.state == "stopped":
            raise ServiceControlError(NOT_ACTIVE, service.config.display_name)
        running = self.running_dependents(service)
        if running and not dependents:
            raise ServiceControlError(DEPENDENTS_RUNNING, service.config.display_name)
        for other in running:
            await self._halt(other)
        await self._halt(service)

    async def _halt(self, service: Service) -> None:
        async with service.lock:
            program = service.program
            if program is None:
                return
            service.state = "stop-pending"
            try:
                async with asyncio.timeout(HINT):
                    await program.stop()
            except TimeoutError:
                program.kill()
            service.program = None
            self._enter(service, "stopped")

    def _died(self, service: Service, program: ServiceProgram, reason: str) -> None:
        if service.program is not program:
            return
        service.program, service.state = None, "stopped"
        text = f"The {service.config.display_name} service terminated unexpectedly. {reason}"
        self._log.record(SOURCE, 7031, "error", text)

    def crash(self, process: str) -> list[str]:
        """The executable ``process`` dies: all services in it stop at once, without their clean-up.

        Returns:
            The short names of the services that died.
        """
        died = []
        for service in self._services.values():
            if service.config.process.upper() == process.upper() and service.program is not None:
                service.program.kill()
                self._died(service, service.program, "The process crashed.")
                died.append(service.config.name)
        return died

    # --- the machine's life -----------------------------------------------------------------------------------------

    async def boot(self) -> None:
        """Start the automatic services, each after those it depends on; failures are logged and stop nobody else."""
        self.load()
        for service in self.services():
            if service.config.startup == "automatic" and service.state == "stopped":
                try:
                    await self._transition(self._start(service), f"boot {service.config.name}")
                except ServiceControlError:
                    continue  # _failed, _specific or _start_dependencies has logged it

    async def shut_down(self) -> None:
        """Stop everything that runs, dependents first."""
        for service in reversed(self.services()):
            if service.state != "stopped":
                await self._transition(self._stop(service, dependents=True), f"shut down {service.config.name}")
