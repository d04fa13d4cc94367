"""One FTP client of the FTP Publishing Service, in the words of Microsoft FTP Service 4.0 and 5.0.

Source: RFC 959; "FTP" in the IIS 4.0 and 5.0 documentation: anonymous and account log-in, messages at greeting, exit
and when the site is full, directory styles and ``SITE DIRSTYLE``, a directory of the user's name as the first one.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError, FileSystemError
from bodydouble_sim.iis import ftp_files, ftp_transfer, host
from bodydouble_sim.iis.ftp_command import Command, parse_command
from bodydouble_sim.iis.ftp_data import DataConnection
from bodydouble_sim.iis.ftp_state import NO_FILE, TEXTS, Control, FtpRefusalError, FtpState
from bodydouble_sim.iis.w3c_log import LogRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble_sim.iis.ftp_site import FtpSite

    Step = Callable[[FtpState, str], Awaitable[None]]

_ANONYMOUS = ("anonymous", "ftp")


class FtpSession:
    """Talks to one client.

    Args:
        site: the FTP site.
        name: the server's, in the greeting.
        port: the one that the client reached.
        streams: the control connection.
    """

    def __init__(
        self,
        site: FtpSite,
        name: str,
        port: int,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._site = site
        self._name = name
        self._port = port
        self._reader, writer = streams
        local = str(writer.get_extra_info("sockname")[0])
        client = str(writer.get_extra_info("peername")[0])
        self._state = FtpState(site, Control(writer), DataConnection(local), client, local)
        self._state.dos_style = site.is_set("MSDOSDirOutput")
        self._number = 0

    async def run(self) -> None:
        """Greet, then obey until QUIT, silence or the end of the connection."""
        site, control = self._site, self._state.control
        site.accepted += 1
        self._number = site.accepted
        if site.sessions >= site.limit:
            text = site.text("MaxClientsMessage") or f"{site.limit} users (the maximum) are already logged on."
            await control.reply(421, text)
            return
        if not site.admits(ipaddress.IPv4Address(self._state.client)):
            await control.reply(421, "Terminating connection.")
            return
        site.sessions += 1
        try:
            await control.reply(220, f"{self._name} Microsoft FTP Service (Version {site.metabase.version}).")
            await self._converse()
        finally:
            site.sessions -= 1
            self._state.data.abort()

    async def _converse(self) -> None:
        while not self._state.finished:
            try:
                async with asyncio.timeout(self._site.timeout):
                    line = await self._reader.readline()
            except TimeoutError:
                text = f"Timeout ({self._site.timeout} seconds): closing control connection."
                await self._state.control.reply(421, text)
                return
            if not line:
                return
            await self._obey(parse_command(line), line)

    async def _obey(self, command: Command | None, line: bytes) -> None:
        if command is None:
            shown = line[:100].decode("ascii", "replace").strip()
            await self._state.control.reply(500, f"'{shown}': command not understood")
            return
        try:
            await self._perform(command)
        except FtpRefusalError as refusal:
            await self._state.control.reply(refusal.code, str(refusal))
        except FileSystemError as error:
            await self._refused(command, host.text_of(error, TEXTS.get(error.code, NO_FILE)))
        except BodydoubleError as error:  # a share on another machine says no
            await self._refused(command, str(error))
        except OSError:
            self._state.data.abort()
            await self._state.control.reply(425, "Can't open data connection.")
        self._record(command)

    async def _perform(self, command: Command) -> None:
        step = _ALWAYS.get(command.verb) or _LOGGED_IN.get(command.verb)
        if step is None:
            shown = f"{command.verb} {command.argument}".strip()
            raise FtpRefusalError(500, f"'{shown}': command not understood")
        if command.verb in _LOGGED_IN and not self._state.logged_in:
            raise FtpRefusalError(530, "Please login with USER and PASS.")
        if command.verb != "RNTO":
            self._state.renaming = ""
        await step(self._state, command.argument)

    async def _refused(self, command: Command, text: str) -> None:
        self._state.data.close()
        await self._state.control.reply(550, f"{command.argument}: {text}")

    def _record(self, command: Command) -> None:
        if self._site.log is None:
            return
        state = self._state
        argument = "-" if command.verb == "PASS" else command.argument
        stem = state.virtual(argument) if command.verb in _LOGGED_IN and argument else argument
        self._site.log.record(
            LogRecord(
                client=state.client,
                method=f"[{self._number}]{command.verb}",
                stem=stem,
                status=state.control.status,
                user=state.user,
                server=state.local,
                port=self._port,
            )
        )


# --- logging in -----------------------------------------------------------------------------------------------------


async def _user(state: FtpState, argument: str) -> None:
    state.user, state.logged_in = argument, False
    if not argument:
        raise FtpRefusalError(501, "'USER': Invalid number of parameters")
    if argument.lower() in _ANONYMOUS and state.site.is_set("AllowAnonymous"):
        await state.control.reply(331, "Anonymous access allowed, send identity (e-mail name) as password.")
    else:
        await state.control.reply(331, f"Password required for {argument}.")


async def _pass(state: FtpState, argument: str) -> None:
    if not state.user:
        raise FtpRefusalError(503, "Login with USER first.")
    site, anonymous = state.site, state.user.lower() in _ANONYMOUS
    identity = None
    if anonymous and site.is_set("AllowAnonymous"):
        identity = site.logons.log_on(*site.anonymous)
    elif not anonymous and not site.is_set("AnonymousOnly"):
        identity = site.logons.log_on(state.user, argument)
    if identity is None:
        raise FtpRefusalError(530, f"User {state.user} cannot log in.")
    state.who = identity
    await _go_home(state, "anonymous" if anonymous else state.user.rpartition("\\")[2])
    state.logged_in = True
    done = "Anonymous user logged in." if anonymous else f"User {state.user} logged in."
    await state.control.lines(230, [*site.greeting, done])


async def _go_home(state: FtpState, name: str) -> None:
    """The first directory: one of the user's name if there is one, else the site's root."""
    state.directory = "/"
    for home in (state.virtual(name.replace("/", "")), "/"):
        try:
            await state.entry(home, directory=True)
        except (FtpRefusalError, FileSystemError):
            continue
        state.directory = home
        return
    raise FtpRefusalError(530, f"User {state.user} cannot log in, home directory inaccessible.")


# --- the session itself ---------------------------------------------------------------------------------------------


async def _quit(state: FtpState, _argument: str) -> None:
    state.finished = True
    await state.control.reply(221, state.site.text("ExitMessage"))


async def _noop(state: FtpState, _argument: str) -> None:
    await state.control.reply(200, "NOOP command successful.")


async def _allo(state: FtpState, _argument: str) -> None:
    await state.control.reply(200, "ALLO command successful.")


async def _acct(state: FtpState, _argument: str) -> None:
    await state.control.reply(202, "ACCT command not implemented.")


async def _abor(state: FtpState, _argument: str) -> None:
    state.data.close()
    await state.control.reply(225, "ABOR command successful.")


async def _syst(state: FtpState, _argument: str) -> None:
    await state.control.reply(215, f"Windows_NT version {state.site.metabase.version}")


async def _type(state: FtpState, argument: str) -> None:
    kind = argument.upper().split(" ")
    if kind not in (["A"], ["A", "N"], ["I"], ["L", "8"]):
        raise FtpRefusalError(504, "Type not implemented.")
    state.binary = kind[0] != "A"
    await state.control.reply(200, f"Type set to {kind[0]}.")


async def _mode(state: FtpState, argument: str) -> None:
    if argument.upper() != "S":
        raise FtpRefusalError(504, f"Unimplemented MODE {argument}.")
    await state.control.reply(200, "MODE S ok.")


async def _stru(state: FtpState, argument: str) -> None:
    if argument.upper() != "F":
        raise FtpRefusalError(504, f"Unimplemented STRU {argument}.")
    await state.control.reply(200, "STRU F ok.")


async def _help(state: FtpState, argument: str) -> None:
    verbs = sorted([*_ALWAYS, *_LOGGED_IN])
    if argument:
        if argument.upper() not in verbs:
            raise FtpRefusalError(502, f"Unknown command {argument}.")
        await state.control.reply(214, f"Syntax: {argument.upper()}")
        return
    rows = ["".join(f"   {verb:<5}" for verb in verbs[start : start + 8]) for start in range(0, len(verbs), 8)]
    head = "The following commands are recognized:"
    await state.control.lines(214, [head, *rows, "HELP command successful."])


async def _site(state: FtpState, argument: str) -> None:
    verb = argument.upper()
    if verb == "DIRSTYLE":
        state.dos_style = not state.dos_style
        await state.control.reply(200, f"MSDOS-like directory output is {'on' if state.dos_style else 'off'}")
    elif verb == "HELP":
        await state.control.lines(214, ["The following SITE commands are recognized:", "   DIRSTYLE   HELP", "HELP"])
    else:
        raise FtpRefusalError(500, f"'SITE {argument}': command not understood")


async def _stat(state: FtpState, argument: str) -> None:
    if argument:
        form = ftp_transfer.line_form(state)
        entries = await ftp_transfer.listed(state, argument)
        await state.control.lines(213, [f"status of {argument}:", *map(form, entries), "End of Status."])
        return
    kind = "IMAGE" if state.binary else "ASCII"
    lines = [
        "Microsoft FTP Service status:",
        f"     Connected from {state.client}.",
        f"     Logged in as {state.user}.",
        f"     TYPE: {kind}; STRUcture: File; transfer MODE: STREAM.",
        "     Data connection is prepared." if state.data.prepared else "     No data connection.",
    ]
    await state.control.lines(211, [*lines, "End of status."])


_ALWAYS: dict[str, Step] = {
    "ACCT": _acct,
    "HELP": _help,
    "NOOP": _noop,
    "PASS": _pass,
    "QUIT": _quit,
    "SYST": _syst,
    "USER": _user,
}
_LOGGED_IN: dict[str, Step] = {
    "ABOR": _abor,
    "ALLO": _allo,
    "APPE": ftp_transfer.appe,
    "CDUP": ftp_files.cdup,
    "CWD": ftp_files.cwd,
    "DELE": ftp_files.dele,
    "EPSV": ftp_transfer.epsv,
    "LIST": ftp_transfer.list_,
    "MDTM": ftp_files.mdtm,
    "MKD": ftp_files.mkd,
    "MODE": _mode,
    "NLST": ftp_transfer.nlst,
    "PASV": ftp_transfer.pasv,
    "PORT": ftp_transfer.port,
    "PWD": ftp_files.pwd,
    "REST": ftp_transfer.rest,
    "RETR": ftp_transfer.retr,
    "RMD": ftp_files.rmd,
    "RNFR": ftp_files.rnfr,
    "RNTO": ftp_files.rnto,
    "SITE": _site,
    "SIZE": ftp_files.size,
    "STAT": _stat,
    "STOR": ftp_transfer.stor,
    "STRU": _stru,
    "TYPE": _type,
    "XCUP": ftp_files.cdup,
    "XCWD": ftp_files.cwd,
    "XMKD": ftp_files.mkd,
    "XPWD": ftp_files.pwd,
    "XRMD": ftp_files.rmd,
}
