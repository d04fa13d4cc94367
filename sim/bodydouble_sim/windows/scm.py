"""The service control manager, as programs of the machine and the machine itself see it.

Source: reference/windows-iis.md, "Services"; KB 930045 for the time that a shutdown grants. See
`bodydouble_sim.windows.service_transitions` for what happens inside.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble_sim.windows import recovery
from bodydouble_sim.windows.registry import CONTROL
from bodydouble_sim.windows.service import BAD_CONTROL, Service, ServiceControlError
from bodydouble_sim.windows.service_transitions import ServiceTransitions

if TYPE_CHECKING:
    from bodydouble_sim.windows.recovery import FailureActions

WAIT_TO_KILL = "20000"
_MILLISECONDS = 1000
_POPUP = 26


class ServiceControlManager(ServiceTransitions):
    """Registers, starts and stops services; boots and shuts them down with the machine.

    See `bodydouble_sim.windows.service_transitions.ServiceTransitions` for its arguments.
    """

    # --- what others ask for ----------------------------------------------------------------------------------------

    async def start(self, name: str, *, by: str | None = None) -> None:
        """Start a service, its dependencies first; returns when it runs.

        Args:
            name: the service.
            by: the account that asks, None: the system.

        Raises:
            ServiceControlError: 1060, 5 (access denied), 1056 (runs already), 1058 (disabled), 1059 (depends on
                itself), 1068 (a dependency failed), 1069 (its account cannot log on), 1066 (the service failed),
                1053 (no answer within `patience`), 1072 (marked for deletion), 1115 (shutdown), 2 (no program), or
                the error that the program ended with.
        """
        service = self.find(name)
        self.authorise(service, by)
        await self._transition(self._start(service), f"start {name}")

    async def stop(self, name: str, *, dependents: bool = False, by: str | None = None) -> None:
        """Stop a service; returns when it has stopped.

        Args:
            name: the service.
            dependents: stop running dependents first, instead of refusing.
            by: the account that asks, None: the system.

        Raises:
            ServiceControlError: 1060, 5, 1062 (not started), 1051 (running dependents), 1052 (it never stops), 1061
                (it is being stopped and hangs), 1053 (no answer within `patience`: it goes on stopping).
        """
        service = self.find(name)
        self.authorise(service, by)
        await self._transition(self._stop(service, dependents=dependents), f"stop {name}")

    async def pause(self, name: str, *, by: str | None = None) -> None:
        """Pause a service.

        Raises:
            ServiceControlError: 1060, 5, 1062, 1052 (it takes no pause, or is paused), 1061, 1053.
        """
        service = self.find(name)
        self.authorise(service, by)
        await self._transition(self._control(service, "running", "pause-pending", "paused"), f"pause {name}")

    async def resume(self, name: str, *, by: str | None = None) -> None:
        """Let a paused service go on.

        Raises:
            ServiceControlError: 1060, 5, 1062, 1052 (it is not paused), 1061, 1053.
        """
        service = self.find(name)
        self.authorise(service, by)
        await self._transition(self._control(service, "paused", "continue-pending", "running"), f"continue {name}")

    # --- failures ---------------------------------------------------------------------------------------------------

    def set_failure_actions(self, name: str, actions: FailureActions) -> None:
        """Set what happens when a service fails; Windows NT 4.0 has no such thing.

        Raises:
            ServiceControlError: 1060, or 1052 on NT 4.0.
        """
        service = self.find(name)
        if self._version.is_nt4:
            raise ServiceControlError(BAD_CONTROL, service.config.display_name)
        recovery.put(self._registry, service.config.name, actions)

    def failure_actions(self, name: str) -> FailureActions:
        """What happens when a service fails.

        Raises:
            ServiceControlError: 1060.
        """
        return recovery.get(self._registry, self.find(name).config.name)

    def crash(self, process: str) -> list[str]:
        """The executable ``process`` dies: all services in it stop at once, without their clean-up.

        Services in other processes that depend on them go on.

        Returns:
            The short names of the services that died.
        """
        died = []
        for service in self.services():
            if service.config.process.upper() == process.upper() and service.program is not None:
                service.program.kill()
                self._died(service, service.program, "The process crashed.")
                died.append(service.config.name)
        return died

    # --- the machine's life -----------------------------------------------------------------------------------------

    def power_loss(self) -> None:
        """Nothing runs any more; registrations are those that the registry has left."""
        self._closing = False
        self._transitions = {}
        self._failures = {}
        self.load()

    async def boot(self) -> None:
        """Start the automatic services, each after those it depends on.

        Failures are logged and stop nobody else; whoever looks at the screen is told that there were some.
        """
        self.power_loss()
        failed = False
        for service in self.boot_order():
            if service.state == "stopped":
                try:
                    await self._transition(self._start(service), f"boot {service.config.name}")
                except ServiceControlError:  # _failed, _gave_up or _without has logged it
                    failed = failed or service.config.error_control > 0
        if failed:
            text = "Application popup: Service Control Manager : At least one service or driver failed during system "
            text += "startup. Use Event Viewer to examine the event log for details."
            self._log.record("Application Popup", _POPUP, "information", text)

    async def shut_down(self) -> None:
        """Stop everything that runs, dependents first; what takes longer than ``WaitToKillServiceTimeout`` is killed.

        Source: KB 930045: the system waits 20 seconds unless the registry says otherwise. The value is a string of
        milliseconds; one of another type counts as zero.
        """
        self._closing = True
        value = self._registry.get(CONTROL, "WaitToKillServiceTimeout")
        wait = WAIT_TO_KILL if value is None else value
        seconds = int(wait) / _MILLISECONDS if isinstance(wait, str) and wait.isdigit() else 0.0
        stops: dict[str, asyncio.Task[None]] = {}
        for service in reversed(self.services()):
            self._shut_one_down(service, stops)
        if stops:
            await asyncio.wait(list(stops.values()), timeout=seconds)
        for task in list(self._transitions):
            task.cancel()
        for service in self.services():
            if service.program is not None:
                service.program.kill()
                service.program, service.state = None, "stopped"

    def _shut_one_down(self, service: Service, stops: dict[str, asyncio.Task[None]]) -> None:
        """Tell a service to stop once those that depend on it have stopped."""
        if service.program is None or service.config.name in stops:
            return
        dependents = self.running_dependents(service)
        for other in dependents:
            self._shut_one_down(other, stops)
        before = [stops[other.config.name] for other in dependents if other.config.name in stops]
        task = self._spawn(self._end(service, before), f"scm shut down {service.config.name}")
        stops[service.config.name] = task
        self._transitions[task] = None
        task.add_done_callback(self._transition_ended)

    async def _end(self, service: Service, before: list[asyncio.Task[None]]) -> None:
        if before:
            await asyncio.wait(before)
        async with service.lock:
            program = service.program
            if program is not None and service.state != "stop-pending":
                service.state = "stop-pending"
                await program.stop()
                self._stopped(service, program)
