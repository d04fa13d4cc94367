"""Where bytes from outside come in, each with what it may raise: everything else is a defect."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from backports.zstd import ZstdCompressor
from tests.fuzz.mutation import mutate, restructure
from tests.peers import credential_of
from tests.product.replication.memory import MemoryVolume, TickingClock

from bodydouble.errors import BodydoubleError, ProtocolError, StateError
from bodydouble.replication.admission import SessionRefusedError, check_hello, check_roots
from bodydouble.replication.applier import PositionRecord
from bodydouble.replication.elements import encode_item
from bodydouble.replication.groups import Window
from bodydouble.replication.home import SetList
from bodydouble.replication.intake import Intake
from bodydouble.replication.journal import framing
from bodydouble.replication.journal.journal import Journal
from bodydouble.replication.packing import ANEW, META, Unpacker, _lean
from bodydouble.replication.places import targets_of
from bodydouble.replication.protocol import (
    VERSION,
    AnyMessage,
    Batch,
    Fragment,
    Hello,
    Item,
    Reach,
    RemoveTree,
    Shared,
    Wire,
    decode,
)
from bodydouble.replication.queue import SourceQueue
from bodydouble.replication.reach import asked_for
from bodydouble.replication.service import ConnectionList, RunRecord
from bodydouble.replication.sharing import check_told
from bodydouble.replication.target import ReplicaList
from bodydouble.replication.target_queue import TargetQueue
from bodydouble.security.certificate import Credential
from bodydouble.security.trust import Trust
from bodydouble.state.events import EventLog
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.operations import CreateFile, MakeDirectory, Metadata, Write
from bodydouble.vocabulary.records import BOTH_ROLES, Peer

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from tests.fuzz.corpus import Corpus

STATE = "/state"
RECORDS: dict[str, type[Any]] = {
    "run.json": RunRecord,
    "connections.json": ConnectionList,
    "replication-sets.json": SetList,
    "target-replicas.json": ReplicaList,
    "target-position-1.json": PositionRecord,
    "credential.json": Credential,
}
"""State files and what is read out of them."""


_SINCE = datetime(2002, 12, 2, tzinfo=UTC)


def segment(identity: str = "stream", payloads: Sequence[bytes] = (b"one", b"two" * 100, b"three")) -> bytes:
    """A journal's segment as it lies on disk."""
    header = framing.encode_header(identity, 1)
    content, crc = bytearray(header), int.from_bytes(header[-4:], "big")
    for payload in payloads:
        record, crc = framing.encode_record(payload, crc)
        content += record
    return bytes(content)


def batches(corpus: Corpus) -> list[list[Item]]:
    """The elements of each batch that a source sent."""
    unpacker = Unpacker()
    messages = [decode(content) for content in corpus.to_target]
    return [unpacker.items(message) for message in messages if isinstance(message, Batch)]


class _Sent:
    """A writer that goes nowhere."""

    transport = None

    def write(self, _data: bytes) -> None:
        return


class Doors:
    """All of them, over the real objects of a pair of daemons.

    Args:
        corpus: what is mutated.
    """

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        registry = corpus.target.service.registry
        replica = registry.find("WEB1", "web")
        assert replica is not None
        self._replica, self._context = replica, corpus.target.service.context
        certificate = credential_of("WEB1")
        self._peer = Peer(
            name="WEB1", fingerprint=certificate.fingerprint, roles=BOTH_ROLES, state="paired", since=_SINCE
        )
        self._clock = TickingClock()
        self._segment = segment()
        self._batches = batches(corpus)

    # --- the wire ---

    async def _messages(self, frames: bytes) -> list[AnyMessage]:
        reader = asyncio.StreamReader(limit=1 << 22)
        reader.feed_data(frames)
        reader.feed_eof()
        wire = Wire(reader, _Sent(), 5.0, self._peer)  # type: ignore[arg-type]
        messages: list[AnyMessage] = []
        try:
            while len(messages) < 50:
                messages.append(await wire.receive())
        except ConnectionError:
            pass
        return messages

    def _framed(self, stream: random.Random, contents: Sequence[bytes], corpus: Sequence[bytes]) -> bytes:
        """One to three frames, one of them mutated; now and then their heads as well."""
        at = stream.randrange(len(contents))
        content = contents[at]
        content = restructure(stream, content) if stream.random() < 0.6 else mutate(stream, content, corpus)
        chosen = [content, *stream.choices(contents, k=stream.choice((0, 0, 0, 1, 2)))]
        frames = b"".join(len(each).to_bytes(4, "big") + each for each in chosen)
        return mutate(stream, frames, corpus) if stream.random() < 0.05 else frames

    async def target(self, stream: random.Random) -> None:
        """What a source says to a target: greeting, elements, and their checks."""
        frames = self._framed(stream, self._corpus.to_target, self._corpus.to_target)
        try:
            intake: Intake | None = None
            for message in await self._messages(frames):
                if isinstance(message, Hello):
                    self._greet(message)
                elif isinstance(message, Reach):
                    asked_for(message)
                elif isinstance(message, Shared):
                    check_told(self._replica, message)
                elif isinstance(message, Batch | Fragment):
                    first = message.first - 1 if isinstance(message, Batch) else 0
                    intake = intake or Intake(self._replica, first, 1 << 40)
                    await intake.take(message)
                    for item in intake._pending:
                        encode_item(item)
        except (ProtocolError, SessionRefusedError):
            return

    async def packed(self, stream: random.Random) -> None:
        """Elements that were packed well and then changed, so that what unpacks them has to see it."""
        items = stream.choice(self._batches)
        bodies, lengths, small, large = _lean([(item.sequence, item.body) for item in items])
        meta, packed = restructure(stream, msgspec.msgpack.encode(bodies)), 0
        if stream.random() < 0.2 and lengths:
            lengths[stream.randrange(len(lengths))] = stream.choice((0, 1, 1023, 1024, 1 << 40))
        if stream.random() < 0.3:
            meta, packed = ZstdCompressor().compress(meta, ZstdCompressor.FLUSH_BLOCK), META | ANEW
        batch = Batch(items[0].sequence, packed, lengths, meta, b"".join(small), b"".join(large))
        intake = Intake(self._replica, items[0].sequence - 1, 1 << 40)
        try:
            await intake.take(batch)
            for item in intake._pending:
                encode_item(item)
        except ProtocolError:
            return

    def _greet(self, hello: Hello) -> None:
        check_hello(hello, self._peer)
        check_roots(targets_of(self._context, hello), ["/web"], self._context.feed.key)

    async def source(self, stream: random.Random) -> None:
        """What a target says to a source."""
        frames = self._framed(stream, self._corpus.to_source, self._corpus.to_source)
        connection, open_stream = self._corpus.connection, self._corpus.stream
        open_stream.queue = SourceQueue(1 << 20)
        for number in range(5):
            open_stream.queue.put(Write("/web/a", number, b"x", 1))
        open_stream.queue.take(1 << 20, 3)
        try:
            for message in await self._messages(frames):
                connection._handle(message, open_stream)
        except BodydoubleError:
            return

    # --- the disk ---

    async def _volume(self, files: dict[str, bytes]) -> MemoryVolume:
        volume = MemoryVolume()
        volume.change(MakeDirectory(STATE, Metadata()))
        volume.change(MakeDirectory(f"{STATE}/queue", Metadata()))
        for name, data in files.items():
            volume.change(CreateFile(f"{STATE}/{name}", Metadata(), 1))
            volume.change(Write(f"{STATE}/{name}", 0, data, 1))
        return volume

    async def journal(self, stream: random.Random) -> None:
        """A journal's segment: what is valid counts, the rest is dropped; it takes records afterwards."""
        data = mutate(stream, self._segment, [self._segment])
        volume = await self._volume({"queue/00000000000000000001.journal": data})
        journal = Journal(volume, f"{STATE}/queue", self._clock)
        await journal.open("stream", stream.choice((0, 0, 1, 3)))
        reader = journal.reader(journal.first - 1)
        while await reader.read(1 << 20, 100):
            continue
        await journal.append([b"next"])

    async def queue(self, stream: random.Random) -> None:
        """A target's queue whose records are what they were written as, and no elements."""
        payloads = [encode_item(Item(1, Write("/web/a", 0, b"x" * 20, 1))), encode_item(Item(2, RemoveTree("/web/b")))]
        at = stream.randrange(2)
        payloads[at] = (
            restructure(stream, payloads[at]) if stream.random() < 0.7 else mutate(stream, payloads[at], payloads)
        )
        payloads[at] = payloads[at] or b"\0"  # there are no empty records
        volume = await self._volume({"queue/00000000000000000001.journal": segment(f"{VERSION}/s", payloads)})
        queue = TargetQueue(Journal(volume, f"{STATE}/queue", self._clock), 1 << 20, lambda path: path)
        window = Window(lambda path: path)
        try:
            await queue.open("s", 0)
            while items := await queue.following(window):
                queue.done(items)
        except StateError:
            return

    async def state(self, stream: random.Random) -> None:
        """State files."""
        name = stream.choice(list(RECORDS))
        data = next(content for path, content in self._corpus.files.items() if path.endswith("/" + name))
        data = restructure(stream, data, json=True) if stream.random() < 0.6 else mutate(stream, data, [data])
        store = StateStore(await self._volume({name: data}), STATE)
        try:
            await store.load(name.removesuffix(".json"), RECORDS[name])
        except StateError:
            return

    async def peers(self, stream: random.Random) -> None:
        """Paired machines and this one's own credential, as the trust takes them in."""
        files = {}
        for name in ("credential.json", "peers.json"):
            data = next(content for path, content in self._corpus.files.items() if path.endswith("WEB2/state/" + name))
            files[name] = data
        name = stream.choice(list(files))
        files[name] = (
            restructure(stream, files[name], json=True)
            if stream.random() < 0.6
            else mutate(stream, files[name], [files[name]])
        )
        volume = await self._volume(files)
        host = self._corpus.target.host
        log = EventLog(volume, STATE, self._clock)
        try:
            await Trust(host, StateStore(volume, STATE), log).load()
        except (StateError, BodydoubleError):
            return

    async def events(self, stream: random.Random) -> None:
        """The events log: what is no event ends it."""
        data = self._events
        data = mutate(stream, data, [data])
        log = EventLog(await self._volume({"events.jsonl": data}), STATE, self._clock)
        await log.open()
        log.after(0)

    _events = b"".join(
        b'{"number":%d,"time":"2002-12-02T09:00:00Z","code":9000,"text":"connected"}\n' % number
        for number in range(1, 9)
    )
