"""The system's calendar."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """The `WallClock` port over the system's real-time clock."""

    def now(self) -> datetime:
        """See the port."""
        return datetime.now(UTC)
