"""The `ActiveName` port on Linux: the kernel's host name, with the host's own one kept on disk.

The record counts only while the kernel still has the name that it speaks of, in the same boot: whatever else named the
host meanwhile (a boot, ``hostnamectl``, a crash before the change or after it was taken back) has made it void.
"""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import BodydoubleError, IdentityError, InputError

if TYPE_CHECKING:
    from bodydouble.state.store import StateStore

RECORD = "active-name"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")


class SavedName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is on disk.

    Attributes:
        original: the host's own name.
        active: the name it was given instead.
        boot: the boot in which that was.
    """

    original: str
    active: str
    boot: str


class LinuxActiveName:
    """The host name of this process's UTS namespace.

    Args:
        store: keeps the host's own name.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._changing = asyncio.Lock()

    @property
    def active(self) -> str:
        """The name that the kernel has now."""
        return socket.gethostname()

    async def original(self) -> str | None:
        """See the port.

        Raises:
            StateError: the record cannot be understood.
        """
        saved = await self._store.load(RECORD, SavedName)
        if saved is None or (saved.active, saved.boot) != (self.active, _boot()):
            return None
        return saved.original if saved.original != saved.active else None

    async def change(self, name: str) -> None:
        """See the port."""
        if not _NAME.fullmatch(name):
            raise InputError(
                f"{name!r} is not a host name: 1 to 64 letters, digits, dots and hyphens, a letter or digit at both "
                "ends"
            )
        async with self._changing:
            own = await self.original() or self.active
            try:
                await self._store.save(RECORD, SavedName(own, name, _boot()))
            except BodydoubleError as error:
                raise IdentityError(f"{own}: cannot be kept, so the name stays as it is: {error}") from error
            _set(name)

    async def restore(self) -> None:
        """See the port."""
        async with self._changing:
            own = await self.original()
            if own is not None:
                _set(own)


def _set(name: str) -> None:
    try:
        socket.sethostname(name)
    except OSError as error:
        raise IdentityError(
            f"{name}: cannot be made the host name: {error.strerror}; run the daemon as root"
        ) from error


def _boot() -> str:
    return _BOOT.read_text("ascii").strip()
