"""Computer names: the permanent one, which takes effect at boot, and the active one, which counts now."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from bodydouble.errors import IdentityError
from bodydouble_sim.windows.registry import ACTIVE_COMPUTER_NAME, COMPUTER_NAME

if TYPE_CHECKING:
    from bodydouble_sim.windows.registry import Registry

_NAME = re.compile(r"(?!\d+$)[A-Za-z0-9!@#$%^&'(){}_~-]{1,15}")


class ActiveName(Protocol):
    """Where the active name is kept besides the registry: a live host puts it into the kernel."""

    def get(self) -> str:
        """The name, empty when there is none yet."""

    def set(self, name: str) -> None:
        """Make ``name`` the active name at once."""


class RegistryActiveName:
    """The active name in its volatile registry key."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def get(self) -> str:
        """See `ActiveName.get`."""
        return self._registry.text(ACTIVE_COMPUTER_NAME, "ComputerName")

    def set(self, name: str) -> None:
        """See `ActiveName.set`."""
        self._registry.set(ACTIVE_COMPUTER_NAME, "ComputerName", name, volatile=True)


class ComputerNames:
    """Both names of a machine.

    Source: reference/windows-iis.md, "Names": a rename changes the permanent name and shows after a reboot; Chngname
    changes the active one only. What is on the wire is not here: changing the active name registers and releases no
    NetBIOS name (a name is broadcast by `bodydouble.ports.Identity.add_name`, the note's "multi-naming").
    """

    def __init__(self, registry: Registry, active: ActiveName | None = None) -> None:
        self._registry = registry
        self._active = active or RegistryActiveName(registry)

    @property
    def permanent(self) -> str:
        """The name that the next boot makes active."""
        return self._registry.text(COMPUTER_NAME, "ComputerName")

    @property
    def active(self) -> str:
        """The primary name: what GetComputerName and therefore IIS see."""
        return self._active.get() or self.permanent

    def set_permanent(self, name: str) -> None:
        """Rename the machine; takes effect at the next boot.

        Raises:
            IdentityError: see `checked`.
        """
        self._registry.set(COMPUTER_NAME, "ComputerName", checked(name))

    def set_active(self, name: str) -> None:
        """Change the active name until `restore` or the next boot.

        Raises:
            IdentityError: see `checked`.
        """
        self._active.set(checked(name))

    def restore(self) -> None:
        """Put the permanent name back as the active one."""
        self._active.set(self.permanent)

    def boot(self) -> None:
        """The permanent name becomes active."""
        self.restore()


def checked(name: str) -> str:
    """``name`` in upper case, as NetBIOS keeps it.

    Raises:
        IdentityError: empty, longer than 15 characters, digits only, or a character that a computer name cannot have.
    """
    if not _NAME.fullmatch(name):
        raise IdentityError(
            f"{name!r} is not a computer name: 1 to 15 letters, digits and hyphens, not digits alone, are allowed"
        )
    return name.upper()
