"""Values that no host's files can have: refused where they arrive, before they are written down. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble.errors import ProtocolError
from bodydouble.replication.protocol import BLOCK_BYTES, BlocksRequest
from bodydouble.vocabulary.operations import (
    MAX_EXTENDED_BYTES,
    MAX_TARGET_CHARACTERS,
    CreateFile,
    MakeDirectory,
    MakeSymbolicLink,
    Metadata,
    PunchHole,
    RemoveStream,
    SetMetadata,
    SetTimes,
    StreamOperation,
    Truncate,
    TruncateStream,
    Write,
    WriteStream,
)

if TYPE_CHECKING:
    from bodydouble.replication.protocol import Body

MAX_OFFSET = 2**62
MAX_TIME_NS = 2**62
MAX_SECURITY_BYTES = 64 * 1024
MAX_ATTRIBUTE_NAME = 255
MAX_BITS = 2**32 - 1
MAX_STREAM_NAME = 255
_NOT_IN_A_STREAM = re.compile(r"[\x00-\x1f:/\\]")


def check_values(body: Body) -> None:
    """Refuse numbers, metadata and targets of links that cannot be, whatever the path.

    Raises:
        ProtocolError: says which.
    """
    if isinstance(body, StreamOperation):
        _check_stream(body)
    elif isinstance(body, Write):
        _within(body.path, "offset", body.offset, 0, MAX_OFFSET)
    elif isinstance(body, Truncate):
        _within(body.path, "size", body.size, 0, MAX_OFFSET)
    elif isinstance(body, PunchHole):
        _within(body.path, "offset", body.offset, 0, MAX_OFFSET)
        _within(body.path, "size", body.size, 0, MAX_OFFSET)
    elif isinstance(body, BlocksRequest):
        _within(body.path, "block", body.first, 0, MAX_OFFSET // BLOCK_BYTES)
    if isinstance(body, CreateFile | Write | Truncate | PunchHole | SetTimes | MakeSymbolicLink):
        _within(body.path, "time", body.mtime_ns, -MAX_TIME_NS, MAX_TIME_NS)
    if isinstance(body, MakeDirectory | CreateFile | SetTimes | MakeSymbolicLink):
        _within(body.path, "creation time", body.created_ns, -MAX_TIME_NS, MAX_TIME_NS)
    if isinstance(body, MakeDirectory | CreateFile | SetMetadata | MakeSymbolicLink):
        _check_metadata(body.path, body.metadata)
    if isinstance(body, MakeSymbolicLink):
        _check_target(body)


def _check_stream(body: StreamOperation) -> None:
    """A stream's name must not reach anything else (``file:stream:$INDEX_ALLOCATION``)."""
    every = isinstance(body, RemoveStream) and not body.stream
    if not every and (not 0 < len(body.stream) <= MAX_STREAM_NAME or _NOT_IN_A_STREAM.search(body.stream)):
        raise ProtocolError(f"{body.path}: {body.stream[:MAX_STREAM_NAME]!r} is no name of a stream")
    if isinstance(body, WriteStream):
        _within(body.path, "offset", body.offset, 0, MAX_OFFSET)
    elif isinstance(body, TruncateStream):
        _within(body.path, "size", body.size, 0, MAX_OFFSET)


def _within(path: str, what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ProtocolError(f"{path}: {what} {value} is out of range")


def _check_metadata(path: str, metadata: Metadata) -> None:
    _within(path, "attributes", metadata.attributes, 0, MAX_BITS)
    _within(path, "length of security", len(metadata.security), 0, MAX_SECURITY_BYTES)
    size = sum(len(name) + len(value) for name, value in metadata.extended)
    _within(path, "size of extended attributes", size, 0, MAX_EXTENDED_BYTES)
    for name, _ in metadata.extended:
        if not 0 < len(name) <= MAX_ATTRIBUTE_NAME or "\0" in name:
            raise ProtocolError(f"{path}: {name[:MAX_ATTRIBUTE_NAME]!r} is no name of an extended attribute")


def _check_target(operation: MakeSymbolicLink) -> None:
    """A link may lead anywhere: nothing here ever follows one. It must only be something that a volume can hold."""
    if not 0 < len(operation.target) <= MAX_TARGET_CHARACTERS or "\0" in operation.target:
        raise ProtocolError(f"{operation.path}: no target that a symbolic link can have")
