"""What a run tells those who watch it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is.

    Attributes:
        number: the current step, counted from 1; ``total`` steps in all.
        title: the step in the operator's words.
        elapsed: seconds since the run began, on the provider's clock.
    """

    number: int
    total: int
    title: str
    elapsed: float


ProgressListener = Callable[[Progress], None]
