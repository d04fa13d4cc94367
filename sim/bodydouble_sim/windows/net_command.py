"""``net start`` and ``net stop`` with the messages and exit codes that a batch file on Windows 2000 sees.

Source: reference/windows-iis.md, "Services": 0 is success and 2 failure; 2182 already started, 3521 not started;
without ``/y`` a stop with running dependents asks, and nobody answers a batch file that runs without a console.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows.service import (
    ALREADY_RUNNING,
    DEPENDENTS_RUNNING,
    NO_SUCH_SERVICE,
    NOT_ACTIVE,
    PROCESS_ABORTED,
    SPECIFIC_ERROR,
    TEXTS,
    ServiceControlError,
)

if TYPE_CHECKING:
    from bodydouble_sim.windows.service import Service
    from bodydouble_sim.windows.shell import Shell

FAILURE = 2


async def net(shell: Shell, arguments: list[str]) -> int:
    """The ``net`` program: ``start`` and ``stop``."""
    verb = arguments[0].lower() if arguments else ""
    rest = arguments[1:]
    if verb == "start" and not rest:
        return _list(shell)
    if verb not in ("start", "stop") or not rest:
        shell.line("The syntax of this command is:\r\n\r\nNET [ START | STOP ] service [/Y]")
        return 1
    names = [argument for argument in rest if not argument.startswith("/")]
    yes = any(argument.lower() in ("/y", "/yes") for argument in rest)
    try:
        service = shell.system.scm.find(" ".join(names))
    except ServiceControlError:
        return _help(shell, "The service name is invalid.", 2185)
    return await (_start(shell, service) if verb == "start" else _stop(shell, service, yes=yes))


def _help(shell: Shell, text: str, number: int) -> int:
    shell.line(text)
    shell.line()
    shell.line(f"More help is available by typing NET HELPMSG {number}.")
    shell.line()
    return FAILURE


def _system_error(shell: Shell, number: int) -> int:
    shell.line(f"System error {number} has occurred.")
    shell.line()
    shell.line(TEXTS[number])
    shell.line()
    return FAILURE


def _list(shell: Shell) -> int:
    shell.line("These Windows 2000 services are started:")
    shell.line()
    names = [service.config.display_name for service in shell.system.scm.services() if service.state == "running"]
    for name in sorted(names, key=str.upper):
        shell.line(f"   {name}")
    shell.line()
    shell.line("The command completed successfully.")
    return 0


async def _start(shell: Shell, service: Service) -> int:
    display = service.config.display_name
    try:
        await shell.system.scm.start(service.config.name)
    except ServiceControlError as error:
        return _not_started(shell, display, error)
    shell.line(f"The {display} service is starting.")
    shell.line(f"The {display} service was started successfully.")
    shell.line()
    return 0


def _not_started(shell: Shell, display: str, error: ServiceControlError) -> int:
    if error.number == ALREADY_RUNNING:
        return _help(shell, "The requested service has already been started.", 2182)
    if error.number not in (SPECIFIC_ERROR, PROCESS_ABORTED):
        return _system_error(shell, error.number)
    shell.line(f"The {display} service is starting.")
    shell.line(f"The {display} service could not be started.")
    shell.line()
    return _help(shell, f"A service specific error occurred: {error.specific}.", 3547)


async def _stop(shell: Shell, service: Service, *, yes: bool) -> int:
    display = service.config.display_name
    dependents = shell.system.scm.running_dependents(service)
    if dependents:
        _name_dependents(shell, display, dependents)
        if not yes:
            shell.line("Do you want to continue this operation? (Y/N) [N]: ")
            shell.line("No valid response was provided.")
            return FAILURE
    try:
        await shell.system.scm.stop(service.config.name, dependents=yes)
    except ServiceControlError as error:
        return _not_stopped(shell, display, error)
    for stopped in [*dependents, service]:
        shell.line(f"The {stopped.config.display_name} service is stopping.")
        shell.line(f"The {stopped.config.display_name} service was stopped successfully.")
        shell.line()
    return 0


def _name_dependents(shell: Shell, display: str, dependents: list[Service]) -> None:
    shell.line(f"The following services are dependent on the {display} service.")
    shell.line(f"Stopping the {display} service will also stop these services.")
    shell.line()
    for dependent in dependents:
        shell.line(f"   {dependent.config.display_name}")
    shell.line()


def _not_stopped(shell: Shell, display: str, error: ServiceControlError) -> int:
    if error.number == NOT_ACTIVE:
        return _help(shell, f"The {display} service is not started.", 3521)
    if error.number in (NO_SUCH_SERVICE, DEPENDENTS_RUNNING):
        return _system_error(shell, error.number)
    return _help(shell, f"The {display} service could not be stopped.", 3523)
