"""What is measured: a system keeps ``replica`` like ``source``; each is opened afresh for each run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from benchmarks.replication import product
from benchmarks.replication.stage import TARGET, StageError, stop

from bodydouble_labs.providers.netns import kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.replication.stage import Stage

START_TIMEOUT = 60.0


def _nothing() -> None:
    """There is nothing to cut."""


@dataclass(frozen=True)
class Running:
    """A system at work.

    Attributes:
        source: where the application writes.
        truth: the same bytes, read without passing through the system.
        replica: where they arrive.
        product: the two daemons when the system is Bodydouble.
        cut: ends the source's side by force and pulls its cable.
        heal: brings both back and returns when the system replicates again.
    """

    source: Path
    truth: Path
    replica: Path
    product: product.Pair | None = None
    cut: Callable[[], None] = _nothing
    heal: Callable[[], None] = _nothing


class System(Protocol):
    """One that replicates."""

    name: str

    def missing(self) -> str:
        """Why it cannot be measured here; empty when it can."""

    def open(self, stage: Stage, work: Path) -> Iterator[Running]:
        """Start it over ``work/source`` and ``work/replica`` and wait until it replicates; stop it afterwards."""


class Native:
    """No replication: what the file system gives. ``replica`` is the source itself."""

    name = "native"

    def missing(self) -> str:
        return ""

    def open(self, stage: Stage, work: Path) -> Iterator[Running]:
        del stage
        (work / "source").mkdir()
        yield Running(work / "source", work / "source", work / "source")


class Bodydouble:
    """The product's daemons, the filter and TLS as shipped."""

    name = "bodydouble"

    def missing(self) -> str:
        return product.missing()

    def open(self, stage: Stage, work: Path) -> Iterator[Running]:
        with product.Pair(stage, work) as pair:
            pair.connect()
            yield Running(pair.source, pair.truth, pair.replica, pair, pair.cut, pair.heal)


class Lsyncd:
    """lsyncd with a delay of 1 s over an rsync daemon on the target."""

    name = "lsyncd"

    def missing(self) -> str:
        return _program("lsyncd", "lsyncd") or _program("rsync", "rsync")

    def open(self, stage: Stage, work: Path) -> Iterator[Running]:
        source, replica = _directories(work)
        served = f"uid = root\ngid = root\nuse chroot = no\n[replica]\npath = {replica}\nread only = no\n"
        (work / "rsyncd.conf").write_text(served, encoding="utf-8")
        (work / "lsyncd.lua").write_text(_LSYNCD.format(source=source, target=TARGET, work=work), encoding="utf-8")
        daemon = ["rsync", "--daemon", "--no-detach", f"--config={work}/rsyncd.conf"]
        with ExitStack() as stack:
            stack.callback(stop, stage.start(daemon, work / "rsync.log", on_target=True))
            time.sleep(0.3)
            sending = _Sending(stage, ["lsyncd", "-nodaemon", str(work / "lsyncd.lua")], work / "lsyncd.log")
            stack.callback(sending.stop)
            _await_probe(source, replica)

            def heal() -> None:
                sending.start()
                _await_probe(source, replica)

            yield Running(source, source, replica, cut=sending.cut, heal=heal)


class _Sending:
    """A peer's program on the source, and what it starts."""

    def __init__(self, stage: Stage, command: list[str], log: Path) -> None:
        self._stage = stage
        self._command = command
        self._log = log
        self.start()

    def start(self) -> None:
        """Start it, with the cable in."""
        self._stage.join()
        self._process = self._stage.start(self._command, self._log)

    def cut(self) -> None:
        """End it and its children without a chance to do anything, and pull the cable."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._stage.cut()
        self._process.wait()

    def stop(self) -> None:
        """End it in order."""
        stop(self._process)


_LSYNCD = """settings {{ logfile = "{work}/lsyncd-own.log", statusFile = "{work}/lsyncd.status", nodaemon = true }}
sync {{ default.rsync, source = "{source}", target = "rsync://{target}/replica", delay = 1,
       rsync = {{ archive = true, compress = false, _extra = {{ "--no-motd" }} }} }}
"""


class Unison:
    """unison, which Debian ships without its file watcher: it looks through both trees once a second."""

    name = "unison"

    def missing(self) -> str:
        return _program("unison", "unison")

    def open(self, stage: Stage, work: Path) -> Iterator[Running]:
        source, replica = _directories(work)
        home = {"UNISON": str(work / "unison"), "HOME": str(work)}
        environment = ["env", *(f"{key}={value}" for key, value in home.items())]
        (work / "unison").mkdir()
        server = [*environment, "unison", "-socket", "6400"]
        client = [*environment, "unison", str(source), f"socket://{TARGET}:6400/{replica}"]
        client += [
            "-batch",
            "-auto",
            "-fastcheck",
            "false",
            "-force",
            str(source),
            "-repeat",
            "1",
            "-times",
            "-owner",
            "-group",
            "-silent",
        ]
        with ExitStack() as stack:
            for name, command, there in (("server", server, True), ("client", client, False)):
                process = stage.start(command, work / f"{name}.log", on_target=there)
                stack.callback(stop, process)
                time.sleep(0.5)
            _await_probe(source, replica)
            yield Running(source, source, replica)


class Bindfs:
    """A FUSE pass-through, one thread; it replicates nothing and is measured as a layer only."""

    name = "bindfs"

    def missing(self) -> str:
        return _program("bindfs", "bindfs")

    def open(self, stage: Stage, work: Path) -> Iterator[Running]:
        beneath, source = work / "beneath", work / "source"
        beneath.mkdir()
        source.mkdir()
        process = stage.start(["bindfs", "-f", str(beneath), str(source)], work / "bindfs.log")
        try:
            await_true(lambda: kernel.is_mounted(str(source), "fuse"), "bindfs's mount")
            yield Running(source, beneath, source)
        finally:
            with suppress(OSError):
                kernel.unmount(str(source))
            stop(process)


class BareFilter:
    """The product's filter while nothing is connected: a layer only."""

    name = "filter"

    def missing(self) -> str:
        return product.missing()

    def open(self, stage: Stage, work: Path) -> Iterator[Running]:
        with product.Pair(stage, work) as pair:
            yield Running(pair.source, pair.truth, pair.source, pair)


ORDERED: tuple[System, ...] = (Bodydouble(), Lsyncd())
REPLICATING: tuple[System, ...] = (Bodydouble(), Lsyncd(), Unison())
LAYERS: tuple[System, ...] = (Native(), BareFilter(), Bodydouble(), Bindfs())


@contextmanager
def opened(system: System, stage: Stage) -> Iterator[Running]:
    """A system at work in a directory of its own, which is removed afterwards."""
    work = stage.fresh(system.name)
    running = system.open(stage, work)
    try:
        yield next(running)
    finally:
        for _ in running:  # resumes behind the yield: the system stops
            pass
        shutil.rmtree(work, ignore_errors=True)


def await_true(holds: Callable[[], bool], what: str, patience: float = START_TIMEOUT) -> None:
    """Look every 20 ms until something holds.

    Raises:
        StageError: it did not come.
    """
    end = time.monotonic() + patience
    while not holds():
        if time.monotonic() > end:
            raise StageError(f"{what} did not come within {patience:.0f} s")
        time.sleep(0.02)


def _await_probe(source: Path, replica: Path) -> None:
    """A first file arrived: the system is at work."""
    name = f"probe-{time.monotonic_ns()}"
    (source / name).write_bytes(b"probe")
    probe = replica / name
    await_true(lambda: probe.exists() and probe.stat().st_size == 5, "the first file")


def _directories(work: Path) -> tuple[Path, Path]:
    source, replica = work / "source", work / "replica"
    source.mkdir()
    replica.mkdir()
    return source, replica


def _program(name: str, package: str) -> str:
    return "" if shutil.which(name) else f"the program {name} is missing: apt-get install {package}"


def version_of(name: str) -> str:
    """What a peer's program says that it is; empty when it is missing."""
    commands = {"lsyncd": "-version", "unison": "-version", "bindfs": "--version", "rsync": "--version"}
    if shutil.which(name) is None:
        return ""
    done = subprocess.run([name, commands[name]], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0].strip()
