"""Mutations of bytes: blind ones, and ones that know MessagePack, JSON and zstd, so that they come further in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from backports.zstd import ZstdError, compress, decompress

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

LEAVES: Sequence[Any] = (
    *(None, True, 0, 1, -1, 255, 2**31, 2**32 - 1, 2**63 - 1, -(2**63), 2**64 - 1, 1.5, float("inf")),
    *("", "a" * 300, "/", "..", "/web/../etc/passwd", "C:/data", "nul\0", "\ud800", "/web/" + "d/" * 200, "2002-12-02"),
    *(b"", b"\0" * 64, b"\xff" * 2000, [], {}, [[]], [0] * 40),
)
"""What takes the place of something in a structure."""
MAX_BYTES = 1 << 20


def mutate(stream: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """``data`` after one to four changes."""
    for _ in range(stream.choice((1, 1, 1, 2, 3, 4))):
        data = stream.choice(_BLIND)(stream, data, corpus)
    return data[:MAX_BYTES]


def _flip(stream: random.Random, data: bytes, _corpus: Sequence[bytes]) -> bytes:
    if not data:
        return b"\0"
    changed = bytearray(data)
    changed[stream.randrange(len(changed))] ^= 1 << stream.randrange(8)
    return bytes(changed)


def _set(stream: random.Random, data: bytes, _corpus: Sequence[bytes]) -> bytes:
    at = stream.randrange(len(data) + 1)
    return data[:at] + bytes([stream.choice((0, 1, 0x7F, 0x80, 0xC0, 0xC6, 0xCF, 0xDD, 0xDF, 0xFF))]) + data[at + 1 :]


def _drop(stream: random.Random, data: bytes, _corpus: Sequence[bytes]) -> bytes:
    at = stream.randrange(len(data) + 1)
    return data[:at] + data[at + stream.choice((1, 1, 2, 4, 16, 1000)) :]


def _double(stream: random.Random, data: bytes, _corpus: Sequence[bytes]) -> bytes:
    at, size = stream.randrange(len(data) + 1), stream.choice((1, 4, 30, 400))
    return data[: at + size] + data[at:]


def _insert(stream: random.Random, data: bytes, _corpus: Sequence[bytes]) -> bytes:
    at = stream.randrange(len(data) + 1)
    return data[:at] + stream.randbytes(stream.choice((1, 2, 4, 9, 40))) + data[at:]


def _huge(stream: random.Random, data: bytes, _corpus: Sequence[bytes]) -> bytes:
    """A length or a number as great as it can be said."""
    at = stream.randrange(len(data) + 1)
    said = stream.choice((b"\xdd\xff\xff\xff\xff", b"\xc6\x7f\xff\xff\xff", b"\xcf" + b"\xff" * 8, b"\xff\xff\xff\xff"))
    return data[:at] + said + data[at + len(said) :]


def _splice(stream: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    other = stream.choice(corpus)
    return data[: stream.randrange(len(data) + 1)] + other[stream.randrange(len(other) + 1) :]


def _cut(stream: random.Random, data: bytes, _corpus: Sequence[bytes]) -> bytes:
    return data[: stream.randrange(len(data) + 1)]


_BLIND: Sequence[Callable[[random.Random, bytes, Sequence[bytes]], bytes]] = (
    _flip, _flip, _set, _set, _drop, _double, _insert, _huge, _splice, _cut,
)  # fmt: skip


def restructure(stream: random.Random, data: bytes, *, json: bool = False) -> bytes:
    """The same message with something else in one to three places; blind where it is none."""
    codec: Any = msgspec.json if json else msgspec.msgpack
    try:
        value = codec.decode(data)
        for _ in range(stream.choice((1, 1, 2, 3))):
            value = _replaced(stream, value)
        return bytes(codec.encode(value))
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError, OverflowError):
        return _flip(stream, data, ())


def _replaced(stream: random.Random, value: Any) -> Any:
    """``value`` with another leaf, one less or one more; bytes that are zstd or MessagePack are gone into."""
    inner = value
    if isinstance(value, list) and value and stream.random() < 0.85:
        at = stream.randrange(len(value))
        what = stream.random()
        changed = list(value)
        if what < 0.08:
            del changed[at]
        elif what < 0.16:
            changed.insert(at, changed[at])
        else:
            changed[at] = _replaced(stream, changed[at])
        inner = changed
    elif isinstance(value, dict) and value and stream.random() < 0.85:
        key = stream.choice(list(value))
        inner = {**value, key: _replaced(stream, value[key])}
    elif isinstance(value, bytes) and len(value) > 1 and stream.random() < 0.7:
        inner = _within(stream, value)
    else:
        inner = stream.choice(LEAVES)
    return inner


def _within(stream: random.Random, data: bytes) -> bytes:
    try:
        return compress(restructure(stream, decompress(data)))
    except (ZstdError, EOFError):
        return restructure(stream, data) if stream.random() < 0.7 else _flip(stream, data, ())
