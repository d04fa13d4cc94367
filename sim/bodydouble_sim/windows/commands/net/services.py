"""``net start``, ``stop``, ``pause`` and ``continue``.

Source: reference/windows-iis.md, "Services": 0 is success and 2 failure; 2182 already started, 3521 not started;
without ``/y`` a stop with running dependents asks, and a batch file without a console gives no answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows.commands.net.messages import FAILURE, help_message, system_error, usage
from bodydouble_sim.windows.service import (
    ALREADY_RUNNING,
    DEPENDENTS_RUNNING,
    NO_SUCH_SERVICE,
    NOT_ACTIVE,
    PROCESS_ABORTED,
    SPECIFIC_ERROR,
    ServiceControlError,
)

if TYPE_CHECKING:
    from bodydouble_sim.windows.service import Service
    from bodydouble_sim.windows.shell import Shell

_CANNOT_CONTROL = 1061
_BAD_CONTROL = 1052


def _found(shell: Shell, words: list[str]) -> Service | None:
    names = [word for word in words if not word.startswith("/")]
    try:
        return shell.system.scm.find(" ".join(names))
    except ServiceControlError:
        help_message(shell, "The service name is invalid.", 2185)
        return None


async def start(shell: Shell, arguments: list[str]) -> int:
    """``net start [service]``."""
    if not arguments:
        return _list(shell)
    service = _found(shell, arguments)
    if service is None:
        return FAILURE
    display = service.config.display_name
    try:
        await shell.system.scm.start(service.config.name)
    except ServiceControlError as error:
        return _not_started(shell, display, error)
    shell.line(f"The {display} service is starting.")
    shell.line(f"The {display} service was started successfully.")
    shell.line()
    return 0


def _list(shell: Shell) -> int:
    shell.line(f"These {shell.system.version.title} services are started:")
    shell.line()
    names = [service.config.display_name for service in shell.system.scm.services() if service.state != "stopped"]
    for name in sorted(names, key=str.upper):
        shell.line(f"   {name}")
    shell.line()
    shell.line("The command completed successfully.")
    return 0


def _not_started(shell: Shell, display: str, error: ServiceControlError) -> int:
    if error.number == ALREADY_RUNNING:
        return help_message(shell, "The requested service has already been started.", 2182)
    if error.number not in (SPECIFIC_ERROR, PROCESS_ABORTED):
        return system_error(shell, error.number)
    shell.line(f"The {display} service is starting.")
    shell.line(f"The {display} service could not be started.")
    shell.line()
    return help_message(shell, f"A service specific error occurred: {error.specific}.", 3547)


async def stop(shell: Shell, arguments: list[str]) -> int:
    """``net stop service [/y]``."""
    if not arguments:
        return usage(shell, "NET STOP\r\nservice")
    service = _found(shell, arguments)
    if service is None:
        return FAILURE
    yes = any(word.lower() in ("/y", "/yes") for word in arguments)
    no = any(word.lower() in ("/n", "/no") for word in arguments)
    dependents = shell.system.scm.running_dependents(service)
    if dependents:
        _name_dependents(shell, service.config.display_name, dependents)
        if not yes and (no or not _continue(shell)):
            return FAILURE
    return await _stop(shell, service, dependents)


def _continue(shell: Shell) -> bool:
    answer = shell.ask("Do you want to continue this operation? (Y/N) [N]: ")
    if answer is None:
        shell.line("No valid response was provided.")
        return False
    return answer.strip()[:1].lower() == "y"


async def _stop(shell: Shell, service: Service, dependents: list[Service]) -> int:
    try:
        await shell.system.scm.stop(service.config.name, dependents=bool(dependents))
    except ServiceControlError as error:
        return _not_stopped(shell, service.config.display_name, error)
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
        return help_message(shell, f"The {display} service is not started.", 3521)
    if error.number == _BAD_CONTROL:
        return help_message(shell, "The requested pause or stop is not valid for this service.", 2191)
    if error.number in (NO_SUCH_SERVICE, DEPENDENTS_RUNNING):
        return system_error(shell, error.number)
    return help_message(shell, f"The {display} service could not be stopped.", 3523)


async def pause(shell: Shell, arguments: list[str]) -> int:
    """``net pause service``."""
    return await _control(shell, arguments, "pause")


async def resume(shell: Shell, arguments: list[str]) -> int:
    """``net continue service``."""
    return await _control(shell, arguments, "continue")


async def _control(shell: Shell, arguments: list[str], verb: str) -> int:
    if not arguments:
        return usage(shell, f"NET {verb.upper()}\r\nservice")
    service = _found(shell, arguments)
    if service is None:
        return FAILURE
    display, scm = service.config.display_name, shell.system.scm
    try:
        await (scm.pause if verb == "pause" else scm.resume)(service.config.name)
    except ServiceControlError as error:
        if error.number == NOT_ACTIVE:
            return help_message(shell, f"The {display} service is not started.", 3521)
        if error.number in (_BAD_CONTROL, _CANNOT_CONTROL):
            return help_message(shell, "The requested pause or stop is not valid for this service.", 2191)
        return system_error(shell, error.number)
    shell.line(f"The {display} service was {'paused' if verb == 'pause' else 'continued'} successfully.")
    shell.line()
    return 0
