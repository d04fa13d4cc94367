"""The filter program: where it is, starting one, and finding one that runs already. Blocking; used in pool threads."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import struct
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bodydouble.adapters.fuse import mounts
from bodydouble.adapters.posix.libc import unmount
from bodydouble.errors import FilterError

EXECUTABLE = Path(__file__).parent / "bodydouble-filter"
"""Built from ``product/filter`` when the distribution is installed."""
VERSION = 1
_MOST_MESSAGE = 1 << 21
_MOST_DESCRIPTORS = 66
_START_SECONDS = 600.0
"""The program looks at every file before it mounts."""
_ANSWER_SECONDS = 10.0
_STOP_SECONDS = 10.0
_DYING_SECONDS = 3.0
_HELLO = re.compile(r"filter (\d+)\npid (\d+)\nextended ([01])\nring (\d+)\n")


class _OtherVersionError(FilterError):
    """A program from before an update: it is told to stop, as every version understands."""


@dataclass(slots=True)
class Program:
    """A running program that this daemon is connected to.

    Attributes:
        line: the connection; closing it leaves the program running.
        pid: its process.
        extended: whether applications may use extended attributes.
        ring_bytes: size of its ring.
        roots: what it is mounted over, in its order.
        ended: those of them that were unmounted since.
        memory: descriptor of the ring.
        bell: eventfd that it rings when there is something to read.
        backing: descriptors of the directories beneath its mounts.
    """

    line: socket.socket
    pid: int
    extended: bool
    ring_bytes: int
    roots: list[str]
    ended: list[str]
    memory: int
    bell: int
    backing: list[int]
    child: subprocess.Popen[bytes] | None = field(default=None)

    def fits(self, roots: list[str], ring_bytes: int, *, extended: bool) -> bool:
        """Whether it does what is asked for."""
        return (self.roots, self.ring_bytes, self.extended, self.ended) == (roots, ring_bytes, extended, [])

    def stop(self) -> None:
        """Have it take its mounts away and end; what applications still hold open answers with an error from now on.

        Raises:
            OSError: a mount cannot be taken away.
        """
        try:
            for root in self.roots:
                mounts.take_away(root)
        finally:
            with suppress(OSError):
                self.line.send(b"stop")
            _await_end(self.pid)
            self.reap()

    def reap(self) -> None:
        """It has ended: take note of that, if it was this process's child."""
        if self.child is not None:
            self.child.wait()

    def close(self) -> None:
        """Let go of it. Idempotent."""
        self.line.close()
        for fd in (self.memory, self.bell, *self.backing):
            if fd >= 0:
                os.close(fd)
        self.memory = self.bell = -1
        self.backing = []


def executable() -> Path:
    """Where the program is.

    Raises:
        FilterError: it was not built.
    """
    if not EXECUTABLE.exists():
        raise FilterError(
            f"the filter program {EXECUTABLE} was not built: install a C compiler and the kernel's headers (Debian: "
            "apt-get install gcc libc6-dev), then install bodydouble again"
        )
    return EXECUTABLE


def obtain(roots: list[str], ring_bytes: int, *, extended: bool) -> Program:
    """A program that serves ``roots``: one that a crashed predecessor of this daemon left running, or a new one.

    Raises:
        FilterError: another daemon is connected to it, or the system refused.
        OSError: a mount that is in the way cannot be taken away.
    """
    for root in roots:
        running = _running(root)
        if running is None:
            continue
        if running.fits(roots, ring_bytes, extended=extended):
            return running
        try:
            running.stop()
        finally:
            running.close()
    return start(roots, ring_bytes, extended=extended)


def take_dead_mounts_away(roots: list[str]) -> None:
    """Take away what a program that crashed has left mounted over ``roots``.

    Raises:
        OSError: the system refused.
    """
    for root in roots:
        if mounts.topmost(root) == mounts.TYPE and mounts.is_dead(root):
            unmount(root, lazily=True)


def start(roots: list[str], ring_bytes: int, *, extended: bool) -> Program:
    """Start a program that mounts over ``roots``.

    It is a process that belongs to nobody and says nothing: it outlives a daemon that is killed.

    Raises:
        FilterError: it was not built, or the system refused.
    """
    path = executable()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [str(path), "--daemon", str(theirs.fileno()), "--ring", str(ring_bytes)]
    command += [] if extended else ["--plain"]
    try:
        child = subprocess.Popen(  # noqa: S603 - our own program, and paths behind "--"
            [*command, "--", *roots],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        raise FilterError(f"{path}: cannot be started: {error.strerror}") from error
    finally:
        theirs.close()
    try:
        program = _greeting(ours, _START_SECONDS)
    except BaseException:
        ours.close()
        child.wait()
        raise
    assert program is not None, "a new program is nobody else's"
    program.child = child
    return program


def _running(root: str) -> Program | None:
    """The program that serves ``root``, when there is one; the mount of a dead one is taken away.

    A daemon that was just killed may still be connected to it, hence the short patience.

    Raises:
        FilterError: another daemon is connected to it, or does not answer.
        OSError: the system refused.
    """
    patience = threading.Event()
    waited = 0.0
    while (name := mounts.served_by(root)) is not None:
        found = _connect(name)
        if found is not None:
            return found
        if mounts.is_dead(root):
            unmount(root, lazily=True)
        elif waited >= _DYING_SECONDS:
            raise FilterError(f"{root}: another running daemon already filters it; stop that one first")
        else:
            patience.wait(0.1)
            waited += 0.1
    return None


def _connect(name: str) -> Program | None:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        line.connect(f"\0{name}")
        _check_owner(line, name)
        found = _greeting(line, _ANSWER_SECONDS)
    except _OtherVersionError:
        line.send(b"stop")
        line.close()
        return None
    except OSError:
        line.close()
        return None
    except BaseException:
        line.close()
        raise
    if found is None:
        line.close()
    return found


def _check_owner(line: socket.socket, name: str) -> None:
    """Refuse what an ordinary user could have put there.

    Raises:
        FilterError: the process that listens is another user's.
    """
    _, owner, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    if owner != os.geteuid():
        raise FilterError(f"{name}: user {owner} listens there, and not the filter program")


def _greeting(line: socket.socket, seconds: float) -> Program | None:
    """What the program is, as it says itself; None when another daemon is connected to it.

    Raises:
        FilterError: it could not start, or is of another version.
        OSError: it did not answer.
    """
    line.settimeout(seconds)
    message, descriptors, _, _ = socket.recv_fds(line, _MOST_MESSAGE, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    line.setblocking(False)
    text = message.decode()
    if text == "busy":
        return None
    if not text:
        raise FilterError("the filter program ended before it had mounted anything")
    if text.startswith("error "):
        raise FilterError(f"{text.removeprefix('error ')}: it cannot be filtered")
    hello = _HELLO.match(text)
    roots = [each.partition(" ") for each in text[hello.end() :].splitlines()] if hello else []
    if hello is None or int(hello[1]) != VERSION or len(descriptors) != len(roots) + 2:
        for fd in descriptors:
            os.close(fd)
        if text.startswith("filter "):
            raise _OtherVersionError("the filter program that runs is of another version")
        raise FilterError(f"the filter program answers {text[:60]!r}: it is not the one that belongs to this daemon")
    memory, bell, *backing = descriptors
    return Program(
        line=line,
        pid=int(hello[2]),
        extended=hello[3] == "1",
        ring_bytes=int(hello[4]),
        roots=[path for _, _, path in roots],
        ended=[path for state, _, path in roots if state == "ended"],
        memory=memory,
        bell=bell,
        backing=backing,
    )


def _await_end(pid: int) -> None:
    """Wait for a process, and end it if it does not by itself."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([fd], [], [], _STOP_SECONDS)[0]:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            select.select([fd], [], [], _STOP_SECONDS)
    finally:
        os.close(fd)
