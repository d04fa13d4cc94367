r"""The Workstation service's redirector: files on other machines by UNC path (``\\SERVER\share\directory\file``).

Sources: KB 137565 (error 53 when the machine cannot be found), KB 161431 (names and addresses in a UNC path), KB 102067
(SessTimeout, 45 seconds), KB 297684 (a connection that the server dropped for idleness is made again unnoticed),
KB 103390 (1326); Microsoft, "System Error Codes" (64, 67, 1219). The services of a machine use a null session unless
somebody gave an account, as LocalSystem has no password of its own (KB 126645).
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from bodydouble_sim.windows import file_sharing
from bodydouble_sim.windows.file_sharing import Answer, Call, Hello, NetworkPathError
from bodydouble_sim.windows.registry import SERVICES
from bodydouble_sim.windows.service import ServiceControlError

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.storage.node import Entries
    from bodydouble_sim.windows.system import WindowsSystem

PARAMETERS = rf"{SERVICES}\LanmanWorkstation\Parameters"
SESSION_TIMEOUT = 45
_LONGEST_NETBIOS = 15


@dataclass(slots=True)
class _Session:
    """A connection to one server, and the account that is used there."""

    account: str = ""
    password: str = ""
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def open(self) -> bool:
        return self.reader is not None and not self.reader.at_eof() and self.reader.exception() is None

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


def split(unc: str) -> tuple[str, str, str]:
    r"""Server, share and path of ``\\server\share\path`` (either slash).

    Raises:
        NetworkPathError: 67, not a UNC path with a server and a share.
    """
    plain = unc.replace("\\", "/")
    parts = plain[2:].split("/", 2) if plain.startswith("//") else []
    if len(parts) < 2 or not parts[0] or not parts[1]:  # noqa: PLR2004 - server and share
        raise NetworkPathError(file_sharing.NO_SUCH_SHARE, unc)
    return parts[0], parts[1], parts[2] if len(parts) > 2 else ""  # noqa: PLR2004 - and a path


class Redirector:
    """File calls by UNC path.

    Every method raises `bodydouble_sim.windows.file_sharing.NetworkPathError`: 2138 Workstation does not run, 53 no
    such machine or no Server service there, 67 no such share, 1326 or 5 not let in, 64 the connection broke, and the
    errors of the file itself.

    Args:
        system: the machine.
    """

    def __init__(self, system: WindowsSystem) -> None:
        self._system = system
        self._sessions: dict[str, _Session] = {}

    def reset(self) -> None:
        """Forget every session, as at a start of the service; those of a former life are gone without a word."""
        self._sessions = {}

    def close(self) -> None:
        """End every session."""
        for session in self._sessions.values():
            session.close()
        self._sessions = {}

    # --- connections ------------------------------------------------------------------------------------------------

    async def connect(self, unc: str, account: str = "", password: str = "") -> None:
        """Use an account at a server from now on, and see whether the share lets us in (``net use``).

        Raises:
            NetworkPathError: 1219, another account is in use there already; and as the class says.
        """
        server, share, _ = split(unc)
        session = self._sessions.get(server.upper())
        if session is not None and session.open and session.account.upper() != account.upper():
            raise NetworkPathError(file_sharing.CONFLICTING_CREDENTIALS, unc)
        fresh = session or _Session()
        fresh.account, fresh.password = account, password
        self._sessions[server.upper()] = fresh
        try:
            await self._call(unc, Call("connect", share))
        except NetworkPathError:
            if not fresh.open:
                self._sessions.pop(server.upper(), None)
            raise

    def disconnect(self, server: str) -> bool:
        """End the session with a server and forget its account; False when there was none."""
        session = self._sessions.pop(server.upper(), None)
        if session is None:
            return False
        session.close()
        return True

    def connections(self) -> list[tuple[str, str, bool]]:
        """(server, account, whether the connection stands) of each session, by name."""
        return [(server, one.account, one.open) for server, one in sorted(self._sessions.items())]

    # --- files ------------------------------------------------------------------------------------------------------

    async def stat(self, unc: str) -> Entry | None:
        """The entry at a path, None when there is none; its path is the one on the server's drive."""
        entries = (await self._file(unc, "stat")).entries
        return entries[0] if entries else None

    async def list(self, unc: str) -> Entries:
        """Entries of a directory, sorted by name; their paths are those on the server's drive."""
        return (await self._file(unc, "list")).entries

    async def read(self, unc: str, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes of a file from ``offset``, to its end when ``size`` is None."""
        data = bytearray()
        while size is None or len(data) < size:
            wanted = file_sharing.CHUNK if size is None else min(file_sharing.CHUNK, size - len(data))
            piece = (await self._file(unc, "read", offset=offset + len(data), size=wanted)).data
            data += piece
            if not piece:
                break
        return bytes(data)

    async def write(self, unc: str, offset: int, data: bytes) -> None:
        """Write into an existing file."""
        for at in range(0, len(data), file_sharing.CHUNK):
            await self._file(unc, "write", offset=offset + at, data=data[at : at + file_sharing.CHUNK])

    async def create(self, unc: str) -> None:
        """Make an empty file, emptying an existing one."""
        await self._file(unc, "create")

    async def flush(self, unc: str) -> None:
        """Make a file's contents survive power loss."""
        await self._file(unc, "flush")

    async def remove(self, unc: str) -> None:
        """Remove a file."""
        await self._file(unc, "remove")

    async def mkdir(self, unc: str) -> None:
        """Make a directory."""
        await self._file(unc, "mkdir")

    async def rmdir(self, unc: str) -> None:
        """Remove an empty directory."""
        await self._file(unc, "rmdir")

    async def rename(self, unc: str, new_unc: str) -> None:
        """Rename within a share; anywhere else it is 5."""
        server, share, path = split(unc)
        new_server, new_share, new_path = split(new_unc)
        if (server.upper(), share.upper()) != (new_server.upper(), new_share.upper()):
            raise NetworkPathError(file_sharing.ACCESS_DENIED, new_unc)
        await self._call(unc, Call("rename", share, path, new_path))

    async def _file(self, unc: str, what: str, *, offset: int = 0, size: int = 0, data: bytes = b"") -> Answer:
        _, share, path = split(unc)
        return await self._call(unc, Call(what, share, path, "", offset, size, data))

    # --- the wire ---------------------------------------------------------------------------------------------------

    async def _call(self, unc: str, call: Call) -> Answer:
        if not self._running():
            raise NetworkPathError(file_sharing.NO_WORKSTATION, unc)
        server = split(unc)[0]
        session = self._sessions.setdefault(server.upper(), _Session())
        async with session.lock:
            if not session.open:
                session.close()
                await self._open(session, server, unc)
            answer = await self._exchange(session, unc, call)
        if answer.error:
            raise NetworkPathError(answer.error, unc)
        return answer

    def _running(self) -> bool:
        try:
            return self._system.scm.find("LanmanWorkstation").state in ("running", "paused")
        except ServiceControlError:
            return False

    async def _open(self, session: _Session, server: str, unc: str) -> None:
        port = self._system.file_sharing_port
        if port is None:  # a live body that was given no port: it has no file sharing at all
            raise NetworkPathError(file_sharing.NO_NETWORK_PATH, unc)
        try:
            async with asyncio.timeout(self._patience()):
                session.reader, session.writer = await asyncio.open_connection(server, port)
        except (OSError, TimeoutError) as error:
            raise NetworkPathError(file_sharing.NO_NETWORK_PATH, unc) from error
        answer = await self._exchange(session, unc, Hello(_called(server), session.account, session.password))
        if answer.error:
            session.close()
            raise NetworkPathError(answer.error, unc)

    async def _exchange(self, session: _Session, unc: str, message: Hello | Call) -> Answer:
        assert session.reader is not None
        assert session.writer is not None
        try:
            async with asyncio.timeout(self._patience()):
                await file_sharing.send(session.writer, message)
                return await file_sharing.receive(session.reader, Answer)
        except (OSError, EOFError, ValueError, TimeoutError, msgspec.MsgspecError) as error:
            session.close()
            raise NetworkPathError(file_sharing.NAME_DELETED, unc) from error
        except asyncio.CancelledError:
            session.close()  # an answer that comes later would be taken for another call's
            raise

    def _patience(self) -> float:
        """SessTimeout, in seconds."""
        return float(self._system.registry.number(PARAMETERS, "SessTimeout", SESSION_TIMEOUT))


def _called(server: str) -> str:
    """The NetBIOS name to call: the server's, or ``*SMBSERVER`` for an address or a host name."""
    try:
        ipaddress.ip_address(server)
    except ValueError:
        return server.upper() if "." not in server and len(server) <= _LONGEST_NETBIOS else file_sharing.ANY_SERVER
    return file_sharing.ANY_SERVER
