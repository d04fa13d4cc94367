"""What is mutated: the frames and state files of a real pair of daemons that mirrored and replicated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

import msgspec
import pytest
from tests.product.replication.site import ROOT, Site, mirrored, protect, running, until

from bodydouble.replication.protocol import (
    HEADER_BYTES,
    AnyMessage,
    Blocks,
    Body,
    Diverged,
    Fragment,
    Ping,
    Reach,
    Reached,
    Refused,
    Shared,
    TaskEnded,
    Wire,
    encode,
)
from bodydouble.vocabulary.operations import (
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    PunchHole,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    Write,
)
from bodydouble.vocabulary.shares import Share
from bodydouble.vocabulary.transmission import TransmissionOptions

if TYPE_CHECKING:
    from bodydouble.replication.source import SourceConnection
    from bodydouble.replication.stream import SourceStream


@dataclass
class Corpus:
    """Contents of frames by who receives them, files by name, and the daemons that they are of, which have stopped."""

    to_target: list[bytes] = field(default_factory=list)
    to_source: list[bytes] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    source: Site = field(init=False)
    target: Site = field(init=False)
    connection: SourceConnection = field(init=False)
    stream: SourceStream = field(init=False)

    @property
    def frames(self) -> list[bytes]:
        """Whole frames."""
        return [len(each).to_bytes(HEADER_BYTES, "big") + each for each in (*self.to_target, *self.to_source)]


MADE = (
    Refused("not now", permanent=False),
    Diverged("C:/x: not_found"),
    TaskEnded("1", 0, "done", failed=False),
    Blocks(3, [b"d" * 16]),
    Fragment(b"f" * 5000, 0),
    Ping(),
    Reached(answers=True),
)
MADE_BY_A_SOURCE = (
    Fragment(b"f" * 300, 0),
    Reach("10.0.0.10"),
    Shared([Share("pages", ROOT, "for clients"), Share("d$", f"{ROOT}/d")]),
)
"""Messages that an undisturbed conversation has not."""


async def collect() -> Corpus:
    """Let two daemons replicate, and keep what they said and wrote."""
    corpus = Corpus()
    source, target = Site("WEB1"), Site("WEB2")
    corpus.source, corpus.target = source, target
    seed(source)
    target.mkdir(ROOT)
    target.put(f"{ROOT}/large", b"old" * 400_000)
    with pytest.MonkeyPatch.context() as patch:
        async with running(source, target):
            record(patch, corpus)
            options = TransmissionOptions(compression=3)
            await protect(source, target.service.port, mirror="checksum", orphans="delete", transmission=options)
            await mirrored(source, target)
            work(source)
            await mirrored(source, target)
            await until(lambda: source.service.connections()[0].queue_operations == 0)
            patch.undo()
            corpus.to_source += [encode(each)[HEADER_BYTES:] for each in MADE]
            corpus.to_target += [encode(each)[HEADER_BYTES:] for each in MADE_BY_A_SOURCE]
            for site in (source, target):
                for node in site.volume.inside("/state"):
                    if not node.directory:
                        corpus.files[f"{site.name}{node.path}"] = bytes(node.data)
            corpus.connection = source.service.connection(1)
            assert corpus.connection.stream is not None
            corpus.stream = corpus.connection.stream
    corpus.stream._closed = False  # the daemons have stopped; what they said goes on
    return corpus


def record(patch: pytest.MonkeyPatch, corpus: Corpus) -> None:
    write = Wire._write

    def recording(self: Wire, frame: bytes) -> None:
        kept = corpus.to_target if self.peer.name == "WEB2" else corpus.to_source
        kept.append(bytes(frame[HEADER_BYTES:]))
        write(self, frame)

    patch.setattr(Wire, "_write", recording)


def seed(source: Site) -> None:
    source.mkdir(ROOT)
    source.mkdir(f"{ROOT}/d")
    for number in range(6):
        source.put(f"{ROOT}/d/page-{number}", bytes([65 + number]) * 300 * number)
    source.put(f"{ROOT}/large", b"new" * 400_000)
    source.volume.do(MakeHardLink(f"{ROOT}/link", f"{ROOT}/d/page-1"))
    source.volume.do(MakeSymbolicLink(f"{ROOT}/symbolic", "d/page-1", Metadata(), 3))


def work(source: Site) -> None:
    path = f"{ROOT}/d/page-2"
    for operation in (
        Write(path, 3, b"changed", 5_000),
        Truncate(path, 7, 6_000),
        PunchHole(path, 0, 4, 6_500),
        SetTimes(path, 7_000),
        SetMetadata(path, Metadata(1, b"0:0:644", (("user.a", b"1"),))),
        Rename(path, f"{ROOT}/renamed"),
        RemoveFile(f"{ROOT}/link"),
    ):
        source.volume.do(operation)


def tags(kinds: object) -> list[str]:
    """How the kinds of a union are told apart on the wire."""
    return [str(msgspec.inspect.type_info(kind).tag) for kind in get_args(kinds)]  # type: ignore[attr-defined]


MESSAGES = tags(AnyMessage)
BODIES = tags(Body)
