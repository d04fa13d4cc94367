"""Setting IIS 5.0 up: directories, accounts, metabase and services, under the name that is active at that moment.

Source: the application note, "Install Software on the Source" and "Install and Configure Software on the Target";
reference/windows-iis.md, "Services", "Names" and "Versions". The sites are configured as the note's step 5 asks: the
web site serves ``InetPub/wwwroot``, the FTP site ``InetPub/ftproot`` with the virtual directory ``/records`` in the web
site, open to anonymous uploads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.errors import InputError
from bodydouble_sim.iis import metabase
from bodydouble_sim.iis.content_index import CATALOG, query_command
from bodydouble_sim.iis.metabase import Metabase, Site
from bodydouble_sim.iis.programs import factories
from bodydouble_sim.windows.registry import INETSTP
from bodydouble_sim.windows.service import ServiceConfig, ServiceControlError

if TYPE_CHECKING:
    from bodydouble.vocabulary.records import StartupType
    from bodydouble_sim.windows.shell import Shell
    from bodydouble_sim.windows.system import WindowsSystem

_DEFAULT_PAGE = b"<html><head><title>Welcome</title></head><body>This site runs on IIS 5.0.</body></html>\r\n"
_DOCUMENTS = ["Default.htm", "Default.asp", "iisstart.asp"]
_SERVICES = (
    ("IISADMIN", "IIS Admin Service", ()),
    ("MSFTPSVC", "FTP Publishing Service", ()),
    ("SMTPSVC", "Simple Mail Transport Protocol (SMTP)", ("Microsoft SMTP Service", "Simple Mail Transport Protocol")),
    (
        "NNTPSVC",
        "Network News Transport Protocol (NNTP)",
        ("Microsoft NNTP Service", "Network News Transport Protocol"),
    ),
    ("W3SVC", "World Wide Web Publishing Service", ()),
)


@dataclass(frozen=True, slots=True)
class IisOptions:
    """Answers to the questions of set-up.

    Attributes:
        version: only 5.0, the version of Windows 2000.
        drive: where InetPub goes.
        http_port: the web site's port; likewise the others. A live body in a test takes high ones.
        startup: of all five services.
        start: start them at the end, as set-up does.
    """

    version: str = "5.0"
    drive: str = "C"
    http_port: int = 80
    ftp_port: int = 21
    smtp_port: int = 25
    nntp_port: int = 119
    startup: StartupType = "automatic"
    start: bool = True


def provide(system: WindowsSystem) -> None:
    """Teach a system what IIS is: the programs behind registered services and the set-up command."""
    for name, factory in factories(system).items():
        system.scm.provide(name, factory)
    system.programs["install-iis"] = _install_command
    system.programs["install-chngname"] = _install_chngname
    system.programs["ciquery"] = query_command
    if system.installed:
        offer(system)


def offer(system: WindowsSystem) -> None:
    """Put the set-up commands on the system's path (the set-up files that come with Windows 2000)."""
    for name in ("install-iis", "install-chngname", "ciquery"):
        path = f"C:/WINNT/system32/{name}.exe"
        if system.files.stat(path) is None:
            system.install_program(path, name)


async def install(system: WindowsSystem, options: IisOptions) -> None:
    """Set IIS up; an existing installation is replaced, content directories stay.

    Raises:
        InputError: another version than 5.0, or no such drive.
        FileSystemError: a volume refused.
        ServiceControlError: a service did not start.
    """
    if options.version != "5.0":
        raise InputError(f"IIS {options.version} does not run on Windows 2000: only version 5.0 can be set up")
    if system.files.stat(f"{options.drive}:") is None:
        raise InputError(f"there is no drive {options.drive}: to set IIS up on")
    await _stop_old(system)
    _make_content(system, f"{options.drive}:/InetPub")
    metabase.write(system, _configuration(system, options))
    _make_accounts(system)
    _register(system, options)
    if options.start:
        await _start(system)


async def _stop_old(system: WindowsSystem) -> None:
    try:
        await system.scm.stop("IISADMIN", dependents=True)
    except ServiceControlError:
        return  # not installed, or not running


def _make_content(system: WindowsSystem, root: str) -> None:
    for name in ("wwwroot/records", "ftproot", "mailroot", "nntpfile"):
        system.make_directories(f"{root}/{name}")
    system.make_directories(metabase.METABASE.rpartition("/")[0])
    page = f"{root}/wwwroot/default.htm"
    if system.files.stat(page) is None:
        system.write_file(page, _DEFAULT_PAGE, durable=True)


def _configuration(system: WindowsSystem, options: IisOptions) -> Metabase:
    root = f"{options.drive}:/InetPub"
    return Metabase(
        version=options.version,
        server_name=system.names.active,
        machine=system.machine_id,
        web=[Site(port=options.http_port, home=f"{root}/wwwroot", default_documents=_DOCUMENTS)],
        ftp=[
            Site(
                port=options.ftp_port,
                home=f"{root}/ftproot",
                virtual_directories={"/records": f"{root}/wwwroot/records"},
            )
        ],
        smtp_port=options.smtp_port,
        nntp_port=options.nntp_port,
    )


def _make_accounts(system: WindowsSystem) -> None:
    for prefix in ("IUSR", "IWAM"):
        name = f"{prefix}_{system.names.active}"[:20]
        if system.accounts.find(name) is None:
            system.accounts.add(name, system.random.randbytes(14).hex(), "Built-in account for IIS")
            system.accounts.add_member("Guests", name)


def _register(system: WindowsSystem, options: IisOptions) -> None:
    system.registry.set(INETSTP, "MajorVersion", 5)
    system.registry.set(INETSTP, "PathWWWRoot", f"{options.drive}:\\InetPub\\wwwroot")
    system.registry.set(CATALOG, "Location", f"{options.drive}:\\InetPub")
    programs = factories(system)
    for name, display_name, aliases in _SERVICES:
        depends_on = () if name == "IISADMIN" else ("IISADMIN",)
        config = ServiceConfig(name, display_name, options.startup, depends_on, "inetinfo.exe", aliases)
        system.scm.register(config, programs[name])


async def _start(system: WindowsSystem) -> None:
    for name, _, _ in _SERVICES:
        await system.scm.start(name)


async def _install_command(shell: Shell, arguments: list[str]) -> int:
    try:
        options = _parsed(arguments)
        await install(shell.system, options)
    except (InputError, ServiceControlError) as error:
        shell.line(f"Setup failed: {error}")
        return 1
    shell.line(
        f"IIS {options.version} was set up on drive {options.drive}: under the name {shell.system.names.active}."
    )
    return 0


def _parsed(arguments: list[str]) -> IisOptions:
    values: dict[str, str] = {}
    for argument in arguments:
        name, _, value = argument.lower().removeprefix("/").partition(":")
        values[name] = value
    unknown = [name for name in values if name not in {"version", "drive", "manual", "nostart", *_PORTS}]
    if unknown or not all(values.get(name, "0").isdigit() for name in _PORTS):
        raise InputError(
            "usage: install-iis /version:5.0 /drive:C [/manual] [/nostart] [/http:80] [/ftp:21] [/smtp:25] [/nntp:119]"
        )
    ports = {name: int(values.get(name, default)) for name, default in _PORTS.items()}
    return IisOptions(
        version=values.get("version", "5.0"),
        drive=values.get("drive", "c").upper(),
        http_port=ports["http"],
        ftp_port=ports["ftp"],
        smtp_port=ports["smtp"],
        nntp_port=ports["nntp"],
        startup="manual" if "manual" in values else "automatic",
        start="nostart" not in values,
    )


_PORTS = {"http": 80, "ftp": 21, "smtp": 25, "nntp": 119}


async def _install_chngname(shell: Shell, arguments: list[str]) -> int:
    """``install-chngname DIRECTORY``: put the Chngname utility (the note: from NSI's web site) there."""
    if len(arguments) != 1:
        shell.line("usage: install-chngname DIRECTORY")
        return 1
    path = f"{shell.path(arguments[0])}/chngname.exe"
    shell.system.install_program(path, "chngname")
    shell.line(f"{path} was installed.")
    return 0
