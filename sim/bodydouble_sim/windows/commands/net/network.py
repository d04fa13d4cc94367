"""``net use``, ``view``, ``send``, ``name``, ``time``, ``config`` and ``statistics``.

Source: their help texts (dosprompt.info, "NET"). A connection is a promise to reach a share: the drive letter that
``net use`` gives it is listed, but files behind it are reached by their UNC path only. There is no browser service, so
``net view`` has no list (message 6118).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bodydouble.errors import BodydoubleError
from bodydouble_sim.windows.commands import dates, machine
from bodydouble_sim.windows.commands.net.messages import COMPLETED, WIDTH, completed, help_message, numbered, usage
from bodydouble_sim.windows.commands.net.shares import runs

if TYPE_CHECKING:
    from bodydouble_sim.windows.shell import Shell

_CONNECTIONS = r"HKU\.DEFAULT\Volatile Environment\Network"
_REMOTE = re.compile(r"\\\\([^\\]+)\\([^\\]+)")
_CODES = {"not_found": 53, "denied": 5, "exists": 67, "io": 64, "sharing": 32}


async def use(shell: Shell, arguments: list[str]) -> int:
    r"""``net use [device | *] [\\server\share] [/delete]``."""
    if not runs(shell, "LanmanWorkstation"):
        return numbered(shell, 2138)
    words = [word for word in arguments if not word.startswith("/")]
    switches = [word.lower() for word in arguments if word.startswith("/")]
    if not words:
        return _list(shell)
    if "/delete" in switches or "/d" in switches:
        return _disconnect(shell, words[0])
    device = words.pop(0).upper() if re.fullmatch(r"[A-Za-z]:|\*", words[0]) else ""
    match = _REMOTE.fullmatch(words[0]) if words else None
    if match is None:
        return numbered(shell, 67 if words and words[0].startswith("\\\\") else 2250)
    if device and (device[0] in shell.system.files.drives() or _connected(shell, device)):
        return numbered(shell, 85)
    return await _connect(shell, device or match[0], match)


def _key(name: str) -> str:
    return rf"{_CONNECTIONS}\{name.replace(chr(92), '/')}"


def _connected(shell: Shell, name: str) -> bool:
    return bool(shell.system.registry.text(_key(name), "RemotePath"))


async def _connect(shell: Shell, name: str, match: re.Match[str]) -> int:
    number = await _reached(shell, match[0])
    if number:
        return numbered(shell, number)
    shell.system.registry.set(_key(name), "RemotePath", match[0], volatile=True)
    return completed(shell)


async def _reached(shell: Shell, path: str) -> int:
    """0, or the error of the attempt; a machine without a redirector reaches nobody."""
    redirector: Any = getattr(shell.system, "redirector", None)
    if redirector is None:
        return 53
    try:
        await redirector.stat(path.replace("\\", "/"))
    except BodydoubleError as error:
        return int(getattr(error, "number", 0)) or _CODES.get(str(getattr(error, "code", "")), 53)
    return 0


def _disconnect(shell: Shell, name: str) -> int:
    names = shell.system.registry.subkeys(_CONNECTIONS) if name == "*" else [name.upper().replace("\\", "/")]
    found = [known for known in names if _connected(shell, known)]
    if not found and name != "*":
        return numbered(shell, 2250)
    for known in found:
        shell.system.registry.delete(_key(known))
    shell.line(f"{name} was deleted successfully." if name != "*" else COMPLETED)
    shell.line()
    return 0


def _list(shell: Shell) -> int:
    names = shell.system.registry.subkeys(_CONNECTIONS)
    shell.line("New connections will not be remembered.")
    shell.line()
    if not names:
        shell.line("There are no entries in the list.")
        shell.line()
        return 0
    shell.line(f"\r\n{'Status':<13}{'Local':<10}{'Remote':<26}Network")
    shell.line()
    shell.line("-" * WIDTH)
    for name in names:
        remote = shell.system.registry.text(_key(name), "RemotePath")
        shell.line(f"{'OK':<13}{name if len(name) == 2 else '':<10}{remote:<26}Microsoft Windows Network")  # noqa: PLR2004
    shell.line(COMPLETED)
    shell.line()
    return 0


async def view(shell: Shell, arguments: list[str]) -> int:
    r"""``net view [\\server]``."""
    if not runs(shell, "LanmanWorkstation"):
        return numbered(shell, 2138)
    if not arguments:
        return numbered(shell, 6118)
    name = arguments[0].lstrip("\\").upper()
    if name != shell.system.names.active:
        return numbered(shell, await _reached(shell, f"\\\\{name}\\IPC$") or 50)
    if not runs(shell, "LanmanServer"):
        return numbered(shell, 53)
    shell.line(f"Shared resources at \\\\{name}\r\n\r\n")
    shell.line(f"{'Share name':<13}{'Type':<7}{'Used as':<9}Comment")
    shell.line()
    shell.line("-" * WIDTH)
    for share in shell.system.shares.all():
        if not share.name.endswith("$"):
            shell.line(f"{share.name:<13}{'Disk':<16}{share.comment}".rstrip())
    return completed(shell)


async def send(shell: Shell, arguments: list[str]) -> int:
    """``net send name text``: this machine's own users get it as a pop-up, which the event log keeps."""
    if len(arguments) < 2:  # noqa: PLR2004 - name and text
        return usage(shell, "NET SEND\r\n{name | * | /DOMAIN[:name] | /USERS} message")
    name = arguments[0]
    here = name.upper() == shell.system.names.active or name == "*" or name.lower().startswith(("/users", "/domain"))
    if here:
        text = f"Messenger Service: {' '.join(arguments[1:])}"
        shell.system.event_log.record("Application Popup", 26, "information", text)
    elif await shell.system.network.resolve(name) is None:
        shell.error(f"An error occurred while sending a message to {name.upper()}.\r\n")
        return help_message(shell, "The message alias could not be found on the network.", 2273)
    shell.line(f"The message was successfully sent to {name.upper()}.")
    shell.line()
    return 0


async def name(shell: Shell, _arguments: list[str]) -> int:
    """``net name``: the names that this machine gets messages for."""
    shell.line("\r\nName")
    shell.line("-" * WIDTH)
    shell.line(shell.system.names.active)
    return completed(shell)


async def time(shell: Shell, arguments: list[str]) -> int:
    """``net time``: this machine's own; another machine's clock is not asked in this model."""
    words = [word for word in arguments if word.startswith("\\\\")]
    own = shell.system.names.active
    if words and words[0].lstrip("\\").upper() != own:
        return numbered(shell, await _reached(shell, f"{words[0]}\\IPC$") or 50)
    now = machine.local_time(shell.system)
    hour = now.hour % 12 or 12
    when = f"{now.month}/{now.day}/{now:%y} {hour}:{now:%M} {'AM' if now.hour < 12 else 'PM'}"  # noqa: PLR2004 - noon
    if shell.system.version.is_nt4 is False:
        when = when.replace(f"/{now:%y} ", f"/{now:%Y} ")
    shell.line(f"Current time at \\\\{own} is {when}\r\n")
    return completed(shell)


async def config(shell: Shell, arguments: list[str]) -> int:
    """``net config [server | workstation]``."""
    kind = arguments[0].lower() if arguments else ""
    own, version = shell.system.names.active, shell.system.version
    software = f"{version.title} {version.number}" if version.is_nt4 else version.title
    if not kind:
        shell.line("The following running services can be controlled:\r\n")
        for service, shown in (("LanmanServer", "Server"), ("LanmanWorkstation", "Workstation")):
            if runs(shell, service):
                shell.line(f"   {shown}")
        shell.line()
        return completed(shell)
    if kind in ("server", "srv", "svr"):
        if not runs(shell, "LanmanServer"):
            return numbered(shell, 2114)
        rows = [("Server Name", f"\\\\{own}"), ("Server Comment", ""), ("Software version", software)]
        rows += [("Server hidden", "No"), ("Idle session time (min)", "15")]
        return _rows(shell, rows)
    if kind in ("workstation", "work", "wksta", "rdr", "redirector"):
        if not runs(shell, "LanmanWorkstation"):
            return numbered(shell, 2138)
        rows = [("Computer name", f"\\\\{own}"), ("User name", "Administrator"), ("Software version", software)]
        return _rows(shell, [*rows, ("Workstation domain", shell.system.domain), ("Logon domain", own)])
    return usage(shell, "NET CONFIG\r\n[SERVER | WORKSTATION]")


def _rows(shell: Shell, rows: list[tuple[str, str]]) -> int:
    for label, value in rows:
        shell.line(f"{label:<37}{value}".rstrip())
    return completed(shell)


async def statistics(shell: Shell, arguments: list[str]) -> int:
    """``net statistics [server | workstation]``: what is counted there is not modelled, the heading is."""
    kind = arguments[0].capitalize() if arguments else ""
    if kind in ("Server", "Workstation"):
        now = machine.local_time(shell.system)
        shell.line(f"{kind} Statistics for \\\\{shell.system.names.active}\r\n\r\n")
        shell.line(f"Statistics since {dates.long_date(now)} {dates.clock_time(now)}\r\n")
        return completed(shell)
    shell.line("Statistics are available for the following running services:\r\n")
    shell.line("   Server\r\n   Workstation\r\n")
    return completed(shell)
