"""A source's daemon as a process that can be killed: ``python -m tests.e2e.linux.source_process DIRECTORY PORT``.

It replicates ``source`` beneath the directory to the target at that port of this machine, and says each event aloud.
With a further argument its mounts stay when it is told to end.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.linux.test_same_tree import RING, service

from bodydouble.adapters.linux import FilterSettings, LinuxHostSettings, open_host
from bodydouble.vocabulary.records import ConnectRequest, ReplicationSet, Rule

if TYPE_CHECKING:
    from bodydouble.vocabulary.records import Event


def say(event: Event) -> None:
    sys.stdout.write(f"{event.code} {event.text}\n")
    sys.stdout.flush()


async def main(directory: Path, port: int, *, stay: bool) -> None:
    root = str(directory / "source")
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    watched = FilterSettings(kind="fuse", roots=[root], ring_bytes=RING, stay_mounted=stay)
    async with (
        open_host(LinuxHostSettings(filter=watched)) as host,
        service(host, directory / "state1", "source", on_event=say) as here,
    ):
        if not here.connections():
            await here.save_set(ReplicationSet(name="all", rules=[Rule(path=root)]))
            await here.connect(ConnectRequest(replication_set="all", target="127.0.0.1", port=port, orphans="delete"))
        await over.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), stay=len(sys.argv) > 3))
