"""What the commands of one FTP session share: the control connection's replies, who is logged in, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError, FileSystemError
from bodydouble_sim.iis.ftp_command import virtual_path
from bodydouble_sim.iis.host import Identity
from bodydouble_sim.iis.metabase_schema import READ, WRITE

if TYPE_CHECKING:
    import asyncio

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.iis.ftp_data import DataConnection
    from bodydouble_sim.iis.ftp_site import FtpSite, Place
    from bodydouble_sim.storage.security import Want

NO_FILE = "The system cannot find the file specified."
DENIED = "Access is denied."
TEXTS = {
    "not_found": NO_FILE,
    "exists": "Cannot create a file when that file already exists.",
    "not_empty": "The directory is not empty.",
    "no_space": "There is not enough space on the disk.",
    "denied": DENIED,
    "sharing": "The process cannot access the file because it is being used by another process.",
    "io": "The request could not be performed because of an I/O device error.",
}


class FtpRefusalError(BodydoubleError):
    """A command is answered with a refusal. Never leaves the FTP service."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Control:
    """The replies on a control connection.

    Args:
        writer: the connection.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.status = 0

    async def reply(self, code: int, text: str) -> None:
        """Send a reply of one line."""
        await self.lines(code, [text])

    async def lines(self, code: int, texts: list[str]) -> None:
        """Send a reply of several lines: the code and a hyphen before each but the last (RFC 959, 4.2)."""
        self.status = code
        data = "".join(f"{code}-{text}\r\n" for text in texts[:-1]) + f"{code} {texts[-1]}\r\n"
        self._writer.write(data.encode("utf-8", "replace"))
        await self._writer.drain()


@dataclass(slots=True)
class FtpState:
    """A session.

    Attributes:
        site: the FTP site.
        control: replies.
        data: the data connection of the next transfer.
        client: the client's address.
        local: the address that the client reached.
        user: the name given with USER.
        who: the account, once logged in.
        logged_in: whether PASS was accepted.
        directory: the current one, a path of the site.
        renaming: what RNFR named.
        offset: what REST set.
        binary: TYPE I.
        dos_style: of listings.
        finished: no more commands are read.
    """

    site: FtpSite
    control: Control
    data: DataConnection
    client: str
    local: str
    user: str = ""
    who: Identity = field(default_factory=Identity)
    logged_in: bool = False
    directory: str = "/"
    renaming: str = ""
    offset: int = 0
    binary: bool = False
    dos_style: bool = True
    finished: bool = False

    def virtual(self, argument: str) -> str:
        """The path of the site that an argument names."""
        return virtual_path(self.directory, argument)

    def place(self, argument: str, flag: int, want: Want) -> Place:
        """Where an argument leads, if the site's access flags allow it.

        Raises:
            FtpRefusalError: 550, the site or the access list does not let the account in.
            FileSystemError: the way to another machine is missing.
        """
        place = self.site.place(self.virtual(argument))
        if not place.access & flag or not place.content.may(place.path, self.who, want):
            raise FtpRefusalError(550, f"{argument}: {DENIED}")
        return place

    async def new(self, argument: str) -> Place:
        """As `place` for something that is to be written: its own access list counts, or its directory's if it is new.

        Raises:
            FtpRefusalError: 550.
            FileSystemError: as `place`.
        """
        place = self.site.place(self.virtual(argument))
        there = await place.content.stat(place.path)
        decides = place.path if there is not None else place.path.rpartition("/")[0]
        if not place.access & WRITE or not place.content.may(decides, self.who, "write"):
            raise FtpRefusalError(550, f"{argument}: {DENIED}")
        return place

    async def entry(self, argument: str, *, directory: bool | None) -> tuple[Place, Entry]:
        """What an argument names, readable.

        Raises:
            FtpRefusalError: 550.
            FileSystemError: ``not_found`` when it is not there or of the other kind.
        """
        place = self.place(argument, READ, "read")
        entry = await place.content.stat(place.path)
        if entry is None or (directory is not None and entry.directory != directory):
            raise FileSystemError("not_found", argument)
        return place, entry
