"""Extended attributes of POSIX files, access control lists among them (``system.posix_acl_access`` and ``_default``).

Replicated are those that mean the same on another host: the users' own, ``trusted.``, file capabilities and ACLs (which
name users and groups by number, as owner and mode do). What belongs to one host stays there: labels of security
modules, and what file systems keep for themselves (``btrfs.``, ``system.`` otherwise). Names that are not UTF-8 and
what goes beyond `MAX_EXTENDED_BYTES` for one file are left out.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from bodydouble.vocabulary.operations import MAX_EXTENDED_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble.vocabulary.operations import Extended

ACCESS_LIST = "system.posix_acl_access"
DEFAULT_LIST = "system.posix_acl_default"
_SPACES = ("user.", "trusted.")
_OF_ONE_HOST = "trusted.overlay."
"""How overlayfs says where the rest of a directory lies: on the host that has the layers, and nowhere else."""
_NAMES = (ACCESS_LIST, DEFAULT_LIST, "security.capability")
_NONE = (errno.ENOTSUP, errno.ENODATA)

Place = int | str
"""An open descriptor, or the path of something that may be a symbolic link and is not followed."""


def place_in(directory: int, name: str) -> str:
    """A name in an open directory, for calls that take neither a directory nor a link's own descriptor."""
    return f"/proc/self/fd/{directory}/{name}"


def replicated(name: str) -> bool:
    """Whether an attribute of that name means the same on another host."""
    if name.startswith(_OF_ONE_HOST):
        return False
    return (name.startswith(_SPACES) or name in _NAMES) and not any("\ud800" <= each <= "\udfff" for each in name)


def read_extended(place: Place) -> Extended:
    """The replicated attributes with their values, sorted by name.

    Raises:
        OSError: they cannot be read.
    """
    try:
        names = os.listxattr(place) if isinstance(place, int) else os.listxattr(place, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NONE:
            return ()
        raise
    return tuple(_within_bounds(place, sorted(filter(replicated, names)))) if names else ()


def _within_bounds(place: Place, names: list[str]) -> Iterator[tuple[str, bytes]]:
    room = MAX_EXTENDED_BYTES
    for name in names:
        value = read_value(place, name)
        if value is None:
            continue
        room -= len(name) + len(value)
        if room < 0:
            return
        yield name, value


def read_value(place: Place, name: str) -> bytes | None:
    """The value of one attribute, None when there is none.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return os.getxattr(place, name) if isinstance(place, int) else os.getxattr(place, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NONE:
            return None
        raise


def drop_extended(place: Place, extended: Extended) -> None:
    """Remove the replicated attributes that are not in ``extended``.

    Raises:
        OSError: the system refused.
    """
    wanted = dict(extended)
    for name, _ in read_extended(place):
        if name in wanted:
            continue
        if isinstance(place, int):
            os.removexattr(place, name)
        else:
            os.removexattr(place, name, follow_symlinks=False)


def write_extended(place: Place, extended: Extended) -> None:
    """Set the attributes whose values differ.

    Raises:
        OSError: the system refused; ENOTSUP where the volume keeps none.
    """
    found = dict(read_extended(place)) if extended else {}
    for name, value in extended:
        if found.get(name) == value or not replicated(name):
            continue
        if isinstance(place, int):
            os.setxattr(place, name, value)
        else:
            os.setxattr(place, name, value, follow_symlinks=False)
