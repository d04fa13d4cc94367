"""An ext4 source onto a vfat target with real daemons: ``python -m tests.campaign.linux_vfat [--directory DIRECTORY]``.

The tree and its judge are those of `tests.e2e.linux.test_vfat`, which plays the same without daemons. What is wrong
goes to standard output, nothing when all holds.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.replication.product import Pair, missing
from benchmarks.replication.stage import Stage
from benchmarks.replication.stage import missing as stage_missing
from tests.e2e.linux.test_vfat import KINDS, change, contents, is_without_place, kinds_of, lacking, plant_all

from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.verification import VerificationOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.verification import VerificationDetails

PATIENCE = 120.0


def until(what: str, holds: Callable[[], bool]) -> None:
    """Wait for it.

    Raises:
        AssertionError: it does not come.
    """
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"no {what} within {PATIENCE:.0f} s"
        time.sleep(0.1)


def applied(pair: Pair) -> bool:
    """Whether everything is in the replica."""
    status = pair.status()
    return status.state == "replicating" and not status.queue_operations and status.applied == status.generated


def mount(stack: ExitStack, work: Path, place: Path) -> None:
    """A directory of a new vfat volume over ``place``."""
    image, volume = work / "vfat.img", work / "volume"
    with image.open("wb") as file:
        file.truncate(96 << 20)
    volume.mkdir()
    subprocess.run(["mkfs.vfat", "-F", "32", image], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop,utf8", image, volume], check=True)
    stack.callback(_unmount, volume)
    (volume / "replica").mkdir()
    subprocess.run(["mount", "--bind", volume / "replica", place], check=True)
    stack.callback(_unmount, place)


def _unmount(place: Path) -> None:
    subprocess.run(["umount", "--lazy", str(place)], check=False)


def mirror(pair: Pair) -> int:
    """An operator's mirror; how many bytes it sent."""
    before = codes(pair).count(EventCode.MIRROR_COMPLETE)
    pair.sending.ask(lambda client: client.mirror(pair.connection))
    until("end of a mirror", lambda: codes(pair).count(EventCode.MIRROR_COMPLETE) > before and applied(pair))
    progress = pair.status().mirror
    return progress.bytes_done - progress.bytes_skipped


def codes(pair: Pair) -> list[int]:
    """The codes of the source's events."""
    return [event.code for event in pair.sending.ask(lambda client: client.events())]


def verified(pair: Pair) -> set[tuple[str, str]]:
    """What a verification by checksum finds: which path, and how it differs."""
    options = VerificationOptions(checksum=True)
    number = pair.sending.ask(lambda client: client.verify(pair.connection, options)).number

    def details() -> VerificationDetails:
        return pair.sending.ask(lambda client: client.verification(number))

    until("end of the verification", lambda: details().report.state == "complete")
    return {(each.path.removeprefix(f"{pair.source}/"), each.kind) for each in details().differences}


def play(stage: Stage, work: Path) -> None:
    """One run.

    Raises:
        AssertionError: something does not hold.
    """
    plant_all(work / "planted")
    with ExitStack() as stack:
        pair = Pair(stage, work)
        mount(stack, work, pair.replica)
        subprocess.run(["cp", "--archive", f"{work}/planted/.", pair.source], check=True)
        stack.enter_context(pair)
        pair.connect(mirror="difference", orphans="delete")
        change(pair.source)
        until("end of applying", lambda: applied(pair))
        gone = lacking(pair.truth, pair.replica)
        there = set(contents(pair.replica))
        assert not (odd := {path for path in gone if not is_without_place(path, there)}), odd
        events = [event for machine in (pair.sending, pair.receiving) for event in machine.ask(lambda c: c.events())]
        assert sorted(kinds_of(events)) == KINDS, kinds_of(events)
        found = verified(pair)
        assert found == {(path, "missing") for path in gone}, found ^ {(path, "missing") for path in gone}
        assert not (sent := mirror(pair)), f"a further mirror sent {sent} bytes"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.linux_vfat", description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="on the file system to use (/var/tmp)")
    chosen = parser.parse_args(arguments)
    if why := stage_missing() or missing():
        print(f"linux_vfat: {why}", file=sys.stderr)  # noqa: T201
        return 3
    with Stage(chosen.directory) as stage:
        try:
            play(stage, stage.fresh("vfat"))
        except AssertionError as error:
            print(error)  # noqa: T201
            return 1
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what ends it ends it in order: mounts and programs go
    sys.exit(main())
