"""A slice of the mutated inputs, and the defects that they have to find. The whole is ``make fuzz``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.fuzz import campaign
from tests.fuzz.campaign import DefectError, fuzz, run
from tests.fuzz.corpus import BODIES, MESSAGES, collect

from bodydouble.replication import packing, protocol
from bodydouble.replication.journal.reading import SegmentReader
from bodydouble.vocabulary.operations import Write

if TYPE_CHECKING:
    from collections.abc import Callable

SLICE = 6000


def test_no_mutated_input_crashes_or_hangs() -> None:
    tried = run(1, SLICE)
    assert tried.total() == SLICE
    assert min(tried.values()) > 50


def test_every_message_and_most_elements_are_in_the_corpus() -> None:
    corpus = asyncio.run(collect())
    there = {msgspec.msgpack.decode(frame)[0] for frame in (*corpus.to_target, *corpus.to_source)}
    assert set(MESSAGES) - there <= {"volume"}, "make one in `corpus.MADE`"
    unpacker = packing.Unpacker()
    bodies: set[str] = set()
    for frame in corpus.to_target:
        message = protocol.decode(frame)
        if isinstance(message, protocol.Batch):
            for item in unpacker.items(message):
                bodies.add(str(msgspec.to_builtins(item.body)[0]))
    assert len(bodies) > len(BODIES) // 2, sorted(set(BODIES) - bodies)


def _index_error(patch: pytest.MonkeyPatch) -> None:
    """A decoder that looks where nothing need be."""
    restored = packing._restored

    def careless(first: int, bodies: list[Any], lengths: list[int], contents: tuple[bytes, bytes]) -> Any:
        for number in range(sum(isinstance(each, Write) for each in bodies)):
            assert lengths[number] >= 0
        return restored(first, bodies, lengths, contents)

    patch.setattr(packing, "_restored", careless)


def _loop(patch: pytest.MonkeyPatch) -> None:
    """A reader that never comes to the end of what is damaged."""
    scan: Callable[..., Any] = SegmentReader.next

    async def patient(self: SegmentReader) -> bytes | None:
        found: bytes | None = await scan(self)
        while found is None and self.offset < 300:
            found = await scan(self)
        return found

    patch.setattr(SegmentReader, "next", patient)
    patch.setattr(campaign, "SECONDS", 0.5)


@pytest.mark.parametrize(
    ("plant", "door", "seen"),
    [(_index_error, "packed", "IndexError"), (_loop, "journal", "it hangs")],
    ids=["a decoder that raises IndexError", "a reader that loops"],
)
def test_a_planted_defect_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], door: str, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(DefectError, match=seen):
        asyncio.run(fuzz(1, 3000, doors=(door,)))


def test_a_process_that_grows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter([0, *range(1 << 30, 2 << 30, 1 << 20)])
    monkeypatch.setattr(campaign, "_grown", lambda: next(sizes))
    with pytest.raises(DefectError, match="grew"):
        asyncio.run(fuzz(1, 10, doors=("state",)))
