"""Directory listings of the FTP service, in the MS-DOS style (the default) and the UNIX style.

Source: "Setting FTP Messages and Directory Output Style" of the IIS 5.0 documentation: MS-DOS shows two digits of the
year unless FtpDirBrowseShowLongDate is set; UNIX shows the year when it is not the server's present one.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import tzinfo

    from bodydouble.vocabulary.operations import Entry

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def name_of(entry: Entry) -> str:
    """The last component of an entry's path."""
    return entry.path.rpartition("/")[2]


def dos_line(entry: Entry, zone: tzinfo, *, long_date: bool = False) -> str:
    """``12-02-02  09:00AM       <DIR>          records``."""
    written = _local(entry, zone)
    day = f"{written:%m-%d-%Y}" if long_date else f"{written:%m-%d-%y}"
    size = f"{'<DIR>':>12}{'':10}" if entry.directory else f"{entry.size:>21} "
    return f"{day}  {written:%I:%M%p}{size}{name_of(entry)}"


def unix_line(entry: Entry, zone: tzinfo, year: int) -> str:
    """``-rwxrwxrwx   1 owner    group            2365 Dec  2  9:00 readme.txt``; ``year`` is the present one."""
    written = _local(entry, zone)
    kind = "d" if entry.directory else "-"
    when = f"{written.hour:2d}:{written:%M}" if written.year == year else f"{written.year:5d}"
    date = f"{_MONTHS[written.month - 1]} {written.day:2d} {when}"
    return f"{kind}rwxrwxrwx   1 owner    group {entry.size:15d} {date} {name_of(entry)}"


def _local(entry: Entry, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(entry.mtime_ns // 10**9, zone)
