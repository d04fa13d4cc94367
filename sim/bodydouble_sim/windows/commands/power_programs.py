"""``shutdown`` and ``sleep`` of the resource kits.

Source: "Description of the Shutdown.exe Tool" (Microsoft): ``/l`` this computer, ``/a`` abort, ``/r`` restart,
``/t:xx`` seconds (20 when not given), ``"msg"``, ``/y`` answers yes, ``/c`` closes running programs. It belongs to the
NT 4.0 and Windows 2000 resource kits. What it prints is this model's choice.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodydouble_sim.windows.shell import Shell

DEFAULT_DELAY = 20
_LONGEST_SLEEP = 86_400


async def shutdown(shell: Shell, arguments: list[str]) -> int:
    r"""``shutdown [\\computer] [/l] [/a] [/r] [/t:xx] ["msg"] [/y] [/c]``."""
    switches = [word.lower() for word in arguments if word.startswith("/")]
    remote = [word.lstrip("\\").upper() for word in arguments if word.startswith("\\\\")]
    delays = [word for word in switches if word.startswith("/t")]
    known = all(word in ("/l", "/a", "/r", "/y", "/c") or re.fullmatch(r"/t:\d{1,6}", word) for word in switches)
    if not switches or not known:
        shell.line('SHUTDOWN [/?] [\\\\Computer] [/L] [/A] [/R] [/T:xx] ["Msg"] [/Y] [/C]')
        return 1
    if remote and remote[0] != shell.system.names.active:
        shell.error("The network path was not found.")
        return 53
    if "/a" in switches:
        if shell.system.power.abort():
            shell.line("The shutdown has been aborted.")
            return 0
        shell.error("There is no shutdown in progress.")
        return 1
    if "/y" not in switches:
        answer = shell.ask("This will shut the computer down.  Are you sure (y/n)? ")
        if (answer or "n").strip()[:1].lower() != "y":
            return 1
    delay = int(delays[-1][3:]) if delays else DEFAULT_DELAY
    shell.system.power.request(restart="/r" in switches, delay=delay)
    return 0


async def sleep(shell: Shell, arguments: list[str]) -> int:
    """``sleep seconds``."""
    if len(arguments) != 1 or not arguments[0].isdigit():
        shell.line("Usage:  sleep      time-to-sleep-in-seconds")
        return 1
    await asyncio.sleep(min(int(arguments[0][:6]), _LONGEST_SLEEP))
    return 0
