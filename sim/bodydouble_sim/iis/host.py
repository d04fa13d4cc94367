"""What IIS asks of the machine it runs on beyond files and services: who may do what, and what time it is there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from bodydouble_sim.windows.file_sharing import NetworkPathError

if TYPE_CHECKING:
    from bodydouble.errors import FileSystemError
    from bodydouble_sim.storage.security import Want
    from bodydouble_sim.windows.system import WindowsSystem


@dataclass(frozen=True, slots=True)
class Identity:
    """On whose behalf a request is carried out: an account and its groups."""

    name: str = ""
    groups: tuple[str, ...] = ()


def may(system: WindowsSystem, path: str, who: Identity, want: Want) -> bool:
    """Whether the access list of ``path`` lets ``who`` in.

    Raises:
        FileSystemError: ``not_found``.
    """
    return system.files.access(path, who.name, who.groups, want)


def zone(system: WindowsSystem) -> tzinfo:
    """The machine's time zone."""
    return system.local_time().tzinfo or UTC


def now(system: WindowsSystem) -> datetime:
    """The machine's time in its zone."""
    return system.local_time()


def text_of(error: FileSystemError, otherwise: str) -> str:
    """What Windows says about a failure: that of another machine in its own words."""
    return error.text if isinstance(error, NetworkPathError) else otherwise
