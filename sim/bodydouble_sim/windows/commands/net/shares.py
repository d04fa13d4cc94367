"""``net share``, ``session`` and ``file``.

Source: their help texts (dosprompt.info, "NET"); messages 2114, 2116, 2118 and 2310. All of them need the Server
service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows.commands.net.messages import COMPLETED, WIDTH, numbered, usage
from bodydouble_sim.windows.service import ServiceControlError
from bodydouble_sim.windows.shares import ShareError
from bodydouble_sim.windows.shell import windows_path

if TYPE_CHECKING:
    from bodydouble_sim.windows.shell import Shell

_USAGE = (
    "NET SHARE sharename\r\n"
    "          sharename=drive:path [/USERS:number | /UNLIMITED]\r\n"
    '                               [/REMARK:"text"]\r\n'
    "          {sharename | devicename | drive:path} /DELETE"
)


def runs(shell: Shell, name: str) -> bool:
    """Whether a service runs."""
    try:
        return shell.system.scm.find(name).state == "running"
    except ServiceControlError:
        return False


async def share(shell: Shell, arguments: list[str]) -> int:
    """``net share [name[=path] [/remark:text] [/delete]]``."""
    if not runs(shell, "LanmanServer"):
        return numbered(shell, 2114)
    words = [word for word in arguments if not word.startswith("/")]
    switches = [word.lower() for word in arguments if word.startswith("/")]
    if not arguments:
        return _list(shell)
    if len(words) != 1:
        return usage(shell, _USAGE)
    name, equals, path = words[0].partition("=")
    try:
        if equals:
            remark = next((word[8:].strip('"') for word in arguments if word.lower().startswith("/remark:")), "")
            shell.system.shares.add(name, shell.path(path), remark)
            shell.line(f"{name} was shared successfully.")
        elif "/delete" in switches or "/d" in switches:
            name = _by_path(shell, name)
            shell.system.shares.delete(name)
            shell.line(f"{name} was deleted successfully.")
        else:
            return _show(shell, name)
    except ShareError as error:
        return numbered(shell, error.number)
    shell.line()
    return 0


def _by_path(shell: Shell, text: str) -> str:
    if ":" not in text:
        return text
    path = shell.path(text).upper()
    return next((found.name for found in shell.system.shares.all() if found.path.upper() == path), text)


def _list(shell: Shell) -> int:
    shell.line()
    shell.line(f"{'Share name':<13}{'Resource':<32}Remark")
    shell.line()
    shell.line("-" * WIDTH)
    for found in shell.system.shares.all():
        path = windows_path(found.path) if found.path else ""
        shell.line(f"{found.name:<13}{path:<32}{found.comment}".rstrip())
    shell.line(COMPLETED)
    shell.line()
    return 0


def _show(shell: Shell, name: str) -> int:
    found = shell.system.shares.find(name)
    if found is None:
        return numbered(shell, 2310)
    for label, value in (
        ("Share name", found.name),
        ("Path", windows_path(found.path) if found.path else ""),
        ("Remark", found.comment),
        ("Maximum users", "No limit"),
        ("Users", ""),
    ):
        shell.line(f"{label:<18}{value}".rstrip())
    shell.line(COMPLETED)
    shell.line()
    return 0


async def nothing_open(shell: Shell, _arguments: list[str]) -> int:
    """``net session`` and ``net file``: the model counts neither."""
    if not runs(shell, "LanmanServer"):
        return numbered(shell, 2114)
    shell.line("There are no entries in the list.")
    shell.line()
    return 0
