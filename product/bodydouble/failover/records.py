"""What the failover service keeps on disk."""

from __future__ import annotations

from typing import Literal

import msgspec

from bodydouble.vocabulary.records import MonitorRequest, MonitorState  # noqa: TC001 - msgspec reads the annotations
from bodydouble.vocabulary.shares import Share  # noqa: TC001 - the same
from bodydouble.vocabulary.standing_in import ScriptEvent  # noqa: TC001 - the same

StepState = Literal["begun", "done", "due", "held", "aborted"]
"""``due``: done once, to be done again; ``held`` and ``aborted``: a script that failed, and what its policy says."""


class StepRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a failover or a failback.

    Attributes:
        step: which one: a script's event, or what is done to what (``address 10.0.0.10/24``).
        state: how far it is.
        attempts: how many times it was begun.
        detail: why it is held or aborted.
    """

    step: str
    state: StepState
    attempts: int = 1
    detail: str = ""


Way = Literal["failover", "failback"]


class JournalRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The steps of the failover or failback that is under way, or of the failover that stands.

    Attributes:
        way: which of the two.
        steps: in the order in which they were begun.
        boot: the host's run (`HostIdentity.boot`) in which they were.
        undoing: the script whose failure is being undone, None: nothing is.
        marked: replication sets that this failover marked as restore required.
        shares: what this failover has shared, or was about to share.
    """

    way: Way = "failover"
    steps: list[StepRecord] = []
    boot: str = ""
    undoing: ScriptEvent | None = None
    marked: list[str] = []
    shares: list[Share] = []


class SavedMonitor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One monitor's settings, the state whose work is due or done, and how far that work is."""

    request: MonitorRequest
    state: MonitorState
    journal: JournalRecord = JournalRecord()


class MonitorBook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All monitors.

    Attributes:
        monitors: in the order in which they were created.
        scripts: the sources whose scripts run (the first one) or wait for their turn, in the order of their turns.
    """

    monitors: list[SavedMonitor]
    scripts: list[str] = []
