"""What the Server service shares: administrative shares of every drive, and those that administrators make.

Source: KB 314984 (the administrative shares of Windows NT 4.0 and 2000; AutoShareServer and AutoShareWks switch them
off; a deleted one comes back when the Server service starts again). Shares live in the registry under
LanmanServer, key Shares, one REG_MULTI_SZ each, and their names have up to 80 characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError
from bodydouble_sim.windows.registry import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.files import HostFiles
    from bodydouble_sim.windows.registry import Registry

NO_SUCH_DIRECTORY = 2116
DUPLICATE_SHARE = 2118
NO_SUCH_SHARE = 2310
BAD_NAME = 123
TEXTS = {
    BAD_NAME: "The filename, directory name, or volume label syntax is incorrect.",
    NO_SUCH_DIRECTORY: "The device or directory does not exist.",
    DUPLICATE_SHARE: "The name has already been shared.",
    NO_SUCH_SHARE: "This shared resource does not exist.",
}
SHARES_KEY = rf"{SERVICES}\LanmanServer\Shares"
_PARAMETERS = rf"{SERVICES}\LanmanServer\Parameters"
_DELETED = rf"{SERVICES}\LanmanServer\Deleted"
_SYSTEM_ROOT = "C:/WINNT"
_LONGEST = 80


class ShareError(BodydoubleError):
    """A share could not be made, found or deleted; ``number`` is the Windows error."""

    def __init__(self, number: int, name: str = "") -> None:
        super().__init__(f"{name}: {TEXTS[number]}" if name else TEXTS[number])
        self.number = number


@dataclass(frozen=True, slots=True)
class Share:
    """A share: ``path`` in product form, empty for IPC$; ``special`` for the administrative ones."""

    name: str
    path: str
    comment: str = ""
    special: bool = False


class Shares:
    """The shares of one machine.

    Args:
        registry: holds them.
        files: the machine's drives.
        drives: the letters of its drives.
        is_server: whether the machine runs a server edition (which value switches administrative shares off).
    """

    def __init__(
        self, registry: Registry, files: HostFiles, drives: Callable[[], list[str]], is_server: Callable[[], bool]
    ) -> None:
        self._registry = registry
        self._files = files
        self._drives = drives
        self._is_server = is_server

    def all(self) -> list[Share]:
        """Every share: the administrative ones first, then by age."""
        gone = set(self._registry.values(_DELETED))
        return [*(share for share in self._administrative() if share.name not in gone), *self._made()]

    def _administrative(self) -> list[Share]:
        shares = [Share("IPC$", "", "Remote IPC", special=True)]
        if self._registry.number(_PARAMETERS, "AutoShareServer" if self._is_server() else "AutoShareWks", 1):
            shares.append(Share("ADMIN$", _SYSTEM_ROOT, "Remote Admin", special=True))
            shares += [Share(f"{letter}$", f"{letter}:", "Default share", special=True) for letter in self._drives()]
        return shares

    def _made(self) -> list[Share]:
        found = []
        for name in self._registry.values(SHARES_KEY):
            fields = dict(line.split("=", 1) for line in self._registry.strings(SHARES_KEY, name) if "=" in line)
            path = fields.get("Path", "").replace("\\", "/")
            found.append(Share(name, path.rstrip("/"), fields.get("Remark", "")))
        return found

    def find(self, name: str) -> Share | None:
        """A share by name in any case."""
        return next((share for share in self.all() if share.name.upper() == name.upper()), None)

    def add(self, name: str, path: str, comment: str = "") -> Share:
        """Share a directory.

        Args:
            name: of the share.
            path: product or Windows form.
            comment: shown to those who look at the machine.

        Raises:
            ShareError: 2118 (the name is shared), 2116 (no such directory), 123 (no name for a share).
        """
        if not name or len(name) > _LONGEST or any(character in '\\/:*?"<>|' for character in name):
            raise ShareError(BAD_NAME, name)
        path = path.replace("\\", "/").rstrip("/")
        entry = self._files.stat(path)
        if entry is None or not entry.directory:
            raise ShareError(NO_SUCH_DIRECTORY, path)
        if self.find(name) is not None:
            raise ShareError(DUPLICATE_SHARE, name)
        shown = path.replace("/", "\\") + ("\\" if path.endswith(":") else "")
        fields = ["CSCFlags=0", "MaxUses=4294967295", f"Path={shown}", "Permissions=0", f"Remark={comment}", "Type=0"]
        self._registry.set(SHARES_KEY, name, fields)
        return Share(name, path, comment)

    def delete(self, name: str) -> None:
        """Share it no longer; an administrative share stays away until the Server service starts again.

        Raises:
            ShareError: 2310.
        """
        share = self.find(name)
        if share is None:
            raise ShareError(NO_SUCH_SHARE, name)
        if share.special:
            self._registry.set(_DELETED, share.name, 1, volatile=True)
        else:
            self._registry.delete_value(SHARES_KEY, share.name)

    def server_started(self) -> None:
        """The Server service makes the administrative shares at every start."""
        self._registry.delete(_DELETED)
