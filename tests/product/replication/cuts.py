"""Volumes whose power can be cut at any step of a batch, and a host's files on them."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from tests.sim.storage.volumes import Clock, new_volume

from bodydouble.errors import FileSystemError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.vocabulary.capabilities import Capabilities
    from bodydouble.vocabulary.operations import AnyOperation, Entry
    from bodydouble_sim.storage.volume import Volume


class PowerLost(BaseException):
    """The power went off at this step."""


class CuttableVolume:
    """The `FileSystem` port on a simulated volume; ``cut_at`` says at which step the power goes.

    Every operation is a step, and so are the moment before a flush and the moment after it.
    """

    case_sensitive = False

    def __init__(self, kind: str = "ntfs 5", seed: int = 0) -> None:
        self.volume: Volume = new_volume(kind, Clock())
        self.seed = seed
        self.steps = 0
        self.cut_at = 0
        self.failing_flushes = 0
        self.applied: list[AnyOperation] = []

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self.cut_at:
            raise PowerLost

    def lose_power(self) -> None:
        """What the cut leaves, drawn; then the system starts and checks the volume."""
        self.volume.power_loss(random.Random(f"cut {self.seed} {self.cut_at}"))
        self.volume.check()
        self.cut_at = 0

    async def list_directory(self, path: str) -> list[Entry]:
        return list(self.volume.list(path))

    async def stat(self, path: str) -> Entry | None:
        return self.volume.stat(path)

    async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
        return self.volume.read(f"{path}:{stream}" if stream else path, offset, size)

    async def capabilities(self, _path: str) -> Capabilities:
        return self.volume.capabilities()

    async def find_data(self, path: str, offset: int) -> tuple[int, int] | None:
        return self.volume.find_data(path, offset)

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        done: list[AnyOperation] = []
        try:
            for operation in operations:
                self._step()
                self.volume.apply((operation,), bypass_filter=True)
                self.applied.append(operation)
                done.append(operation)
        except FileSystemError as error:
            error.done = len(done)
            self.volume.flush_written(done)
            raise
        if durable:
            self._step()
            self.volume.flush_written(done)
            self._step()

    async def settled(self) -> None:
        """Nothing is filtered."""

    async def flush(self, path: str) -> None:
        """Not one moment later than now: what is applied while the caller still waits is not durable."""
        if self.failing_flushes:
            self.failing_flushes -= 1
            raise FileSystemError("io", path, "a failing disk")
        self._step()
        self.volume.flush()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._step()

    async def free_space(self, path: str) -> int:
        return self.volume.free_space() if path else 0
