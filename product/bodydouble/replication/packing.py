"""Packing: consecutive elements of a stream as one `Batch`, with what repeats said once, and with zstd.

The bytes of writes lie behind each other, apart from everything else, so that bytes which cannot be compressed do not
get between names, times and kinds, which repeat from element to element. An element that is about the same path as
the one before says no path, and a time is the difference to the time before. What is left is compressed as one run
over the whole session, because names come again and again, and always; bytes are compressed when the connection says
so, frame by frame, and sent as they are where that gains less than 3 %. Contents of less than 1 KiB are not
compressed (Double-Take's guides).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import msgspec
from backports.zstd import (
    CompressionParameter,
    DecompressionParameter,
    ZstdCompressor,
    ZstdDecompressor,
    ZstdError,
    compress,
)

from bodydouble.errors import ProtocolError
from bodydouble.replication.protocol import (
    FRAGMENT_BYTES,
    MAX_BATCH_OPERATIONS,
    MAX_FRAME,
    Batch,
    Body,
    Fragment,
    Item,
)
from bodydouble.vocabulary.operations import Write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.replication.queue import Queued

SMALL_BYTES = 1024
WINDOW_LOG = 20
"""No frame needs a longer window, and no peer may make this side allocate more."""
MAX_TIME_NS = 2**63 - 1
_WORTH = 0.97
_LEAST_LEVEL = 1
"""Of what is not contents: nobody wants names and times said again and again, whatever is said of contents."""

META, LARGE, ANEW = 1, 2, 4
"""Bits of `Batch.packed`."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Body])
_TIMES = {kind: tuple(name for name in kind.__struct_fields__ if name.endswith("_ns")) for kind in get_args(Body)}
"""The fields of each kind of element that are times, most of them close to each other."""


class Packer:
    """The sending side of one session.

    Args:
        level: zstd's; 0: contents are not compressed.

    Attributes:
        plain_bytes: what was packed so far, before compression.
    """

    def __init__(self, level: int = 0) -> None:
        self.level = level
        self.plain_bytes = 0
        self._options: dict[int, int] = {
            CompressionParameter.compression_level: level or _LEAST_LEVEL,
            CompressionParameter.window_log: WINDOW_LOG,
        }
        self._run: ZstdCompressor | None = None

    def messages(self, taken: Sequence[Queued]) -> list[Fragment | Batch]:
        """Frames for consecutive elements; a write that is too long for one frame is preceded by its data."""
        messages: list[Fragment | Batch] = []
        items: list[tuple[int, Body]] = []
        for queued in taken:
            body = queued.body
            if isinstance(body, Write) and len(body.data) > FRAGMENT_BYTES:
                if items:
                    messages.append(self.batch(items))
                    items = []
                data = body.data
                messages += [
                    self.fragment(data[at : at + FRAGMENT_BYTES]) for at in range(0, len(data), FRAGMENT_BYTES)
                ]
                messages.append(self.batch([(queued.sequence, Write(body.path, body.offset, b"", body.mtime_ns))]))
            else:
                items.append((queued.sequence, body))
        if items:
            messages.append(self.batch(items))
        return messages

    def batch(self, items: Sequence[tuple[int, Body]]) -> Batch:
        """Elements with consecutive numbers."""
        bodies, lengths, small, large = _lean(items)
        meta = _encoder.encode(bodies)
        self.plain_bytes += len(meta) + sum(map(len, small))
        packed = META if self._run is not None else META | ANEW
        meta = self._compress_meta(meta)
        content, is_packed = self._payload(b"".join(large))
        return Batch(items[0][0], packed | (LARGE if is_packed else 0), lengths, meta, b"".join(small), content)

    def fragment(self, data: bytes) -> Fragment:
        """A part of a long write."""
        content, is_packed = self._payload(data)
        return Fragment(content, len(data) if is_packed else 0)

    def _compress_meta(self, meta: bytes) -> bytes:
        if self._run is None:
            self._run = ZstdCompressor(options=self._options)
        return self._run.compress(meta, ZstdCompressor.FLUSH_BLOCK)

    def _payload(self, data: bytes) -> tuple[bytes, bool]:
        """The bytes, compressed where that is worth it; zstd finds out fast where it is not."""
        self.plain_bytes += len(data)
        if not self.level or len(data) < SMALL_BYTES:
            return data, False
        packed = compress(data, options=self._options)
        return (packed, True) if len(packed) <= _WORTH * len(data) else (data, False)


class Unpacker:
    """The receiving side of one session: whatever comes is bounded before anything is allocated for it."""

    def __init__(self) -> None:
        self._run: ZstdDecompressor | None = None

    def items(self, batch: Batch) -> list[Item]:
        """The elements of a batch.

        Raises:
            ProtocolError: it is none that `Packer` makes.
        """
        sizes = [each for each in batch.lengths if each >= SMALL_BYTES]
        if len(batch.lengths) > MAX_BATCH_OPERATIONS or sum(batch.lengths) > MAX_FRAME:
            raise ProtocolError("a batch of more than a frame may hold")
        meta = self._meta(batch) if batch.packed & META else batch.meta
        large = _unpacked(batch.large, sum(sizes)) if batch.packed & LARGE else batch.large
        if len(large) != sum(sizes) or len(batch.small) != sum(batch.lengths) - sum(sizes):
            raise ProtocolError("a batch whose bytes are not as many as its writes say")
        return _restored(batch.first, _bodies(meta), batch.lengths, (batch.small, large))

    def data(self, fragment: Fragment) -> bytes:
        """A part of a long write.

        Raises:
            ProtocolError: it is none.
        """
        return _unpacked(fragment.data, fragment.unpacked) if fragment.unpacked else fragment.data

    def _meta(self, batch: Batch) -> bytes:
        if batch.packed & ANEW:
            self._run = ZstdDecompressor(options={DecompressionParameter.window_log_max: WINDOW_LOG})
        if self._run is None:
            raise ProtocolError("a compressed run that never began")
        try:
            meta = self._run.decompress(batch.meta, max_length=MAX_FRAME)
        except (ZstdError, EOFError) as error:
            raise ProtocolError(f"compressed elements: {error}") from error
        if self._run.eof or not self._run.needs_input:
            raise ProtocolError(f"compressed elements of more than {MAX_FRAME} bytes")
        return meta


def _unpacked(data: bytes, size: int) -> bytes:
    if size > MAX_FRAME:
        raise ProtocolError(f"compressed contents of {size} bytes: at most {MAX_FRAME} are allowed")
    run = ZstdDecompressor(options={DecompressionParameter.window_log_max: WINDOW_LOG})
    try:
        content = run.decompress(data, max_length=size + 1)
    except ZstdError as error:
        raise ProtocolError(f"compressed contents: {error}") from error
    if len(content) != size or not run.eof or run.unused_data:
        raise ProtocolError(f"compressed contents of another length than {size} bytes")
    return content


def _bodies(meta: bytes) -> list[Body]:
    try:
        bodies = _decoder.decode(meta)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProtocolError(f"malformed elements: {error}") from error
    if not 0 < len(bodies) <= MAX_BATCH_OPERATIONS:
        raise ProtocolError(f"{len(bodies)} elements in a batch: 1 to {MAX_BATCH_OPERATIONS} are allowed")
    return bodies


def _lean(items: Sequence[tuple[int, Body]]) -> tuple[list[Body], list[int], list[bytes], list[bytes]]:
    """The elements without what was said before and without their bytes; lengths and bytes, short and long ones."""
    bodies: list[Body] = []
    lengths: list[int] = []
    small: list[bytes] = []
    large: list[bytes] = []
    before, clock = "", _Clock()
    for _, body in items:
        path = getattr(body, "path", "")
        said = "" if path == before else path
        before = path or before
        if isinstance(body, Write):
            lengths.append(len(body.data))
            (large if len(body.data) >= SMALL_BYTES else small).append(body.data)
            bodies.append(Write(said, body.offset, b"", clock.lean(body.mtime_ns)))
        elif path:
            times = {name: clock.lean(getattr(body, name)) for name in _TIMES[type(body)]}
            bodies.append(msgspec.structs.replace(body, path=said, **times))
        else:
            bodies.append(body)
    return bodies, lengths, small, large


def _restored(first: int, bodies: list[Body], lengths: list[int], contents: tuple[bytes, bytes]) -> list[Item]:
    items: list[Item] = []
    before, clock = "", _Clock()
    places = [0, 0]
    sizes = iter(lengths)
    for number, lean in enumerate(bodies, first):
        body = lean
        before = getattr(body, "path", "") or before
        if isinstance(body, Write):
            size = next(sizes, -1)
            which = int(size >= SMALL_BYTES)
            data = contents[which][places[which] : places[which] + size]
            if size < 0 or body.data:
                raise ProtocolError("a write without its length, or with its bytes in the wrong place")
            places[which] += size
            body = Write(before, body.offset, data, clock.full(body.mtime_ns))
        elif hasattr(body, "path"):
            times = {name: clock.full(getattr(body, name)) for name in _TIMES[type(body)]}
            body = msgspec.structs.replace(body, path=before, **times)
        items.append(Item(number, body))
    if next(sizes, None) is not None:
        raise ProtocolError("lengths of more writes than there are")
    return items


class _Clock:
    """Times as differences to the one before; 0 stays 0."""

    def __init__(self) -> None:
        self._now = 0

    def lean(self, time: int) -> int:
        """What is said of a time."""
        if not time:
            return 0
        apart, self._now = time - self._now, time
        return apart if apart < 0 else apart + 1

    def full(self, lean: int) -> int:
        """The time.

        Raises:
            ProtocolError: it is out of range.
        """
        if not lean:
            return 0
        self._now += lean if lean < 0 else lean - 1
        if not -MAX_TIME_NS <= self._now <= MAX_TIME_NS:
            raise ProtocolError(f"a time of {self._now} ns")
        return self._now
