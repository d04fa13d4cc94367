r"""The Server service's listener: serves the machine's shares to redirectors while the service runs.

Sources: KB 103390 (an account that is known must have its password, else 1326; an unknown one is Guest if Guest is
enabled, else 1326); TechNet cc957461 (a null session reaches only what NullSessionShares lists, unless
RestrictNullSessAccess is 0); KB 314984 (administrative shares are for administrators); KB 297684 (an idle connection is
dropped after 15 minutes). The protocol is `bodydouble_sim.windows.file_sharing`'s.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble_sim.windows import file_sharing
from bodydouble_sim.windows.accounts import ADMINISTRATORS, GUEST, AccountError
from bodydouble_sim.windows.file_sharing import Answer, Call, Hello
from bodydouble_sim.windows.registry import SERVICES

if TYPE_CHECKING:
    from bodydouble_sim.storage.security import Want
    from bodydouble_sim.windows.shares import Share
    from bodydouble_sim.windows.system import WindowsSystem

PARAMETERS = rf"{SERVICES}\LanmanServer\Parameters"
IDLE = 15 * 60.0
MOST_SESSIONS = 1000
_ALL = "0.0.0.0"  # noqa: S104 - every adapter that NetBIOS is bound to
_EVERYONE = "Everyone"


@dataclass(frozen=True, slots=True)
class Client:
    """Who is at the other end; no account is a null session."""

    account: str | None
    groups: tuple[str, ...]

    @property
    def administrator(self) -> bool:
        """Whether it may use administrative shares."""
        return ADMINISTRATORS in self.groups


class FileServer:
    """Listens on the machine's file sharing port.

    Args:
        system: the machine.

    Attributes:
        paused: the Server service is paused: only administrators get a session.
    """

    def __init__(self, system: WindowsSystem) -> None:
        self._system = system
        self._server: asyncio.AbstractServer | None = None
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._accepted = 0
        self.paused = False

    async def start(self) -> None:
        """Listen. On a body without a port for it (see `WindowsSystem.file_sharing_port`) shares reach nobody.

        Raises:
            OSError: the port is taken.
        """
        port = self._system.file_sharing_port
        if port is not None:
            self._server = await asyncio.start_server(self._connected, _ALL, port)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MOST_SESSIONS:
            writer.close()
            return
        self._accepted += 1
        task = self._system.spawn(self._serve(reader, writer), f"file sharing client {self._accepted}")
        self._clients[task] = writer
        task.add_done_callback(lambda ended: self._clients.pop(ended, None))

    def close(self) -> None:
        """Stop listening and drop every client at once."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task, writer in list(self._clients.items()):
            writer.transport.abort()
            task.cancel()

    async def stop(self) -> None:
        """`close`, and wait until the clients' tasks have ended."""
        clients = list(self._clients)
        self.close()
        if clients:
            await asyncio.wait(clients)

    # --- one client -------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(IDLE):
                hello = await file_sharing.receive(reader, Hello)
            client, answer = self._log_on(hello)
            await file_sharing.send(writer, answer)
            while client is not None:
                async with asyncio.timeout(IDLE):
                    call = await file_sharing.receive(reader, Call)
                await file_sharing.send(writer, self._answer(client, call))
        except (OSError, EOFError, ValueError, TimeoutError, msgspec.MsgspecError):
            return  # the client has gone, is silent, or speaks something else
        finally:
            writer.close()

    def _log_on(self, hello: Hello) -> tuple[Client | None, Answer]:
        names = {name.upper() for name in self._system.name_service.names()}
        called = hello.called.upper()
        if names and called != file_sharing.ANY_SERVER and called not in names:
            return None, Answer(error=file_sharing.NO_NETWORK_PATH)
        try:
            client = self._identify(hello.account, hello.password)
        except AccountError as error:
            return None, Answer(error=error.number)
        if self.paused and not client.administrator:
            return None, Answer(error=file_sharing.SHARING_PAUSED)
        return client, Answer(guest=client.account == GUEST)

    def _identify(self, account: str, password: str) -> Client:
        accounts = self._system.accounts
        if not account:
            return Client(None, (_EVERYONE,))
        if accounts.find(account.rpartition("\\")[2]) is None:
            user = accounts.check(GUEST, "") if self._guest_enabled() else accounts.check(account, password)
        else:
            user = accounts.check(account, password)
        return Client(user.name, (_EVERYONE, *accounts.groups_of(user.name)))

    def _guest_enabled(self) -> bool:
        guest = self._system.accounts.find(GUEST)
        return guest is not None and guest.enabled

    # --- calls ------------------------------------------------------------------------------------------------------

    def _answer(self, client: Client, call: Call) -> Answer:
        share = self._system.shares.find(call.share)
        if share is None:
            return Answer(error=file_sharing.NO_SUCH_SHARE)
        if call.what == "connect":
            return Answer(error=0 if self._may_enter(client, share) else file_sharing.ACCESS_DENIED)
        if call.what not in file_sharing.WANTS or not share.path or not self._may_enter(client, share):
            return Answer(error=file_sharing.ACCESS_DENIED)
        return self._on_file(client, call, share)

    def _on_file(self, client: Client, call: Call, share: Share) -> Answer:
        path, new_path = _inside(share, call.path), _inside(share, call.new_path)
        if path is None or new_path is None:
            return Answer(error=file_sharing.BAD_NAME)
        try:
            if not self._may(client, call.what, path):
                return Answer(error=file_sharing.ACCESS_DENIED)
            return file_sharing.perform(self._system.files, call, path, new_path)
        except FileSystemError as error:
            return Answer(error=file_sharing.number_of(error))

    def _may_enter(self, client: Client, share: Share) -> bool:
        if client.account is None:
            registry = self._system.registry
            listed = [name.upper() for name in registry.strings(PARAMETERS, "NullSessionShares")]
            free = registry.number(PARAMETERS, "RestrictNullSessAccess", 1) == 0
            return not share.path or free or share.name.upper() in listed
        return client.administrator if share.special and share.path else True

    def _may(self, client: Client, what: str, path: str) -> bool:
        """By the security descriptors of the files: that of the file itself, or its directory's for a new one."""
        files, want = self._system.files, file_sharing.WANTS[what]
        subject = path if files.stat(path) is not None else path.rpartition("/")[0]
        if files.stat(subject) is None:
            return True  # the call itself will say that it is not found
        return files.access(subject, client.account or "ANONYMOUS LOGON", client.groups, _want(want))


def _want(text: str) -> Want:
    return "write" if text == "write" else "delete" if text == "delete" else "read"


def _inside(share: Share, path: str) -> str | None:
    """A path of the share on the machine's drives; None for one that would leave it."""
    parts = [part for part in path.replace("\\", "/").split("/") if part]
    if any(part in (".", "..") or ":" in part for part in parts):
        return None
    return "/".join([share.path, *parts])
