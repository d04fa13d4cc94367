"""Two machines on one Linux machine: this process is the source's, its peer a network namespace of its own.

Namespaces are anonymous: whichever way the process ends, the kernel removes them with their interfaces and mounts. What
remains is the working directory, which `Stage` removes on leaving; ``kill -9`` leaves it behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from bodydouble_labs.providers.netns import kernel

if TYPE_CHECKING:
    from types import TracebackType

SOURCE, TARGET = "10.98.0.1", "10.98.0.2"
WIRE = "src0"
_CLONE_NEWUTS = 0x0400_0000
_TIED = ("setpriv", "--pdeathsig", "KILL")
"""What is started so ends with this process, also when that is killed."""


class Metered(Protocol):
    """A wire whose bytes are counted."""

    def wire_bytes(self) -> tuple[int, int]:
        """Bytes that the source sent and received so far."""


class StageError(Exception):
    """The machine cannot be measured on; the text says why."""


def missing() -> str:
    """Why no stage can stand here; empty when one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "namespaces and mounts need root on Linux: run it with sudo"
    for program in ("ip", "nsenter", "setpriv", "unshare", "rsync"):
        if shutil.which(program) is None:
            return f"the program {program} is missing: apt-get install iproute2 util-linux rsync"
    return "" if Path("/dev/fuse").exists() else "/dev/fuse is missing: modprobe fuse"


class Stage:
    """Both machines; enter it once in a process, because there is no way back out of the namespaces.

    Args:
        parent: an existing directory on the file system that is to be measured (ext4); files go beneath it.
    """

    def __init__(self, parent: Path) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="bodydouble-bench-", dir=parent))
        _spread(self.directory)
        self._peer: subprocess.Popen[bytes] | None = None
        self._fresh = 0

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _open(self) -> None:
        kernel.leave_for_fresh_namespaces()
        kernel.unshare(_CLONE_NEWUTS)
        socket.sethostname("bench-source")
        self._peer = subprocess.Popen([*_TIED, "unshare", "--net", "--uts", "sleep", "infinity"])
        self._await_peer(self._peer.pid)
        _run("ip", "link", "add", WIRE, "type", "veth", "peer", "name", "tgt0", "netns", str(self._peer.pid))
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "addr", "add", f"{SOURCE}/24", "dev", WIRE)
        self.join()
        for command in (
            ("hostname", "bench-target"),
            ("ip", "link", "set", "lo", "up"),
            ("ip", "addr", "add", f"{TARGET}/24", "dev", "tgt0"),
            ("ip", "link", "set", "tgt0", "up"),
        ):
            _run(*self.there(*command))

    @staticmethod
    def _await_peer(pid: int) -> None:
        """``unshare`` has become ``sleep``: its namespaces are there."""
        ours = Path("/proc/self/ns/net").readlink()
        for _ in range(1000):
            with suppress(OSError):
                if Path(f"/proc/{pid}/ns/net").readlink() != ours:
                    return
            signal.sigtimedwait([], 0.01)
        raise StageError("the target's namespaces did not come up: unshare(1) failed")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._peer is not None:
            self._peer.kill()
            self._peer.wait()
        with suppress(StageError):
            _run("ip", "link", "del", WIRE)
        shutil.rmtree(self.directory, ignore_errors=True)

    def fresh(self, name: str) -> Path:
        """A new directory for one run of one system."""
        self._fresh += 1
        # Where it comes to lie is drawn by its name.
        return Path(tempfile.mkdtemp(prefix=f"{self._fresh}-{name}-", dir=self.directory))

    def there(self, *command: str) -> list[str]:
        """The command line that runs a command on the target."""
        assert self._peer is not None
        return ["nsenter", "--target", str(self._peer.pid), "--net", "--uts", "--", *command]

    def start(self, command: list[str], log: Path, *, on_target: bool = False) -> subprocess.Popen[bytes]:
        """Start a program on one of the machines; it ends with this process at the latest."""
        tied = [*_TIED, *command]
        with log.open("ab") as output:
            # A session of its own: Ctrl-C reaches this process only, which then ends them in order.
            return subprocess.Popen(
                self.there(*tied) if on_target else tied,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def cut(self) -> None:
        """Pull the cable: nothing passes once this returns."""
        _run("ip", "link", "set", WIRE, "down")

    def join(self) -> None:
        """Plug it in again."""
        _run("ip", "link", "set", WIRE, "up")

    @staticmethod
    def wire_bytes() -> tuple[int, int]:
        """Bytes that the source sent and received since the cable is there, link headers included."""
        for line in Path("/proc/net/dev").read_text(encoding="ascii").splitlines():
            name, _, figures = line.partition(":")
            if name.strip() == WIRE:
                fields = figures.split()
                return int(fields[8]), int(fields[0])
        raise StageError(f"{WIRE} is not in /proc/net/dev")


def stop(process: subprocess.Popen[bytes], patience: float = 20.0) -> None:
    """End a program in order, or after ``patience`` seconds by force."""
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StageError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")


def _spread(directory: Path) -> None:
    """Have ext4 put each directory in here somewhere else on the disk; other file systems refuse, and need it not.

    For up to six minutes it looks past every inode that a removed file had (`recently_deleted` in its ialloc.c). Who
    creates files beside them is up to thirty times slower then, without any replication: rounds must not meet what
    the rounds before them removed.
    """
    subprocess.run(["chattr", "+T", str(directory)], check=False, capture_output=True)
