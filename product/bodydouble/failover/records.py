"""What the failover service keeps on disk."""

from __future__ import annotations

import msgspec

from bodydouble.vocabulary.records import MonitorRequest, MonitorState  # noqa: TC001 - msgspec reads the annotations


class SavedMonitor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One monitor's settings and the state whose work is due or done."""

    request: MonitorRequest
    state: MonitorState


class MonitorBook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All monitors, in the order in which they were created."""

    monitors: list[SavedMonitor]
