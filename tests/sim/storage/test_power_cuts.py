"""Durability over many seeded power cuts: a few hundred here, 10,000 with ``make power-cuts``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.sim.storage.power_cuts import IllegalLossError, cut
from tests.sim.storage.volumes import KINDS, new_volume

from bodydouble_sim.storage.disk import Disk
from bodydouble_sim.storage.fat import FatVolume
from bodydouble_sim.storage.ntfs import NtfsVolume

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble_sim.storage.volume import Volume


@pytest.mark.parametrize("kind", KINDS)
def test_no_power_cut_takes_what_was_flushed(kind: str, pytestconfig: pytest.Config) -> None:
    cuts = pytestconfig.getoption("--power-cuts")
    lost = sum(1 for seed in range(cuts) if cut(lambda clock: new_volume(kind, clock), seed))
    assert lost > cuts // 4, "power cuts that take nothing prove nothing"


class ForgetfulNtfs(NtfsVolume):
    """Acknowledges a flush and does not do it."""

    def flush(self, path: str | None = None) -> None:
        """Nothing."""

    def flush_written(self, operations: Sequence[AnyOperation]) -> None:
        """Nothing."""


class ForgetfulFat(FatVolume):
    """The same on FAT."""

    def flush(self, path: str | None = None) -> None:
        """Nothing."""

    def flush_written(self, operations: Sequence[AnyOperation]) -> None:
        """Nothing."""


class HalfDurableNtfs(NtfsVolume):
    """Flushes contents and leaves the log where it is."""

    def flush_written(self, operations: Sequence[AnyOperation]) -> None:
        """Contents only."""
        if operations:
            self._flush_contents()


def lying(clock: Callable[[], int]) -> Volume:
    disk = Disk()
    disk.lying = True
    return NtfsVolume("C", clock, disk)


LIARS: dict[str, Callable[[Callable[[], int]], Volume]] = {
    "ntfs that forgets": lambda clock: ForgetfulNtfs("C", clock),
    "fat that forgets": lambda clock: ForgetfulFat("C", clock),
    "ntfs that forgets its log": lambda clock: HalfDurableNtfs("C", clock),
    "a disk that lies": lying,
}


@pytest.mark.parametrize("liar", LIARS)
def test_a_planted_lie_about_a_flush_is_caught(liar: str) -> None:
    def many() -> None:
        for seed in range(300):
            cut(LIARS[liar], seed)

    with pytest.raises(IllegalLossError):
        many()
