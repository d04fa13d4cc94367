"""One web site: what the metabase says about each of its paths.

Source: IIS SDK, "Property Inheritance" (a virtual directory, a directory or a file may have a key of its own; what is
not set there is inherited). What was read is kept until the metabase changes.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble_sim.iis import metabase_file
from bodydouble_sim.iis.content import content_of, is_unc, product_path
from bodydouble_sim.iis.metabase import WEB, binding
from bodydouble_sim.iis.metabase_schema import UNLIMITED
from bodydouble_sim.iis.w3c_log import W3cLog

if TYPE_CHECKING:
    from bodydouble_sim.iis.content import Content
    from bodydouble_sim.iis.metabase import Binding, Metabase
    from bodydouble_sim.windows.system import WindowsSystem

W3C = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """What counts at a path of a site.

    Attributes:
        key: the metabase key it was read from.
        prefix: the virtual directory's path in the site, without a slash at its end.
        base: the virtual directory's directory.
        access: AccessFlags.
        auth: AuthFlags.
        browse: DirBrowseFlags.
        documents: default documents, in order.
        errors: custom errors: ``404,*`` or ``403,14`` to kind and target.
        headers: custom header lines.
        anonymous: the anonymous account and its password.
        realm: of Basic authentication; empty for the host's name.
        granted: whether addresses that are not listed may come in.
        exceptions: the addresses for which it is the other way round, as networks.
        keep_alive: AllowKeepAlive.
        share: the account and password for files on another machine.
    """

    key: str
    prefix: str
    base: str
    access: int
    auth: int
    browse: int
    documents: tuple[str, ...]
    errors: dict[str, tuple[str, str]]
    headers: str
    anonymous: tuple[str, str]
    realm: str
    granted: bool
    exceptions: tuple[ipaddress.IPv4Network, ...]
    keep_alive: bool
    share: tuple[str, str]

    def physical(self, path: str) -> str:
        """The file or directory behind a path of the site."""
        return (self.base + path[len(self.prefix) :]).rstrip("/")

    @property
    def remote(self) -> bool:
        """Whether the files are on another machine."""
        return is_unc(self.base)

    def admits(self, client: str) -> bool:
        """Whether a client's address may come in (KB 248043)."""
        listed = bool(self.exceptions) and any(ipaddress.ip_address(client) in net for net in self.exceptions)
        return listed != self.granted


class WebSite:
    """One site of the web service.

    Args:
        system: the machine.
        metabase: the running metabase.
        number: the site's, counts from 1.
        change: the metabase's change number, for entity tags.

    Attributes:
        clients: how many connections it has.
    """

    def __init__(self, system: WindowsSystem, metabase: Metabase, number: int, change: int) -> None:
        self.system = system
        self.metabase = metabase
        self.number = number
        self.change = change
        self.key = f"{WEB}/{number}"
        self.clients = 0
        self._settings: dict[str, Settings] = {}
        self._contents: dict[str, Content] = {}
        self._revision = -1
        self.log: W3cLog | None = None
        self.limit = UNLIMITED

    @property
    def bindings(self) -> list[Binding]:
        """Where the site is reached."""
        return [binding(text) for text in self.metabase.items(self.key, "ServerBindings")]

    def refresh(self) -> None:
        """Forget what was read if the metabase has changed since."""
        if self._revision == self.metabase.revision:
            return
        self._revision = self.metabase.revision
        self._settings.clear()
        self._contents.clear()
        self.limit = self.metabase.integer(self.key, "MaxConnections")
        self.log = make_log(self.system, self.metabase, "W3SVC", self.key)

    def settings(self, path: str) -> Settings:
        """What counts at ``path``."""
        self.refresh()
        key = self.metabase.nearest(f"{self.key}/ROOT", path.rstrip("/"))
        known = self._settings.get(key)
        if known is None:
            known = self._settings[key] = self._read(key)
        return known

    def content(self, settings: Settings) -> Content:
        """Where the files of a path are.

        Raises:
            FileSystemError: on another machine, and this one has no way there.
        """
        known = self._contents.get(settings.base)
        if known is None:
            known = self._contents[settings.base] = content_of(self.system, settings.base, *settings.share)
        return known

    def _read(self, key: str) -> Settings:
        base = self.metabase
        directory = key
        while not (path := base.text(directory, "Path")) and len(directory) > len(self.key) + len("/ROOT"):
            directory = directory.rpartition("/")[0]
        granted = base.get(key, "GrantByDefault") is True
        headers = base.items(key, "HttpCustomHeaders")
        return Settings(
            key=key,
            prefix=directory[len(self.key) + len("/ROOT") :],
            base=product_path(path),
            access=base.integer(key, "AccessFlags"),
            auth=base.integer(key, "AuthFlags"),
            browse=base.integer(key, "DirBrowseFlags"),
            documents=tuple(name.strip() for name in base.text(key, "DefaultDoc").split(",") if name.strip()),
            errors=dict(_error(item) for item in base.items(key, "HttpErrors")),
            headers="".join(f"{line}\r\n" for line in headers),
            anonymous=(base.text(key, "AnonymousUserName"), base.text(key, "AnonymousUserPass")),
            realm=base.text(key, "Realm"),
            granted=granted,
            exceptions=networks(base.items(key, "IPDeny" if granted else "IPGrant")),
            keep_alive=base.get(key, "AllowKeepAlive") is True,
            share=(base.text(key, "UNCUserName"), base.text(key, "UNCPassword")),
        )


def make_log(system: WindowsSystem, metabase: Metabase, service: str, key: str) -> W3cLog | None:
    """The log of the site at ``key``; None when it writes none."""
    if metabase.integer(key, "LogType") != W3C:
        return None
    directory = product_path(metabase.text(key, "LogFileDirectory")) or metabase_file.LOG_FILES
    name = service + key.rpartition("/")[2]
    return W3cLog(system, name, directory, metabase.version, metabase.integer(key, "LogExtFileFlags"))


def networks(items: list[str]) -> tuple[ipaddress.IPv4Network, ...]:
    """Addresses of an IPGrant or IPDeny list: ``10.0.0.7`` or ``10.0.0.0,255.255.255.0``; others count for nobody."""
    found = []
    for item in items:
        address, _, mask = item.partition(",")
        try:
            found.append(ipaddress.IPv4Network(f"{address.strip()}/{mask.strip() or 32}", strict=False))
        except ValueError:
            continue
    return tuple(found)


def _error(item: str) -> tuple[str, tuple[str, str]]:
    r"""One element of HttpErrors: ``404,*,FILE,C:\\page.htm`` or ``403,14,URL,/page.htm``."""
    code, sub, kind, target = (part.strip() for part in [*item.split(",", 3), "", "", ""][:4])
    return f"{code},{sub}", (kind.upper(), target)
