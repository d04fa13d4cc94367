"""One FTP site: what the metabase says about it and its virtual directories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble_sim.iis.content import content_of, has_alias, is_unc, long_path, plain_path, product_path
from bodydouble_sim.iis.metabase import FTP
from bodydouble_sim.iis.web_site import make_log, networks

if TYPE_CHECKING:
    import ipaddress

    from bodydouble_sim.iis.content import Content
    from bodydouble_sim.iis.metabase import Metabase
    from bodydouble_sim.iis.web_security import Logons
    from bodydouble_sim.windows.system import WindowsSystem


@dataclass(frozen=True, slots=True)
class Place:
    """A path of the site: where its files are, the path there, and the access flags that count."""

    content: Content
    path: str
    access: int


class FtpSite:
    """One site of the FTP service.

    Args:
        system: the machine.
        metabase: the running metabase.
        number: the site's, counts from 1.
        logons: the service's.

    Attributes:
        sessions: how many clients it has.
        accepted: how many it has had.
    """

    def __init__(self, system: WindowsSystem, metabase: Metabase, number: int, logons: Logons) -> None:
        self.system = system
        self.metabase = metabase
        self.number = number
        self.key = f"{FTP}/{number}"
        self.logons = logons
        self.sessions = 0
        self.accepted = 0
        self.log = make_log(system, metabase, "MSFTPSVC", self.key)

    @property
    def limit(self) -> int:
        """How many clients it takes at once."""
        return self.metabase.integer(self.key, "MaxConnections")

    @property
    def timeout(self) -> int:
        """Seconds of silence after which a client is sent away."""
        return self.metabase.integer(self.key, "ConnectionTimeout")

    def is_set(self, name: str) -> bool:
        """A boolean property of the site."""
        return self.metabase.get(self.key, name) is True

    def text(self, name: str) -> str:
        """A string property of the site."""
        return self.metabase.text(self.key, name)

    @property
    def greeting(self) -> list[str]:
        """What clients are told when they have logged in."""
        return self.metabase.items(self.key, "GreetingMessage")

    @property
    def anonymous(self) -> tuple[str, str]:
        """The anonymous account and its password."""
        return self.text("AnonymousUserName"), self.text("AnonymousUserPass")

    def admits(self, client: ipaddress.IPv4Address) -> bool:
        """Whether a client's address may come in."""
        granted = self.is_set("GrantByDefault")
        exceptions = networks(self.metabase.items(self.key, "IPDeny" if granted else "IPGrant"))
        return any(client in network for network in exceptions) != granted

    def is_virtual(self, path: str) -> bool:
        """Whether a path is a virtual directory's."""
        return bool(self.metabase.text(f"{self.key}/ROOT{path.rstrip('/')}", "Path"))

    def place(self, path: str) -> Place:
        """Where a path of the site leads.

        Raises:
            FileSystemError: to another machine, and this one has no way there.
        """
        root = f"{self.key}/ROOT"
        path = plain_path(path)
        key = directory = self.metabase.nearest(root, path.rstrip("/"))
        while not (base := self.metabase.text(directory, "Path")) and len(directory) > len(root):
            directory = directory.rpartition("/")[0]
        inside = path[len(directory) - len(root) :]
        base = product_path(base)
        if has_alias(self.system, inside) and not is_unc(base):
            inside = long_path(self.system.files, base, inside)
            key = self.metabase.nearest(root, directory[len(root) :] + inside)
        access = self.metabase.integer(key, "AccessFlags")
        share = (self.metabase.text(key, "UNCUserName"), self.metabase.text(key, "UNCPassword"))
        return Place(content_of(self.system, base, *share), (base + inside).rstrip("/"), access)
