"""What set-up, service packs and hotfixes leave in the registry: the version that programs find there.

Source: KB 222507 (CSDVersion is "Service Pack" and its number, entered at boot from what the kernel is). Beside it in
the key CurrentVersion are CurrentVersion, CurrentBuildNumber and, one key each, the hotfixes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble.errors import InputError
from bodydouble_sim.windows.registry import CONTROL, CURRENT_VERSION
from bodydouble_sim.windows.version import VERSIONS, checked_service_pack

if TYPE_CHECKING:
    from bodydouble_sim.windows.registry import Registry
    from bodydouble_sim.windows.version import WindowsVersion

HOTFIXES = rf"{CURRENT_VERSION}\Hotfix"
_WINDOWS = rf"{CONTROL}\Windows"
_HOTFIX = re.compile(r"[QK]B?\d{5,6}", re.IGNORECASE)


def version_in(registry: Registry) -> WindowsVersion | None:
    """The release that a registry has, None: it is that of no installed system."""
    build = registry.text(CURRENT_VERSION, "CurrentBuildNumber")
    return next((version for version in VERSIONS.values() if str(version.build) == build), None)


def write_version(registry: Registry, version: WindowsVersion, service_pack: int) -> None:
    """Enter a release and its service pack."""
    title = "Windows NT" if version.is_nt4 else "Microsoft Windows 2000"
    for name, value in (
        ("ProductName", title),
        ("CurrentVersion", f"{float(version.number):.1f}"),
        ("CurrentBuildNumber", str(version.build)),
        ("CurrentType", "Uniprocessor Free"),
        ("SystemRoot", r"C:\WINNT"),
    ):
        registry.set(CURRENT_VERSION, name, value)
    _write_pack(registry, service_pack)


def _write_pack(registry: Registry, service_pack: int) -> None:
    if service_pack:
        registry.set(CURRENT_VERSION, "CSDVersion", f"Service Pack {service_pack}")
    else:
        registry.delete_value(CURRENT_VERSION, "CSDVersion")
    registry.set(_WINDOWS, "CSDVersion", service_pack << 8)


def service_pack(registry: Registry, default: int) -> int:
    """The service pack that the registry has; ``default`` when nothing was ever entered."""
    return registry.number(_WINDOWS, "CSDVersion", default << 8) >> 8


def install_service_pack(registry: Registry, version: WindowsVersion, number: int) -> None:
    """Set a service pack up; it holds all that earlier ones do.

    Raises:
        InputError: there is no such one, or a later one is there.
    """
    present = service_pack(registry, 0)
    if checked_service_pack(version, number) < present:
        raise InputError(f"Service Pack {present} is installed: Service Pack {number} is older")
    _write_pack(registry, number)


def install_hotfix(registry: Registry, name: str) -> None:
    """Enter a hotfix by the number of its article (``Q246009``).

    Raises:
        InputError: that is no such number.
    """
    if not _HOTFIX.fullmatch(name):
        raise InputError(f"{name!r} is not a hotfix: Q and the number of its article are")
    registry.set(rf"{HOTFIXES}\{name.upper()}", "Installed", 1)


def hotfixes(registry: Registry) -> list[str]:
    """The hotfixes that are installed."""
    return registry.subkeys(HOTFIXES)
