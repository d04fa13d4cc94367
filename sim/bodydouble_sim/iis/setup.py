"""The commands that set IIS and its tools up, and what makes a system know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bodydouble.errors import FileSystemError, InputError
from bodydouble_sim.iis.adsutil import adsutil
from bodydouble_sim.iis.content_index import query_command
from bodydouble_sim.iis.installation import COMPONENTS, IisOptions, install
from bodydouble_sim.iis.programs import factories
from bodydouble_sim.windows.service import ServiceControlError

if TYPE_CHECKING:
    from bodydouble_sim.iis.installation import Component
    from bodydouble_sim.windows.shell import Shell
    from bodydouble_sim.windows.system import WindowsSystem

__all__ = ["IisOptions", "install", "offer", "provide"]

_PORTS = {"http": 80, "ftp": 21, "smtp": 25, "nntp": 119}
_FLAGS = ("manual", "nostart")
_VALUES = ("version", "drive", "directory", "components")
_USAGE = (
    "usage: install-iis [/version:5.0] [/drive:C] [/directory:InetPub] [/components:web,ftp,smtp,nntp,index] "
    "[/manual] [/nostart] [/http:80] [/ftp:21] [/smtp:25] [/nntp:119]"
)
RESTART_QUESTION = "You must restart your computer before the new settings will take effect. Restart now? (Y/N) "


def provide(system: WindowsSystem) -> None:
    """Teach a system what IIS is: the programs behind registered services, the set-up commands and adsutil."""
    for name, factory in factories(system).items():
        system.scm.provide(name, factory)
    system.programs["install-iis"] = _install_command
    system.programs["install-chngname"] = _install_chngname
    system.programs["adsutil"] = adsutil
    system.programs["ciquery"] = query_command
    if system.installed:
        offer(system)


def offer(system: WindowsSystem) -> None:
    """Put the commands on the system's path (the set-up files that come with Windows or its Option Pack)."""
    for name in ("install-iis", "install-chngname", "adsutil", "ciquery"):
        path = f"C:/WINNT/system32/{name}.exe"
        if system.files.stat(path) is None:
            system.install_program(path, name)


async def _install_command(shell: Shell, arguments: list[str]) -> int:
    """``install-iis``: asks at the end whether to restart, which the note says to refuse.

    Whoever agrees gets the permanent name back with the boot, and the name rule applies. Nobody's answer is no.
    """
    system = shell.system
    try:
        options = _parsed(arguments)
        await install(system, options)
    except (InputError, FileSystemError, ServiceControlError) as error:
        shell.line(f"Setup failed: {error}")
        return 1
    version = options.version or system.version.iis
    shell.line(f"IIS {version} was set up on drive {options.drive}: under the name {system.names.active}.")
    answer = shell.ask(RESTART_QUESTION)
    if answer is not None and answer.strip().upper().startswith("Y"):
        system.power.request(restart=True, delay=0.0)
    return 0


def _parsed(arguments: list[str]) -> IisOptions:
    """The options.

    Raises:
        InputError: they are not understood.
    """
    values: dict[str, str] = {}
    for argument in arguments:
        name, _, value = argument.removeprefix("/").partition(":")
        values[name.lower()] = value
    unknown = [name for name in values if name not in (*_VALUES, *_FLAGS, *_PORTS)]
    ports = {name: values.get(name, str(default)) for name, default in _PORTS.items()}
    chosen = tuple(name.strip().lower() for name in values.get("components", ",".join(COMPONENTS)).split(","))
    good = all(port.isascii() and port.isdigit() and int(port) < 65536 for port in ports.values())  # noqa: PLR2004
    if unknown or not good or any(name not in COMPONENTS for name in chosen):
        raise InputError(_USAGE)
    return IisOptions(
        version=values.get("version", ""),
        drive=values.get("drive", "C").rstrip(":").upper(),
        directory=values.get("directory", "InetPub"),
        components=cast("tuple[Component, ...]", chosen),
        http_port=int(ports["http"]),
        ftp_port=int(ports["ftp"]),
        smtp_port=int(ports["smtp"]),
        nntp_port=int(ports["nntp"]),
        startup="manual" if "manual" in values else "automatic",
        start="nostart" not in values,
    )


async def _install_chngname(shell: Shell, arguments: list[str]) -> int:
    """``install-chngname DIRECTORY``: put the Chngname utility (the note: from NSI's web site) there."""
    if len(arguments) != 1:
        shell.line("usage: install-chngname DIRECTORY")
        return 1
    path = f"{shell.path(arguments[0])}/chngname.exe"
    shell.system.install_program(path, "chngname")
    shell.line(f"{path} was installed.")
    return 0
