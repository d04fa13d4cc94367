"""The commands inside cmd.exe that do not move the batch file, and what they do to the errorlevel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows.commands import copying, directories, listing, screen
from bodydouble_sim.windows.commands.deleting import delete
from bodydouble_sim.windows.commands.set_command import set_variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.shell import Shell

INTERNAL: dict[str, Callable[[Shell, str], int]] = {
    "break": screen.nothing,
    "cd": directories.cd,
    "chdir": directories.cd,
    "cls": screen.cls,
    "color": screen.color,
    "copy": copying.copy,
    "date": screen.date,
    "del": delete,
    "dir": listing.directory,
    "echo": screen.echo,
    "erase": delete,
    "md": directories.md,
    "mkdir": directories.md,
    "move": copying.move,
    "path": screen.path,
    "pause": screen.pause,
    "popd": directories.popd,
    "prompt": screen.prompt,
    "pushd": directories.pushd,
    "rd": directories.rd,
    "rem": screen.nothing,
    "ren": copying.ren,
    "rename": copying.ren,
    "rmdir": directories.rd,
    "set": set_variable,
    "time": screen.time,
    "title": screen.title,
    "type": listing.type_files,
    "ver": screen.ver,
    "verify": screen.verify,
    "vol": screen.vol,
}
# Dave Benham, "Which cmd.exe internal commands clear the ERRORLEVEL to 0 upon success?" (Stack Overflow).
KEEPS_ERRORLEVEL = frozenset({"break", "cls", "echo", "pause", "popd", "rd", "rem", "rmdir", "title"})
KEEPS_IN_BAT = frozenset({"path", "prompt", "set"})
