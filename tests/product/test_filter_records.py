"""Records of the filter's ring, as the program writes them and as they must not be."""

from __future__ import annotations

import asyncio
import os
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodydouble.adapters.fuse.reader import Reader
from bodydouble.adapters.fuse.records import ALIGN, HEADER, LENGTH, PAD, RecordError, decode, measure
from bodydouble.adapters.fuse.ring import MAGIC, PAGE, Ring
from bodydouble.adapters.sinks import SinkTable
from bodydouble.errors import FilterError
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    Operation,
    PunchHole,
    Rename,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble.vocabulary.operations import AnyOperation

ROOTS = ["/srv/a", "/srv/b"]
SIZE = 1 << 16
CREATE, WRITE, RENAME, HARD_LINK, SYMBOLIC_LINK, HOLE = 2, 3, 5, 10, 11, 12


def record(
    kind: int, path: str, *, root: int = 0, second: bytes = b"", number: int = 0, data: bytes = b"", mode: int = 0o644
) -> bytes:
    name = path.encode()
    length = -(-(HEADER.size + len(name) + len(second) + len(data)) // ALIGN) * ALIGN
    header = HEADER.pack(length, kind, root, len(name), len(second), number, 7, 1000, 1001, mode, len(data))
    return (header + name + second + data).ljust(length, b"\0")


def said(raw: bytes) -> AnyOperation | None:
    view = memoryview(raw)
    length, _ = measure(view)
    return decode(view[:length], ROOTS)


EXTENDED = struct.pack("<HI", 6, 2) + b"user.xhi"


@pytest.mark.parametrize(
    ("raw", "operation"),
    [
        (record(WRITE, "d/f", number=5, data=b"abc"), Write("/srv/a/d/f", 5, b"abc", 7)),
        (
            record(CREATE, "ü", root=1, data=EXTENDED),
            CreateFile("/srv/b/ü", Metadata(security=b"1000:1001:644", extended=(("user.x", b"hi"),)), 7),
        ),
        (record(RENAME, "f", second=b"g"), Rename("/srv/a/f", "/srv/a/g")),
        (record(HARD_LINK, "f", second=b"g", number=1), MakeHardLink("/srv/a/f", "/srv/b/g")),
        (
            record(SYMBOLIC_LINK, "f", second=b"../x", mode=0o777),
            MakeSymbolicLink("/srv/a/f", "../x", Metadata(security=b"1000:1001:777"), 7),
        ),
        (record(HOLE, "f", number=5, data=struct.pack("<Q", 9)), PunchHole("/srv/a/f", 5, 9, 7)),
        (LENGTH.pack(16, PAD, 0) + bytes(8), None),
    ],
)
def test_record_says_its_operation(raw: bytes, operation: AnyOperation | None) -> None:
    assert said(raw) == operation


SOUND = [
    record(WRITE, "d/f", number=5, data=b"abc" * 20),
    record(CREATE, "f", data=EXTENDED * 3),
    record(RENAME, "d/f", second=b"e/f"),
]


@given(raw=st.sampled_from(SOUND), changes=st.dictionaries(st.integers(0, 200), st.integers(0, 255), max_size=6))
def test_damaged_record_is_an_operation_or_refused(raw: bytes, changes: dict[int, int]) -> None:
    damaged = bytearray(raw)
    for at, value in changes.items():
        damaged[at % len(damaged)] = value
    try:
        operation = said(bytes(damaged))
    except RecordError:
        return
    assert operation is None or isinstance(operation, Operation)


@given(raw=st.binary(max_size=200))
def test_arbitrary_bytes_are_an_operation_or_refused(raw: bytes) -> None:
    try:
        said(raw)
    except RecordError:
        return


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        record(WRITE, "f")[:-8],
        record(99, "f"),
        record(WRITE, "f", root=2),
        record(HARD_LINK, "f", second=b"g", number=9),
        HEADER.pack(48, WRITE, 0, 1 << 31, 0, 0, 0, 0, 0, 0, 0),
        HEADER.pack(48, WRITE, 0, 0, 0, 0, 0, 0, 0, 0, 1 << 31),
        record(CREATE, "f", data=struct.pack("<HI", 6, 1 << 31) + b"user.x"),
        record(CREATE, "f", data=b"\0"),
        record(HOLE, "f", data=b"\0"),
        LENGTH.pack(7, PAD, 0),
        LENGTH.pack(0, PAD, 0),
    ],
)
def test_lengths_that_cannot_be_are_refused(raw: bytes) -> None:
    with pytest.raises(RecordError):
        said(raw)


# --- the ring ---------------------------------------------------------------------------------------------------------


class Memory:
    """The program's end of a ring, as far as a test needs one."""

    def __init__(self, size: int = SIZE) -> None:
        self.size = size
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, PAGE + size)
        self._put(0, MAGIC)
        self._put(8, size)
        self.head = 0
        self.bell = os.eventfd(0, os.EFD_NONBLOCK)

    def _put(self, at: int, number: int) -> None:
        os.pwrite(self.fd, number.to_bytes(8, "little"), at)

    def append(self, raw: bytes) -> None:
        os.pwrite(self.fd, raw, PAGE + self.head % self.size)
        self.move(self.head + len(raw))

    def move(self, head: int) -> None:
        self.head = head
        self._put(64, head)

    def drop(self, count: int) -> None:
        self._put(88, count)

    def close(self) -> None:
        os.close(self.fd)
        os.close(self.bell)


@pytest.fixture
def memory() -> Iterator[Memory]:
    made = Memory()
    yield made
    made.close()


def read(memory: Memory, *appended: bytes, dropped: int = 0, head: int | None = None) -> tuple[list[str], list[str]]:
    """Paths that a sink was told of and what was said to be lost, after all this was in the ring."""
    seen: list[str] = []
    lost: list[str] = []

    async def run() -> None:
        ring, sinks = Ring(memory.fd, SIZE, ROOTS), SinkTable()
        reader = Reader(ring, memory.bell, sinks)
        reader.start()
        sinks.attach("/srv", lambda operation: seen.append(operation.path), lost.append)
        for raw in appended:
            memory.append(raw)
        memory.drop(dropped)
        if head is not None:
            memory.move(head)
        await reader.settled()
        assert ring.tail == ring.head
        reader.stop()
        ring.close()

    asyncio.run(run())
    return seen, lost


def test_records_are_reported_in_order(memory: Memory) -> None:
    names = [f"f{number}" for number in range(1000)]
    assert read(memory, *[record(RENAME, name, second=b"g") for name in names]) == ([f"/srv/a/{n}" for n in names], [])


def test_dropped_records_are_told_before_anything_that_follows(memory: Memory) -> None:
    seen, (lost,) = read(memory, record(RENAME, "f", second=b"g"), dropped=3)
    assert seen == []
    assert "3 changes found no room" in lost


def test_damaged_record_counts_as_lost_and_what_follows_is_not_guessed(memory: Memory) -> None:
    good, bad = record(RENAME, "f", second=b"g"), record(99, "f")
    seen, (lost,) = read(memory, bad, good)
    assert seen == []
    assert "kind 99" in lost


@pytest.mark.parametrize("head", [SIZE + 8, 1 << 63])
def test_head_beyond_the_ring_counts_as_lost(memory: Memory, head: int) -> None:
    seen, (lost,) = read(memory, head=head)
    assert seen == []
    assert "in a ring of" in lost


def test_memory_that_is_no_ring_is_refused(memory: Memory) -> None:
    with pytest.raises(FilterError, match="cannot be mapped"):
        Ring(memory.fd, 2 * SIZE, ROOTS)
    os.pwrite(memory.fd, b"\0", 0)
    with pytest.raises(FilterError, match="no ring"):
        Ring(memory.fd, SIZE, ROOTS)
