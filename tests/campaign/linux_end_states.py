"""What goes wrong by name, on a real machine: ``python -m tests.campaign.linux_end_states [--json] [CASE...]``.

The counterpart of `test_end_states.py`: real daemons, the filter, ext4 on loop devices where a disk has to be full.
Each case waits for the state and the events that are documented for it; then everything is healed, and rsync has to
find nothing. Clocks are left alone: they are the machine's own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from benchmarks.replication.product import SET, Pair, missing
from benchmarks.replication.stage import Stage, StageError
from benchmarks.replication.stage import missing as stage_missing

from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.replication.product import Machine

    from bodydouble.replication.schedule import Order

PATIENCE = 60.0
"""Seconds within which a state or an event has to come."""
SOON = 3.0
"""Seconds after which a difference that nothing mends is taken for one."""
MIB = 1 << 20
SMALL = "queue_bytes = 400000\nmirror_window_bytes = 150000\nqueue_floor_bytes = 4000000\n"
NO_DISK_QUEUE = f"{SMALL}disk_queue_bytes = 0\n"


class EndStateError(Exception):
    """What was documented did not come; the text says what came instead."""


class Scene:
    """A pair whose first mirror is complete, and what may be done to it.

    Args:
        stage: both machines.
        work: an empty directory.
        settings: lines for ``[replication]``.
        small: which directories lie on disks of their own, of 64 MiB: ``source state``, ``target state``, ``replica``.
    """

    def __init__(self, stage: Stage, work: Path, settings: str, small: tuple[str, ...]) -> None:
        self.stage = stage
        self.pair = Pair(stage, work)
        self.patience = PATIENCE
        self._work = work
        self._stack = ExitStack()
        for machine in (self.pair.sending, self.pair.receiving):
            file = machine.log.parent / "daemon.toml"
            file.write_text(file.read_text().replace("[replication]\n", f"[replication]\n{settings}"))
        for name in small:
            self._mount(name)

    def _mount(self, name: str) -> None:
        image = self._work / f"{name}.img"
        with image.open("wb") as file:
            file.truncate(64 * MIB)
        place = self.place(name)
        place.mkdir(exist_ok=True)
        for command in (["mkfs.ext4", "-q", "-m", "0", str(image)], ["mount", "-o", "loop", str(image), str(place)]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise StageError(f"{' '.join(command)}: {done.stderr.strip()}")
        self._stack.callback(subprocess.run, ["umount", "--lazy", str(place)], check=False)
        shutil.rmtree(place / "lost+found")

    def place(self, name: str) -> Path:
        """The directory that is meant."""
        machines = {"source state": self.pair.sending, "target state": self.pair.receiving}
        return self.pair.replica if name == "replica" else machines[name].log.parent / "state"

    def __enter__(self) -> Self:
        self._stack.enter_context(self.pair)
        self.pair.connect(mirror="checksum", orphans="delete")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- what is done -----------------------------------------------------------------------------------------------

    def write(self, name: str, data: bytes) -> None:
        """An application writes a file through the filter."""
        (self.pair.source / name).write_bytes(data)

    def flood(self, pieces: int = 12, *, pace: Callable[[], object] = lambda: None) -> None:
        """The cable is out, and applications write 60,000 bytes again and again, with ``pace`` after each."""
        self.stage.cut()
        for number in range(pieces):
            self.write("flood", bytes([number + 1]) * 60_000)
            pace()

    def fill(self, name: str) -> None:
        """Leave no room on a disk."""
        with (self.place(name) / "filler").open("wb") as file:
            for size in (MIB, 4096, 1):
                self._fill(file.fileno(), size)

    @staticmethod
    def _fill(fd: int, size: int) -> None:
        while True:
            try:
                os.write(fd, bytes(size))
                os.fsync(fd)
            except OSError:
                return

    def empty(self, name: str) -> None:
        """There is room again."""
        (self.place(name) / "filler").unlink()

    def pause_target(self, *, paused: bool) -> None:
        """The target receives and applies nothing, or applies again."""
        source = self.pair.receiving.ask(lambda client: client.replicas())[0].source
        self.pair.receiving.ask(lambda client: client.pause_target(source, SET, paused=paused))

    def order_transmission(self, order: Order) -> None:
        """Send nothing more, or go on."""
        self.pair.sending.ask(lambda client: client.order_transmission(self.pair.connection, order))

    def mirror(self) -> None:
        """An operator's mirror."""
        self.pair.sending.ask(lambda client: client.mirror(self.pair.connection))

    # --- what comes of it -------------------------------------------------------------------------------------------

    def codes(self, machine: Machine) -> list[int]:
        """The codes of a daemon's events, oldest first."""
        return [event.code for event in machine.ask(lambda client: client.events())]

    @property
    def state(self) -> str:
        """The connection's state, as the source says."""
        return self.pair.status().state

    def count(self, code: EventCode) -> int:
        """How often the source recorded that."""
        return self.codes(self.pair.sending).count(code)

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait for it.

        Raises:
            EndStateError: it does not come.
        """
        end = time.monotonic() + self.patience
        while not holds():
            if time.monotonic() > end:
                told = "\n".join(self.pair.events()[-15:])
                raise EndStateError(f"no {what} within {self.patience:.0f} s; the connection is {self.state}\n{told}")
            time.sleep(0.05)

    def until_source_says(self, code: EventCode, times: int = 1) -> None:
        """Wait for an event of the source."""
        self.until(f"event {code.name} of the source ({times})", lambda: self.count(code) >= times)

    def until_target_says(self, code: EventCode) -> None:
        """Wait for an event of the target."""
        self.until(f"event {code.name} of the target", lambda: code in self.codes(self.pair.receiving))

    def until_state(self, state: str) -> None:
        """Wait for a state of the connection."""
        self.until(f"state {state}", lambda: self.state == state)

    def until_applied(self) -> None:
        """Wait until the source says that everything is in the replica."""

        def holds() -> bool:
            status = self.pair.status()
            return status.state == "replicating" and not status.queue_operations and status.applied == status.generated

        self.until("end of applying", holds)

    def expect(self, code: EventCode, times: int) -> None:
        """The source recorded that exactly so often.

        Raises:
            EndStateError: oftener, or not as often.
        """
        found = self.count(code)
        if found != times:
            raise EndStateError(f"{found} events {code.name} of the source, expected {times}")

    def until_equal(self) -> None:
        """Wait until rsync finds nothing to do; times of directories follow a moment later."""
        self.until_applied()
        self.until(f"equality, rsync says: {self._rsync()}", lambda: not self._rsync())

    def _rsync(self) -> str:
        command = ["rsync", "-aniHAXc", "--delete", f"{self.pair.truth}/", f"{self.pair.replica}/"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        return done.stdout + done.stderr


# --- the queue is exhausted, and each of the four things that may follow ----------------------------------------------


def exhausted_disconnect_reconnects_and_mirrors(scene: Scene) -> None:
    scene.flood()
    scene.until_source_says(EventCode.AUTO_DISCONNECTED)
    scene.until_state("retrying")
    scene.stage.join()
    scene.until_equal()
    scene.expect(EventCode.MIRROR_COMPLETE, 2)


def exhausted_pause_sends_what_is_queued_and_mirrors(scene: Scene) -> None:
    scene.flood()
    scene.until_source_says(EventCode.QUEUE_EXHAUSTED)
    scene.stage.join()
    scene.until_equal()
    scene.expect(EventCode.AUTO_DISCONNECT, 0)
    scene.expect(EventCode.MIRROR_COMPLETE, 2)


def exhausted_stop_waits_for_an_operator(scene: Scene) -> None:
    scene.flood()
    scene.stage.join()
    scene.until_state("mirror-required")
    scene.expect(EventCode.MIRROR_STARTED, 1)
    scene.mirror()
    scene.until_equal()


def exhausted_memory_goes_to_disk_and_needs_no_mirror(scene: Scene) -> None:
    scene.flood(70, pace=scene.pair.status)  # a burst that the disk cannot keep up with is more than memory may hold
    scene.stage.join()
    scene.until_equal()
    scene.expect(EventCode.MIRROR_STARTED, 1)


# --- the target -------------------------------------------------------------------------------------------------------


def target_killed_keeps_what_it_acknowledged(scene: Scene) -> None:
    scene.pause_target(paused=True)
    scene.write("acknowledged", b"placed")
    scene.until("acknowledgement", lambda: not scene.pair.status().queue_operations)
    scene.order_transmission("stop")  # the source is not to send it again
    scene.pair.receiving.kill()
    scene.pair.receiving.start()
    scene.pause_target(paused=False)
    replica = scene.pair.replica / "acknowledged"
    scene.until("acknowledged file", lambda: replica.exists() and replica.read_bytes() == b"placed")
    scene.order_transmission("start")
    scene.until_equal()
    scene.expect(EventCode.MIRROR_STARTED, 1)


def edited_replica_on_which_an_operation_fails_is_mirrored(scene: Scene) -> None:
    scene.write("edited", b"first")
    scene.until_applied()
    (scene.pair.replica / "edited").rename(scene.pair.replica / "elsewhere")
    os.truncate(scene.pair.source / "edited", 2)
    scene.until_source_says(EventCode.MIRROR_COMPLETE, 2)
    scene.until_equal()


def edited_replica_unseen_is_mended_by_the_next_mirror(scene: Scene) -> None:
    scene.write("edited", b"first")
    scene.until_applied()
    (scene.pair.replica / "edited").write_bytes(b"by hand")
    scene.mirror()
    scene.until_source_says(EventCode.MIRROR_COMPLETE, 2)
    scene.until_equal()


# --- full disks -------------------------------------------------------------------------------------------------------


def full_state_disk_of_the_source_exhausts_the_queue(scene: Scene) -> None:
    scene.fill("source state")
    scene.flood(20)
    scene.until_source_says(EventCode.AUTO_DISCONNECTED)
    scene.empty("source state")
    scene.stage.join()
    scene.until_equal()
    scene.expect(EventCode.MIRROR_COMPLETE, 2)


def full_disk_of_the_replica_waits_and_goes_on(scene: Scene) -> None:
    scene.fill("replica")
    scene.write("new", b"x" * 400_000)
    scene.until_target_says(EventCode.APPLYING_WAITS)
    scene.empty("replica")
    scene.until_target_says(EventCode.APPLYING_RESUMED)
    scene.until_equal()
    scene.expect(EventCode.MIRROR_STARTED, 1)


def full_state_disk_of_the_target_holds_the_source_back(scene: Scene) -> None:
    scene.fill("target state")
    scene.write("new", b"x" * 200_000)
    scene.until_source_says(EventCode.TARGET_QUEUE_FULL)
    scene.empty("target state")
    scene.until_target_says(EventCode.TARGET_QUEUE_HAS_ROOM)
    scene.until_equal()
    scene.expect(EventCode.MIRROR_STARTED, 1)


# --- the judge itself -------------------------------------------------------------------------------------------------


def planted_difference_is_seen(scene: Scene) -> None:
    scene.write("same", b"source")
    scene.until_applied()
    (scene.pair.replica / "same").write_bytes(b"target")
    scene.patience = SOON
    try:
        scene.until_equal()
    except EndStateError:
        return
    raise EndStateError("a replica that differs was taken for equal")


@dataclass(frozen=True)
class Case:
    """One thing that goes wrong."""

    play: Callable[[Scene], None]
    settings: str = SMALL
    small: tuple[str, ...] = ()


CASES = {
    case.play.__name__: case
    for case in (
        Case(exhausted_disconnect_reconnects_and_mirrors, f'{NO_DISK_QUEUE}queue_full = "disconnect"\n'),
        Case(exhausted_pause_sends_what_is_queued_and_mirrors, f'{NO_DISK_QUEUE}queue_full = "pause"\n'),
        Case(exhausted_stop_waits_for_an_operator, f'{NO_DISK_QUEUE}queue_full = "stop"\n'),
        Case(exhausted_memory_goes_to_disk_and_needs_no_mirror, SMALL.replace("400000", "3000000")),
        Case(target_killed_keeps_what_it_acknowledged),
        Case(edited_replica_on_which_an_operation_fails_is_mirrored),
        Case(edited_replica_unseen_is_mended_by_the_next_mirror),
        Case(full_state_disk_of_the_source_exhausts_the_queue, small=("source state",)),
        Case(full_disk_of_the_replica_waits_and_goes_on, small=("replica",)),
        Case(full_state_disk_of_the_target_holds_the_source_back, small=("target state",)),
        Case(planted_difference_is_seen),
    )
}


def _outcome(stage: Stage, name: str) -> str:
    """What was wrong with one case; empty when nothing."""
    case = CASES[name]
    try:
        with Scene(stage, stage.fresh("end"), case.settings, case.small) as scene:
            case.play(scene)
    except (EndStateError, StageError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        stage.join()
    return ""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.linux_end_states", description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], metavar="CASE", help="only these; all without any")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="on the file system to use (/var/tmp)")
    parser.add_argument("--json", action="store_true", help="print what was wrong with each case as JSON")
    chosen = parser.parse_args(arguments)
    if why := stage_missing() or missing():
        print(f"linux_end_states: {why}", file=sys.stderr)  # noqa: T201
        return 3
    outcomes = {}
    with Stage(chosen.directory) as stage:
        for name in chosen.cases or CASES:
            began = time.monotonic()
            outcomes[name] = _outcome(stage, name)
            verdict = outcomes[name] or "holds"
            print(f"{name}: {verdict} ({time.monotonic() - began:.1f} s)", file=sys.stderr)  # noqa: T201
    if chosen.json:
        print(json.dumps(outcomes))  # noqa: T201
    return 1 if any(outcomes.values()) else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what ends it ends it in order: mounts and programs go
    sys.exit(main())
