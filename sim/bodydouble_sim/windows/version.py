"""Which Windows a machine runs: everything that differs between NT 4.0 and 2000 asks here.

Source: the application note, "Requirements" (IIS 4.0 on NT 4.0 with Service Pack 4 or higher, IIS 5.0 on Windows 2000);
reference/windows-iis.md, "Versions" and "File systems".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bodydouble.errors import InputError

FileSystemName = Literal["ntfs", "fat32", "fat16"]


@dataclass(frozen=True, slots=True)
class WindowsVersion:
    """A release of Windows.

    Attributes:
        key: how scenario files and commands call it.
        title: its product name.
        number: its version (``4.0``).
        build: its build number.
        service_packs: the highest service pack there is.
        iis: the version of IIS that runs on it.
        file_systems: what it can mount.
    """

    key: str
    title: str
    number: str
    build: int
    service_packs: int
    iis: str
    file_systems: tuple[FileSystemName, ...]

    @property
    def is_nt4(self) -> bool:
        """Whether it is NT 4.0."""
        return self.number == "4.0"


NT_4 = WindowsVersion("windows-nt-4", "Windows NT", "4.0", 1381, 6, "4.0", ("ntfs", "fat16"))
WINDOWS_2000 = WindowsVersion("windows-2000", "Windows 2000", "5.00", 2195, 4, "5.0", ("ntfs", "fat32", "fat16"))
VERSIONS = {version.key: version for version in (NT_4, WINDOWS_2000)}


def checked_service_pack(version: WindowsVersion, service_pack: int) -> int:
    """``service_pack`` if there is such a one (0 is none).

    Raises:
        InputError: there is not.
    """
    if not 0 <= service_pack <= version.service_packs:
        raise InputError(f"{version.title} {version.number} has service packs 0 to {version.service_packs}")
    return service_pack
