"""TokenBucket: so many bytes a second, evenly. Pure; time is handed in."""

from __future__ import annotations

BURST_SECONDS = 0.25
"""What may go at once after a pause: a quarter of a second's worth."""
MIN_PART_BYTES = 256
MAX_PART_BYTES = 64 * 1024


class TokenBucket:
    """What was sent lately, against a rate.

    Messages that may not wait are spent without asking: the level goes below nothing, and the others wait for it.

    Args:
        rate: bytes a second; None: no limit.
        now: seconds on a steady clock.
    """

    def __init__(self, rate: int | None, now: float) -> None:
        self.rate = rate
        self._level = self._burst
        self._at = now

    @property
    def _burst(self) -> float:
        return 0.0 if self.rate is None else self.rate * BURST_SECONDS

    @property
    def part_bytes(self) -> int:
        """How long a part of a message should be at most, so that others get in between; 0: as long as it likes."""
        if self.rate is None:
            return 0
        return min(MAX_PART_BYTES, max(MIN_PART_BYTES, int(self._burst) // 2))

    def limit(self, rate: int | None, now: float) -> None:
        """Another rate from now on; what was spent before stays spent."""
        self._refill(now)
        self.rate = rate
        self._level = min(self._level, self._burst)

    def _refill(self, now: float) -> None:
        if self.rate is not None:
            self._level = min(self._burst, self._level + self.rate * max(0.0, now - self._at))
        self._at = now

    def missing(self, size: int, now: float) -> float:
        """Seconds until ``size`` bytes may go; 0.0 when they may now. More than a burst holds goes when it is full."""
        if self.rate is None:
            return 0.0
        self._refill(now)
        short = min(float(size), self._burst) - self._level
        # A clock's resolution must not leave a wait that is too short to bring anything.
        return 0.0 if short < 1e-6 * self.rate else short / self.rate

    def spend(self, size: int, now: float) -> None:
        """``size`` bytes go now."""
        self._refill(now)
        if self.rate is not None:
            self._level -= size
