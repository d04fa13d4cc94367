"""Extended log files in W3C format, one a day (``exYYMMDD.log``), with the fields that the site chose.

Source: KB 194699 (dates and times are always GMT, and so is the turn of the day, KB 193612); LogExtFileFlags of the IIS
SDK for the fields and their default (time, client, method, path, status).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.system import WindowsSystem

_FIELDS = (
    (0x1, "date"),
    (0x2, "time"),
    (0x4, "c-ip"),
    (0x8, "cs-username"),
    (0x10, "s-sitename"),
    (0x20, "s-computername"),
    (0x40, "s-ip"),
    (0x8000, "s-port"),
    (0x80, "cs-method"),
    (0x100, "cs-uri-stem"),
    (0x200, "cs-uri-query"),
    (0x400, "sc-status"),
    (0x800, "sc-win32-status"),
    (0x1000, "sc-bytes"),
    (0x2000, "cs-bytes"),
    (0x4000, "time-taken"),
    (0x8_0000, "cs-version"),
    (0x10_0000, "cs-host"),
    (0x1_0000, "cs(User-Agent)"),
    (0x2_0000, "cs(Cookie)"),
    (0x4_0000, "cs(Referer)"),
)
_SOFTWARE = {
    "4.0": "Microsoft Internet Information Server 4.0",
    "5.0": "Microsoft Internet Information Services 5.0",
}
_SECOND = 10**9


@dataclass(frozen=True, slots=True)
class LogRecord:
    """What is logged of one request; empty strings become ``-``."""

    client: str
    method: str
    stem: str
    status: int
    query: str = ""
    user: str = ""
    server: str = ""
    port: int = 0
    win32: int = 0
    sent: int = 0
    received: int = 0
    milliseconds: int = 0
    version: str = ""
    host: str = ""
    agent: str = ""
    cookie: str = ""
    referer: str = ""


_VALUES: dict[str, Callable[[LogRecord], str]] = {
    "c-ip": lambda record: record.client,
    "cs-username": lambda record: record.user,
    "s-ip": lambda record: record.server,
    "s-port": lambda record: str(record.port),
    "cs-method": lambda record: record.method,
    "cs-uri-stem": lambda record: record.stem,
    "cs-uri-query": lambda record: record.query,
    "sc-status": lambda record: str(record.status),
    "sc-win32-status": lambda record: str(record.win32),
    "sc-bytes": lambda record: str(record.sent),
    "cs-bytes": lambda record: str(record.received),
    "time-taken": lambda record: str(record.milliseconds),
    "cs-version": lambda record: record.version,
    "cs-host": lambda record: record.host,
    "cs(User-Agent)": lambda record: record.agent,
    "cs(Cookie)": lambda record: record.cookie,
    "cs(Referer)": lambda record: record.referer,
}


class W3cLog:
    """Appends one line a request to the log of a site.

    Args:
        system: the machine.
        site: the service's short name and the site's number (``W3SVC1``), which name the directory.
        directory: where that directory is (``.../LogFiles``).
        version: of IIS.
        flags: the fields, as bits of LogExtFileFlags.
    """

    def __init__(self, system: WindowsSystem, site: str, directory: str, version: str, flags: int) -> None:
        self._system = system
        self._site = site
        self._directory = f"{directory}/{site}"
        self._software = _SOFTWARE[version]
        self._fields = [name for bit, name in _FIELDS if flags & bit]
        self._second = -1
        self._clock: dict[str, str] = {}
        self._path = ""
        self._complained = False

    def record(self, record: LogRecord) -> None:
        """Log one request; a log that cannot be written is reported once as an event and stops nothing."""
        try:
            self._turn(self._system.clock() // _SECOND)
            line = " ".join(self._value(name, record) for name in self._fields) + "\r\n"
            self._system.files.append(self._path, line.encode("utf-8", "replace"))
        except FileSystemError as error:
            self._second = -1
            if not self._complained:
                self._complained = True
                source = self._site.rstrip("0123456789")
                self._system.event_log.record(source, 2, "error", f"The log cannot be written: {error}")

    def _value(self, name: str, record: LogRecord) -> str:
        value = self._clock.get(name)
        if value is None:
            value = _VALUES[name](record).replace(" ", "+") or "-"
        return value if value.isprintable() else "".join(map(_shown, value))

    def _turn(self, second: int) -> None:
        """Make the file of this second's day the current one; a day's first line makes its file."""
        if second == self._second:
            return
        now = datetime.fromtimestamp(second, UTC)
        path = f"{self._directory}/ex{now:%y%m%d}.log"
        if path != self._path or self._second < 0:
            self._begin(path, now)
        self._path, self._second = path, second
        self._clock = {
            "date": f"{now:%Y-%m-%d}",
            "time": f"{now:%H:%M:%S}",
            "s-sitename": self._site,
            "s-computername": self._system.names.active,
        }

    def _begin(self, path: str, now: datetime) -> None:
        if self._system.files.stat(path) is not None:
            return
        self._system.make_directories(self._directory)
        head = (
            f"#Software: {self._software}",
            "#Version: 1.0",
            f"#Date: {now:%Y-%m-%d %H:%M:%S}",
            f"#Fields: {' '.join(self._fields)}",
        )
        self._system.write_file(path, "".join(f"{line}\r\n" for line in head).encode())


def _shown(character: str) -> str:
    return character if character.isprintable() else f"%{ord(character):02X}"
