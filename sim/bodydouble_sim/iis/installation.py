"""Setting IIS up: directories, accounts, metabase and services, under the name that is active at that moment.

Source: the application note, "Requirements", "Install Software on the Source" and "Install and Configure Software on
the Target"; reference/windows-iis.md, "Services", "Names" and "Versions". The Option Pack (IIS 4.0) wants Service Pack
3 or higher; that the note wants 4 is for whoever checks the machines beforehand. The sites are configured as the note's
step 5 asks: the web site serves ``InetPub/wwwroot``, the FTP site ``InetPub/ftproot`` with the virtual directory
``/records`` in the web site, open to anonymous uploads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from bodydouble.errors import FileSystemError, InputError
from bodydouble_sim.iis import metabase_file
from bodydouble_sim.iis.content_index import CATALOG
from bodydouble_sim.iis.metabase import FTP, NNTP, SMTP, WEB, Metabase
from bodydouble_sim.iis.metabase_schema import ANONYMOUS, NTLM, READ, SCRIPT, WRITE
from bodydouble_sim.iis.programs import factories
from bodydouble_sim.windows.registry import INETSTP
from bodydouble_sim.windows.service import ServiceConfig, ServiceControlError

if TYPE_CHECKING:
    from bodydouble.vocabulary.records import StartupType
    from bodydouble_sim.windows.system import WindowsSystem

Component = Literal["web", "ftp", "smtp", "nntp", "index"]
COMPONENTS: tuple[Component, ...] = get_args(Component)
OPTION_PACK_SERVICE_PACK = 3
_DIRECTORY = re.compile(r"[^\\/:*?\"<>|\x00-\x1f]{1,64}")
_PAGE = "<html><head><title>Welcome</title></head><body>This site runs on IIS {}.</body></html>\r\n"
_DOCUMENTS = {"4.0": "Default.htm,Default.asp", "5.0": "Default.htm,Default.asp,iisstart.asp"}
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class IisOptions:
    """Answers to the questions of set-up.

    Attributes:
        version: 4.0 on Windows NT 4.0, 5.0 on Windows 2000; the one that fits when empty.
        drive: where the content goes.
        directory: its directory there.
        components: what is set up beside the IIS Admin Service. ``index`` is the Content Index of 4.0; on Windows 2000
            the system has an Indexing Service of its own.
        http_port: the web site's port; likewise the others. A live body in a test takes high ones.
        startup: of all its services.
        start: start them at the end, as set-up does.
    """

    version: str = ""
    drive: str = "C"
    directory: str = "InetPub"
    components: tuple[Component, ...] = COMPONENTS
    http_port: int = 80
    ftp_port: int = 21
    smtp_port: int = 25
    nntp_port: int = 119
    startup: StartupType = "automatic"
    start: bool = True

    @property
    def root(self) -> str:
        """The content's directory."""
        return f"{self.drive}:/{self.directory}"


@dataclass(frozen=True, slots=True)
class _Service:
    """A service of IIS: what it is called by each version, and the component that brings it."""

    name: str
    component: Component | None
    display: dict[str, str]
    aliases: dict[str, tuple[str, ...]]
    process: str = "inetinfo.exe"
    depends_on: tuple[str, ...] = ("IISADMIN",)


def _named(name: str) -> dict[str, str]:
    return {"4.0": name, "5.0": name}


_SERVICES = (
    _Service("IISADMIN", None, _named("IIS Admin Service"), {}, depends_on=()),
    _Service("MSFTPSVC", "ftp", _named("FTP Publishing Service"), {}),
    _Service(
        "SMTPSVC",
        "smtp",
        {"4.0": "Microsoft SMTP Service", "5.0": "Simple Mail Transport Protocol (SMTP)"},
        {"5.0": ("Microsoft SMTP Service", "Simple Mail Transport Protocol")},
    ),
    _Service(
        "NNTPSVC",
        "nntp",
        {"4.0": "Microsoft NNTP Service", "5.0": "Network News Transport Protocol (NNTP)"},
        {"5.0": ("Microsoft NNTP Service", "Network News Transport Protocol")},
    ),
    _Service("W3SVC", "web", _named("World Wide Web Publishing Service"), {}),
    _Service("cisvc", "index", {"4.0": "Content Index"}, {}, process="cisvc.exe", depends_on=("RpcSs",)),
)


def services_of(version: str, components: tuple[Component, ...]) -> list[ServiceConfig]:
    """The services that set-up registers, in the order in which it starts them.

    Source: reference/windows-iis.md, "Services".
    """
    return [
        ServiceConfig(
            service.name,
            service.display[version],
            depends_on=service.depends_on,
            process=service.process,
            aliases=service.aliases.get(version, ()),
        )
        for service in _SERVICES
        if version in service.display and (service.component is None or service.component in components)
    ]


async def install(system: WindowsSystem, options: IisOptions) -> None:
    """Set IIS up; an existing installation is replaced, content directories stay.

    Raises:
        InputError: the options do not fit the machine.
        FileSystemError: a volume refused.
        ServiceControlError: a service did not start.
    """
    options = _checked(system, options)
    await _stop_old(system)
    _make_content(system, options)
    password = _make_accounts(system)
    metabase_file.write(system, configuration(system, options, password))
    _register(system, options)
    system.registry.flush()  # the metabase is on the disk already: no power cut leaves one without the other
    if options.start:
        for config in services_of(options.version, options.components):
            await system.scm.start(config.name)


def _checked(system: WindowsSystem, options: IisOptions) -> IisOptions:
    """The options with their version filled in.

    Raises:
        InputError: they do not fit the machine.
    """
    windows = system.version
    version = options.version or windows.iis
    if version != windows.iis:
        raise InputError(
            f"IIS {version} does not run on {windows.title} {windows.number}: only version {windows.iis} can be set up"
        )
    if windows.is_nt4 and system.service_pack < OPTION_PACK_SERVICE_PACK:
        raise InputError(f"the Windows NT 4.0 Option Pack needs Service Pack {OPTION_PACK_SERVICE_PACK} or higher")
    unknown = [name for name in options.components if name not in COMPONENTS]
    if unknown:
        raise InputError(f"there is no component {unknown[0]}: {', '.join(COMPONENTS)} can be chosen")
    if not _DIRECTORY.fullmatch(options.directory):
        raise InputError(f"{options.directory!r} is not the name of a directory")
    if not _has_drive(system, options.drive):
        raise InputError(f"there is no drive {options.drive}: to set IIS up on")
    return replace(options, version=version)


def _has_drive(system: WindowsSystem, drive: str) -> bool:
    try:
        return system.files.stat(f"{drive}:") is not None
    except FileSystemError:
        return False  # not formatted, or it does not answer


async def _stop_old(system: WindowsSystem) -> None:
    names = ("IISADMIN", "cisvc") if system.version.is_nt4 else ("IISADMIN",)
    for name in names:
        try:
            await system.scm.stop(name, dependents=True)
        except ServiceControlError:
            continue  # not installed, or not running


def _make_content(system: WindowsSystem, options: IisOptions) -> None:
    directories = {
        "web": ("wwwroot/records",),
        "ftp": ("ftproot", "wwwroot/records"),
        "smtp": ("mailroot/Pickup", "mailroot/Queue", "mailroot/Badmail", "mailroot/Drop"),
        "nntp": ("nntpfile",),
        "index": (),
    }
    for component in options.components:
        for name in directories[component]:
            system.make_directories(f"{options.root}/{name}")
    system.make_directories(metabase_file.METABASE.rpartition("/")[0])
    page = f"{options.root}/wwwroot/default.htm"
    if "web" in options.components and system.files.stat(page) is None:
        system.write_file(page, _PAGE.format(options.version).encode(), durable=True)


def _make_accounts(system: WindowsSystem) -> str:
    """Make IUSR_ and IWAM_ accounts of the active name and return the former's password.

    Source: reference/windows-iis.md, "Names": named after the machine's name of that moment, valid after a rename.
    """
    accounts = system.accounts
    password = "".join(_LETTERS[system.random.randrange(len(_LETTERS))] for _ in range(14))
    comments = {
        "IUSR": "built-in account for anonymous access to Internet Information Server",
        "IWAM": "built-in account for Internet Information Server to start out of process applications",
    }
    for prefix, comment in comments.items():
        name = f"{prefix}_{system.names.active}"
        if accounts.find(name) is None:
            accounts.add(name, password, comment)
            accounts.add_member("Guests", name)
        else:
            accounts.set_password(name, password)
    return password


def configuration(system: WindowsSystem, options: IisOptions, password: str) -> Metabase:
    """The metabase that set-up writes."""
    base = Metabase(options.version, system.names.active, system.machine_id)
    base.add_key("/LM")
    chosen = options.components
    if "web" in chosen:
        _configure_web(base, options)
    if "ftp" in chosen:
        _configure_ftp(base, options)
    for service in (WEB, FTP):
        base.set(service, "AnonymousUserName", f"IUSR_{system.names.active}")
        base.set(service, "AnonymousUserPass", password)
    if "smtp" in chosen:
        base.set(f"{SMTP}/1", "ServerBindings", [f":{options.smtp_port}:"])
        for name in ("Pickup", "Queue", "BadMail", "Drop"):
            directory = f"{options.root}/mailroot/{name.capitalize()}".replace("/", "\\")
            base.set(f"{SMTP}/1", f"{name}Directory", directory)
    if "nntp" in chosen:
        base.set(f"{NNTP}/1", "ServerBindings", [f":{options.nntp_port}:"])
        base.set(f"{NNTP}/1/ROOT", "Path", f"{options.root}/nntpfile".replace("/", "\\"))
    return base


def _configure_web(base: Metabase, options: IisOptions) -> None:
    site, root = f"{WEB}/1", f"{WEB}/1/ROOT"
    base.set(WEB, "KeyType", "IIsWebService")
    base.set(WEB, "AuthFlags", ANONYMOUS | NTLM)
    base.set(WEB, "DefaultDoc", _DOCUMENTS[options.version])
    base.set(site, "KeyType", "IIsWebServer")
    base.set(site, "ServerComment", "Default Web Site")
    base.set(site, "ServerBindings", [f":{options.http_port}:"])
    base.set(root, "KeyType", "IIsWebVirtualDir")
    base.set(root, "Path", f"{options.root}/wwwroot".replace("/", "\\"))
    base.set(root, "AccessFlags", READ | SCRIPT)


def _configure_ftp(base: Metabase, options: IisOptions) -> None:
    site, root = f"{FTP}/1", f"{FTP}/1/ROOT"
    base.set(FTP, "KeyType", "IIsFtpService")
    base.set(site, "KeyType", "IIsFtpServer")
    base.set(site, "ServerComment", "Default FTP Site")
    base.set(site, "ServerBindings", [f":{options.ftp_port}:"])
    base.set(root, "KeyType", "IIsFtpVirtualDir")
    base.set(root, "Path", f"{options.root}/ftproot".replace("/", "\\"))
    base.set(root, "AccessFlags", READ | WRITE)
    base.set(f"{root}/records", "KeyType", "IIsFtpVirtualDir")
    base.set(f"{root}/records", "Path", f"{options.root}/wwwroot/records".replace("/", "\\"))


def _register(system: WindowsSystem, options: IisOptions) -> None:
    paths = {"InstallPath": r"C:\WINNT\system32\inetsrv"}
    for component, name in (("web", "wwwroot"), ("ftp", "ftproot")):
        if component in options.components:
            paths[f"Path{'WWW' if component == 'web' else 'FTP'}Root"] = f"{options.root}/{name}".replace("/", "\\")
    system.registry.set(INETSTP, "MajorVersion", int(options.version[0]))
    system.registry.set(INETSTP, "MinorVersion", 0)
    for value, path in paths.items():
        system.registry.set(INETSTP, value, path)
    system.registry.set(CATALOG, "Location", options.root.replace("/", "\\"))
    programs = factories(system)
    for config in services_of(options.version, options.components):
        system.scm.register(replace(config, startup=options.startup), programs[config.name])
