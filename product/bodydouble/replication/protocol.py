"""The replication protocol's messages and frames.

A frame is a four-byte big-endian length and that many bytes of MessagePack: one tagged message, decoded strictly. A
length above `MAX_FRAME` is refused before anything is allocated.

Frames travel inside TLS 1.3, negotiated by the name `PROTOCOL`; each side has shown the certificate that the other one
has pinned before the first frame (`bodydouble.security`). The end of the connection says nothing: what counts is
acknowledged, so a connection that is cut off, with or without TLS's own farewell, is resumed and loses nothing.

    source                                   target
    Hello                         ->
                                  <-         Refused | Welcome
    Begin (stream, position)      ->
    Batch, Fragment, Ping ...     ->
                                  <-         Ack, Applied, QueueFull, Listing, Blocks, Settled, Diverged, Ping ...
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from bodydouble.errors import ProtocolError, StateError
from bodydouble.vocabulary.operations import (
    CreateFile,
    Entry,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    Write,
)
from bodydouble.vocabulary.records import ReplicationSet  # noqa: TC001 - msgspec reads it at run time

if TYPE_CHECKING:
    from bodydouble.vocabulary.records import Peer

VERSION = 3
PROTOCOL = f"bodydouble-replication/{VERSION}"
"""The ALPN name: sides of different versions agree on none."""
HEADER_BYTES = 4
MAX_FRAME = 1024 * 1024 + 64 * 1024
MAX_BATCH_BYTES = 256 * 1024
MAX_BATCH_OPERATIONS = 1024
FRAGMENT_BYTES = 256 * 1024
MAX_OPERATION_BYTES = 64 * 1024 * 1024
"""A longer write of an application is replicated as several."""
BLOCK_BYTES = 64 * 1024
SMALL_FILE_BYTES = 1024 * 1024
"""Files up to here are compared by one digest in their directory's listing, longer ones block by block."""
MAX_BLOCKS = 4096

Purpose = Literal["replicate", "restore"]
Count = Annotated[int, msgspec.Meta(ge=0)]


# --- the stream: operations and what the mirror asks in order with them -----------------------------------------------


class StreamItem(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of what travels in the stream beside operations."""


class MirrorStart(StreamItem, frozen=True, tag="mirror-start"):
    """From here on the replica is incomplete, and operations on what it does not have yet are skipped."""


class MirrorComplete(StreamItem, frozen=True, tag="mirror-complete"):
    """The replica equals the source as of this point of the stream."""


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


class RemoveTree(StreamItem, frozen=True, tag="remove-tree"):
    """Remove ``path`` and what is beneath it, as far as the replication set selects it.

    Sent where no single operation says it: orphans, a file that became a directory, a rename out of the set.
    """

    path: str


Body = (
    MakeDirectory
    | CreateFile
    | Write
    | Truncate
    | Rename
    | RemoveFile
    | RemoveDirectory
    | SetMetadata
    | SetTimes
    | MakeHardLink
    | MakeSymbolicLink
    | MirrorStart
    | MirrorComplete
    | Settle
    | ListRequest
    | BlocksRequest
    | RemoveTree
)


class Item(msgspec.Struct, frozen=True, array_like=True):
    """One element of the stream."""

    sequence: Count
    body: Body


# --- messages ---------------------------------------------------------------------------------------------------------


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all messages."""


class Hello(Message, frozen=True, tag="hello"):
    """Who asks for what. ``stream`` is the stream that the source could resume, empty when it has none."""

    version: int
    source: str
    replication_set: ReplicationSet
    purpose: Purpose
    stream: str
    recognise_restore: bool


class Welcome(Message, frozen=True, tag="welcome"):
    """The target's answer.

    Attributes:
        position: last sequence number that the target has safe of the stream named in `Hello`; None when it cannot be
            resumed.
        trusted: sizes and times of the replica may be believed: its last mirror completed and nothing crashed since.
        restore_required: the target stood in for the source; no operation will be accepted.
    """

    position: Count | None
    trusted: bool
    restore_required: bool


class Refused(Message, frozen=True, tag="refused"):
    """No session; ``permanent`` when trying again soon is pointless."""

    detail: str
    permanent: bool


class Begin(Message, frozen=True, tag="begin"):
    """The source's choice: resume at ``position``, or a new stream at 0."""

    stream: str
    position: Count


class Batch(Message, frozen=True, tag="batch"):
    """Elements of the stream, consecutive."""

    items: list[Item]


class Fragment(Message, frozen=True, tag="fragment"):
    """A part of the data of the write that comes first in the next batch, before what that carries itself."""

    data: bytes


class Ping(Message, frozen=True, tag="ping"):
    """The peer is alive."""


class Ack(Message, frozen=True, tag="ack"):
    """Everything up to ``sequence`` will survive power loss on the target, and will be applied."""

    sequence: Count


class Applied(Message, frozen=True, tag="applied"):
    """Everything up to ``sequence`` is in the replica, durably."""

    sequence: Count


class QueueFull(Message, frozen=True, tag="queue-full"):
    """The target's queue is full, and it reads no further until it is not."""

    full: bool


class ListedEntry(msgspec.Struct, frozen=True, array_like=True):
    """An entry of the replica, with a digest of its bytes when that was asked for and the file is small."""

    entry: Entry
    digest: bytes


class Listing(Message, frozen=True, tag="listing"):
    """Answer to the `ListRequest` numbered ``sequence``; ``more`` when another page follows."""

    sequence: Count
    entries: list[ListedEntry]
    more: bool


class Blocks(Message, frozen=True, tag="blocks"):
    """Answer to a `BlocksRequest`; fewer than `MAX_BLOCKS` digests mean the end of the file."""

    sequence: Count
    digests: list[bytes]


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
    | QueueFull
    | Listing
    | Blocks
    | Settled
    | Diverged
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)
_item_decoder = msgspec.msgpack.Decoder(Item)


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


def encode_item(item: Item) -> bytes:
    """One element of the stream as a journal keeps it."""
    return _encoder.encode(item)


def decode_item(content: bytes) -> Item:
    """An element of the stream out of a journal.

    Raises:
        StateError: not an element as this version writes it.
    """
    try:
        return _item_decoder.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise StateError(f"a queue on disk holds no element of this version's streams: {error}") from error


def frame_length(header: bytes) -> int:
    """The length that a frame's header announces.

    Raises:
        ProtocolError: empty, or more than `MAX_FRAME`.
    """
    length = int.from_bytes(header, "big")
    if not 0 < length <= MAX_FRAME:
        raise ProtocolError(f"frame of {length} bytes announced: 1 to {MAX_FRAME} are allowed")
    return length


class Wire:
    """Messages over one connection.

    Args:
        reader: the stream's reading half.
        writer: the stream's writing half.
        peer_timeout: seconds of silence after which the peer counts as dead.
        peer: the paired machine at the other end.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer_timeout: float, peer: Peer
    ) -> None:
        self.peer = peer
        self._reader = reader
        self._writer = writer
        self._peer_timeout = peer_timeout

    async def receive(self) -> AnyMessage:
        """The next message.

        Raises:
            ConnectionError: the connection ended, or the peer was silent for too long.
            ProtocolError: the peer sent something else.
        """
        try:
            async with asyncio.timeout(self._peer_timeout):
                header = await self._reader.readexactly(HEADER_BYTES)
                return decode(await self._reader.readexactly(frame_length(header)))
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("the peer closed the connection") from error
        except TimeoutError as error:
            raise ConnectionAbortedError(f"the peer was silent for {self._peer_timeout:g} s") from error

    def post(self, message: Message) -> None:
        """Hand a message to the connection without waiting for room; for small messages."""
        self._writer.write(encode(message))

    async def send(self, message: Message) -> None:
        """Hand a message to the connection and wait until there is room for more."""
        self.post(message)
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
