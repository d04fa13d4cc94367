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


class NameService(Protocol):
    """The NetBIOS names of a machine on its network, and those of others.

    A name may end in its type in hexadecimal (``LAB<1B>``); without one it is the name of a computer.
    """

    def names(self) -> list[str]:
        """The names that the machine answers for."""

    async def claim(self, name: str) -> bool:
        """Answer for a name; False when another machine objects, or the machine has no address."""

    async def release(self, name: str) -> None:
        """Answer for a name no longer."""

    async def find(self, name: str) -> str | None:
        """The address of another machine that answers for a name."""


class SilentNameService:
    """For a system whose NetBIOS names nobody hears: every claim is good, nobody is found."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def names(self) -> list[str]:
        """See `NameService.names`."""
        return list(self._names)

    async def claim(self, name: str) -> bool:
        """See `NameService.claim`."""
        self._names[name.upper()] = None
        return True

    async def release(self, name: str) -> None:
        """See `NameService.release`."""
        self._names.pop(name.upper(), None)

    async def find(self, name: str) -> str | None:  # noqa: ARG002 - the protocol's signature
        """See `NameService.find`."""
        return None


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

    Attributes:
        conflict: another machine answers for the permanent name, so this one does not.
    """

    def __init__(self, registry: Registry, active: ActiveName | None = None) -> None:
        self._registry = registry
        self._active = active or RegistryActiveName(registry)
        self.conflict = False

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
