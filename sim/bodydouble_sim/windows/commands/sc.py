"""``sc``: the resource kits' service controller.

Source: its usage text; ``failure`` and ``qfailure`` came with Windows 2000. The exit code is the Win32 error, 0 when it
worked.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble_sim.windows.recovery import Action, FailureActions
from bodydouble_sim.windows.service import (
    NO_SUCH_SERVICE,
    TEXTS,
    IdleProgram,
    ServiceConfig,
    ServiceControlError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

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
SERVICE_EXISTS = 1073
_USAGE_TEXT = (
    "USAGE:\r\n        sc <server> [command] [service name] <option1> <option2>...\r\n\r\n"
    "  Commands: query, qc, config, start, stop, pause, continue, create, delete, failure, qfailure"
)
_CALLS = {"start": "StartService", "config": "ChangeServiceConfig", "create": "CreateService"}


class NotAServiceProgram(IdleProgram):
    """What an executable that is no service does when it is started as one: it never answers."""

    async def start(self, died: Callable[[str], None]) -> None:  # noqa: ARG002 - it never says anything
        """Keep silent until the service control manager gives up (1053)."""
        await asyncio.Event().wait()


async def sc(shell: Shell, arguments: list[str]) -> int:
    """The ``sc`` program."""
    words = arguments[1:] if arguments and arguments[0].startswith("\\\\") else arguments
    verb = words[0].lower() if words else ""
    if verb == "query" and (len(words) == 1 or words[1].endswith("=")):
        return _query_all(shell, words[1:])
    if (verb not in _VERBS and verb not in ("start", "stop", "pause", "continue", "create")) or len(words) < 2:  # noqa: PLR2004
        shell.line(_USAGE_TEXT)
        return USAGE
    try:
        if verb == "create":
            return _create(shell, words[1], words[2:])
        service = shell.system.scm.find(words[1])
        if verb in _VERBS:
            return _VERBS[verb](shell, service, words[2:])
        await _control(shell, verb, service)
    except ServiceControlError as error:
        call = _CALLS.get(verb, "ControlService")
        return _failed(shell, "OpenService" if error.number == NO_SUCH_SERVICE else call, error)
    return 0


def _failed(shell: Shell, call: str, error: ServiceControlError) -> int:
    if call == "OpenService":
        call = "EnumQueryServicesStatus:OpenService"
    shell.error(f"[SC] {call} FAILED {error.number}:")
    shell.error()
    shell.error(TEXTS.get(error.number, str(error)))
    return error.number


async def _control(shell: Shell, verb: str, service: Service) -> None:
    scm, name = shell.system.scm, service.config.name
    if verb == "start":
        await scm.start(name)
    elif verb == "stop":
        await scm.stop(name)
    elif verb == "pause":
        await scm.pause(name)
    else:
        await scm.resume(name)
    _query(shell, service, [])


def _query_all(shell: Shell, options: list[str]) -> int:
    given = _options(options)
    wanted = given.get("state", "active").lower() if given is not None else "active"
    for service in shell.system.scm.services():
        if wanted == "all" or (service.state == "stopped") == (wanted == "inactive"):
            _query(shell, service, [])
    return 0


def _query(shell: Shell, service: Service, _options: list[str]) -> int:
    shell.line()
    shell.line(f"SERVICE_NAME: {service.config.name}")
    shell.line(f"DISPLAY_NAME: {service.config.display_name}")
    shell.line(f"        TYPE               : {_type(service)}")
    shell.line(f"        STATE              : {_STATES[service.state]}")
    shell.line(f"        WIN32_EXIT_CODE    : {service.exit_code}\t({service.exit_code:#x})")
    shell.line("        SERVICE_EXIT_CODE  : 0\t(0x0)")
    shell.line("        CHECKPOINT         : 0x0")
    shell.line("        WAIT_HINT          : 0x0")
    return 0


def _type(service: Service) -> str:
    shared = service.config.process.lower() in ("inetinfo.exe", "services.exe", "svchost.exe")
    return "20  WIN32_SHARE_PROCESS" if shared else "10  WIN32_OWN_PROCESS"


def _show_config(shell: Shell, service: Service, _options: list[str]) -> int:
    config = service.config
    shell.line()
    shell.line(f"SERVICE_NAME: {config.name}")
    shell.line(f"        TYPE               : {_type(service)}")
    shell.line(f"        START_TYPE         : {_START_TYPES[config.startup]}")
    shell.line(
        f"        ERROR_CONTROL      : {config.error_control}   {'NORMAL' if config.error_control else 'IGNORE'}"
    )
    shell.line(f"        BINARY_PATH_NAME   : {config.process}")
    shell.line(f"        LOAD_ORDER_GROUP   : {config.group}")
    shell.line("        TAG                : 0")
    shell.line(f"        DISPLAY_NAME       : {config.display_name}")
    shell.line(f"        DEPENDENCIES       : {' : '.join(config.depends_on)}")
    shell.line(f"        SERVICE_START_NAME : {config.account}")
    return 0


def _options(words: list[str]) -> dict[str, str] | None:
    """``name= value`` pairs; None when one is not written so."""
    given: dict[str, str] = {}
    at = 0
    while at < len(words):
        name, equals, value = words[at].partition("=")
        if not equals:
            return None
        if not value and at + 1 < len(words):
            at += 1
            value = words[at]
        given[name.lower()] = value
        at += 1
    return given


def _config(shell: Shell, service: Service, words: list[str]) -> int:
    given = _options(words)
    scm, name = shell.system.scm, service.config.name
    if (
        not given
        or set(given) - {"start", "depend", "obj", "password", "type"}
        or given.get("start", "auto") not in _STARTUPS
    ):
        shell.line("USAGE:\r\n        sc <server> config [service name] <option1> <option2>...")
        shell.line(" start= <auto|demand|disabled>   depend= <Dependencies(separated by / )>")
        return USAGE
    if "start" in given:
        scm.set_startup(name, _STARTUPS[given["start"]])
    if "depend" in given:
        scm.set_dependencies(name, [word for word in given["depend"].split("/") if word])
    if "obj" in given:
        scm.set_account(name, given["obj"], given.get("password", ""))
    if "type" in given:
        scm.set_interactive(name, "interact" in given["type"].lower())
    shell.line("[SC] ChangeServiceConfig SUCCESS")
    return 0


def _create(shell: Shell, name: str, words: list[str]) -> int:
    given = _options(words)
    if not given or "binpath" not in given or given.get("start", "demand") not in _STARTUPS:
        shell.line("USAGE:\r\n        sc <server> create [service name] [binPath= ] <option1> <option2>...")
        return USAGE
    try:
        shell.system.scm.find(name)
    except ServiceControlError:
        startup = _STARTUPS[given.get("start", "demand")]
        depends = tuple(word for word in given.get("depend", "").split("/") if word)
        config = ServiceConfig(name, given.get("displayname", name), startup, depends, given["binpath"])
        shell.system.scm.register(config, NotAServiceProgram)
        shell.line("[SC] CreateService SUCCESS")
        return 0
    shell.error(f"[SC] CreateService FAILED {SERVICE_EXISTS}:")
    shell.error()
    shell.error("The specified service already exists.")
    return SERVICE_EXISTS


def _delete(shell: Shell, service: Service, _words: list[str]) -> int:
    shell.system.scm.delete(service.config.name)
    shell.line("[SC] DeleteService SUCCESS")
    return 0


def _failure(shell: Shell, service: Service, words: list[str]) -> int:
    given = _options(words)
    actions = _actions(given.get("actions", "")) if given else None
    if given is None or actions is None or shell.system.version.is_nt4 or not given.get("reset", "0").isdigit():
        shell.line(
            _USAGE_TEXT if shell.system.version.is_nt4 else "USAGE:\r\n        sc failure [name] reset= actions="
        )
        return USAGE
    command = given.get("command", "")
    shell.system.scm.set_failure_actions(
        service.config.name, FailureActions(tuple(actions), float(given.get("reset", "0")), command)
    )
    shell.line("[SC] ChangeServiceConfig2 SUCCESS")
    return 0


def _actions(text: str) -> list[Action] | None:
    parts = text.split("/")
    found: list[Action] = []
    for at in range(0, len(parts) - 1, 2):
        kind, delay = parts[at].lower() or "none", parts[at + 1] or "0"
        if kind not in ("none", "restart", "run", "reboot") or not delay.isdigit():
            return None
        found.append(Action(kind, int(delay[:9]) / 1000))  # type: ignore[arg-type]
    return found


def _query_failure(shell: Shell, service: Service, _words: list[str]) -> int:
    actions = shell.system.scm.failure_actions(service.config.name)
    shell.line()
    shell.line(f"SERVICE_NAME: {service.config.name}")
    shell.line(f"        RESET_PERIOD (in seconds)    : {int(actions.reset_period)}")
    for action in actions.actions:
        shell.line(
            f"        FAILURE_ACTIONS              : {action.kind.upper()} -- Delay = {int(action.delay * 1000)} ms"
        )
    return 0


_VERBS: dict[str, Callable[[Shell, Service, list[str]], int]] = {
    "query": _query,
    "qc": _show_config,
    "config": _config,
    "delete": _delete,
    "failure": _failure,
    "qfailure": _query_failure,
}
