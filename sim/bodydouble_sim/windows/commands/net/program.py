"""The ``net`` program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows.commands.net import accounts, messages, network, services, shares

if TYPE_CHECKING:
    from bodydouble_sim.windows.shell import Program, Shell

_USAGE = (
    "NET [ ACCOUNTS | COMPUTER | CONFIG | CONTINUE | FILE | GROUP | HELP |\r\n"
    "      HELPMSG | LOCALGROUP | NAME | PAUSE | PRINT | SEND | SESSION |\r\n"
    "      SHARE | START | STATISTICS | STOP | TIME | USE | USER | VIEW ]"
)
_VERBS: dict[str, Program] = {
    "accounts": accounts.accounts,
    "config": network.config,
    "continue": services.resume,
    "cont": services.resume,
    "file": shares.nothing_open,
    "files": shares.nothing_open,
    "group": accounts.group,
    "groups": accounts.group,
    "helpmsg": messages.helpmsg,
    "localgroup": accounts.localgroup,
    "name": network.name,
    "pause": services.pause,
    "send": network.send,
    "session": shares.nothing_open,
    "sessions": shares.nothing_open,
    "share": shares.share,
    "start": services.start,
    "statistics": network.statistics,
    "stats": network.statistics,
    "stop": services.stop,
    "time": network.time,
    "use": network.use,
    "user": accounts.user,
    "users": accounts.user,
    "view": network.view,
}


async def net(shell: Shell, arguments: list[str]) -> int:
    """The ``net`` program: 0 success, 2 failure, 1 for how it is written."""
    verb = _VERBS.get(arguments[0].lower()) if arguments else None
    return await verb(shell, arguments[1:]) if verb else messages.usage(shell, _USAGE)
