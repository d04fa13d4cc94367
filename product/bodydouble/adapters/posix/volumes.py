"""What the volumes of a POSIX host keep of files, found out without changing anything.

Extended attributes are asked for: a volume says whether it has the space of names or only no such attribute. The rest
follows from the kind of file system. Sources: statfs(2) for the numbers of kinds; Linux' documentation of vfat and
exfat (times of 2 s and 10 ms, files of at most 4 GiB less a byte on the former, neither owners, links nor holes; names
are kept as they were written and found in any case, some characters are refused, a dot at the end is dropped).
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from bodydouble.adapters.posix.extended import ACCESS_LIST
from bodydouble.adapters.posix.libc import volume_kind
from bodydouble.vocabulary.capabilities import LARGEST, Capabilities

_FAT, _EXFAT, _RAMFS = 0x4D44, 0x2011BAB0, 0x858458F6
_SPACES = {"user.": "user.bodydouble", "trusted.": "trusted.bodydouble", "system.posix_acl_": ACCESS_LIST}
_CAPABILITY = "security.capability"
_EARLIEST_NS, _LATEST_NS = 315_619_200_000_000_000, 4_354_732_800_000_000_000
"""The years 1980 to 2107 without their first and last days: the volumes keep local time."""


def mounted_beneath(path: str) -> list[str]:
    """The directories beneath ``path`` on which other volumes are mounted, by the path that leads there."""
    root = os.fsencode(path.rstrip("/")) + b"/"
    table = Path("/proc/self/mountinfo").read_bytes().splitlines()
    found = dict.fromkeys(unescaped(line.split(b" ", 5)[4]) for line in table)
    return [os.fsdecode(each) for each in found if each.startswith(root) and each != root]


def unescaped(field: bytes) -> bytes:
    """A field of the kernel's table of mounts as it is."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field)


def capabilities_of(fd: int) -> Capabilities:
    """What the volume of an open directory keeps.

    Raises:
        OSError: it does not answer.
    """
    kind = volume_kind(fd)
    if kind in (_FAT, _EXFAT):
        return Capabilities(
            security=False,
            attributes=0,
            extended=(),
            hard_links=False,
            symbolic_links=False,
            junctions=False,
            holes=False,
            time_grain_ns=2_000_000_000 if kind == _FAT else 10_000_000,
            largest_file=4 * 1024**3 - 1 if kind == _FAT else LARGEST,
            streams=False,
            created_grain_ns=0,
            case_sensitive=False,
            every_name=False,
            earliest_ns=_EARLIEST_NS,
            latest_ns=_LATEST_NS,
        )
    return Capabilities(attributes=0, extended=_spaces(fd), holes=kind != _RAMFS, streams=False, created_grain_ns=0)


def _spaces(fd: int) -> tuple[str, ...]:
    """How the names begin of the extended attributes that it keeps."""
    kept = [space for space, name in (*_SPACES.items(), (_CAPABILITY, _CAPABILITY)) if _answers(fd, name)]
    return ("",) if len(kept) > len(_SPACES) else tuple(kept)


def _answers(fd: int, name: str) -> bool:
    try:
        os.getxattr(fd, name)
    except OSError as error:
        # EPERM: user attributes of a directory are there, and not this process's to see.
        return error.errno in (errno.ENODATA, errno.ERANGE, errno.EPERM, errno.EACCES)
    return True
