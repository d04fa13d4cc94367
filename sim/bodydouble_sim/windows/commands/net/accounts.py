"""``net user``, ``localgroup``, ``group`` and ``accounts``.

Source: their help texts (dosprompt.info, "NET"); the layout of the lists is three columns of 25 characters between the
rule and the closing line. ``net group`` works on domain controllers alone (message 3515).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows.accounts import AccountError
from bodydouble_sim.windows.commands.net.messages import (
    COMPLETED,
    FAILURE,
    completed,
    help_message,
    numbered,
    title,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble_sim.windows.accounts import User
    from bodydouble_sim.windows.shell import Shell

_COLUMN = 25
_COLUMNS = 3


def _switches(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    words = [word for word in arguments if not word.startswith("/")]
    options = {}
    for word in arguments:
        if word.startswith("/"):
            name, _, value = word[1:].partition(":")
            options[name.lower()] = value
    if "del" in options:
        options["delete"] = ""
    return words, options


def _listed(shell: Shell, names: Sequence[str]) -> int:
    for index in range(0, len(names), _COLUMNS):
        shell.line("".join(f"{name:{_COLUMN}}" for name in names[index : index + _COLUMNS]))
    shell.line(COMPLETED)
    shell.line()
    return 0


async def user(shell: Shell, arguments: list[str]) -> int:
    """``net user [name [password | *] [/add] [/delete] [/active:yes|no] [/comment:text]]``."""
    words, options = _switches(arguments)
    accounts = shell.system.accounts
    if not words:
        title(shell, f"User accounts for \\\\{shell.system.names.active}")
        return _listed(shell, sorted((found.name for found in accounts.users()), key=str.upper))
    try:
        if "add" in options:
            accounts.add(words[0], _password(shell, words), options.get("comment", "").strip('"'))
        elif "delete" in options:
            accounts.delete(words[0])
        elif len(words) == 1 and not options:
            return _show_user(shell, words[0])
        else:
            _change(shell, words, options)
    except AccountError as error:
        return numbered(shell, error.number)
    return completed(shell)


def _password(shell: Shell, words: list[str]) -> str:
    if len(words) == 1:
        return ""
    if words[1] != "*":
        return words[1]
    first = shell.ask("Type a password for the user: ") or ""
    again = shell.ask("Retype the password to confirm: ") or ""
    if first != again:
        raise AccountError(_MISMATCH)
    return first


_MISMATCH = 2245  # what this model shows when the two do not agree: Windows asks again


def _change(shell: Shell, words: list[str], options: dict[str, str]) -> None:
    accounts = shell.system.accounts
    name = words[0]
    if accounts.find(name) is None:
        raise AccountError(2221)
    if len(words) > 1:
        accounts.set_password(name, _password(shell, words))
    if "active" in options:
        accounts.set_enabled(name, options["active"].lower() in ("yes", "y"))


def _show_user(shell: Shell, name: str) -> int:
    accounts = shell.system.accounts
    found: User | None = accounts.find(name)
    if found is None:
        return numbered(shell, 2221)
    groups = "".join(f"*{group:<21}" for group in accounts.groups_of(found.name))
    for label, value in (
        ("User name", found.name),
        ("Full Name", ""),
        ("Comment", found.comment),
        ("Account active", "Yes" if found.enabled else "No"),
        ("Local Group Memberships", groups),
    ):
        shell.line(f"{label:<29}{value}")
    return completed(shell)


async def localgroup(shell: Shell, arguments: list[str]) -> int:
    """``net localgroup [group [name ...] [/add | /delete]]``."""
    words, options = _switches(arguments)
    accounts = shell.system.accounts
    if not words:
        title(shell, f"Aliases for \\\\{shell.system.names.active}")
        return _listed(shell, [f"*{name}" for name in sorted(accounts.groups(), key=str.upper)])
    try:
        if "add" not in options and "delete" not in options:
            return _show_group(shell, words[0])
        if len(words) == 1:
            (accounts.add_group if "add" in options else accounts.delete_group)(words[0])
        for member in words[1:]:
            (accounts.add_member if "add" in options else accounts.remove_member)(words[0], member)
    except AccountError as error:
        return numbered(shell, error.number)
    return completed(shell)


def _show_group(shell: Shell, name: str) -> int:
    members = shell.system.accounts.members(name)
    shell.line(f"Alias name     {name}")
    shell.line("Comment        ")
    shell.line()
    shell.line("Members")
    shell.line()
    shell.line("-" * 79)
    for member in members:
        shell.line(member)
    return completed(shell)


async def group(shell: Shell, arguments: list[str]) -> int:
    """``net group``: domain groups, which a domain controller has; this model keeps no list of them.

    Returns:
        2 with message 3515 on every other machine.
    """
    if shell.system.role not in ("pdc", "bdc"):
        return help_message(shell, _only_controller(shell), 3515)
    if arguments:
        return numbered(shell, 2220)
    title(shell, f"Group Accounts for \\\\{shell.system.names.active}")
    return _listed(shell, ["*Domain Admins", "*Domain Guests", "*Domain Users"])


def _only_controller(shell: Shell) -> str:
    kind = "Windows NT" if shell.system.version.is_nt4 else "Windows"
    return f"This command can be used only on a {kind} Domain Controller."


async def accounts(shell: Shell, arguments: list[str]) -> int:
    """``net accounts [/minpwlen:n]``."""
    words, options = _switches(arguments)
    known = {"minpwlen", "maxpwage", "minpwage", "uniquepw", "forcelogoff", "lockoutthreshold", "domain", "sync"}
    if words or set(options) - known:
        return usage(shell, "NET ACCOUNTS\r\n[/FORCELOGOFF:{minutes | NO}] [/MINPWLEN:length]")
    if "minpwlen" in options:
        if not options["minpwlen"].isdigit() or int(options["minpwlen"][:3]) > 14:  # noqa: PLR2004 - its help text
            return usage(shell, "NET ACCOUNTS\r\n[/MINPWLEN:length]")
        shell.system.accounts.minimum_password_length = int(options["minpwlen"])
        return completed(shell)
    if options:
        shell.error("This model keeps no such policy.")
        return FAILURE
    for label, value in (
        ("Force user logoff how long after time expires?:", "Never"),
        ("Minimum password age (days):", "0"),
        ("Maximum password age (days):", "42"),
        ("Minimum password length:", str(shell.system.accounts.minimum_password_length)),
        ("Length of password history maintained:", "None"),
        ("Lockout threshold:", "Never"),
        ("Computer role:", {"pdc": "PRIMARY", "bdc": "BACKUP"}.get(shell.system.role, "SERVER")),
    ):
        shell.line(f"{label:<54}{value}")
    return completed(shell)
