"""Opening what a command reads from and writes to.

Source: as in Stack Overflow 4094699 redirections are opened from left to right and the last one of a handle counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.windows.command_interpreter.limits import READ_LIMIT
from bodydouble_sim.windows.command_interpreter.streams import FileSink, Input, NulSink, decoded, lines_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble_sim.windows.command_interpreter.streams import Sink
    from bodydouble_sim.windows.command_interpreter.syntax import Redirection
    from bodydouble_sim.windows.shell import Handles, Shell

DEVICES = {"NUL", "CON", "PRN", "AUX", "COM1", "COM2", "LPT1", "LPT2"}
_SILENT = {"NUL", "PRN", "AUX", "COM1", "COM2", "LPT1", "LPT2"}


def is_device(target: str) -> bool:
    r"""Whether a name is that of a device, in any directory (``C:\x\nul``)."""
    return target.replace("/", "\\").rpartition("\\")[2].rstrip(":").upper() in DEVICES


def opened(shell: Shell, redirections: Sequence[Redirection]) -> Handles:
    """The handles of a command with these redirections.

    Raises:
        FileSystemError: a file cannot be opened.
    """
    if not redirections:
        return shell.handles
    source, output, error = shell.handles
    sinks: dict[int, Sink] = {1: output, 2: error}
    for redirection in redirections:
        if redirection.kind == "<":
            source = source if redirection.target.startswith("&") else _input(shell, redirection.target)
        elif redirection.target.startswith("&"):
            sinks[redirection.handle] = sinks.get(int(redirection.target[1:]), NulSink())
        else:
            sinks[redirection.handle] = _sink(shell, redirection)
    return source, sinks[1], sinks[2]


def _input(shell: Shell, target: str) -> Input:
    if is_device(target):
        return shell.handles[0] if target.upper().rstrip(":") == "CON" else Input()
    entry = shell.system.files.stat(shell.path(target))
    if entry is None:
        raise FileSystemError("not_found", target)
    if entry.directory:
        raise FileSystemError("denied", target)
    return Input(lines_of(decoded(shell.system.files.read(entry.path, 0, READ_LIMIT))))


def _sink(shell: Shell, redirection: Redirection) -> Sink:
    target = redirection.target
    if is_device(target):
        return shell.console.sink(1) if target.upper().rstrip(":") == "CON" else NulSink()
    path, files = shell.path(target), shell.system.files
    entry = files.stat(path)
    if entry is not None and entry.directory:
        raise FileSystemError("denied", path)
    if redirection.kind == ">" or entry is None:
        files.create(path)
    return FileSink(files, path, shell.budget)
