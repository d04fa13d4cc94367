r"""``adsutil``: look at the metabase and change it, as operators' scripts do with the script of that name.

Source: the adsutil.vbs that comes with IIS 4.0 and 5.0 in ``InetPub\AdminScripts`` (get, set, enum, create, delete,
start_server, stop_server; the form ``ServerComment : (STRING) "Default Web Site"``). The application note's step 5,
"Manually configure all web sites", is done with it. As any client of the metabase it starts the IIS Admin Service when
that does not run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bodydouble.errors import InputError
from bodydouble_sim.iis.ftp_service import FtpService
from bodydouble_sim.iis.inetinfo import IisAdmin
from bodydouble_sim.iis.metabase import FTP, WEB, definition_of, normal
from bodydouble_sim.iis.metabase_schema import FLAGS
from bodydouble_sim.iis.web_service import WebService
from bodydouble_sim.windows.service import ServiceControlError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bodydouble_sim.iis.metabase import Metabase
    from bodydouble_sim.iis.metabase_schema import Value
    from bodydouble_sim.windows.shell import Shell
    from bodydouble_sim.windows.system import WindowsSystem

_USAGE = """usage: adsutil GET path/property
       adsutil SET path/property value ...
       adsutil ENUM path
       adsutil CREATE path [type]
       adsutil CREATE_VDIR path
       adsutil CREATE_VSERV path
       adsutil DELETE path[/property]
       adsutil START_SERVER path
       adsutil STOP_SERVER path"""
_TYPES = {"boolean": "BOOLEAN", "integer": "INTEGER", "string": "STRING", "list": "LIST"}


async def adsutil(shell: Shell, arguments: list[str]) -> int:
    """The program; exit code 1 when it could not do what was asked."""
    verb = arguments[0].upper() if arguments else ""
    if len(arguments) < 2:  # noqa: PLR2004 - a verb and a path
        for line in _USAGE.splitlines():
            shell.line(line)
        return 1
    try:
        metabase = await _metabase(shell.system)
        return await _do(shell, metabase, verb, arguments[1], arguments[2:])
    except ServiceControlError as error:
        shell.line(f"Error trying to GET the object (GetObject failed): {arguments[1]}: {error}")
    except InputError as error:
        shell.line(f"The path or property requested could not be found or set: {error}")
    return 1


async def _metabase(system: WindowsSystem) -> Metabase:
    service = system.scm.find("IISADMIN")
    if service.state == "stopped":
        await system.scm.start("IISADMIN")
    program = service.program
    if not isinstance(program, IisAdmin) or program.inetinfo.metabase is None:
        raise InputError("the IIS Admin Service does not answer")
    return program.inetinfo.metabase


async def _do(shell: Shell, metabase: Metabase, verb: str, path: str, values: list[str]) -> int:
    steps: dict[str, Callable[[], Coroutine[Any, Any, int]]] = {
        "GET": lambda: _get(shell, metabase, path),
        "SET": lambda: _set(shell, metabase, path, values),
        "ENUM": lambda: _enum(shell, metabase, path),
        "CREATE": lambda: _create(shell, metabase, path, verb, values),
        "CREATE_VDIR": lambda: _create(shell, metabase, path, verb, values),
        "CREATE_VSERV": lambda: _create(shell, metabase, path, verb, values),
        "DELETE": lambda: _delete(shell, metabase, path),
        "START_SERVER": lambda: _control(shell, path, start=True),
        "STOP_SERVER": lambda: _control(shell, path, start=False),
    }
    if verb not in steps:
        shell.line(f"Command not recognized: {verb}")
        return 1
    return await steps[verb]()


def _split(path: str) -> tuple[str, str]:
    key, slash, name = path.rstrip("/").rpartition("/")
    if not slash:
        key, name = "", path
    return normal(key or "/LM"), name


def _shown(name: str, value: Value) -> list[str]:
    kind = "boolean" if name.upper() in FLAGS else definition_of(name).kind
    if isinstance(value, list):
        return [f"{name:<32}: (LIST) ({len(value)} Items)", *(f'  "{item}"' for item in value)]
    text = f'"{value}"' if isinstance(value, str) else str(value)
    if name.upper().endswith("PASS") or name.upper().endswith("PASSWORD"):
        text = '"**********"'
    return [f"{name:<32}: ({_TYPES[kind]}) {text}"]


async def _get(shell: Shell, metabase: Metabase, path: str) -> int:
    key, name = _split(path)
    if not metabase.exists(key):
        raise InputError(f"there is no key {key}")
    spelled = FLAGS[name.upper()].name if name.upper() in FLAGS else definition_of(name).name
    for line in _shown(spelled, metabase.get(key, spelled)):
        shell.line(line)
    return 0


async def _set(shell: Shell, metabase: Metabase, path: str, values: list[str]) -> int:
    key, name = _split(path)
    if not metabase.exists(key):
        raise InputError(f"there is no key {key}")
    kind = "boolean" if name.upper() in FLAGS else definition_of(name).kind
    metabase.set(key, name, _value(name, kind, values))
    await _rebind(shell.system, key, name)
    for line in _shown(name, metabase.get(key, name)):
        shell.line(line)
    return 0


def _value(name: str, kind: str, values: list[str]) -> Value:
    """The value that words of a command line mean.

    Raises:
        InputError: they are none of that type.
    """
    if kind == "list":
        return [value for value in values if value]
    text = " ".join(values)
    if kind == "boolean" and text.lower() in ("true", "false", "1", "0"):
        return text.lower() in ("true", "1")
    if kind == "integer" and text.isascii() and text.isdigit() and len(text) <= 10:  # noqa: PLR2004 - 32 bits
        return int(text)
    if kind == "string":
        return text
    raise InputError(f"{text!r} is no value of {name}, which is of type {kind}")


async def _rebind(system: WindowsSystem, key: str, name: str) -> None:
    """A running service takes new bindings at once."""
    if name.upper() != "SERVERBINDINGS":
        return
    for service, root in (("W3SVC", WEB), ("MSFTPSVC", FTP)):
        if key.upper().startswith(root.upper()):
            program = _running(system, service)
            if program is not None:
                await program.rebind()


def _running(system: WindowsSystem, name: str) -> WebService | FtpService | None:
    try:
        program = system.scm.find(name).program
    except ServiceControlError:
        return None
    return program if isinstance(program, WebService | FtpService) else None


async def _enum(shell: Shell, metabase: Metabase, path: str) -> int:
    key = normal(path)
    if not metabase.exists(key):
        raise InputError(f"there is no key {key}")
    for name, value in metabase.own(key).items():
        for line in _shown(name, value):
            shell.line(line)
    for child in metabase.children(key):
        shell.line(f"[{key.removeprefix('/LM')}/{child}]")
    return 0


async def _create(shell: Shell, metabase: Metabase, path: str, verb: str, values: list[str]) -> int:
    key = normal(path)
    if metabase.exists(key):
        raise InputError(f"{key} exists already")
    family = "IIsFtp" if key.upper().startswith(FTP) else "IIsWeb"
    kinds = {"CREATE_VDIR": f"{family}VirtualDir", "CREATE_VSERV": f"{family}Server"}
    kind = kinds.get(verb) or " ".join(values)
    metabase.add_key(key)
    if kind:
        metabase.set(key, "KeyType", kind)
    shell.line(f'created "{key.removeprefix("/LM/")}"')
    return 0


async def _delete(shell: Shell, metabase: Metabase, path: str) -> int:
    key = normal(path)
    if metabase.exists(key):
        if key.count("/") < 3:  # noqa: PLR2004 - /LM/SERVICE/...
            raise InputError(f"{key} belongs to IIS itself")
        metabase.remove_key(key)
        shell.line(f"deleted path: {key.removeprefix('/LM/')}")
        return 0
    key, name = _split(path)
    if not metabase.exists(key):
        raise InputError(f"there is no key {key}")
    metabase.remove(key, name)
    await _rebind(shell.system, key, name)
    shell.line(f"deleted property: {name}")
    return 0


async def _control(shell: Shell, path: str, *, start: bool) -> int:
    parts = normal(path).split("/")
    program = _running(shell.system, parts[2])
    if len(parts) != 4 or not parts[3].isdigit() or program is None:  # noqa: PLR2004 - /LM/SERVICE/number
        raise InputError(f"{path} is not a site of a running service")
    if not start:
        await program.stop_site(int(parts[3]))
        shell.line(f"Server {path} successfully stopped")
        return 0
    if await program.start_site(int(parts[3])):
        shell.line(f"Server {path} successfully STARTED")
        return 0
    shell.line(f"Server {path} could not be started")
    return 1
