"""What the Server service and the redirector say to each other: frames on a TCP connection, and Windows' error numbers.

This is not SMB: the commands are this model's own, in MessagePack, after a length of four bytes. What matters to a
failover is as in SMB over NetBIOS: it travels over the network to port 139; a session begins by calling a NetBIOS name
(KB 161431: ``*SMBSERVER`` when only an address or a host name is known); then an account logs on, once a session. A
password travels as it is, where SMB would answer a challenge: nobody but the lab is on this wire.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeVar

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import Entry  # noqa: TC001 - msgspec reads the annotation

if TYPE_CHECKING:
    import asyncio

    from bodydouble_sim.windows.files import HostFiles

PORT = 139
CHUNK = 64 * 1024
LONGEST_FRAME = 4 * 1024 * 1024
ANY_SERVER = "*SMBSERVER"

NOT_FOUND = 2
ACCESS_DENIED = 5
SHARING = 32
NO_NETWORK_PATH = 53
NAME_DELETED = 64
NO_SUCH_SHARE = 67
SHARING_PAUSED = 70
EXISTS = 80
NO_SPACE = 112
BAD_NAME = 123
NOT_EMPTY = 145
IO_DEVICE = 1117
LOGON_FAILURE = 1326
NO_WORKSTATION = 2138
CONFLICTING_CREDENTIALS = 1219

TEXTS = {
    NOT_FOUND: "The system cannot find the file specified.",
    ACCESS_DENIED: "Access is denied.",
    SHARING: "The process cannot access the file because it is being used by another process.",
    NO_NETWORK_PATH: "The network path was not found.",
    NAME_DELETED: "The specified network name is no longer available.",
    NO_SUCH_SHARE: "The network name cannot be found.",
    SHARING_PAUSED: "The remote server has been paused or is in the process of being started.",
    EXISTS: "The file exists.",
    NO_SPACE: "There is not enough space on the disk.",
    BAD_NAME: "The filename, directory name, or volume label syntax is incorrect.",
    NOT_EMPTY: "The directory is not empty.",
    IO_DEVICE: "The request could not be performed because of an I/O device error.",
    CONFLICTING_CREDENTIALS: "The credentials supplied conflict with an existing set of credentials.",
    LOGON_FAILURE: "Logon failure: unknown user name or bad password.",
    1331: "Logon failure: account currently disabled.",
    NO_WORKSTATION: "The Workstation service has not been started.",
}
_NUMBERS = {
    "not_found": NOT_FOUND,
    "exists": EXISTS,
    "not_empty": NOT_EMPTY,
    "no_space": NO_SPACE,
    "denied": ACCESS_DENIED,
    "sharing": SHARING,
    "io": IO_DEVICE,
}
_CODES = {number: code for code, number in _NUMBERS.items()} | {
    NO_NETWORK_PATH: "not_found",
    NO_SUCH_SHARE: "not_found",
    BAD_NAME: "not_found",
    LOGON_FAILURE: "denied",
    1331: "denied",
}
_LENGTH = struct.Struct("!I")
_T = TypeVar("_T")


class NetworkPathError(FileSystemError):
    """A file call over the network failed.

    Attributes:
        number: the Windows error: 53 no such machine, 67 no such share, 5, 1326, 64 the connection broke, ...
    """

    def __init__(self, number: int, path: str) -> None:
        super().__init__(_CODES.get(number, "io"), path, TEXTS.get(number, f"error {number}"))
        self.number = number

    @property
    def text(self) -> str:
        """What Windows says to an operator."""
        return TEXTS.get(self.number, f"System error {self.number} has occurred.")


def number_of(error: FileSystemError) -> int:
    """The Windows error for a file system's."""
    return _NUMBERS.get(error.code, IO_DEVICE)


class Hello(msgspec.Struct, frozen=True, tag=True):
    """Begin a session: the NetBIOS name that is called, and the account (empty: nobody, a null session)."""

    called: str
    account: str = ""
    password: str = ""


class Call(msgspec.Struct, frozen=True, tag=True):
    """One file call: its name in `bodydouble_sim.windows.files.HostFiles`, share, path in it, and its arguments."""

    what: str
    share: str
    path: str = ""
    new_path: str = ""
    offset: int = 0
    size: int = 0
    data: bytes = b""


class Answer(msgspec.Struct, frozen=True, tag=True):
    """The answer: 0 or a Windows error; bytes that were read; entries; whether the session is a guest's."""

    error: int = 0
    data: bytes = b""
    entries: list[Entry] = []
    guest: bool = False


async def receive(reader: asyncio.StreamReader, kind: type[_T]) -> _T:
    """The next frame.

    Raises:
        EOFError: the connection has ended.
        ValueError: a frame that is too long or not understood.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > LONGEST_FRAME:
        raise ValueError(f"a frame of {length} bytes")
    return msgspec.msgpack.decode(await reader.readexactly(length), type=kind)


async def send(writer: asyncio.StreamWriter, message: Hello | Call | Answer) -> None:
    """Send a frame."""
    body = msgspec.msgpack.encode(message)
    writer.write(_LENGTH.pack(len(body)) + body)
    await writer.drain()


def perform(files: HostFiles, call: Call, path: str, new_path: str) -> Answer:
    """Carry a call out on the machine's own files.

    Raises:
        FileSystemError: it failed.
    """
    if call.what == "stat":
        found = files.stat(path)
        return Answer(entries=[] if found is None else [found])
    if call.what == "list":
        return Answer(entries=files.list(path))
    if call.what == "read":
        return Answer(data=files.read(path, call.offset, min(call.size, CHUNK)))
    if call.what == "write":
        files.write(path, call.offset, call.data)
    elif call.what == "rename":
        files.rename(path, new_path)
    else:
        {
            "create": files.create,
            "flush": files.flush,
            "mkdir": files.mkdir,
            "remove": files.remove,
            "rmdir": files.rmdir,
        }[call.what](path)
    return Answer()


WANTS = {
    "stat": "read",
    "list": "read",
    "read": "read",
    "write": "write",
    "flush": "write",
    "create": "write",
    "mkdir": "write",
    "remove": "delete",
    "rmdir": "delete",
    "rename": "delete",
}
