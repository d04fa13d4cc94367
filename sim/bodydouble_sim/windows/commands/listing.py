"""``dir`` and ``type``.

Source: their help texts on Windows 2000; the columns are this model's choice, after listings as they were printed at
the time: two digits of the year on NT 4.0, four on 2000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows.command_interpreter.arguments import names_and_switches
from bodydouble_sim.windows.command_interpreter.limits import READ_LIMIT, SYNTAX_TEXT
from bodydouble_sim.windows.command_interpreter.redirecting import is_device
from bodydouble_sim.windows.command_interpreter.streams import decoded
from bodydouble_sim.windows.commands import dates, machine, volumes
from bodydouble_sim.windows.commands.deleting import with_attributes
from bodydouble_sim.windows.commands.matching import NOT_FOUND, has_wildcard, matches, name_of, tree
from bodydouble_sim.windows.shell import windows_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.windows.shell import Shell


def type_files(shell: Shell, rest: str) -> int:
    """``type name ...``: more than one file, or a wildcard, shows each name first (to standard error)."""
    names, _ = names_and_switches(rest)
    if not names:
        shell.error(SYNTAX_TEXT)
        return 1
    status = 0
    for name in names:
        if is_device(name):
            continue
        found = [entry for entry in matches(shell, name) if not entry.directory or not has_wildcard(name)]
        if not found:
            shell.error(NOT_FOUND)
            status = 1
        for entry in found:
            status = _type(shell, entry, named=has_wildcard(name) or len(names) > 1) or status
    return status


def _type(shell: Shell, entry: Entry, *, named: bool) -> int:
    if entry.directory:
        shell.error("Access is denied.")
        return 1
    if named:
        shell.error(f"\r\n{name_of(entry)}\r\n\r\n")
    shell.write(decoded(shell.system.files.read(entry.path, 0, READ_LIMIT)).partition("\x1a")[0])
    return 0


def directory(shell: Shell, rest: str) -> int:
    """``dir [name ...] [/b] [/s] [/a:...] [/o:...]``."""
    names, switches = names_and_switches(rest)
    status = 0
    for name in names or ["."]:
        status = _Listing(shell, name, switches).show() or status
    return status


class _Listing:
    def __init__(self, shell: Shell, name: str, switches: list[str]) -> None:
        self._shell = shell
        self._bare = "/b" in switches
        self._deep = "/s" in switches
        self._wanted = next((switch[2:].lstrip(":") for switch in switches if switch.startswith("/a")), "-h-s")
        self._order = next((switch[2:].lstrip(":") or "gn" for switch in switches if switch.startswith("/o")), "n")
        entry = shell.system.files.stat(shell.path(name))
        whole = entry is not None and entry.directory
        path = shell.path(name)
        self._directory = path if whole else path.rpartition("/")[0]
        self._pattern = "*" if whole else path.rpartition("/")[2]
        self._files = self._bytes = self._directories = 0

    def show(self) -> int:
        """Print it; 1 when nothing fits."""
        shell = self._shell
        if not self._bare and volumes.show_label(shell, self._directory[:1]):
            return 1
        shown = False
        for place in tree(shell, self._directory) if self._deep else [self._directory]:
            shown = self._one(place) or shown
        if not shown:
            if not self._bare:
                shell.line(f"\r\n Directory of {windows_path(self._directory)}\r\n")
            shell.error("File Not Found")
            return 1
        if not self._bare:
            self._totals()
        return 0

    def _one(self, place: str) -> bool:
        found = [each for each in matches(self._shell, f"{place}/{self._pattern}") if self._fits(each)]
        parents = self._pattern == "*" and "/" in place and self._wanted in ("", "-h-s", "d")
        if not found and not (parents and not self._bare):
            return False
        found = self._sorted(found)
        if self._bare:
            for entry in found:
                self._shell.line(windows_path(entry.path) if self._deep else name_of(entry))
            return bool(found)
        self._long(place, found, parents=parents)
        return True

    def _fits(self, entry: Entry) -> bool:
        return with_attributes(self._shell, entry, self._wanted)

    def _sorted(self, found: list[Entry]) -> list[Entry]:
        keys: dict[str, Callable[[Entry], str | int]] = {
            "n": lambda entry: name_of(entry).upper(),
            "s": lambda entry: entry.size,
            "d": lambda entry: entry.mtime_ns,
            "e": lambda entry: name_of(entry).upper().rpartition(".")[2],
            "g": lambda entry: 0 if entry.directory else 1,
        }
        letters = self._order
        at = len(letters) - 1
        while at >= 0:
            key = keys.get(letters[at])
            backwards = at > 0 and letters[at - 1] == "-"
            if key is not None:
                found = sorted(found, key=key, reverse=backwards)
            at -= 2 if backwards else 1
        return found

    def _long(self, place: str, found: list[Entry], *, parents: bool) -> None:
        shell = self._shell
        shell.line(f"\r\n Directory of {windows_path(place)}\r\n")
        here = shell.system.files.stat(place)
        for name in (".", "..") if parents and here is not None else ():
            assert here is not None
            shell.line(self._line(here, name))
        for entry in found:
            shell.line(self._line(entry, name_of(entry)))
        files = [entry for entry in found if not entry.directory]
        size = sum(entry.size for entry in files)
        shell.line(f"{len(files):16d} File(s) {size:14,d} bytes")
        self._files += len(files)
        self._bytes += size
        self._directories += len(found) - len(files) + (2 if parents else 0)

    def _totals(self) -> None:
        shell = self._shell
        if self._deep:
            shell.line("\r\n     Total Files Listed:")
            shell.line(f"{self._files:16d} File(s) {self._bytes:14,d} bytes")
        free = volumes.information(shell, self._directory[:1]).free
        shell.line(f"{self._directories:16d} Dir(s) {free:15,d} bytes free")

    def _line(self, entry: Entry, name: str) -> str:
        moment = machine.moment(self._shell.system, entry.mtime_ns)
        day = dates.short_date(moment) if self._shell.system.version.is_nt4 else dates.long_date(moment)
        what = "      <DIR>         " if entry.directory else f"{entry.size:20,d}"
        return f"{day}  {dates.clock_time(moment)}{what} {name}"
