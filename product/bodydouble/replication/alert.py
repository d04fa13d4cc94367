"""The alert that a queue is filling up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from bodydouble.replication.context import Context


class QueueAlert:
    """Tells the operator once when a queue reaches the alert level, and again after it was half as full.

    Args:
        context: the daemon's surroundings.
        name: the stream's.
    """

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self._name = name
        self._alerted = False

    def look(self, used: int, whole: int) -> None:
        """``used`` of ``whole`` bytes are used."""
        level = self._context.settings.queue_alert_percent * whole
        if 100 * used >= level and not self._alerted:
            text = f"{used} of {whole} bytes of queue are used ({self._name})"
            self._context.events.record(EventCode.QUEUE_ALERT, text)
        self._alerted = 100 * used >= level or (self._alerted and 200 * used >= level)
