"""What the lab and a host's init tell each other: the plan at power-on, then orders and reports, one JSON line each.

The line is a socket pair inherited by init. Its end is the host's mains lead as well: when the lab's end is gone, init
leaves at once and the kernel ends everything in its pid namespace.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

MOUNT_POINT: Final = "/mnt"
"""The tmpfs of a run lies here, in the lab's own mount namespace: an empty, standard directory of every Linux."""
HOSTS_DIRECTORY: Final = f"{MOUNT_POINT}/hosts"
"""Directories of all hosts as the lab sees them."""
HOST_DIRECTORY: Final = f"{MOUNT_POINT}/host"
"""A host's own directory as the host sees it."""


class HostPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What init needs to bring a host up.

    Attributes:
        name: the scenario's key, names the host's directory beneath `HOSTS_DIRECTORY`.
        computer_name: becomes the hostname at each boot.
        address: static address with prefix length.
        control_port: port of the product's control API.
        operating_system: the release of Windows that its body models.
        service_pack: its service pack.
    """

    name: str
    computer_name: str
    address: str
    control_port: int
    operating_system: str = "windows-2000"
    service_pack: int = 4


class Order(msgspec.Struct, frozen=True):
    """From the lab: ``boot`` once the adapter is in; ``install`` starts the product beneath the running system."""

    kind: Literal["boot", "install"]


class Report(msgspec.Struct, frozen=True):
    """From init: ``ready`` for the adapter to be put in, ``up`` when an order is carried out, ``failed``."""

    kind: Literal["ready", "up", "failed"]
    detail: str = ""


class HostPaths:
    """Where a host keeps what: the same tree seen from the lab and from the host."""

    def __init__(self, directory: str) -> None:
        """Name the places beneath ``directory``."""
        self.directory = Path(directory)
        self.drives = self.directory / "drives"
        self.state = self.directory / "state"
        self.windows_state = self.directory / "winstate"
        self.logs = self.directory / "logs"
        self.config = self.directory / "config.toml"
        self.door = self.directory / "run" / "windows.sock"

    def make(self) -> None:
        """Make the directories; those that exist stay as they are."""
        for directory in (self.drives / "C", self.state, self.windows_state, self.logs, self.door.parent):
            directory.mkdir(parents=True, exist_ok=True)


INSIDE: Final = HostPaths(HOST_DIRECTORY)
"""The places as a host's own processes know them."""
