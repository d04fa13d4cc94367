"""Packing: what is unpacked is what was packed, in few bytes; and what a hostile peer packs is refused, bounded."""

from __future__ import annotations

import random
import tracemalloc
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from backports.zstd import ZstdCompressor
from hypothesis import given
from hypothesis import strategies as st
from tests.product.replication.test_mirror_under_load import operations

from bodydouble.errors import ProtocolError
from bodydouble.replication.packing import ANEW, LARGE, META, SMALL_BYTES, Packer, Unpacker
from bodydouble.replication.protocol import (
    FRAGMENT_BYTES,
    HEADER_BYTES,
    MAX_BATCH_BYTES,
    MAX_BATCH_OPERATIONS,
    MAX_FRAME,
    Batch,
    Body,
    Fragment,
    Item,
    ListRequest,
    MirrorStart,
    Settle,
    Task,
    decode,
    encode,
)
from bodydouble.replication.queue import SourceQueue
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    Metadata,
    RemoveFile,
    Rename,
    SetTimes,
    Truncate,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

PATHS = st.sampled_from(["/web/a", "/web/b/c"])
BODIES = st.one_of(
    operations(PATHS),
    st.builds(Write, PATHS, st.just(7), st.binary(max_size=3000), st.integers(0, 2**61)),
    st.builds(SetTimes, PATHS, st.integers(-(2**40), 2**61)),
    st.builds(MirrorStart),
    st.builds(Settle),
    st.builds(ListRequest, PATHS, st.booleans(), st.text(max_size=3), st.booleans()),
    st.builds(Task, st.just("id"), st.just("execute"), st.just("c"), st.just(["x"]), st.just(1.0)),
)


def there(batch: Batch, unpacker: Unpacker) -> list[Item]:
    """Through a frame and out again."""
    message = decode(encode(batch)[HEADER_BYTES:])
    assert isinstance(message, Batch)
    return unpacker.items(message)


@given(st.lists(st.lists(BODIES, min_size=1, max_size=20), min_size=1, max_size=4), st.sampled_from([0, 1, 9]))
def test_what_is_unpacked_is_what_was_packed(batches: list[list[Any]], level: int) -> None:
    packer, unpacker = Packer(level), Unpacker()
    first = 1
    for bodies in batches:
        items = list(enumerate(bodies, first))
        assert there(packer.batch(items), unpacker) == [Item(number, body) for number, body in items]
        first += len(bodies)


def test_a_long_write_goes_in_fragments() -> None:
    queue = SourceQueue(1 << 30)
    data = random.Random(1).randbytes(700_000) + bytes(100_000)
    queue.put(Write("/web/a", 0, data, 1))
    packer, unpacker = Packer(1), Unpacker()
    *fragments, last = packer.messages(queue.take(MAX_BATCH_BYTES, MAX_BATCH_OPERATIONS))
    assert all(isinstance(each, Fragment) for each in fragments)
    assert b"".join(unpacker.data(each) for each in fragments if isinstance(each, Fragment)) == data
    assert isinstance(last, Batch)
    assert unpacker.items(last) == [Item(1, Write("/web/a", 0, b"", 1))]


def test_contents_below_a_kibibyte_are_not_compressed() -> None:
    batch = Packer(1).batch([(1, Write("/web/a", 0, bytes(SMALL_BYTES - 1), 1))])
    assert (len(batch.small), batch.packed & LARGE) == (SMALL_BYTES - 1, 0)
    batch = Packer(1).batch([(1, Write("/web/a", 0, bytes(SMALL_BYTES), 1))])
    assert batch.packed & LARGE
    assert len(batch.large) < 50


def test_what_gains_nothing_is_sent_as_it_is_and_what_comes_behind_it_is_compressed() -> None:
    packer, unpacker = Packer(1), Unpacker()
    for number, (data, is_packed) in enumerate([(random.Random(1).randbytes(4096), False), (bytes(4096), True)], 1):
        body = Write("/web/a", 0, data, number)
        batch = packer.batch([(number, body)])
        assert bool(batch.packed & LARGE) == is_packed
        assert there(batch, unpacker) == [Item(number, body)]


def small_files(number: int) -> tuple[list[Body], int]:
    """Files of 4 KiB created, 20 % overwritten (256 bytes), 5 % renamed, 5 % deleted; and the bytes of contents."""
    drawn = random.Random(1)
    bodies: list[Body] = []
    at = 1_700_000_000_000_000_000
    names = [f"/srv/www/d{n % 50:03}/file-{n:05}.bin" for n in range(number)]
    metadata = Metadata(security=b"0:0:644")
    for name in names:
        at += drawn.randrange(40_000, 90_000)
        bodies += [CreateFile(name, metadata, at), Truncate(name, 0, at)]
        at += drawn.randrange(40_000, 90_000)
        bodies.append(Write(name, 0, drawn.randbytes(4096), at))
    for name in drawn.sample(names, number // 5):
        at += drawn.randrange(40_000, 90_000)
        bodies.append(Write(name, drawn.randrange(3840), drawn.randbytes(256), at))
    bodies += [Rename(name, name + ".old") for name in names[: number // 20]]
    bodies += [RemoveFile(name) for name in names[-(number // 20) :]]
    return bodies, number * 4096


def on_the_wire(bodies: Sequence[Body], level: int) -> int:
    queue = SourceQueue(1 << 40)
    for body in bodies:
        queue.put(body)
    packer, total = Packer(level), 0
    while taken := queue.take(MAX_BATCH_BYTES, MAX_BATCH_OPERATIONS):
        total += sum(len(encode(message)) for message in packer.messages(taken))
    return total


def test_small_files_cost_little_more_than_their_contents() -> None:
    bodies, contents = small_files(1000)
    for level in (0, 1):
        assert on_the_wire(bodies, level) - contents < 100 * 1000


# --- hostile peers --------------------------------------------------------------------------------------------------


def good(level: int = 1) -> Batch:
    return Packer(level).batch([(1, Write("/web/a", 0, bytes(5000), 1)), (2, MakeDirectory("/web/d", Metadata()))])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"meta": b"not zstd"}, "compressed elements"),
        ({"packed": META | LARGE}, "never began"),
        ({"packed": ANEW | META}, "not as many"),
        ({"large": b"\x28\xb5\x2f\xfd", "packed": LARGE | META | ANEW}, "another length"),
        ({"lengths": [4999]}, "another length"),
        ({"lengths": [5000, 3]}, "not as many"),
        ({"lengths": []}, "another length"),
        ({"lengths": [2**63]}, "more than a frame"),
        ({"lengths": [0] * 2000}, "more than a frame"),
        ({"small": b"xx"}, "not as many"),
    ],
)
def test_batches_that_no_packer_makes_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        Unpacker().items(msgspec.structs.replace(good(), **fields))


@pytest.mark.parametrize(
    "meta",
    [
        [],
        [["write", "/web/a", 0, b"hidden", 1]],
        [["write", "", 0, b"", 2**62]] * 3,
        [["rmdir", "/web/a"]] * 1025,
        ["nonsense"],
    ],
)
def test_elements_that_no_packer_makes_are_refused(meta: list[Any]) -> None:
    lengths = [0] * sum(each[0] == "write" for each in meta if isinstance(each, list))
    with pytest.raises(ProtocolError):
        Unpacker().items(Batch(1, 0, lengths, msgspec.msgpack.encode(meta), b"", b""))


BOMB = 200 * 1024 * 1024


@pytest.mark.parametrize("where", ["meta", "large", "fragment"])
def test_a_bomb_is_refused_without_room_for_it(where: str) -> None:
    """Two hundred mebibytes of zeros in a few kilobytes."""
    packer = ZstdCompressor()
    bomb = packer.compress(bytes(BOMB), ZstdCompressor.FLUSH_FRAME)
    assert len(bomb) < 50_000
    unpack: Any = {
        "meta": lambda: Unpacker().items(Batch(1, META | ANEW, [], bomb, b"", b"")),
        "large": lambda: Unpacker().items(Batch(1, LARGE, [MAX_FRAME], msgspec.msgpack.encode([]), b"", bomb)),
        "fragment": lambda: Unpacker().data(Fragment(bomb, FRAGMENT_BYTES)),
    }[where]
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            unpack()
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_a_fragment_that_says_to_be_longer_than_a_frame_is_refused() -> None:
    with pytest.raises(ProtocolError, match="at most"):
        Unpacker().data(Fragment(b"x", 2**40))
