"""Extended log files in W3C format, one a day (``exYYMMDD.log``), with the fields that IIS 5.0 writes by default."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError

if TYPE_CHECKING:
    from bodydouble_sim.windows.system import WindowsSystem

FIELDS = "date time c-ip cs-username s-ip s-port cs-method cs-uri-stem cs-uri-query sc-status cs(User-Agent)"


class W3cLog:
    """Appends one line a request to the log of a site.

    Args:
        system: the machine.
        source: the service's short name, for the event that says the log cannot be written.
        directory: where the files go (``.../LogFiles/W3SVC1``).
    """

    def __init__(self, system: WindowsSystem, source: str, directory: str) -> None:
        self._system = system
        self._source = source
        self._directory = directory
        self._second = -1
        self._stamp = ""
        self._path = ""
        self._complained = False

    def record(
        self, client: str, server: tuple[str, int], request: tuple[str, str, str], status: int, agent: str = ""
    ) -> None:
        """Log one request; a log that cannot be written is reported once as an event and stops nothing.

        Args:
            client: its address.
            server: the address and port it reached.
            request: method, path and query.
            status: the answer's code.
            agent: the client's program.
        """
        method, stem, query = request
        try:
            self._turn(self._system.clock() // 10**9)
            who = f"{client} - {server[0]} {server[1]}"
            what = f"{method} {stem} {query or '-'} {status} {agent or '-'}"
            line = f"{self._stamp} {who} {what}\r\n"
            self._system.files.append(self._path, line.encode("utf-8", "replace"))
        except FileSystemError as error:
            self._second = -1
            if not self._complained:
                self._complained = True
                self._system.event_log.record(self._source, 2, "error", f"The log cannot be written: {error}")

    def _turn(self, second: int) -> None:
        if second == self._second:
            return
        now = datetime.fromtimestamp(second, UTC)
        path = f"{self._directory}/ex{now:%y%m%d}.log"
        if path != self._path and self._system.files.stat(path) is None:
            self._begin(path, now)
        self._path, self._second = path, second
        self._stamp = f"{now:%Y-%m-%d %H:%M:%S}"

    def _begin(self, path: str, now: datetime) -> None:
        self._system.make_directories(self._directory)
        head = (
            "#Software: Microsoft Internet Information Services 5.0",
            "#Version: 1.0",
            f"#Date: {now:%Y-%m-%d %H:%M:%S}",
            f"#Fields: {FIELDS}",
        )
        self._system.write_file(path, "".join(f"{line}\r\n" for line in head).encode())
