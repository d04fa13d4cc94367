"""One FTP client of the FTP Publishing Service: anonymous, with upload, in the words of Microsoft FTP Service 5.0.

RFC 959 and (beyond what IIS 5.0 had, so that present clients need no special mode) EPSV of RFC 2428. ``STOR`` writes
every chunk to the file as it arrives and answers 226 after the last write; nothing is flushed, as on Windows: what a
client was told is stored can still be lost with the power, and that is the loss which replication covers. Listings
are in the UNIX style that the site's properties offer, always with the year, so that no client has to guess one.
"""

from __future__ import annotations

import asyncio
import posixpath
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis.ftp_data import DataConnection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.iis.metabase import Site
    from bodydouble_sim.iis.w3c_log import W3cLog
    from bodydouble_sim.windows.system import WindowsSystem

CHUNK = 64 * 1024
IDLE = 900.0
_MISSING = "The system cannot find the file specified."
_TEXTS = {
    "not_found": _MISSING,
    "exists": "Cannot create a file when that file already exists.",
    "not_empty": "The directory is not empty.",
    "no_space": "There is not enough space on the disk.",
    "denied": "Access is denied.",
    "io": "The request could not be performed because of an I/O device error.",
}


class FtpSession:
    """Talks to one client.

    Args:
        system: the machine.
        site: the FTP site.
        log: where commands are logged.
        banner: the server's name in the greeting.
        streams: the control connection.
    """

    def __init__(
        self,
        system: WindowsSystem,
        site: Site,
        log: W3cLog,
        banner: str,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._system = system
        self._site = site
        self._log = log
        self._banner = banner
        self._reader, self._writer = streams
        writer = self._writer
        self._client = str(writer.get_extra_info("peername")[0])
        self._local = str(writer.get_extra_info("sockname")[0])
        self._data = DataConnection(self._local)
        self._directory = "/"
        self._user = ""
        self._logged_in = False
        self._renaming = ""
        self._offset = 0
        self._status = 0
        self._verbs: dict[str, Callable[[str], Awaitable[None]]] = {
            "APPE": self._appe,
            "CDUP": self._cdup,
            "CWD": self._cwd,
            "DELE": self._dele,
            "EPSV": self._epsv,
            "LIST": self._list,
            "MDTM": self._mdtm,
            "MKD": self._mkd,
            "NLST": self._nlst,
            "PASV": self._pasv,
            "PORT": self._port,
            "PWD": self._pwd,
            "REST": self._rest,
            "RETR": self._retr,
            "RMD": self._rmd,
            "RNFR": self._rnfr,
            "RNTO": self._rnto,
            "SIZE": self._size,
            "STOR": self._stor,
            "XMKD": self._mkd,
            "XPWD": self._pwd,
        }

    async def run(self) -> None:
        """Greet, then obey until QUIT, silence or the end of the connection."""
        try:
            await self._reply(220, f"{self._banner} Microsoft FTP Service (Version 5.0).")
            while line := await self._line():
                verb, _, argument = line.decode("utf-8", "replace").strip("\r\n").partition(" ")
                if verb.upper() == "QUIT":
                    await self._reply(221, "")
                    return
                await self._obey(verb.upper(), argument)
        finally:
            self._data.abort()

    async def _line(self) -> bytes:
        async with asyncio.timeout(IDLE):
            return await self._reader.readline()

    async def _reply(self, code: int, text: str) -> None:
        self._status = code
        self._writer.write(f"{code} {text}\r\n".encode())
        await self._writer.drain()

    async def _obey(self, verb: str, argument: str) -> None:
        if verb in ("USER", "PASS"):
            await (self._user_is(argument) if verb == "USER" else self._password(argument))
        elif (simple := self._simple(verb, argument)) is not None:
            await self._reply(*simple)
        elif verb not in self._verbs:
            await self._reply(500, f"'{verb}': command not understood")
        elif not self._logged_in:
            await self._reply(530, "Please login with USER and PASS.")
        else:
            await self._attempt(verb, argument)
        stem = self._virtual(argument) if argument and verb != "PASS" else "-"
        request = (verb, stem.replace(" ", "+"), "")
        self._log.record(self._client, (self._local, self._site.port), request, self._status)

    async def _attempt(self, verb: str, argument: str) -> None:
        try:
            await self._verbs[verb](argument)
        except FileSystemError as error:
            await self._reply(550, f"{argument}: {_TEXTS.get(error.code, _MISSING)}")
        except OSError:
            self._data.abort()
            await self._reply(425, "Can't open data connection.")

    @staticmethod
    def _simple(verb: str, argument: str) -> tuple[int, str] | None:
        answers = {
            "ALLO": (200, "ALLO command successful."),
            "MODE": (200, f"MODE {argument} ok."),
            "NOOP": (200, "NOOP command successful."),
            "STRU": (200, f"STRU {argument} ok."),
            "SYST": (215, "Windows_NT version 5.0"),
            "TYPE": (200, f"Type set to {argument[:1].upper()}."),
        }
        return answers.get(verb)

    async def _user_is(self, name: str) -> None:
        self._user, self._logged_in = name.lower(), False
        if self._user in ("anonymous", "ftp"):
            await self._reply(331, "Anonymous access allowed, send identity (e-mail name) as password.")
        else:
            await self._reply(331, f"Password required for {name}.")

    async def _password(self, _password: str) -> None:
        self._logged_in = self._user in ("anonymous", "ftp")
        if self._logged_in:
            await self._reply(230, "Anonymous user logged in.")
        else:
            await self._reply(530, f"User {self._user} cannot log in.")

    # --- paths ------------------------------------------------------------------------------------------------------

    def _virtual(self, argument: str) -> str:
        return posixpath.normpath(posixpath.join(self._directory, argument.replace("\\", "/"))).replace("//", "/")

    def _path(self, argument: str) -> str:
        base, rest = self._site.directory_for(self._virtual(argument))
        return (base + rest).rstrip("/")

    def _entry(self, argument: str, *, directory: bool) -> Entry:
        entry = self._system.files.stat(self._path(argument))
        if entry is None or entry.directory != directory:
            raise FileSystemError("not_found", argument)
        return entry

    async def _pwd(self, _argument: str) -> None:
        await self._reply(257, f'"{self._directory}" is current directory.')

    async def _cwd(self, argument: str) -> None:
        self._entry(argument, directory=True)
        self._directory = self._virtual(argument)
        await self._reply(250, "CWD command successful.")

    async def _cdup(self, _argument: str) -> None:
        await self._cwd("..")

    # --- files ------------------------------------------------------------------------------------------------------

    async def _size(self, argument: str) -> None:
        await self._reply(213, str(self._entry(argument, directory=False).size))

    async def _mdtm(self, argument: str) -> None:
        written = datetime.fromtimestamp(self._entry(argument, directory=False).mtime_ns // 10**9, UTC)
        await self._reply(213, f"{written:%Y%m%d%H%M%S}")

    async def _dele(self, argument: str) -> None:
        self._system.files.remove(self._path(argument))
        await self._reply(250, "DELE command successful.")

    async def _mkd(self, argument: str) -> None:
        self._system.files.mkdir(self._path(argument))
        await self._reply(257, f'"{argument}" directory created.')

    async def _rmd(self, argument: str) -> None:
        self._system.files.rmdir(self._path(argument))
        await self._reply(250, "RMD command successful.")

    async def _rnfr(self, argument: str) -> None:
        if self._system.files.stat(self._path(argument)) is None:
            raise FileSystemError("not_found", argument)
        self._renaming = self._path(argument)
        await self._reply(350, "File exists, ready for destination name")

    async def _rnto(self, argument: str) -> None:
        if not self._renaming:
            await self._reply(503, "Bad sequence of commands.")
            return
        old, self._renaming = self._renaming, ""
        self._system.files.rename(old, self._path(argument))
        await self._reply(250, "RNTO command successful.")

    # --- data connections -------------------------------------------------------------------------------------------

    async def _pasv(self, _argument: str) -> None:
        port = await self._data.listen()
        numbers = ",".join([*self._local.split("."), str(port >> 8), str(port & 255)])
        await self._reply(227, f"Entering Passive Mode ({numbers}).")

    async def _epsv(self, _argument: str) -> None:
        await self._reply(229, f"Entering Extended Passive Mode (|||{await self._data.listen()}|)")

    async def _port(self, argument: str) -> None:
        numbers = argument.split(",")
        valid = len(numbers) == 6 and all(re.fullmatch(r"\d{1,3}", number) for number in numbers)  # noqa: PLR2004
        if not valid or ".".join(numbers[:4]) != self._client:
            await self._reply(500, "Invalid PORT Command.")  # nor are other hosts attacked through us
            return
        self._data.aim(self._client, int(numbers[4]) * 256 + int(numbers[5]))
        await self._reply(200, "PORT command successful.")

    async def _rest(self, argument: str) -> None:
        if not argument.isdigit():
            await self._reply(501, f"'REST {argument}': Invalid number of parameters")
            return
        self._offset = int(argument)
        await self._reply(350, f"Restarting at {argument}.")

    async def _stor(self, argument: str) -> None:
        offset, self._offset = self._offset, 0
        path = self._path(argument)
        if not offset:
            self._system.files.create(path)
        await self._receive(argument, path, offset)

    async def _appe(self, argument: str) -> None:
        entry = self._system.files.stat(self._path(argument))
        if entry is None:
            self._system.files.create(self._path(argument))
        await self._receive(argument, self._path(argument), entry.size if entry else 0)

    async def _receive(self, name: str, path: str, offset: int) -> None:
        reader, _ = await self._opened(name)
        try:
            while chunk := await _chunk(reader):
                self._system.files.write(path, offset, chunk)
                offset += len(chunk)
        except FileSystemError as error:
            self._data.abort()
            await self._reply(552 if error.code == "no_space" else 550, f"{name}: {_TEXTS.get(error.code, _MISSING)}")
            return
        except OSError:
            self._data.abort()
            await self._reply(426, "Connection closed; transfer aborted.")
            return
        self._data.close()
        await self._reply(226, "Transfer complete.")

    async def _retr(self, argument: str) -> None:
        offset, self._offset = self._offset, 0
        path = self._entry(argument, directory=False).path
        _, writer = await self._opened(argument)
        while chunk := self._system.files.read(path, offset, CHUNK):
            offset += len(chunk)
            writer.write(chunk)
            async with asyncio.timeout(IDLE):
                await writer.drain()
        await self._sent()

    async def _list(self, argument: str) -> None:
        await self._send_listing(argument, _listed)

    async def _nlst(self, argument: str) -> None:
        await self._send_listing(argument, _name)

    async def _send_listing(self, argument: str, form: Callable[[Entry], str]) -> None:
        wanted = "" if argument.startswith("-") else argument
        entry = self._system.files.stat(self._path(wanted))
        if entry is None:
            raise FileSystemError("not_found", wanted)
        entries = self._system.files.list(entry.path) if entry.directory else [entry]
        _, writer = await self._opened("file list")
        writer.write("".join(f"{form(item)}\r\n" for item in entries).encode())
        await writer.drain()
        await self._sent()

    async def _opened(self, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not self._data.prepared:
            raise TimeoutError
        await self._reply(150, f"Opening BINARY mode data connection for {name}.")
        return await self._data.open()

    async def _sent(self) -> None:
        self._data.close()
        await self._reply(226, "Transfer complete.")


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """The next bytes of an upload; `TimeoutError` when the client has died without a word."""
    async with asyncio.timeout(IDLE):
        return await reader.read(CHUNK)


def _name(entry: Entry) -> str:
    return entry.path.rpartition("/")[2]


def _listed(entry: Entry) -> str:
    written = datetime.fromtimestamp(entry.mtime_ns // 10**9, UTC)
    kind = "d" if entry.directory else "-"
    date = f"{written:%b} {written.day:2d}  {written.year}"
    return f"{kind}rwxrwxrwx   1 owner    group {entry.size:15d} {date} {_name(entry)}"
