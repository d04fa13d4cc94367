"""What IIS asks of the machine it runs on beyond files and services: accounts, access by ACL, shares on other machines.

Each is optional, so that IIS runs on a system that has none of them: without accounts every anonymous request is let in
and nobody can log in by name; without access lists everyone may; without a redirector UNC paths do not answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Literal, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.windows.system import WindowsSystem

Want = Literal["read", "write", "delete", "execute"]


class Accounts(Protocol):
    """The accounts of the machine (`bodydouble_sim.windows.accounts` has them)."""

    def find(self, name: str) -> object | None:
        """The account, or None."""

    def add(self, name: str, password: str, comment: str = "") -> object:
        """Make an account."""

    def set_password(self, name: str, password: str) -> None:
        """Give an account another password."""

    def check(self, name: str, password: str) -> object:
        """The account whose password this is; raises an error of the package otherwise."""

    def groups(self) -> list[str]:
        """Names of all groups."""

    def groups_of(self, user: str) -> list[str]:
        """Groups that the account is in."""

    def add_member(self, group: str, user: str) -> None:
        """Put an account into a group."""


class AccessLists(Protocol):
    """Files that know who may do what."""

    def access(self, path: str, account: str | None, groups: Sequence[str], want: Want) -> bool:
        """Whether the account (and the groups it is in) may."""


class SettableTimes(Protocol):
    """Files whose times can be set."""

    def set_times(self, path: str, mtime_ns: int) -> None:
        """Set the time of the last write."""


class Redirector(Protocol):
    """Reaches files on other machines by UNC path."""

    async def stat(self, path: str) -> Entry | None:
        """The entry at a UNC path, or None."""

    async def list(self, path: str) -> list[Entry]:
        """Entries of a directory."""

    async def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes of a file."""

    async def write(self, path: str, offset: int, data: bytes) -> None:
        """Write into a file, which is made when it is not there."""


@dataclass(frozen=True, slots=True)
class Identity:
    """On whose behalf a request is carried out: an account and its groups; no account at all when name is empty."""

    name: str = ""
    groups: tuple[str, ...] = ()


def accounts(system: WindowsSystem) -> Accounts | None:
    """The machine's accounts, if it has any."""
    return cast("Accounts | None", getattr(system, "accounts", None))


def redirector(system: WindowsSystem) -> Redirector | None:
    """The machine's way to other machines' shares, if it has one."""
    return cast("Redirector | None", getattr(system, "redirector", None))


def may(system: WindowsSystem, path: str, who: Identity, want: Want) -> bool:
    """Whether the access list of ``path`` lets ``who`` in."""
    if not who.name or not hasattr(system.files, "access"):
        return True
    return cast("AccessLists", system.files).access(path, who.name, who.groups, want)


def set_times(system: WindowsSystem, path: str, mtime_ns: int) -> bool:
    """Set the time of the last write; False when the files cannot.

    Raises:
        FileSystemError: as the files refuse.
    """
    if not hasattr(system.files, "set_times"):
        return False
    cast("SettableTimes", system.files).set_times(path, mtime_ns)
    return True


def zone(system: WindowsSystem) -> tzinfo:
    """The machine's time zone; UTC when it knows none."""
    local = getattr(system, "local_time", None)
    return (cast("datetime", local()).tzinfo if local is not None else None) or UTC


def now(system: WindowsSystem) -> datetime:
    """The machine's time in its zone."""
    return datetime.fromtimestamp(system.clock() // 10**9, zone(system))
