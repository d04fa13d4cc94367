"""What ``%NAME%`` and ``%~`` find out about the running interpreter and its machine.

Source: the help text of ``set`` on Windows 2000 lists CD, DATE, TIME and RANDOM among what is computed anew at each
use; ERRORLEVEL, CMDEXTVERSION and CMDCMDLINE are in the help text of ``if``, on NT 4.0 as well. A variable of the same
name hides each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows.command_interpreter.conditions import extension_version
from bodydouble_sim.windows.command_interpreter.expansion import Expander, FileFacts
from bodydouble_sim.windows.commands import dates, machine
from bodydouble_sim.windows.shell import windows_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.shell import Shell

_RANDOM_BITS = 15


def expander(shell: Shell, command_line: str) -> Expander:
    """The rules of an interpreter's version over its variables and files."""
    return Expander(
        lambda name: _value(shell, name, command_line),
        lambda path: _facts(shell, path),
        lambda variable, name: _search(shell, variable, name),
        windows_2000=not shell.system.version.is_nt4,
    )


def _value(shell: Shell, name: str, command_line: str) -> str | None:
    if (set_value := shell.environment.get(name)) is not None:
        return set_value
    if not shell.extensions:
        return None
    computed: dict[str, Callable[[], str]] = {
        "ERRORLEVEL": lambda: str(shell.errorlevel),
        "CMDEXTVERSION": lambda: str(extension_version(shell)),
        "CMDCMDLINE": lambda: command_line,
    }
    if not shell.system.version.is_nt4:
        computed |= {
            "CD": lambda: windows_path(shell.directory),
            "DATE": lambda: dates.date_text(machine.local_time(shell.system)),
            "TIME": lambda: dates.time_text(machine.local_time(shell.system)),
            "RANDOM": lambda: str(shell.system.random.getrandbits(_RANDOM_BITS)),
        }
    found = computed.get(name.upper())
    return found() if found else None


def _facts(shell: Shell, text: str) -> FileFacts:
    path = shell.path(text)
    entry = shell.system.files.stat(path) if path[1:2] == ":" else None
    full = windows_path(entry.path if entry else path)
    if entry is None:
        return FileFacts(full)
    moment = machine.moment(shell.system, entry.mtime_ns)
    return FileFacts(
        full,
        machine.short_path(shell.system.files, entry.path),
        machine.attribute_letters(shell.system.files, entry),
        f"{dates.long_date(moment)} {dates.clock_time(moment)}",
        str(entry.size),
    )


def _search(shell: Shell, variable: str, name: str) -> str:
    for place in [shell.directory, *shell.environment.get(variable, "").replace("\\", "/").split(";")]:
        path = shell.path(f"{place}/{name}") if place else ""
        if path and (entry := shell.system.files.stat(path)) is not None:
            return windows_path(entry.path)
    return ""
