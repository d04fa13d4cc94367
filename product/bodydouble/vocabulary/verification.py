"""Records of verification: what an operator asks for, and what was found.

Source: Double-Take's guides, "Verification": scheduled or manual (manual only while no mirror runs), log only or
mirroring what differs, newer only, with or without checksum; a log with missing, different and orphan files and totals.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec evaluates annotations
from typing import Annotated, Literal

import msgspec

from bodydouble.vocabulary.records import Record


class VerificationOptions(Record, frozen=True):
    """How a verification compares and what it does about differences.

    Attributes:
        repair: mirror what differs to the target; otherwise differences are only logged.
        newer_only: a file on both sides counts only if the source's last write is later than the target's.
        checksum: compare the bytes too, not only size and time.
    """

    repair: bool = False
    newer_only: bool = False
    checksum: bool = False


class VerificationSchedule(Record, frozen=True):
    """Verify a connection again and again.

    Attributes:
        interval: seconds from the end of one verification to the beginning of the next. The first begins
            that long after the last report, at once when that is longer ago, or after one interval when there is none.
            At least a hundredth of a second, or the daemon would do nothing else; at most a century.
        options: how.
    """

    interval: Annotated[float, msgspec.Meta(ge=0.01, le=36_525 * 86_400)]
    options: VerificationOptions = VerificationOptions()


class Difference(Record, frozen=True):
    """One line of a verification log.

    Attributes:
        path: on the source, in product form.
        kind: ``missing`` on the target, ``different`` there, or ``orphan``: only there (with everything beneath it).
        detail: what differs, in words.
    """

    path: str
    kind: Literal["missing", "different", "orphan"]
    detail: str = ""


class VerificationTotals(Record, frozen=True):
    """What a verification looked at and found.

    Attributes:
        files: compared to the end, missing ones included.
        directories: the same.
        bytes: size of those files on the source.
        missing: files and directories that the target lacks.
        different: files and directories that are not the same on both.
        orphans: files and directory trees that only the target has.
        not_newer: differences left out because the source's file is not the newer one.
        unsettled: applications kept changing them, so that no moment was found at which both sides could be compared.
        unreadable: could not be read on the source.
    """

    files: int = 0
    directories: int = 0
    bytes: int = 0
    missing: int = 0
    different: int = 0
    orphans: int = 0
    not_newer: int = 0
    unsettled: int = 0
    unreadable: int = 0


VerificationState = Literal["running", "repairing", "complete", "interrupted"]


class VerificationReport(Record, frozen=True):
    """One verification.

    Attributes:
        number: counts from 1 on each source and never repeats.
        connection: the connection's number.
        scheduled: made by the connection's schedule, not by an operator.
        state: ``interrupted`` when the connection's stream ended or an operator stopped it; ``detail`` says why.
        ended: None while it runs.
        repaired: what differed was mirrored, and the mirror completed.
        log: file on the source with all differences as JSON lines, empty when there is none or it could not be written.
    """

    number: int
    connection: int
    replication_set: str
    target: str
    options: VerificationOptions
    started: datetime
    scheduled: bool = False
    state: VerificationState = "running"
    ended: datetime | None = None
    totals: VerificationTotals = VerificationTotals()
    repaired: bool = False
    detail: str = ""
    log: str = ""

    @property
    def found(self) -> int:
        """How many differences were found."""
        return self.totals.missing + self.totals.different + self.totals.orphans


class VerificationDetails(Record, frozen=True):
    """A report with its first differences (at most 1,000; the log has all)."""

    report: VerificationReport
    differences: list[Difference]
