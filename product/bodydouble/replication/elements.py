"""Elements of the stream as journals keep them: MessagePack, decoded strictly."""

from __future__ import annotations

import struct

import msgspec

from bodydouble.errors import StateError
from bodydouble.replication.protocol import Item
from bodydouble.vocabulary.operations import Write

_LONG_BYTES = 64 * 1024
_LONG_BINARY = struct.Struct(">BI")
"""How MessagePack announces bytes of that length: their kind and their number."""
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Item)


def encode_item(item: Item) -> bytes:
    """One element of the stream as a journal keeps it."""
    return _encoder.encode(item)


def item_pieces(item: Item) -> tuple[bytes, ...]:
    """The bytes of `encode_item`, in several pieces when the element is a long write: what it writes is not copied."""
    body = item.body
    if not isinstance(body, Write) or len(body.data) < _LONG_BYTES:
        return (encode_item(item),)
    head = encode_item(Item(item.sequence, Write(body.path, body.offset, b"", body.mtime_ns)))
    tail = _encoder.encode(body.mtime_ns)
    # In the place of no bytes (two: their kind and their length) come those that are written.
    return head[: -len(tail) - 2] + _LONG_BINARY.pack(0xC6, len(body.data)), body.data, tail


def decode_item(content: bytes) -> Item:
    """An element of the stream out of a journal.

    Raises:
        StateError: not an element as this version writes it.
    """
    try:
        return _decoder.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise StateError(f"a queue on disk holds no element of this version's streams: {error}") from error
