"""FTP commands that move data: connections, uploads, downloads, listings.

``STOR`` writes every chunk to the file as it arrives and answers 226 after the last write; nothing is flushed, as on
Windows: what a client was told is stored can still be lost with the power, and that is the loss which replication
covers. EPSV (RFC 2428) is beyond what IIS 4.0 and 5.0 had, so that present clients need no special mode.
"""

from __future__ import annotations

import asyncio
import re
from fnmatch import translate
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis import host
from bodydouble_sim.iis.ftp_command import parse_port
from bodydouble_sim.iis.ftp_listing import dos_line, name_of, unix_line
from bodydouble_sim.iis.ftp_state import NO_FILE, TEXTS, FtpRefusalError
from bodydouble_sim.iis.metabase_schema import READ

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.iis.content import Content
    from bodydouble_sim.iis.ftp_state import FtpState

CHUNK = 64 * 1024
_FIRST_USER_PORT = 1024


async def pasv(state: FtpState, _argument: str) -> None:
    """Listen for the next transfer."""
    port = await state.data.listen()
    numbers = ",".join([*state.local.split("."), str(port >> 8), str(port & 255)])
    await state.control.reply(227, f"Entering Passive Mode ({numbers}).")


async def epsv(state: FtpState, _argument: str) -> None:
    """Listen for the next transfer, told in the form of RFC 2428."""
    await state.control.reply(229, f"Entering Extended Passive Mode (|||{await state.data.listen()}|)")


async def port(state: FtpState, argument: str) -> None:
    """Connect to the client for the next transfer: to nobody else and to no port of a service (RFC 2577, 3)."""
    target = parse_port(argument)
    if target is None:
        raise FtpRefusalError(501, "Server cannot accept argument.")
    if target[0] != state.client or target[1] < _FIRST_USER_PORT:
        raise FtpRefusalError(500, "Invalid PORT Command.")
    state.data.aim(*target)
    await state.control.reply(200, "PORT command successful.")


async def rest(state: FtpState, argument: str) -> None:
    """Begin the next transfer at an offset."""
    if not re.fullmatch(r"[0-9]{1,18}", argument):
        raise FtpRefusalError(501, f"'REST {argument}': Invalid number of parameters")
    state.offset = int(argument)
    await state.control.reply(350, f"Restarting at {argument}.")


async def stor(state: FtpState, argument: str) -> None:
    """Store a file."""
    offset, state.offset = state.offset, 0
    place = await state.new(argument)
    if not offset:
        await place.content.create(place.path)
    await _receive(state, argument, place.content, place.path, offset)


async def appe(state: FtpState, argument: str) -> None:
    """Store at the end of a file."""
    state.offset = 0
    place = await state.new(argument)
    entry = await place.content.stat(place.path)
    if entry is None:
        await place.content.create(place.path)
    await _receive(state, argument, place.content, place.path, entry.size if entry else 0)


async def _receive(state: FtpState, name: str, content: Content, path: str, offset: int) -> None:
    reader, _ = await _opened(state, name)
    try:
        while chunk := await _chunk(state, reader):
            await content.write(path, offset, chunk)
            offset += len(chunk)
    except FileSystemError as error:
        state.data.abort()
        said = host.text_of(error, TEXTS.get(error.code, NO_FILE))
        raise FtpRefusalError(552 if error.code == "no_space" else 550, f"{name}: {said}") from error
    except OSError as error:
        state.data.abort()
        raise FtpRefusalError(426, "Connection closed; transfer aborted.") from error
    await _sent(state)


async def _chunk(state: FtpState, reader: asyncio.StreamReader) -> bytes:
    """The next bytes of an upload; `TimeoutError` when the client has died without a word."""
    async with asyncio.timeout(state.site.timeout):
        return await reader.read(CHUNK)


async def retr(state: FtpState, argument: str) -> None:
    """Send a file."""
    offset, state.offset = state.offset, 0
    place, entry = await state.entry(argument, directory=False)
    _, writer = await _opened(state, f"{argument}({entry.size} bytes)")
    while chunk := await place.content.read(entry.path, offset, CHUNK):
        offset += len(chunk)
        writer.write(chunk)
        async with asyncio.timeout(state.site.timeout):
            await writer.drain()
    await _sent(state)


async def list_(state: FtpState, argument: str) -> None:
    """Send a listing in the session's style."""
    entries = await listed(state, argument)
    await _send_lines(state, "/bin/ls", [line_form(state)(entry) for entry in entries])


async def nlst(state: FtpState, argument: str) -> None:
    """Send the names alone."""
    prefix = _directory_part(argument)
    await _send_lines(state, "file list", [prefix + name_of(entry) for entry in await listed(state, argument)])


def line_form(state: FtpState) -> Callable[[Entry], str]:
    """How a listing shows an entry."""
    zone = host.zone(state.site.system)
    if state.dos_style:
        long_date = state.site.is_set("FtpDirBrowseShowLongDate")
        return lambda entry: dos_line(entry, zone, long_date=long_date)
    year = host.now(state.site.system).year
    return lambda entry: unix_line(entry, zone, year)


async def listed(state: FtpState, argument: str) -> list[Entry]:
    """The entries that a listing shows: a directory's, a file alone, or those that a pattern fits.

    Source: virtual directories are not shown unless there is a real directory of their name.

    Raises:
        FtpRefusalError: 550.
        FileSystemError: ``not_found``.
    """
    words = [word for word in argument.split(" ") if not word.startswith("-")]
    wanted = " ".join(words)
    pattern = wanted.rpartition("/")[2]
    if "*" in pattern or "?" in pattern:
        place, directory = await state.entry(_directory_part(wanted) or ".", directory=True)
        fits = re.compile(translate(pattern), re.IGNORECASE)
        entries = [entry for entry in await place.content.list(directory.path) if fits.match(name_of(entry))]
        if not entries:
            raise FileSystemError("not_found", wanted)
        return entries
    place = state.place(wanted, READ, "read")
    found = await place.content.stat(place.path)
    if found is None:
        raise FileSystemError("not_found", wanted)
    return await place.content.list(found.path) if found.directory else [found]


def _directory_part(argument: str) -> str:
    head, slash, tail = argument.rpartition("/")
    return head + slash if slash and ("*" in tail or "?" in tail) else ""


async def _send_lines(state: FtpState, name: str, lines: list[str]) -> None:
    _, writer = await _opened(state, name, kind="ASCII")
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    async with asyncio.timeout(state.site.timeout):
        await writer.drain()
    await _sent(state)


async def _opened(state: FtpState, name: str, *, kind: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if not state.data.prepared:
        raise FtpRefusalError(425, "Can't open data connection.")
    mode = kind or ("BINARY" if state.binary else "ASCII")
    await state.control.reply(150, f"Opening {mode} mode data connection for {name}.")
    return await state.data.open()


async def _sent(state: FtpState) -> None:
    state.data.close()
    await state.control.reply(226, "Transfer complete.")
