"""What programs do to ``file:stream``, as operations on the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeStream,
    PunchHole,
    RemoveFile,
    RemoveStream,
    Truncate,
    TruncateStream,
    Write,
    WriteStream,
)

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble_sim.storage.changes import Done
    from bodydouble_sim.storage.node import Link


def in_stream(done: AnyOperation, link: Link) -> Done:
    """An operation that was done to a stream, as one on the file that has it, and the file's name.

    A hole is told as zeros: streams are short.
    """
    assert link.parent is not None
    file = link.parent.link
    assert file is not None
    path, _, stream = done.path.rpartition(":")
    told: AnyOperation
    match done:
        case CreateFile():
            told = MakeStream(path, stream)
        case Write():
            told = WriteStream(path, stream, done.offset, done.data)
        case PunchHole():
            told = WriteStream(path, stream, done.offset, bytes(done.size))
        case Truncate():
            told = TruncateStream(path, stream, done.size)
        case RemoveFile():
            told = RemoveStream(path, stream)
        case _:
            raise AssertionError(f"{type(done).__name__} of a stream is one of its file")
    return told, file
