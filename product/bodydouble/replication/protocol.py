"""The replication protocol's messages and frames.

A frame is a four-byte big-endian length and that many bytes of MessagePack: one tagged message, decoded strictly. A
length above `MAX_FRAME` is refused before anything is allocated. The two highest bits of the length say whether the
frame is a whole message, a part of one or its last part; whole messages may come between the parts of another one.

Frames travel inside TLS 1.3, negotiated by the name `PROTOCOL`; each side has shown the certificate that the other one
has pinned before the first frame (`bodydouble.security`). The end of the connection says nothing: what counts is
acknowledged, so a connection that is cut off, with or without TLS's own farewell, is resumed and loses nothing.

    source                                   target
    Hello                         ->
                                  <-         Refused | Welcome
    Begin (stream, position)      ->
    Batch, Fragment, Shared, Ping ... ->
                                  <-         Ack, Applied, Standing, Listing, Blocks, Volume, Settled, TaskEnded,
                                             Diverged, Ping ...
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import msgspec

from bodydouble.errors import ProtocolError
from bodydouble.vocabulary.capabilities import Capabilities  # noqa: TC001 - msgspec reads it at run time
from bodydouble.vocabulary.mapping import PathMapping  # noqa: TC001 - msgspec reads it at run time
from bodydouble.vocabulary.operations import (
    CreateFile,
    Entry,
    MakeDirectory,
    MakeHardLink,
    MakeStream,
    MakeSymbolicLink,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    RemoveStream,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    TruncateStream,
    Write,
    WriteStream,
)
from bodydouble.vocabulary.records import ReplicationSet, TargetState  # noqa: TC001 - msgspec reads them at run time
from bodydouble.vocabulary.shares import MAX_SHARES, Share
from bodydouble.vocabulary.tasks import Arguments, Command, TaskStage, TaskTimeout  # noqa: TC001 - the same
from bodydouble.vocabulary.witnesses import MAX_LEASE, Stance

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.records import Peer

VERSION = 5
PROTOCOL = f"bodydouble-replication/{VERSION}"
"""The ALPN name: sides of different versions agree on none."""
HEADER_BYTES = 4
WHOLE, PART, LAST_PART = 0, 1, 2
"""What a frame is."""
_KIND_SHIFT = 30
MAX_FRAME = 1024 * 1024 + 64 * 1024
MAX_BATCH_BYTES = 256 * 1024
MAX_BATCH_OPERATIONS = 1024
FRAGMENT_BYTES = 256 * 1024
MAX_OPERATION_BYTES = 64 * 1024 * 1024
"""A longer write of an application is replicated as several."""
BLOCK_BYTES = 64 * 1024
SMALL_FILE_BYTES = 1024 * 1024
"""Files up to here are compared by one digest in their directory's listing, longer ones block by block."""
MAX_BLOCKS, MAX_ORPHANS = 4096, 500

Purpose = Literal["replicate", "restore"]
Count = Annotated[int, msgspec.Meta(ge=0)]
MachineName = Annotated[str, msgspec.Meta(max_length=512)]
MAX_VIA = 64


# --- the stream: operations and what the mirror asks in order with them -----------------------------------------------


class StreamItem(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of what travels in the stream beside operations."""


class MirrorStart(StreamItem, frozen=True, tag="mirror-start"):
    """From here on the replica is incomplete, and operations on what it does not have yet are skipped."""


class MirrorComplete(StreamItem, frozen=True, tag="mirror-complete"):
    """The replica equals the source as of this point of the stream."""


class MirrorStopped(StreamItem, frozen=True, tag="mirror-stopped"):
    """The mirror was ended before it was complete. Operations go on; the replica stays incomplete until another one."""


class Settle(StreamItem, frozen=True, tag="settle"):
    """Answer `Settled`: which paths had operations skipped that the mirror must look at again."""


class ListRequest(StreamItem, frozen=True, tag="list"):
    """Answer `Listing`: the children of ``path`` after the name ``after``, or ``path`` alone when ``itself``."""

    path: str
    itself: bool
    after: str
    digests: bool


class BlocksRequest(StreamItem, frozen=True, tag="blocks"):
    """Answer `Blocks`: digests of the file's blocks, `BLOCK_BYTES` each, from block number ``first``."""

    path: str
    first: Count


class VolumeRequest(StreamItem, frozen=True, tag="volume"):
    """Answer `Volume`: what the replica's volume keeps of ``path``."""

    path: str


class RemoveTree(StreamItem, frozen=True, tag="remove-tree"):
    """Remove ``path`` and what is beneath it, as far as the replication set selects it.

    Sent where no single operation says it: orphans, a file that became a directory, a rename out of the set.
    """

    path: str


class Orphans(StreamItem, frozen=True, tag="orphans"):
    """Remove names that only the replica has, or move them to the orphan directory of the target's settings.

    A directory goes once it is empty. What cannot be done is an event on the target and changes nothing else.

    Attributes:
        path: the directory that holds them.
        names: in it; an empty one is ``path`` itself.
        move: instead of removing them.
        day: under which they are moved.
    """

    path: str
    names: Annotated[list[str], msgspec.Meta(max_length=MAX_ORPHANS)]
    move: bool
    day: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class Task(StreamItem, frozen=True, tag="task"):
    """Run a script at this point, on the side and at the moment that ``on`` says. It changes no file of the set."""

    id: MachineName
    on: TaskStage
    command: Command
    arguments: Arguments
    timeout: TaskTimeout


Body = (
    MakeDirectory
    | CreateFile
    | Write
    | Truncate
    | PunchHole
    | Rename
    | RemoveFile
    | RemoveDirectory
    | SetMetadata
    | SetTimes
    | MakeHardLink
    | MakeSymbolicLink
    | MakeStream
    | WriteStream
    | TruncateStream
    | RemoveStream
    | MirrorStart
    | MirrorComplete
    | MirrorStopped
    | Settle
    | ListRequest
    | BlocksRequest
    | VolumeRequest
    | RemoveTree
    | Orphans
    | Task
)


class Item(msgspec.Struct, frozen=True, array_like=True):
    """One element of the stream."""

    sequence: Count
    body: Body


# --- messages ---------------------------------------------------------------------------------------------------------


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all messages."""


class Placement(msgspec.Struct, frozen=True, array_like=True):
    """Where a source wants its replica, and where the data comes from.

    Attributes:
        mapping: from the set's paths to the target's; see `ConnectRequest`.
        base: for what ``mapping`` does not name.
        via: the machines that the data comes through, by fingerprint: first where it was written, last the
            source itself.
        connection: the source's number for this connection.
        case_sensitive: whether names on the source tell case.
    """

    mapping: Annotated[list[PathMapping], msgspec.Meta(max_length=1000)] = []
    base: str = ""
    via: Annotated[list[MachineName], msgspec.Meta(max_length=MAX_VIA)] = []
    connection: Count = 0
    case_sensitive: bool = True


class Hello(Message, frozen=True, tag="hello"):
    """Who asks for what. ``stream`` is the stream that the source could resume, empty when it has none."""

    version: int
    source: str
    replication_set: ReplicationSet
    purpose: Purpose
    stream: str
    recognise_restore: bool
    placement: Placement = Placement()


class Welcome(Message, frozen=True, tag="welcome"):
    """The target's answer.

    Attributes:
        position: last sequence number that the target has safe of the stream named in `Hello`; None when it cannot be
            resumed.
        trusted: sizes and times of the replica may be believed: its last mirror completed and nothing crashed since.
        restore_required: the target stood in for the source; no operation will be accepted.
        case_sensitive: whether names on the target tell case.
        state: the target's side of the connection.
        moves_orphans: the target has a directory for orphans.
    """

    position: Count | None
    trusted: bool
    restore_required: bool
    case_sensitive: bool = True
    state: TargetState = "ok"
    moves_orphans: bool = False


class Refused(Message, frozen=True, tag="refused"):
    """No session; ``permanent`` when trying again soon is pointless."""

    detail: str
    permanent: bool


class Begin(Message, frozen=True, tag="begin"):
    """The source's choice: resume at ``position``, or a new stream at 0."""

    stream: str
    position: Count


class Batch(Message, frozen=True, tag="batch"):
    """Elements of the stream, consecutive, as `bodydouble.replication.packing` packs them.

    Attributes:
        first: number of the first one.
        packed: bits, what of it is compressed.
        lengths: of each write's bytes.
        meta: the elements without these bytes.
        small: bytes of short writes.
        large: bytes of long ones.
    """

    first: Count
    packed: Count
    lengths: list[Count]
    meta: bytes
    small: bytes
    large: bytes


class Fragment(Message, frozen=True, tag="fragment"):
    """A part of the data of the write that comes first in the next batch, before what that carries itself.

    ``unpacked`` is the length that it had before it was compressed, 0 when it was not.
    """

    data: bytes
    unpacked: Count


class Shared(Message, frozen=True, tag="shares"):
    """All that the source's file server shares of directories in the set: told at the beginning and at each change."""

    shares: Annotated[list[Share], msgspec.Meta(max_length=MAX_SHARES)]


class Ping(Message, frozen=True, tag="ping"):
    """The peer is alive."""


class Reach(Message, frozen=True, tag="reach"):
    """In place of Hello, from one that parts with somebody: answer `Reached`. See `bodydouble.replication.claims`."""

    address: Annotated[str, msgspec.Meta(max_length=15)]
    stance: Stance = "ask"
    seconds: Annotated[float, msgspec.Meta(ge=0, le=MAX_LEASE)] = 0.0


class Reached(Message, frozen=True, tag="reached"):
    """Answer to `Reach`: whether the address answers a ping, and who else may answer for it (``firm``: does)."""

    answers: bool
    holder: MachineName = ""
    firm: bool = False


class Ack(Message, frozen=True, tag="ack"):
    """Everything up to ``sequence`` will survive power loss on the target, and will be applied."""

    sequence: Count


class Applied(Message, frozen=True, tag="applied"):
    """Everything up to ``sequence`` is in the replica; what a power cut undoes of it is applied again."""

    sequence: Count


class Standing(Message, frozen=True, tag="standing"):
    """The state of the target's side changed. While its queue is full it reads no further."""

    state: TargetState
    detail: str


class TaskEnded(Message, frozen=True, tag="task-ended"):
    """A task ended on the target; ``failed``: it was not run, and ``output`` says why."""

    id: str
    exit_code: int
    output: str
    failed: bool


class ListedEntry(msgspec.Struct, frozen=True, array_like=True):
    """An entry of the replica, with digests of its bytes, when the file is small, and of its streams, if asked for."""

    entry: Entry
    digest: bytes
    streams: bytes = b""


class Listing(Message, frozen=True, tag="listing"):
    """Answer to the `ListRequest` numbered ``sequence``; ``more`` when another page follows."""

    sequence: Count
    entries: list[ListedEntry]
    more: bool


class Blocks(Message, frozen=True, tag="blocks"):
    """Answer to a `BlocksRequest`; fewer than `MAX_BLOCKS` digests mean the end of the file."""

    sequence: Count
    digests: list[bytes]


class Volume(Message, frozen=True, tag="volume"):
    """Answer to a `VolumeRequest`."""

    sequence: Count
    kept: Capabilities


class Settled(Message, frozen=True, tag="settled"):
    """Answer to `Settle`. With no path and no overflow the target is strict from here on."""

    sequence: Count
    skipped: list[str]
    overflow: bool


class Diverged(Message, frozen=True, tag="diverged"):
    """An operation could not be applied: replica and source differ, only a mirror helps."""

    detail: str


AnyMessage = (
    Hello
    | Welcome
    | Refused
    | Begin
    | Batch
    | Fragment
    | Ping
    | Ack
    | Applied
    | Standing
    | Listing
    | Blocks
    | Volume
    | Settled
    | TaskEnded
    | Diverged
    | Reach
    | Reached
    | Shared
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: Message) -> bytes:
    """One frame.

    Raises:
        ProtocolError: the message does not fit into a frame.
    """
    content = _encoder.encode(message)
    if len(content) > MAX_FRAME:
        raise ProtocolError(f"message of {len(content)} bytes: at most {MAX_FRAME} fit into a frame")
    return len(content).to_bytes(HEADER_BYTES, "big") + content


def decode(content: bytes) -> AnyMessage:
    """The message in a frame's content.

    Raises:
        ProtocolError: not a message of this protocol.
    """
    try:
        return _decoder.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProtocolError(f"malformed message: {error}") from error


def encode_parts(message: Message, size: int) -> list[bytes]:
    """The message in frames of at most ``size`` bytes of content each.

    Raises:
        ProtocolError: see `encode`.
    """
    whole = encode(message)
    if len(whole) - HEADER_BYTES <= size:
        return [whole]
    pieces = [whole[at : at + size] for at in range(HEADER_BYTES, len(whole), size)]
    kinds = [*[PART] * (len(pieces) - 1), LAST_PART]
    return [_header(len(piece), kind) + piece for kind, piece in zip(kinds, pieces, strict=True)]


def _header(length: int, kind: int) -> bytes:
    return (length | kind << _KIND_SHIFT).to_bytes(HEADER_BYTES, "big")


def frame_head(header: bytes) -> tuple[int, int]:
    """What a frame is, and the length that its header announces.

    Raises:
        ProtocolError: of no known kind, empty, or more than `MAX_FRAME`.
    """
    value = int.from_bytes(header, "big")
    kind, length = value >> _KIND_SHIFT, value & (1 << _KIND_SHIFT) - 1
    if not 0 < length <= MAX_FRAME or kind > LAST_PART:
        raise ProtocolError(f"frame of {length} bytes announced: 1 to {MAX_FRAME} are allowed")
    return kind, length


class Pace(Protocol):
    """How fast a connection may send."""

    @property
    def part_bytes(self) -> int:
        """How long a part of a message should be at most; 0: as long as it likes."""

    async def wait(self, size: int) -> None:
        """Return when so many bytes may go, and count them as gone."""

    def spend(self, size: int) -> None:
        """So many bytes go without waiting."""


def _nobody() -> None:
    """Nobody counts."""


class Wire:
    """Messages over one connection.

    Args:
        reader: the stream's reading half.
        writer: the stream's writing half.
        peer_timeout: seconds of silence after which the peer counts as dead.
        peer: the paired machine at the other end.

    Attributes:
        sent_bytes: what was handed to the connection so far, before TLS.
        pace: holds back what is sent; None: nothing does.
        on_sent: called after each frame that was handed over.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer_timeout: float, peer: Peer
    ) -> None:
        self.peer = peer
        self.sent_bytes = 0
        self.pace: Pace | None = None
        self.on_sent: Callable[[], object] = _nobody
        self._reader = reader
        self._writer = writer
        self._peer_timeout = peer_timeout
        self._assembly = bytearray()
        self._sending = asyncio.Lock()

    async def receive(self) -> AnyMessage:
        """The next message.

        Raises:
            ConnectionError: the connection ended, or the peer was silent for too long.
            ProtocolError: the peer sent something else.
        """
        while True:
            kind, content = await self._frame()
            if kind == WHOLE:
                return decode(content)
            self._assembly += content
            if len(self._assembly) > MAX_FRAME:
                raise ProtocolError(f"a message in parts of more than {MAX_FRAME} bytes")
            if kind == LAST_PART:
                content, self._assembly = bytes(self._assembly), bytearray()
                return decode(content)

    async def _frame(self) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(self._peer_timeout):
                kind, length = frame_head(await self._reader.readexactly(HEADER_BYTES))
                return kind, await self._reader.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("the peer closed the connection") from error
        except TimeoutError as error:
            raise ConnectionAbortedError(f"the peer was silent for {self._peer_timeout:g} s") from error

    def post(self, message: Message) -> None:
        """Hand a message to the connection without waiting for room; for small messages, which no limit holds back."""
        frame = encode(message)
        if self.pace is not None:
            self.pace.spend(len(frame))
        self._write(frame)

    def _write(self, frame: bytes) -> None:
        self.sent_bytes += len(frame)
        self._writer.write(frame)
        self.on_sent()

    async def send(self, message: Message) -> None:
        """Hand a message to the connection, as fast as the pace allows, and wait until there is room for more."""
        if self.pace is None:
            self.post(message)
            await self._writer.drain()
            return
        async with self._sending:  # parts of two messages must not mix
            for frame in encode_parts(message, self.pace.part_bytes or MAX_FRAME):
                await self.pace.wait(len(frame))
                self._write(frame)
                await self._writer.drain()

    async def ping(self, interval: float) -> None:
        """Show the peer every ``interval`` seconds that this side is alive; until cancelled."""
        while True:
            await asyncio.sleep(interval)
            self.post(Ping())

    @property
    def transport(self) -> asyncio.WriteTransport:
        """What carries the messages."""
        return self._writer.transport

    async def close(self) -> None:
        """Close the connection; waits for what is still to be sent, but not for a peer that does not read."""
        self._writer.close()
        try:
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()
