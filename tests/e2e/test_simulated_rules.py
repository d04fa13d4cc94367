"""Rules on simulated Windows: wildcards on a whole drive, roots that come and go with directories above them."""

from __future__ import annotations

import asyncio

from tests.e2e.test_configurations import Lab

from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import CreateFile, Metadata, RemoveFile, Rename, SetMetadata, Write
from bodydouble.vocabulary.records import ReplicationSet, Rule

LOGS = ReplicationSet(
    name="logs", rules=[Rule(path="C:/inet*/*.log"), Rule(path="C:/data"), Rule(path="C:/later/deep/site")]
)


def test_wildcards_watch_a_drive_and_roots_come_and_go_without_a_mirror_of_the_rest() -> None:
    lab = Lab("AB")
    source, target = lab.boxes["A"], lab.boxes["B"]

    def put(path: str, data: bytes) -> None:
        now = int(source.machine.clock())
        source.do(CreateFile(path, Metadata(), now))
        source.do(Write(path, 0, data, now))

    def there(path: str) -> bytes | None:
        volume = target.machine.volumes["C"]
        return volume.read(path) if volume.stat(path) is not None else None

    async def scenario() -> None:
        for path in ("C:/data", "C:/InetPub", "C:/new", "C:/new/deep", "C:/new/deep/site"):
            source.mkdir(path)
        put("C:/InetPub/ex.LOG", b"mirrored")
        put("C:/new/deep/site/page", b"from before")
        await lab.connect("A", "B", LOGS, mirror="checksum")
        await lab.settled(("A", 1))
        assert there("C:/inetpub/ex.log") == b"mirrored"
        put("C:/InetPub/index.htm", b"no rule")
        put("C:/InetPub/b.log", b"log")
        put("C:/inetless", b"a file on the way")
        source.do(SetMetadata("C:/InetPub", Metadata(2)))
        source.do(Rename("C:/new", "C:/later"))
        await lab.settled(("A", 1))
        assert there("C:/InetPub/index.htm") is None
        assert there("C:/inetless") is None
        assert there("C:/InetPub/b.log") == b"log"
        assert there("C:/later/deep/site/page") == b"from before"
        entry = target.machine.volumes["C"].stat("C:/InetPub")
        assert entry is not None
        assert entry.metadata.attributes == 2
        source.do(Rename("C:/later", "C:/gone"))
        source.do(RemoveFile("C:/InetPub/b.log"))
        await lab.settled(("A", 1))
        assert there("C:/later/deep/site/page") is None
        assert there("C:/InetPub/b.log") is None
        source.do(Rename("C:/gone", "C:/later"))
        await asyncio.sleep(5)
        await lab.settled(("A", 1))
        assert there("C:/later/deep/site/page") == b"from before"
        async with source.talk() as client:
            codes = [event.code for event in await client.events()]
            assert codes.count(EventCode.MIRROR_STARTED) == 1
            assert EventCode.REPLICATION_ERROR not in codes
            size = await client.calculate_set("logs")
            while size.state == "running":
                await asyncio.sleep(0.5)
                size = await client.set_size("logs")
            assert (size.state, size.files, size.bytes) == ("complete", 2, len(b"mirrored") + len(b"from before"))

    lab.run(scenario)
