"""Seeded power cuts against an oracle that remembers what every file held.

`cut` runs a drawn sequence of file calls on a fresh volume, takes the power away, and judges what is left: on NTFS, the
names, lengths, attributes and times are those after *some* operation that was not durable yet, and every byte is one
that the file had there since its last flush, or zero; on FAT, after chkdsk, what was flushed and left alone is whole,
and the volume is sound.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from tests.sim.storage.volumes import Clock

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    Truncate,
    Write,
)
from bodydouble_sim.storage.ntfs_log import LOG_WRITE_NS

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble_sim.storage.volume import Volume

    Make = Callable[[Callable[[], int]], Volume]

Tree = dict[str, tuple[object, ...]]
DIRECTORIES = ("C:", "C:/d", "C:/e", "C:/d/f")
NAMES = ("a", "B.txt", "a long name", "a longer name")
SECOND = 1_000_000_000


class IllegalLossError(AssertionError):
    """A power cut left what it may not leave."""


class State(NamedTuple):
    """A volume after an operation: what it looks like, whose names are whose, when that was."""

    tree: Tree
    ids: dict[str, int]
    at: int


class Oracle:
    """Watches a volume and knows what a power cut may leave of it."""

    def __init__(self, volume: Volume, clock: Clock) -> None:
        self._volume = volume
        self._clock = clock
        self._ids: dict[str, int] = {}
        self._last = 0
        self.versions: dict[int, list[bytes]] = {}
        self.quiet: dict[int, bytes] = {}
        """Files that were flushed and left alone since."""
        self.states = [self._state()]
        self.stop = volume.add_observer(self._follow)

    def _state(self) -> State:
        return State(snapshot(self._volume), dict(self._ids), self._clock.now)

    def _follow(self, operation: AnyOperation) -> None:
        path = operation.path.upper()
        if isinstance(operation, Rename):
            self._renamed(path, operation.new_path.upper())
        elif isinstance(operation, RemoveFile | RemoveDirectory):
            self.quiet.pop(self._ids.pop(path, 0), None)
        elif isinstance(operation, CreateFile | MakeDirectory) and path not in self._ids:
            self._last += 1
            self._ids[path] = self._last
            self.versions[self._last] = [b""]
        if isinstance(operation, Write | Truncate):
            self.versions[self._ids[path]].append(self._volume.read(operation.path))
        if path in self._ids:
            self.quiet.pop(self._ids[path], None)
        self.states.append(self._state())

    def _renamed(self, old: str, new: str) -> None:
        moved = {new + path[len(old) :]: number for path, number in self._ids.items() if _beneath(path, old)}
        gone = [path for path in self._ids if _beneath(path, old) or path == new]
        for path in gone:
            self.quiet.pop(self._ids.pop(path), None)
        self._ids.update(moved)

    def flushed(self, path: str | None, *, metadata: bool) -> None:
        """A flush was acknowledged: of a file, or of all of them."""
        paths = list(self._ids) if path is None else [path.upper()]
        for each in paths:
            number = self._ids.get(each)
            if number is not None and self.versions.get(number):
                self.versions[number] = self.versions[number][-1:]
                entry = self._volume.stat(each)
                if entry is not None and not entry.directory:
                    self.quiet[number] = self.versions[number][-1]
        if metadata:
            self.states = self.states[-1:]

    # --- verdicts ---------------------------------------------------------------------------------------------------

    def judge_journaled(self) -> None:
        """NTFS: one of the states since the last flush, and bytes that were there.

        Raises:
            IllegalLossError: the volume is in no such state.
        """
        now = self._clock.now
        durable = max((i for i, state in enumerate(self.states) if now - state.at > LOG_WRITE_NS + SECOND), default=0)
        found = snapshot(self._volume)
        state = next((state for state in self.states[durable:] if state.tree == found), None)
        if state is None:
            raise IllegalLossError(f"no state that the volume was in: {found} of {[each.tree for each in self.states]}")
        for path, number in state.ids.items():
            entry = self._volume.stat(path)
            if entry is not None and not entry.directory:
                self._judge_bytes(path, number)

    def _judge_bytes(self, path: str, number: int) -> None:
        versions = self.versions[number]
        for at, byte in enumerate(self._volume.read(path)):
            if byte and not any(at < len(version) and version[at] == byte for version in versions):
                raise IllegalLossError(f"{path}: byte {at} is {byte}, which it has not been since it was flushed")
        if number in self.quiet and self._volume.read(path) != self.quiet[number]:
            raise IllegalLossError(f"{path} was flushed and left alone, and is not what it was")

    def judge_repaired(self) -> None:
        """FAT, after chkdsk: flushed and left alone is whole; the volume is sound.

        Raises:
            IllegalLossError: it is not.
        """
        ids = self.states[-1].ids
        by_number = {number: path for path, number in ids.items()}
        for number, data in self.quiet.items():
            path = by_number[number]
            entry = self._volume.stat(path)
            if entry is None or self._volume.read(path) != data:
                raise IllegalLossError(
                    f"{path} was flushed and left alone, and is {'gone' if entry is None else 'changed'}"
                )
        used = sum(self._volume.allocated(path) for path, seen in snapshot(self._volume).items() if not seen[0])
        if used != self._volume.disk.used:
            raise IllegalLossError(f"files take {used} bytes, the volume counts {self._volume.disk.used}")
        if self._volume.check():
            raise IllegalLossError("chkdsk found something a second time")


def snapshot(volume: Volume, directory: str = "C:") -> Tree:
    """Everything that is metadata: names, kinds, lengths, attributes, times of files."""
    found: Tree = {}
    for entry in volume.list(directory):
        time = 0 if entry.directory else entry.mtime_ns
        found[entry.path] = (entry.directory, entry.size, entry.metadata.attributes, time)
        if entry.directory:
            found.update(snapshot(volume, entry.path))
    return found


def _beneath(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")


def cut(make: Make, seed: int) -> int:
    """One power cut.

    Returns:
        The sectors and changes that it took.

    Raises:
        IllegalLossError: the volume was left in a state that it may not be in.
    """
    stream, clock = random.Random(f"power cut {seed}"), Clock()
    volume = make(clock)
    oracle = Oracle(volume, clock)
    for number in range(stream.randint(1, 40)):
        step(volume, oracle, clock, stream, number)
    oracle.stop()
    lost = volume.power_loss(stream) + volume.lost_changes
    if volume.file_system == "ntfs":
        oracle.judge_journaled()
    else:
        volume.check()
        oracle.judge_repaired()
    return lost


def step(volume: Volume, oracle: Oracle, clock: Clock, stream: random.Random, number: int) -> None:
    path, other = (f"{stream.choice(DIRECTORIES)}/{stream.choice(NAMES)}" for _ in range(2))
    data = bytes([1 + number]) * stream.choice((1, 300, 512, 5000, 9000))
    calls: list[Callable[[], None]] = [
        lambda: volume.create(path),
        lambda: volume.write(path, stream.choice((0, 100, 4096, 6000)), data),
        lambda: volume.append(path, data),
        lambda: volume.truncate(path, stream.choice((0, 100, 4096, 7000))),
        lambda: volume.rename(path, other),
        lambda: volume.remove(path),
        lambda: volume.mkdir(stream.choice(DIRECTORIES[1:])),
        lambda: volume.rename(*stream.sample(DIRECTORIES[1:], 2)),
        lambda: volume.rmdir(stream.choice(DIRECTORIES[1:])),
        lambda: volume.set_attributes(path, stream.choice((2, 32))),
        lambda: _flush(volume, oracle, path),
        lambda: _flush(volume, oracle, None),
        lambda: _apply(volume, oracle, path, other, data),
    ]
    weights = [12, 12, 8, 5, 8, 4, 6, 2, 2, 2, 4, 1, 3]
    clock.now += stream.choice((0, 0, SECOND // 10, SECOND, 3 * SECOND))
    try:
        stream.choices(calls, weights)[0]()
    except FileSystemError:
        return


def _flush(volume: Volume, oracle: Oracle, path: str | None) -> None:
    volume.flush(path)
    there = path is None or volume.stat(path) is not None
    if there:
        oracle.flushed(path, metadata=volume.file_system == "ntfs" or path is None)


def _apply(volume: Volume, oracle: Oracle, path: str, other: str, data: bytes) -> None:
    """What the product's target does: a batch, and then it acknowledges."""
    made = Metadata(32, b"")
    now = volume.stat("C:")
    assert now is not None
    volume.apply(
        [
            CreateFile(path, made, now.mtime_ns),
            Write(path, 0, data, now.mtime_ns),
            SetMetadata(path, made),
            Rename(path, other),
        ],
        durable=True,
    )
    oracle.flushed(other, metadata=True)
