"""Applications and operators act between the very steps of a mirror: before and after each look at a file system.

Every operation is one that takes effect on the volume as it is then: renames of directories into and out of what was
visited, removals, things made anew, renames over others, hard links. Wherever they fall, both sides end up equal.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import Relay, Site, request, running, until
from tests.product.replication.test_mirror_under_load import RULES, attempt, prune, settled, visible

from bodydouble.errors import ConnectionStateError
from bodydouble.replication.touches import Touches
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    Entry,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    Truncate,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from bodydouble.vocabulary.mirror import MirrorWord

Choice = tuple[int, int, int, int]
Step = tuple[int, Choice | str]

CHOICES = st.tuples(st.integers(0, 13), st.integers(0, 30), st.integers(0, 30), st.integers(1, 4))
ORDERS = st.sampled_from(["pause", "resume", "stop", "cut"])
NAMES = ["a", "b", "c.tmp", "skip", "e"]


def resolve(volume: MemoryVolume, choice: Choice) -> AnyOperation:
    """An operation on what there is now."""
    kind, first, second, third = choice
    nodes = [node for root in ("/web", "/out") for node in volume.inside(root)]
    directories = ["/web", "/out", *(node.path for node in nodes if node.directory)]
    files = [node.path for node in nodes if not node.directory] or ["/web/none"]
    everything = [node.path for node in nodes] or ["/web/none"]
    new = f"{directories[first % len(directories)]}/{NAMES[second % len(NAMES)]}"
    one, other = everything[first % len(everything)], everything[second % len(everything)]
    free = volume.get(new) is None  # a filter reports that something was made only if it was
    file, time = files[first % len(files)], third * 1000
    return (
        lambda: MakeDirectory(new, Metadata()),
        lambda: CreateFile(new, Metadata(), time) if free else Truncate(new, 0, time),
        lambda: Write(file, (second % 3) * 40_000, bytes([65 + third]) * 50, time),
        lambda: Truncate(file, (second % 4) * 30_000, time),
        lambda: Rename(one, new),
        lambda: Rename(one, other),
        lambda: Rename(one, f"{directories[third % len(directories)]}/{NAMES[second % len(NAMES)]}"),
        lambda: RemoveFile(file),
        lambda: RemoveDirectory(directories[first % len(directories)]),
        lambda: MakeHardLink(new, files[third % len(files)]),
        lambda: MakeHardLink(files[second % len(files)], file),
        lambda: MakeSymbolicLink(new, "a", Metadata(), time) if free else RemoveFile(new),
        lambda: SetMetadata(one, Metadata(third)),
        lambda: Rename(directories[first % len(directories)], new),
    )[kind]()


class Interleaved:
    """Acts on a source between the steps of its mirror.

    Args:
        steps: how many steps to let pass, and then what to do; again and again.
        source: on whose volume.
        order: carries out an operator's order.
    """

    def __init__(self, steps: Sequence[Step], source: Site, order: Callable[[str], None]) -> None:
        self._steps = list(steps)
        self._source = source
        self._order = order
        self._wait = self._steps[0][0] if self._steps else 0

    def step(self) -> None:
        """The mirror takes one; what is due happens now."""
        if not self._source.volume.sinks:
            return
        self._wait -= 1
        while self._steps and self._wait <= 0:
            self.act()

    def act(self) -> None:
        """The next act, whenever it was due."""
        _, what = self._steps.pop(0)
        self._wait = self._steps[0][0] if self._steps else 0
        if isinstance(what, str):
            self._order(what)
        else:
            attempt(self._source.volume, resolve(self._source.volume, what), filtered=True)

    @property
    def due(self) -> bool:
        """Whether there is anything left."""
        return bool(self._steps)


class Stepping(MemoryVolume):
    """A volume that tells before and after each look."""

    def __init__(self) -> None:
        super().__init__()
        self.step: Callable[[], None] = lambda: None

    async def list_directory(self, path: str) -> list[Entry]:
        self.step()
        found = await super().list_directory(path)
        self.step()
        return found

    async def stat(self, path: str) -> Entry | None:
        self.step()
        found = await super().stat(path)
        self.step()
        return found

    async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
        self.step()
        data = await super().read(path, offset, size, stream)
        self.step()
        return data


async def play(before: list[Choice], stale: list[Choice], steps: list[Step], **fields: Any) -> tuple[Site, Site]:
    """Let both sides have ``before`` and the target ``stale`` besides; mirror, interleaved with ``steps``."""
    volume = Stepping()
    source = Site("WEB1", volume, retry_interval=0.001, mirror_window_bytes=100_000)
    target = Site("WEB2", orphan_directory="/orphans")
    for path in ("/web", "/out"):
        source.mkdir(path)
        target.mkdir(path)
    for choice in before:
        operation = resolve(source.volume, choice)
        attempt(source.volume, operation, filtered=False)
        attempt(target.volume, operation, filtered=False)
    for choice in stale:
        attempt(target.volume, resolve(target.volume, choice), filtered=False)
    prune(target.volume)
    async with running(source, target), Relay(lambda: target.service.port) as relay:
        acts = Interleaved(steps, source, lambda word: give(source, relay, word))
        volume.step = acts.step
        await source.service.save_set(RULES)
        await source.service.connect(request(relay.port, **fields))
        await until(lambda: at_rest(source, acts))
    return source, target


def give(source: Site, relay: Relay, word: str) -> None:
    """An order, if it fits at all."""
    if word == "cut":
        relay.cut()
        return
    connection = source.service.connection(1)
    orders: dict[MirrorWord, Callable[[], None]] = {
        "pause": connection.mirrors.pause, "resume": connection.mirrors.resume, "stop": connection.mirrors.stop,
    }  # fmt: skip
    try:
        orders[word]()  # type: ignore[index]
    except ConnectionStateError:
        return


def at_rest(source: Site, acts: Interleaved) -> bool:
    """Whether everything happened and is replicated; whatever an order left undone is taken up."""
    connection = source.service.connection(1)
    if connection.status().mirror_state == "paused":
        connection.mirrors.resume()
    elif source.state() == "mirror-incomplete":
        connection.start_mirror()
    elif settled(source) and acts.due:
        acts.act()
    return settled(source) and not acts.due


STEPS = st.lists(st.tuples(st.integers(0, 5), CHOICES | CHOICES | CHOICES | ORDERS), max_size=40)
LISTS = st.lists(CHOICES, max_size=30)
KINDS = st.sampled_from(["full", "difference", "checksum"])
SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@SETTINGS
@given(LISTS, LISTS, STEPS, KINDS, st.sampled_from(["delete", "move"]))
def test_sides_are_equal_whatever_falls_between_two_steps(
    before: list[Choice], stale: list[Choice], steps: list[Step], kind: str, orphans: str
) -> None:
    source, target = asyncio.run(play(before, stale, steps, mirror=kind, orphans=orphans))
    assert visible(source.volume) == visible(target.volume)


@SETTINGS
@given(LISTS, LISTS, STEPS, KINDS)
def test_only_what_is_newer_on_the_target_may_differ_when_that_is_to_stay(
    before: list[Choice], stale: list[Choice], steps: list[Step], kind: str
) -> None:
    source, target = asyncio.run(play(before, stale, steps, mirror=kind, orphans="delete", newer_only=True))
    here, there = visible(source.volume), visible(target.volume)
    assert here.keys() == there.keys()
    for path, (directory, data, mtime, metadata, link, _) in here.items():
        theirs = there[path]
        if (directory, data, mtime, metadata, link) != theirs[:5]:
            assert not directory
            assert link is None
            assert theirs[2] > mtime


def drawn(seed: int) -> tuple[list[Choice], list[Choice], list[Step]]:
    """One play, by seed."""
    random = Random(seed)

    def choice() -> Choice:
        return random.randint(0, 13), random.randint(0, 30), random.randint(0, 30), random.randint(1, 4)

    before, stale = [choice() for _ in range(20)], [choice() for _ in range(10)]
    return before, stale, [(random.randint(0, 4), choice()) for _ in range(30)]


def test_mirror_that_does_not_hear_of_applications_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = asyncio.run(play(*drawn(1), mirror="full", orphans="delete"))
    assert visible(source.volume) == visible(target.volume)
    monkeypatch.setattr(Touches, "since", lambda *_: False)
    source, target = asyncio.run(play(*drawn(1), mirror="full", orphans="delete"))
    assert visible(source.volume) != visible(target.volume)
