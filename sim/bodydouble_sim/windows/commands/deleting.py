"""``del``.

Source: its help text on Windows 2000; a deletion that fails leaves errorlevel 0 all the same (Dave Benham's table of
internal commands, Stack Overflow), only a missing argument is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.windows.command_interpreter.arguments import names_and_switches
from bodydouble_sim.windows.command_interpreter.limits import SYNTAX_TEXT
from bodydouble_sim.windows.commands import machine
from bodydouble_sim.windows.commands.matching import matches, message, tree
from bodydouble_sim.windows.shell import windows_path

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.windows.shell import Shell

NOTHING_DELETED = 2
_TRIES = 10


def sure(shell: Shell, what: str) -> bool:
    """Ask ``Are you sure`` until the answer is yes or no; the end of input is no."""
    for _ in range(_TRIES):
        answer = shell.ask(f"{what}, Are you sure (Y/N)? ")
        if answer is None or answer.strip()[:1].lower() == "n":
            return False
        if answer.strip()[:1].lower() == "y":
            return True
    return False


def delete(shell: Shell, rest: str) -> int:
    """``del [/p] [/f] [/s] [/q] [/a:...] name ...``."""
    names, switches = names_and_switches(rest)
    if not names:
        shell.error(SYNTAX_TEXT)
        return 1
    return max(_delete(shell, name, switches) for name in names)


def _delete(shell: Shell, name: str, switches: list[str]) -> int:
    entry = shell.system.files.stat(shell.path(name))
    pattern = f"{name}\\*" if entry is not None and entry.directory else name
    everything = pattern.replace("/", "\\").rpartition("\\")[2] in ("*", "*.*")
    if everything and "/q" not in switches and not sure(shell, windows_path(shell.path(pattern))):
        return 0
    found = [entry for entry in _found(shell, pattern, switches) if not entry.directory]
    if not found:
        shell.error(f"Could Not Find {windows_path(shell.path(pattern))}")
        return NOTHING_DELETED
    return max(_remove(shell, entry, switches) for entry in found)


def _found(shell: Shell, pattern: str, switches: list[str]) -> list[Entry]:
    if "/s" not in switches:
        return _chosen(shell, matches(shell, pattern), switches)
    directory, _, name = shell.path(pattern).rpartition("/")
    return [
        entry
        for place in tree(shell, directory)
        for entry in _chosen(shell, matches(shell, f"{place}/{name}"), switches)
    ]


def _chosen(shell: Shell, found: list[Entry], switches: list[str]) -> list[Entry]:
    wanted = next((switch[2:].lstrip(":") for switch in switches if switch.startswith("/a")), None)
    return [entry for entry in found if with_attributes(shell, entry, "-h-s" if wanted is None else wanted)]


def with_attributes(shell: Shell, entry: Entry, wanted: str) -> bool:
    """Whether an entry has the attributes of ``/a:`` (``d-h``: a directory that is not hidden)."""
    bits = machine.attributes(shell.system.files, entry)
    has = {"d": entry.directory, "r": bool(bits & 1), "h": bool(bits & 2), "s": bool(bits & 4), "a": bool(bits & 32)}
    expected = True
    for letter in wanted:
        if letter == "-":
            expected = False
            continue
        if has.get(letter, expected) != expected:
            return False
        expected = True
    return True


def _remove(shell: Shell, entry: Entry, switches: list[str]) -> int:
    files, shown = shell.system.files, windows_path(entry.path)
    if "/p" in switches and (shell.ask(f"{shown}, Delete (Y/N)? ") or "n").strip()[:1].lower() != "y":
        return 0
    bits = machine.attributes(files, entry)
    try:
        if bits & machine.READ_ONLY:
            if "/f" not in switches:
                raise FileSystemError("denied", entry.path)  # noqa: TRY301 - said as any refusal is
            machine.set_attributes(files, entry.path, bits & ~machine.READ_ONLY)
        files.remove(entry.path)
    except FileSystemError as error:
        shell.error(shown)
        shell.error(message(error, shell))
        return NOTHING_DELETED
    if "/s" in switches:
        shell.line(f"Deleted file - {shown}")
    return 0
