"""Two real daemons: the source with its filter in this namespace, the target in the other one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from benchmarks.replication.stage import SOURCE, TARGET, StageError, stop

from bodydouble.control.client import ControlClient
from bodydouble.errors import ControlError
from bodydouble.security.trust import CERTIFICATE_FILE, read_shown
from bodydouble.vocabulary.mapping import PathMapping
from bodydouble.vocabulary.records import (
    AcceptRequest,
    ConnectionStatus,
    ConnectRequest,
    OfferRequest,
    ReplicationSet,
    Rule,
)
from bodydouble_labs.providers.netns import kernel

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from benchmarks.replication.stage import Stage

T = TypeVar("T")
TOKEN = "bench-control-token"
SET = "bench"
COMMAND = [sys.executable, "-c", "from bodydouble.cli.main import main; main()"]


def missing() -> str:
    """Why the daemons cannot run here; empty when they can."""
    try:
        import pyroute2  # noqa: F401, PLC0415 - asked for, not used
    except ImportError:
        return "pyroute2 is missing: pip install 'bodydouble[linux,fuse]'"
    return ""


class Machine:
    """One daemon and how to ask it.

    Args:
        stage: the machines.
        home: gets configuration, state and log.
        address: of its control port.
        watched: the directory that its filter is mounted over; None: a target.
    """

    def __init__(self, stage: Stage, home: Path, address: str, watched: Path | None) -> None:
        home.mkdir()
        self.log = home / "daemon.log"
        self._stage = stage
        self._home = home
        self._address = address
        self._watched = watched
        self.process: subprocess.Popen[bytes] | None = None
        (home / "daemon.toml").write_text(self._configuration(), encoding="utf-8")

    def _configuration(self) -> str:
        lines = [f'state_directory = "{self._home}/state"', "[control]", f'address = "{self._address}"']
        lines += [f'token = "{TOKEN}"', "[replication]", "retry_interval = 0.2"]
        if self._watched is not None:
            lines += ["[host.filter]", 'kind = "fuse"', f'roots = ["{self._watched}"]']
        return "\n".join(lines) + "\n"

    def start(self, wrapper: list[str] | None = None) -> None:
        """Start the daemon and wait until it answers."""
        command = [*(wrapper or []), *COMMAND, "daemon", "--config", str(self._home / "daemon.toml")]
        self.process = self._stage.start(command, self.log, on_target=self._watched is None)
        self._await_answer(self.process)

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + 60
        while True:
            if process.poll() is not None:
                raise StageError(f"the daemon ended:\n{self.log.read_text(encoding='utf-8')[-2000:]}")
            with suppress(ControlError, FileNotFoundError):
                self.ask(lambda client: client.status())
                return
            if time.monotonic() > end:
                raise StageError(f"the daemon does not answer, see {self.log}")
            time.sleep(0.05)

    def ask(self, question: Callable[[ControlClient], Awaitable[T]]) -> T:
        """What the daemon's control API answers."""

        async def conversation() -> T:
            shown = read_shown((self._home / "state" / f"{CERTIFICATE_FILE}.json").read_bytes())
            async with ControlClient(self._address, 6330, TOKEN, shown.certificate) as client:
                return await question(client)

        return asyncio.run(conversation())

    @property
    def pid(self) -> int:
        """The daemon's process; ``nsenter`` and ``setpriv`` have become it."""
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """End it without a chance to do anything; applications keep the filter, and so does the next start."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def unmount(self) -> None:
        """Clear away a mount that was left behind."""
        while self._watched is not None and kernel.is_mounted(str(self._watched), "fuse"):
            kernel.unmount(str(self._watched))

    def stop(self) -> None:
        """End it in order. Idempotent."""
        if self.process is not None and self.process.poll() is None:
            stop(self.process)
        self.unmount()

    def peak_rss(self) -> int:
        """The most bytes of memory that it ever had (VmHWM)."""
        return self._status("VmHWM") * 1024

    def _status(self, key: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith(f"{key}:")))

    def cpu_seconds(self) -> float:
        """Seconds of processor time that it used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Pair:
    """Source and target, paired; enter it to start both.

    Args:
        stage: the machines.
        work: an empty directory.
    """

    def __init__(self, stage: Stage, work: Path) -> None:
        self.source, self.replica = work / "source", work / "replica"
        self.source.mkdir()
        self.replica.mkdir()
        self._stage = stage
        self._stack = ExitStack()
        self._beneath = os.open(self.source, os.O_RDONLY | os.O_DIRECTORY)
        self._stack.callback(os.close, self._beneath)
        self.sending = Machine(stage, work / "source-daemon", SOURCE, self.source)
        self.receiving = Machine(stage, work / "target-daemon", TARGET, None)
        self.connection = 0

    @property
    def truth(self) -> Path:
        """The source's directory beneath the filter."""
        return Path(f"/proc/{os.getpid()}/fd/{self._beneath}/.")

    def __enter__(self) -> Self:
        try:
            for machine in (self.receiving, self.sending):
                self._stack.callback(machine.stop)
                machine.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def connect(self, **options: Any) -> None:
        """Pair, save the set, connect, and wait until the mirror is complete."""
        offer = self.receiving.ask(lambda client: client.offer_pairing(OfferRequest()))
        self.sending.ask(lambda client: client.accept_pairing(AcceptRequest(host=TARGET, code=offer.code)))
        rules = [Rule(path=str(self.source))]
        self.sending.ask(lambda client: client.save_set(ReplicationSet(name=SET, rules=rules)))
        mapping = [PathMapping(source=str(self.source), target=str(self.replica))]
        request = ConnectRequest(replication_set=SET, target=TARGET, mapping=mapping, **options)
        self.connection = self.sending.ask(lambda client: client.connect(request)).id
        self.await_mirror()

    def cut(self) -> None:
        """The source is gone: its daemon by force, its cable pulled."""
        self.sending.kill()
        self._stage.cut()

    def heal(self) -> None:
        """The source is back and replicates."""
        self._stage.join()
        self.sending.start()
        self.await_mirror()

    def status(self) -> ConnectionStatus:
        """The connection as the source sees it."""
        return next(s for s in self.sending.ask(lambda client: client.connections()) if s.id == self.connection)

    def await_mirror(self, patience: float = 3600.0) -> None:
        """Return when the connection replicates.

        Raises:
            StageError: it cannot, or not in time.
        """
        end = time.monotonic() + patience
        while (status := self.status()).state != "replicating":
            if status.state == "error" or time.monotonic() > end:
                raise StageError(f"the connection is {status.state}: {status.detail}")
            time.sleep(0.05)

    def events(self) -> list[str]:
        """Both daemons' latest events."""
        return [
            f"{name} {event.code} {event.text}"
            for name, machine in (("source", self.sending), ("target", self.receiving))
            for event in machine.ask(lambda client: client.events())
        ]
