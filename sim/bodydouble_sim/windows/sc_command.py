"""``sc``: the resource kit's service controller: ``query``, ``qc``, ``config NAME start= ...``, ``start``, ``stop``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows.service import NO_SUCH_SERVICE, TEXTS, ServiceControlError

if TYPE_CHECKING:
    from bodydouble.vocabulary.records import ServiceState, StartupType
    from bodydouble_sim.windows.service import Service
    from bodydouble_sim.windows.shell import Shell

_STARTUPS: dict[str, StartupType] = {"auto": "automatic", "demand": "manual", "disabled": "disabled"}
_START_TYPES = {"automatic": "2   AUTO_START", "manual": "3   DEMAND_START", "disabled": "4   DISABLED"}
_STATES: dict[ServiceState, str] = {
    "stopped": "1  STOPPED",
    "start-pending": "2  START_PENDING",
    "stop-pending": "3  STOP_PENDING",
    "running": "4  RUNNING",
    "continue-pending": "5  CONTINUE_PENDING",
    "pause-pending": "6  PAUSE_PENDING",
    "paused": "7  PAUSED",
}
USAGE = 1639


async def sc(shell: Shell, arguments: list[str]) -> int:
    """The ``sc`` program; the exit code is the Win32 error, 0 when it worked."""
    verb = arguments[0].lower() if arguments else ""
    if verb not in ("query", "qc", "config", "start", "stop") or len(arguments) < 2:  # noqa: PLR2004 - verb and name
        shell.line("USAGE:  sc query|qc|start|stop NAME,  sc config NAME start= auto|demand|disabled")
        return USAGE
    try:
        service = shell.system.scm.find(arguments[1])
        return await _run(shell, verb, service, arguments[2:])
    except ServiceControlError as error:
        call = "EnumQueryServicesStatus:OpenService" if error.number == NO_SUCH_SERVICE else "ControlService"
        shell.line(f"[SC] {call} FAILED {error.number}:")
        shell.line()
        shell.line(TEXTS[error.number])
        return error.number


async def _run(shell: Shell, verb: str, service: Service, options: list[str]) -> int:
    if verb == "config":
        return _config(shell, service, options)
    if verb == "start":
        await shell.system.scm.start(service.config.name)
    elif verb == "stop":
        await shell.system.scm.stop(service.config.name)
    if verb == "qc":
        _show_config(shell, service)
    else:
        _show_state(shell, service)
    return 0


def _config(shell: Shell, service: Service, options: list[str]) -> int:
    joined = "".join(options).lower().replace(" ", "")
    startup = _STARTUPS.get(joined.removeprefix("start=")) if joined.startswith("start=") else None
    if startup is None:
        shell.line("USAGE:  sc config NAME start= auto|demand|disabled")
        return USAGE
    shell.system.scm.set_startup(service.config.name, startup)
    shell.line("[SC] ChangeServiceConfig SUCCESS")
    return 0


def _show_state(shell: Shell, service: Service) -> None:
    shell.line()
    shell.line(f"SERVICE_NAME: {service.config.name}")
    shell.line(f"DISPLAY_NAME: {service.config.display_name}")
    shell.line(f"        STATE              : {_STATES[service.state]}")


def _show_config(shell: Shell, service: Service) -> None:
    shell.line()
    shell.line(f"SERVICE_NAME: {service.config.name}")
    shell.line(f"        START_TYPE         : {_START_TYPES[service.config.startup]}")
    shell.line(f"        BINARY_PATH_NAME   : {service.config.process}")
    shell.line(f"        DISPLAY_NAME       : {service.config.display_name}")
    shell.line(f"        DEPENDENCIES       : {' '.join(service.config.depends_on)}")
