"""One host's power: the processes in its namespaces, started through util-linux and ended from outside.

``setpriv --pdeathsig`` ties ``unshare`` to the lab and ``unshare --kill-child`` ties init to ``unshare``; with init the
kernel ends its whole pid namespace. So nothing survives the lab, whichever way it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final

import msgspec

from bodydouble_labs.errors import FaultError, LabError
from bodydouble_labs.providers.netns.plan import HostPlan, Order, Report

NAMESPACES: Final = ("--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
BOOT_TIMEOUT: Final = 90.0
SHUTDOWN_TIMEOUT: Final = 60.0
"""Seconds for a boot and for an orderly shutdown (init gives each of its two services 20 to 30)."""


class PoweredMachine:
    """A host that is on: ``unshare``, init beneath it, and the line to init."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Use `switch_on`."""
        self._process = process
        self._reader = reader
        self._writer = writer
        self._init = 0

    @classmethod
    async def switch_on(cls, plan: HostPlan, log: Path) -> PoweredMachine:
        """Start init in fresh namespaces; returns when they stand and init waits for the order to boot.

        Raises:
            LabError: init could not make the namespaces its own; ``log`` says why.
        """
        ours, theirs = socket.socketpair()
        with theirs, log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *_command(plan, theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(),
                cwd="/",
                start_new_session=True,
            )
        machine = cls(process, *await asyncio.open_unix_connection(sock=ours))
        try:
            await machine.await_report("ready")
            machine._init = _only_child(process.pid)
        except BaseException:
            await machine.kill()
            raise
        return machine

    @property
    def namespaces_of(self) -> int:
        """A process in the host's network and mount namespaces."""
        return self._init

    def running(self) -> bool:
        """Whether init still exists, seen from outside."""
        return self._process.returncode is None and Path(f"/proc/{self._init}").exists()

    async def order(self, order: Order) -> None:
        """Give init an order and return when it is carried out.

        Raises:
            LabError: init reports failure or is gone.
        """
        self._writer.write(msgspec.json.encode(order) + b"\n")
        await self.await_report("up")

    async def await_report(self, kind: str) -> None:
        """Wait for init's next word.

        Raises:
            LabError: it is not ``kind``, or none comes within `BOOT_TIMEOUT`.
        """
        try:
            async with asyncio.timeout(BOOT_TIMEOUT):
                line = await self._reader.readline()
        except TimeoutError:
            raise LabError(f"init said nothing for {BOOT_TIMEOUT:.0f} s, see init.log") from None
        if not line:
            raise LabError("init ended unexpectedly, see init.log")
        report = msgspec.json.decode(line, type=Report)
        if report.kind != kind:
            raise LabError(f"init: {report.detail or report.kind}")

    async def shut_down(self) -> None:
        """Orderly shutdown; returns when every process of the host is gone.

        Raises:
            FaultError: it did not end in time, or not in order.
        """
        os.kill(self._init, signal.SIGTERM)
        try:
            async with asyncio.timeout(SHUTDOWN_TIMEOUT):
                status = await self._process.wait()
        except TimeoutError:
            await self.kill()
            raise FaultError(f"the host did not shut down within {SHUTDOWN_TIMEOUT:.0f} s, see init.log") from None
        self._writer.close()
        if status:
            raise FaultError(f"init ended its shutdown with status {status}, see init.log")

    async def kill(self) -> None:
        """End every process of the host at once; returns when the kernel has collected all of them."""
        # While unshare has not ended it still is init's parent, so neither number can belong to anybody else.
        for pid in (self._init, self._process.pid):
            if pid and self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        await self._process.wait()
        self._writer.close()


def _command(plan: HostPlan, line: int) -> list[str]:
    init = [sys.executable, "-m", "bodydouble_labs.providers.netns.init", msgspec.json.encode(plan).decode(), str(line)]
    return ["setpriv", "--pdeathsig", "KILL", "unshare", *NAMESPACES, *init]


def _environment() -> dict[str, str]:
    """Only what an interpreter needs: a proxy of the caller's, say, means nothing on the host's wire."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "COVERAGE"))}
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root", **kept}


def _only_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    if len(children) != 1:
        raise LabError(f"unshare ({pid}) has children {children}, expected exactly init")
    return int(children[0])
