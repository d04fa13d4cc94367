"""``xcopy``, ``attrib`` and ``cacls``.

Source: their help texts on Windows 2000; ``xcopy``'s exit codes are in KB 120829 (Q120829), which also says that NT 4.0
returns 0 where it should return 1: "File not found". ``cacls`` shows the access list that the volume keeps as SDDL.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.windows.commands import machine
from bodydouble_sim.windows.commands.access_lists import changed, shown
from bodydouble_sim.windows.commands.copying import Overwriting, copy_file
from bodydouble_sim.windows.commands.matching import has_wildcard, matches, message, name_of
from bodydouble_sim.windows.files import make_directories
from bodydouble_sim.windows.shell import windows_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.windows.shell import Shell

INITIALISATION_ERROR = 4
WRITE_ERROR = 5
_XCOPY_SWITCHES = frozenset({*(f"/{letter}" for letter in "acdefhiklmnopqrstuvwxyz"), "/-y"})
_DEEPEST = 64


async def xcopy(shell: Shell, arguments: list[str]) -> int:
    """``xcopy source [target] [/s] [/e] [/i] [/y] [/q] [/l] [/t] [/h] [/r] [/k] [/c] [/d] [/a] [/m]``."""
    names = [word for word in arguments if not word.startswith("/")]
    switches = [word.lower() for word in arguments if word.startswith("/")]
    if not 1 <= len(names) <= 2:  # noqa: PLR2004 - source and target
        shell.error("Invalid number of parameters")
        shell.line("0 File(s) copied")
        return INITIALISATION_ERROR
    for switch in switches:
        if switch.partition(":")[0] not in _XCOPY_SWITCHES:
            shell.error(f"Invalid switch - {switch}")
            shell.line("0 File(s) copied")
            return INITIALISATION_ERROR
    return _Tree(shell, switches).run(names[0], names[1] if len(names) > 1 else ".")


class _Tree:
    """One run of ``xcopy``."""

    def __init__(self, shell: Shell, switches: list[str]) -> None:
        self._shell = shell
        self._switches = {switch.partition(":")[0] for switch in switches}
        self._overwriting = Overwriting(shell, switches)
        self._count = 0

    def run(self, name: str, target: str) -> int:
        shell, files = self._shell, self._shell.system.files
        path = shell.path(name)
        entry = files.stat(path)
        whole = entry is not None and entry.directory
        root, pattern = (path, "*") if whole else (path.rpartition("/")[0], path.rpartition("/")[2])
        found = [each for each in matches(shell, f"{root}/{pattern}") if self._wanted(each)]
        deep = bool(self._switches & {"/s", "/e"})
        if not found and not (deep and any(True for _ in self._directories(root))) and not whole:
            shell.error(f"File not found - {path.rpartition('/')[2]}")
            shell.line("0 File(s) copied")
            return 0 if shell.system.version.is_nt4 else 1
        place, renamed = self._target(target, many=whole or has_wildcard(pattern) or deep)
        if place is None:
            shell.line("0 File(s) copied")
            return INITIALISATION_ERROR
        if deep and f"{place.upper()}/".startswith(f"{path.upper()}/" if whole else f"{root.upper()}/"):
            shell.error("Cannot perform a cyclic copy")
            shell.line("0 File(s) copied")
            return INITIALISATION_ERROR
        status = self._guarded(root, pattern, place, renamed)
        shell.line(f"{self._count} File(s) copied")
        return status

    def _target(self, target: str, *, many: bool) -> tuple[str | None, str]:
        """The directory to copy into, and the new name of a single file (else empty)."""
        shell = self._shell
        path = shell.path(target)
        entry = shell.system.files.stat(path)
        if entry is not None and entry.directory:
            return entry.path, ""
        if target.endswith(("\\", "/")) or (many and "/i" in self._switches):
            return path, ""
        if entry is not None:
            return path.rpartition("/")[0], path.rpartition("/")[2]
        question = f"Does {target} specify a file name\r\nor directory name on the target\r\n"
        answer = (shell.ask(f"{question}(F = file, D = directory)? ") or "").strip()[:1].lower()
        if answer == "d":
            return path, ""
        return (path.rpartition("/")[0], path.rpartition("/")[2]) if answer == "f" else (None, "")

    def _guarded(self, root: str, pattern: str, place: str, renamed: str) -> int:
        try:
            self._copy(root, pattern, place, renamed, 0)
        except FileSystemError as error:
            self._shell.error(message(error, self._shell))
            return WRITE_ERROR if error.code == "no_space" else INITIALISATION_ERROR
        return 0

    def _copy(self, root: str, pattern: str, place: str, renamed: str, depth: int) -> None:
        files = self._shell.system.files
        found = [each for each in matches(self._shell, f"{root}/{pattern}") if self._wanted(each)]
        if (found or "/e" in self._switches or depth == 0) and "/l" not in self._switches:
            make_directories(files, place)
        for entry in [] if "/t" in self._switches else found:
            self._copy_one(entry, f"{place}/{renamed or name_of(entry)}")
        if depth < _DEEPEST and self._switches & {"/s", "/e"}:
            for directory in self._directories(root):
                self._copy(directory.path, pattern, f"{place}/{name_of(directory)}", renamed, depth + 1)

    def _copy_one(self, entry: Entry, target: str) -> None:
        shell, files = self._shell, self._shell.system.files
        old = files.stat(target)
        if old is not None and "/d" in self._switches and old.mtime_ns >= entry.mtime_ns:
            return
        if old is None and "/u" in self._switches:
            return
        if "/l" not in self._switches:
            if not self._overwriting.allowed(target):
                return
            if old is not None and "/r" in self._switches:
                machine.set_attributes(files, target, machine.attributes(files, old) & ~machine.READ_ONLY)
            self._attempt(entry, target)
        if "/q" not in self._switches:
            shell.line(windows_path(entry.path) + (f" -> {windows_path(target)}" if "/f" in self._switches else ""))
        self._count += 1

    def _attempt(self, entry: Entry, target: str) -> None:
        files = self._shell.system.files
        try:
            copy_file(self._shell, entry, target)
        except FileSystemError as error:
            if "/c" not in self._switches:
                raise
            self._shell.error(message(error, self._shell))
            self._count -= 1
            return
        if "/k" not in self._switches:
            machine.set_attributes(
                files, target, machine.attributes(files, entry) & ~machine.READ_ONLY | machine.ARCHIVE
            )
        if "/m" in self._switches:
            machine.set_attributes(files, entry.path, machine.attributes(files, entry) & ~machine.ARCHIVE)

    def _wanted(self, entry: Entry) -> bool:
        bits = machine.attributes(self._shell.system.files, entry)
        hidden = bool(bits & (machine.HIDDEN | machine.SYSTEM)) and "/h" not in self._switches
        old = bool(self._switches & {"/a", "/m"}) and not bits & machine.ARCHIVE
        return not (entry.directory or hidden or old)

    def _directories(self, root: str) -> Iterator[Entry]:
        for entry in self._shell.system.files.list(root):
            if entry.directory:
                yield entry


_LETTERS = {"r": machine.READ_ONLY, "a": machine.ARCHIVE, "s": machine.SYSTEM, "h": machine.HIDDEN}


async def attrib(shell: Shell, arguments: list[str]) -> int:
    """``attrib [+r|-r] [+a|-a] [+s|-s] [+h|-h] [name] [/s]``."""
    changes = [word.lower() for word in arguments if re.fullmatch(r"[+-][rashRASH]", word)]
    names = [word for word in arguments if word[:1] not in "+-/"]
    deep = any(word.lower() == "/s" for word in arguments)
    wrong = [word for word in arguments if word[:1] in "+-" and word.lower() not in changes]
    if wrong:
        shell.error(f"Parameter format not correct - {wrong[0]}")
        return 1
    name = names[0] if names else "*.*"
    found = _attrib_targets(shell, name, deep=deep)
    if not found:
        shell.error(f"File not found - {windows_path(shell.path(name))}")
        return 1
    for entry in found:
        bits = machine.attributes(shell.system.files, entry)
        if not changes:
            shell.line(f"{_attribute_columns(bits)} {windows_path(entry.path)}")
            continue
        if bits & (machine.HIDDEN | machine.SYSTEM) and not any(change[1] in "hs" for change in changes):
            kind = "system" if bits & machine.SYSTEM else "hidden"
            shell.error(f"Not resetting {kind} file - {windows_path(entry.path)}")
            continue
        for change in changes:
            bits = bits | _LETTERS[change[1]] if change[0] == "+" else bits & ~_LETTERS[change[1]]
        machine.set_attributes(shell.system.files, entry.path, bits)
    return 0


def _attribute_columns(bits: int) -> str:
    signs = [("A", machine.ARCHIVE), (" ", 0), (" ", 0), ("S", machine.SYSTEM), ("H", machine.HIDDEN)]
    signs += [("R", machine.READ_ONLY)]
    return "".join(letter if bits & bit else " " for letter, bit in signs) + "    "


def _attrib_targets(shell: Shell, name: str, *, deep: bool) -> list[Entry]:
    path = shell.path(name)
    directory, _, pattern = path.rpartition("/")
    found = [entry for entry in matches(shell, path) if not entry.directory or not has_wildcard(pattern)]
    if deep:
        entry = shell.system.files.stat(directory)
        for below in shell.system.files.list(directory) if entry is not None and entry.directory else []:
            if below.directory and below.path.count("/") < _DEEPEST:
                found += _attrib_targets(shell, f"{below.path}/{pattern}", deep=True)
    return found


async def cacls(shell: Shell, arguments: list[str]) -> int:
    """``cacls name [/t] [/e] [/c] [/g user:perm ...] [/r user ...] [/p user:perm ...] [/d user ...]``."""
    names = [word for word in arguments[:1] if not word.startswith("/")]
    if not names:
        shell.line("Displays or modifies access control lists (ACLs) of files")
        return 1
    found = matches(shell, names[0])
    if not found:
        shell.error("The system cannot find the file specified.")
        return 2
    volume = shell.system.files.volume(found[0].path)
    if volume.file_system != "ntfs":
        shell.error("The Cacls command can be run only on disk drives that use the NTFS file system.")
        return 1
    edits = _edits(arguments[1:])
    if edits is None:
        shell.error("Invalid arguments.")
        return 87
    keep = any(word.lower() == "/e" for word in arguments)
    if edits and not keep and (shell.ask("Are you sure (Y/N)?") or "n").strip()[:1].lower() != "y":
        return 1
    for entry in found:
        old = shell.system.files.security(entry.path).decode("ascii", "replace")
        if not edits:
            _show(shell, entry, old)
            continue
        shell.system.files.set_security(entry.path, changed(old, edits, keep=keep).encode())
        shell.line(f"processed {'dir' if entry.directory else 'file'}: {windows_path(entry.path)}")
    return 0


def _show(shell: Shell, entry: Entry, descriptor: str) -> None:
    name = windows_path(entry.path)
    lead = name
    for line in shown(descriptor, directory=entry.directory):
        shell.line(f"{lead} {line}")
        lead = " " * len(name)
    shell.line()


def _edits(words: list[str]) -> list[tuple[str, str, str]] | None:
    """(switch, user, permission) for each ``/g /r /p /d``; None when one makes no sense."""
    edits: list[tuple[str, str, str]] = []
    switch = ""
    for word in words:
        if word.startswith("/"):
            switch = word.lower()
            if switch not in ("/t", "/e", "/c", "/g", "/r", "/p", "/d"):
                return None
            continue
        user, _, permission = word.partition(":")
        if switch in ("/g", "/p") and permission.lower() not in ("r", "w", "c", "f", "n"):
            return None
        if switch not in ("/g", "/p", "/r", "/d"):
            return None
        edits.append((switch, user, permission.lower()))
    return edits
