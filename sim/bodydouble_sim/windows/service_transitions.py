"""How services get from one state to another: start, stop, pause, failure.

Source: reference/windows-iis.md, "Services": states, startup types, dependencies. Errors are those that the Win32
service functions document. Event numbers are those of the Service Control Manager on Windows 2000 (7036 at a change of
state is logged on NT 4.0 as well here); KB 133010 has 7023, KB 317140 shows 7001, 7002, 7009 and 7023 at boot.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bodydouble_sim.windows import recovery
from bodydouble_sim.windows.accounts import SERVICE_LOGON, AccountError
from bodydouble_sim.windows.power import NoPower, Power
from bodydouble_sim.windows.recovery import FailureCount
from bodydouble_sim.windows.registry import CONTROL
from bodydouble_sim.windows.service import (
    ALREADY_RUNNING,
    BAD_CONTROL,
    CANNOT_CONTROL,
    CIRCULAR,
    DEPENDENCY_FAILED,
    DEPENDENTS_RUNNING,
    DISABLED,
    FILE_NOT_FOUND,
    LOCAL_SYSTEM,
    LOGON_FAILED,
    MARKED_FOR_DELETION,
    NOT_ACTIVE,
    PROCESS_ABORTED,
    SHUTTING_DOWN,
    SPECIFIC_ERROR,
    TEXTS,
    TIMED_OUT,
    PausableProgram,
    Service,
    ServiceControlError,
    ServiceFailedError,
)
from bodydouble_sim.windows.service_database import SECRETS, ServiceDatabase
from bodydouble_sim.windows.version import WINDOWS_2000

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bodydouble.vocabulary.records import ServiceState
    from bodydouble_sim.windows.accounts import Accounts
    from bodydouble_sim.windows.event_log import EventLog
    from bodydouble_sim.windows.recovery import Action
    from bodydouble_sim.windows.registry import Registry
    from bodydouble_sim.windows.service import ServiceProgram
    from bodydouble_sim.windows.version import WindowsVersion

SOURCE = "Service Control Manager"
HINT = 30.0
NT4_HINT = 120.0
_MILLISECONDS = 1000
_NANOSECONDS = 1_000_000_000
_NO_SERVICE_LOGON = "Logon failure: the user has not been granted the requested logon type at this computer."


class ServiceTransitions(ServiceDatabase):
    """Starts, stops and pauses services, and notices when they fail.

    Every transition runs as a task of the machine, so that a caller that is cancelled (a script that ran out of time)
    leaves no service half-way.

    Args:
        registry: where registrations are kept.
        event_log: gets 7036 at each change of state and 7000 and up at failures.
        spawn: starts a named task that belongs to the machine.
        accounts: the machine's accounts, None: every caller and every service account is believed.
        version: the release: services fail over to recovery actions on Windows 2000 only.
        power: restarts the machine when a service's recovery asks for it.
        run: runs a recovery's command line.
    """

    def __init__(
        self,
        registry: Registry,
        event_log: EventLog,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        *,
        accounts: Accounts | None = None,
        version: WindowsVersion = WINDOWS_2000,
        power: Power | None = None,
        run: Callable[[str], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        super().__init__(registry, accounts)
        self._log = event_log
        self._spawn = spawn
        self._version = version
        self._power = power or NoPower()
        self._command = run
        self._transitions: dict[asyncio.Task[None], None] = {}
        self._failures: dict[str, FailureCount] = {}
        self._closing = False

    @property
    def patience(self) -> float:
        """Seconds that a program may take to answer: ``ServicesPipeTimeout``, else 120 on NT 4.0 and 30 on 2000.

        Source: KB 317140 shows the 120 seconds of NT 4.0.
        """
        milliseconds = self._registry.number(CONTROL, "ServicesPipeTimeout")
        return milliseconds / _MILLISECONDS if milliseconds else (NT4_HINT if self._version.is_nt4 else HINT)

    async def _transition(self, steps: Coroutine[Any, Any, None], name: str) -> None:
        task = self._spawn(steps, f"scm {name}")
        self._transitions[task] = None
        task.add_done_callback(self._transition_ended)
        await asyncio.shield(task)

    def _transition_ended(self, task: asyncio.Task[None]) -> None:
        self._transitions.pop(task, None)
        if not task.cancelled():
            task.exception()

    # --- start ------------------------------------------------------------------------------------------------------

    async def _start(self, service: Service) -> None:
        async with service.lock:
            self._refuse_start(service)
            service.starting = True
            try:
                await self._start_dependencies(service)
            finally:
                service.starting = False
            self._log_on(service)
            factory = self._factories.get(service.config.name.upper())
            if factory is None:
                raise self._failed(service, ServiceControlError(FILE_NOT_FOUND, service.config.display_name))
            await self._run(service, factory())

    def _refuse_start(self, service: Service) -> None:
        number = 0
        if self._closing:
            number = SHUTTING_DOWN
        elif service.deleted:
            number = MARKED_FOR_DELETION
        elif service.state != "stopped":
            number = ALREADY_RUNNING
        elif service.config.startup == "disabled":
            number = DISABLED
        elif service.config.depends_on and self.circular(service.config):
            number = CIRCULAR
            text = f"Detected circular dependencies demand starting {service.config.display_name}."
            self._log.record(SOURCE, 7017, "error", text)
        if number:
            raise ServiceControlError(number, service.config.display_name)

    async def _start_dependencies(self, service: Service) -> None:
        for name in service.config.depends_on:
            try:
                await self._start(self.find(name))
            except ServiceControlError as error:
                if error.number != ALREADY_RUNNING:
                    raise self._without(service, f"{name} service which failed to start", 7001, error) from error
        for group in service.config.depends_on_groups:
            await self._start_group(service, group)

    async def _start_group(self, service: Service, group: str) -> None:
        members = [other for other in self.services() if other.config.group.upper() == group.upper()]
        for member in members:
            try:
                await self._start(member)
            except ServiceControlError:
                continue
        if all(member.state == "stopped" for member in members):
            raise self._without(service, f"{group} group and no member of this group started", 7002, None)

    def _without(
        self, service: Service, what: str, number: int, error: ServiceControlError | None
    ) -> ServiceControlError:
        reason = f" because of the following error: {error}" if error is not None else ""
        text = f"The {service.config.display_name} service depends on the {what}{reason}."
        self._log.record(SOURCE, number, "error", text)
        service.exit_code = DEPENDENCY_FAILED
        return ServiceControlError(DEPENDENCY_FAILED, service.config.display_name)

    def _log_on(self, service: Service) -> None:
        """Log a service on with the account that it is configured with.

        LocalSystem needs none. An account of this machine is checked with the password that was given when it was
        configured and needs the right to log on as a service; an account of a domain is believed.

        Raises:
            ServiceControlError: 1069.
        """
        account = service.config.account
        domain, _, name = account.rpartition("\\")
        if self._accounts is None or account == LOCAL_SYSTEM or domain not in ("", "."):
            return
        password = self._registry.text(rf"{SECRETS}\_SC_{service.config.name}", "CurrVal")
        try:
            self._accounts.check(name, password)
            reason = "" if self._accounts.has_right(name, SERVICE_LOGON) else _NO_SERVICE_LOGON
        except AccountError as error:
            reason = str(error)
        if reason:
            text = f"Logon attempt with current password failed with the following error: {reason}"
            self._log.record(SOURCE, 7013, "error", text)
            raise self._failed(service, ServiceControlError(LOGON_FAILED, service.config.display_name))

    async def _run(self, service: Service, program: ServiceProgram) -> None:
        service.state, service.program, service.exit_code = "start-pending", program, 0
        service.on_desktop = self._may_interact(service)
        patience = self.patience
        try:
            async with asyncio.timeout(patience):
                await program.start(lambda reason: self._died(service, program, reason))
        except ServiceFailedError as error:
            raise self._gave_up(service, error) from error
        except TimeoutError as error:
            program.kill()
            text = f"Timeout ({patience * _MILLISECONDS:.0f} milliseconds) waiting for service to connect."
            self._log.record(SOURCE, 7009, "error", text)
            raise self._failed(service, ServiceControlError(TIMED_OUT, service.config.display_name)) from error
        if service.program is program:
            self._enter(service, "running")

    def _may_interact(self, service: Service) -> bool:
        """Whether this run may show itself on the desktop; NoInteractiveServices forbids it to all."""
        if not service.config.interactive:
            return False
        if not self._registry.number(rf"{CONTROL}\Windows", "NoInteractiveServices"):
            return True
        text = f"The {service.config.display_name} service is marked as an interactive service. However, the system is "
        text += "configured to not allow interactive services. This service may not function properly."
        self._log.record(SOURCE, 7030, "error", text)
        return False

    def _gave_up(self, service: Service, error: ServiceFailedError) -> ServiceControlError:
        service.state, service.program = "stopped", None
        service.exit_code = error.number or SPECIFIC_ERROR
        name = service.config.display_name
        if error.number:
            what = TEXTS.get(error.number, f"Error {error.number}.")
            self._log.record(SOURCE, 7023, "error", f"The {name} service terminated with the following error: {what}")
        else:
            text = f"The {name} service terminated with service-specific error {error.specific}. {error}"
            self._log.record(SOURCE, 7024, "error", text)
        self._bury(service)
        return ServiceControlError(service.exit_code, f"{name}: {error}", error.specific)

    def _failed(self, service: Service, error: ServiceControlError) -> ServiceControlError:
        service.state, service.program, service.exit_code = "stopped", None, error.number
        text = f"The {service.config.display_name} service failed to start due to the following error: {error}"
        self._log.record(SOURCE, 7000, "error", text)
        self._bury(service)
        return error

    def _enter(self, service: Service, state: ServiceState) -> None:
        service.state = state
        self._log.record(
            SOURCE, 7036, "information", f"The {service.config.display_name} service entered the {state} state."
        )

    # --- stop, pause, continue --------------------------------------------------------------------------------------

    async def _stop(self, service: Service, *, dependents: bool) -> None:
        if service.state == "stopped" and not service.starting:
            raise ServiceControlError(NOT_ACTIVE, service.config.display_name)
        if not getattr(service.program, "accepts_stop", True):
            raise ServiceControlError(BAD_CONTROL, service.config.display_name)
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
            if service.state == "stop-pending":
                raise ServiceControlError(CANNOT_CONTROL, service.config.display_name)
            if self.running_dependents(service):  # one was started meanwhile
                raise ServiceControlError(DEPENDENTS_RUNNING, service.config.display_name)
            service.state = "stop-pending"
            stopping = self._spawn(program.stop(), f"scm stopping {service.config.name}")
            stopping.add_done_callback(lambda _: self._stopped(service, program))
            await self._answered(service, stopping)

    async def _answered(self, service: Service, task: asyncio.Task[None]) -> None:
        """Wait for a program's answer to a control.

        Raises:
            ServiceControlError: 1053; the task goes on.
        """
        patience = self.patience
        self._transitions[task] = None
        task.add_done_callback(self._transition_ended)
        done, _ = await asyncio.wait([task], timeout=patience)
        if not done:
            text = f"Timeout ({patience * _MILLISECONDS:.0f} milliseconds) waiting for a transaction response from the "
            self._log.record(SOURCE, 7011, "error", f"{text}{service.config.name} service.")
            raise ServiceControlError(TIMED_OUT, service.config.display_name)
        task.result()

    def _stopped(self, service: Service, program: ServiceProgram) -> None:
        if service.program is program:
            service.program = None
            self._enter(service, "stopped")
            self._bury(service)

    async def _control(self, service: Service, before: ServiceState, during: ServiceState, after: ServiceState) -> None:
        async with service.lock:
            program = service.program
            if program is None:
                raise ServiceControlError(NOT_ACTIVE, service.config.display_name)
            if not isinstance(program, PausableProgram) or service.state not in (before, "stop-pending"):
                raise ServiceControlError(BAD_CONTROL, service.config.display_name)
            if service.state != before:
                raise ServiceControlError(CANNOT_CONTROL, service.config.display_name)
            service.state = during
            steps = program.pause() if after == "paused" else program.resume()
            await self._answered(service, self._spawn(steps, f"scm {during} {service.config.name}"))
            if service.program is program:
                self._enter(service, after)

    # --- failures ---------------------------------------------------------------------------------------------------

    def _died(self, service: Service, program: ServiceProgram, reason: str) -> None:
        if service.program is not program:
            return
        service.program, service.state, service.exit_code = None, "stopped", PROCESS_ABORTED
        name = service.config.display_name
        if self._version.is_nt4:
            text = f"The {name} service terminated with the following error: {TEXTS[PROCESS_ABORTED]} {reason}"
            self._log.record(SOURCE, 7023, "error", text)
        else:
            self._recover(service, reason)
        self._bury(service)

    def _recover(self, service: Service, reason: str) -> None:
        """Count a failure and do what its recovery settings say."""
        actions = recovery.get(self._registry, service.config.name)
        counter = self._failures.setdefault(service.config.name.upper(), FailureCount())
        failures = counter.count(self._registry.clock() / _NANOSECONDS, actions.reset_period)
        action = actions.action(failures)
        text = (
            f"The {service.config.display_name} service terminated unexpectedly. It has done this {failures} time(s). "
        )
        text += f"The following corrective action will be taken in {action.delay * _MILLISECONDS:.0f} milliseconds: "
        self._log.record(SOURCE, 7031, "error", f"{text}{recovery.TITLES[action.kind]}. {reason}")
        if action.kind != "none" and not self._closing:
            command = actions.command.replace("%1%", str(failures))
            task = self._spawn(self._act(service, action, command), f"scm recovery {service.config.name}")
            self._transitions[task] = None
            task.add_done_callback(self._transition_ended)

    async def _act(self, service: Service, action: Action, command: str) -> None:
        await asyncio.sleep(action.delay)
        if action.kind == "restart":
            try:
                await self._start(service)
            except ServiceControlError as error:
                text = "The Service Control Manager tried to take a corrective action (Restart the service) after the "
                text += f"unexpected termination of the {service.config.display_name} service, but this action failed "
                self._log.record(SOURCE, 7032, "error", f"{text}with the following error: {error}")
        elif action.kind == "reboot":
            self._power.request(restart=True, delay=0.0)
        elif self._command is not None:
            await self._command(command)
