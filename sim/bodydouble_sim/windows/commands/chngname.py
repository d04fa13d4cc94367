"""Chngname: the utility that changes the active computer name for a while.

Source: the application note, "Install and Configure Software on the Target" steps 2 and 8 and POSTOVER.BAT: ``/s NAME``
makes NAME the active name, ``/t`` puts the original name back. Its messages and exit codes are not public: 0 success,
1 refused, 2 wrong arguments are this model's choice. It touches the active name alone; what the machine answers to on
the network stays as it is (`bodydouble_sim.windows.names.ComputerNames`), so a name that another machine has on the
wire is not refused either: the note has the source taken off the network before, and says nothing of a check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import IdentityError

if TYPE_CHECKING:
    from bodydouble_sim.windows.shell import Shell

REFUSED = 1
USAGE = 2


async def chngname(shell: Shell, arguments: list[str]) -> int:
    """The ``chngname`` program."""
    names = shell.system.names
    switch = arguments[0].lower() if arguments else ""
    try:
        if switch == "/s" and len(arguments) == 2:  # noqa: PLR2004 - the switch and the name
            names.set_active(arguments[1])
        elif switch == "/t" and len(arguments) == 1:
            names.restore()
        else:
            shell.line("Usage: chngname /s NAME   set the active server name\r\n       chngname /t        restore it")
            return USAGE
    except IdentityError as error:
        shell.line(f"Chngname: {error}")
        return REFUSED
    shell.line(f"The active server name is now {names.active}.")
    return 0
