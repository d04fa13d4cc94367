"""FTP commands on directories and names (RFC 959, and SIZE and MDTM as RFC 3659 has them)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis.ftp_state import DENIED, FtpRefusalError
from bodydouble_sim.iis.metabase_schema import READ, WRITE

if TYPE_CHECKING:
    from bodydouble_sim.iis.ftp_state import FtpState


async def pwd(state: FtpState, _argument: str) -> None:
    """Say where the session is."""
    await state.control.reply(257, f'"{state.directory}" is current directory.')


async def cwd(state: FtpState, argument: str) -> None:
    """Go to another directory."""
    await state.entry(argument, directory=True)
    state.directory = state.virtual(argument)
    await state.control.reply(250, "CWD command successful.")


async def cdup(state: FtpState, _argument: str) -> None:
    """Go to the directory above."""
    await cwd(state, "..")


async def size(state: FtpState, argument: str) -> None:
    """Say how long a file is."""
    _, entry = await state.entry(argument, directory=False)
    await state.control.reply(213, str(entry.size))


async def mdtm(state: FtpState, argument: str) -> None:
    """Say when a file was last written (UTC)."""
    _, entry = await state.entry(argument, directory=False)
    written = datetime.fromtimestamp(entry.mtime_ns // 10**9, UTC)
    await state.control.reply(213, f"{written:%Y%m%d%H%M%S}")


async def dele(state: FtpState, argument: str) -> None:
    """Remove a file."""
    place = state.place(argument, WRITE, "delete")
    await place.content.remove(place.path)
    await state.control.reply(250, "DELE command successful.")


async def mkd(state: FtpState, argument: str) -> None:
    """Make a directory."""
    place = await state.new(argument)
    await place.content.mkdir(place.path)
    await state.control.reply(257, f'"{argument}" directory created.')


async def rmd(state: FtpState, argument: str) -> None:
    """Remove an empty directory; a virtual one stays."""
    if state.site.is_virtual(state.virtual(argument)):
        raise FtpRefusalError(550, f"{argument}: {DENIED}")
    place = state.place(argument, WRITE, "delete")
    await place.content.rmdir(place.path)
    await state.control.reply(250, "RMD command successful.")


async def rnfr(state: FtpState, argument: str) -> None:
    """Name what is to be renamed."""
    place = state.place(argument, READ, "read")
    if await place.content.stat(place.path) is None:
        raise FileSystemError("not_found", argument)
    state.renaming = state.virtual(argument)
    await state.control.reply(350, "File exists, ready for destination name")


async def rnto(state: FtpState, argument: str) -> None:
    """Rename what RNFR named, which must have been the command before."""
    if not state.renaming:
        raise FtpRefusalError(503, "Bad sequence of commands.")
    name, state.renaming = state.renaming, ""
    old = state.place(name, WRITE, "delete")
    new = await state.new(argument)
    await old.content.rename(old.path, new.path)
    await state.control.reply(250, "RNTO command successful.")
