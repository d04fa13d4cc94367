"""``iisreset``: stopping and starting all of IIS 5.0 at once.

Source: Microsoft, "New Restart Features in IIS 5.0" (TechNet bb742502) for the switches; ``/stop`` is as ``net stop
iisadmin /y``, and ``/start`` starts the services that are configured to start automatically (jrdodds.com, "iisreset"):
on a target whose services the note sets to manual startup it starts nothing. NT 4.0 does not have it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows.service import ALREADY_RUNNING, NOT_ACTIVE, ServiceControlError

if TYPE_CHECKING:
    from bodydouble_sim.windows.service import Service
    from bodydouble_sim.windows.shell import Shell

_DISABLED = r"HKLM\SYSTEM\CurrentControlSet\Services\IISADMIN\Parameters"
_SWITCHES = ("/restart", "/start", "/stop", "/status", "/noforce", "/enable", "/disable", "/reboot", "/rebootonerror")
_FACILITY = 0x80070000


async def iisreset(shell: Shell, arguments: list[str]) -> int:
    """``iisreset [/restart | /start | /stop | /status | /enable | /disable] [/noforce] [/timeout:seconds]``."""
    switches = [word.lower() for word in arguments]
    if any(word.partition(":")[0] not in (*_SWITCHES, "/timeout") for word in switches):
        shell.error("IISRESET.EXE (c) Microsoft Corp. 1998-1999\r\n\r\nUsage:\r\niisreset [computername]")
        return 1
    verb = next(
        (word for word in switches if word not in ("/noforce", "/rebootonerror") and ":" not in word), "/restart"
    )
    if verb in ("/enable", "/disable"):
        shell.system.registry.set(_DISABLED, "IISRESETDisabled", int(verb == "/disable"))
        shell.line("IIS reset was " + ("disabled." if verb == "/disable" else "enabled."))
        return 0
    if verb == "/status":
        return _status(shell)
    if shell.system.registry.get(_DISABLED, "IISRESETDisabled") == 1:
        shell.error("Access denied. Internet services cannot be restarted because IISReset is disabled.")
        return 1
    if verb == "/reboot":
        shell.system.power.request(restart=True, delay=0)
        return 0
    return await _run(shell, verb)


def _services(shell: Shell) -> list[Service]:
    try:
        admin = shell.system.scm.find("IISADMIN")
    except ServiceControlError:
        return []
    name = admin.config.name
    return [admin, *(each for each in shell.system.scm.services() if name in each.config.depends_on)]


def _status(shell: Shell) -> int:
    for service in _services(shell):
        shown = service.state.replace("-", " ").capitalize()
        shell.line(f"Status for {service.config.display_name} ( {service.config.name} ) : {shown}")
    return 0


async def _run(shell: Shell, verb: str) -> int:
    services = _services(shell)
    if not services:
        return _failed(shell, "Stop" if verb != "/start" else "Start", ServiceControlError(1060))
    try:
        if verb in ("/stop", "/restart"):
            shell.line("\r\nAttempting stop...")
            await _stop(shell, services[0])
            shell.line("Internet services successfully stopped")
        if verb in ("/start", "/restart"):
            shell.line("\r\nAttempting start..." if verb == "/start" else "Attempting start...")
            await _start(shell, services)
            shell.line(f"Internet services successfully {'started' if verb == '/start' else 'restarted'}")
    except ServiceControlError as error:
        return _failed(shell, "Stop" if verb == "/stop" else "Restart" if verb == "/restart" else "Start", error)
    return 0


async def _stop(shell: Shell, admin: Service) -> None:
    try:
        await shell.system.scm.stop(admin.config.name, dependents=True)
    except ServiceControlError as error:
        if error.number != NOT_ACTIVE:
            raise


async def _start(shell: Shell, services: list[Service]) -> None:
    for service in services:
        if service.config.startup == "automatic":
            try:
                await shell.system.scm.start(service.config.name)
            except ServiceControlError as error:
                if error.number != ALREADY_RUNNING:
                    raise


def _failed(shell: Shell, what: str, error: ServiceControlError) -> int:
    code = _FACILITY + error.number
    shell.error(f"{what} attempt failed.")
    shell.error(f"{str(error).rpartition(': ')[2]} ({code}, {code:x})")
    return 1
