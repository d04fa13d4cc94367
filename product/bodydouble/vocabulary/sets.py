"""Records about replication sets: why a path is in one, how large one is."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec evaluates annotations
from typing import Literal

from bodydouble.vocabulary.records import Record, Rule


class SetName(Record, frozen=True):
    """The name that a copy, or a renamed set, is to have."""

    name: str


class Explanation(Record, frozen=True):
    """Why a path is in a replication set, or is not.

    Attributes:
        path: the path asked about.
        selected: it is in the set.
        reason: in words.
        rule: the rule that decides; None when none matches, or none is asked.
        others: rules that match as well and are less specific.
        on_the_way: not selected, but a directory of that name is kept on the target, because something beneath it is,
            or may be, in the set.
    """

    path: str
    selected: bool
    reason: str
    rule: Rule | None = None
    others: tuple[Rule, ...] = ()
    on_the_way: bool = False


class RuleSize(Record, frozen=True):
    """What one include rule brings into the set, where no more specific rule decides."""

    rule: Rule
    files: int = 0
    directories: int = 0
    bytes: int = 0


CalculationState = Literal["running", "complete", "cancelled", "failed"]


class SetSize(Record, frozen=True):
    """How large a set is, as far as it has been calculated.

    Attributes:
        replication_set: its name.
        state: ``failed``: the set was changed or deleted meanwhile; ``detail`` says so.
        started: when the calculation began.
        files: files and symbolic links.
        directories: directories that are in the set.
        bytes: of the files' contents; of a file with several names in the set they count once.
        unreadable: directories that could not be listed.
        looked: directories listed so far.
        known: directories found so far that are, or were, to be listed.
        current: the directory that is being looked at.
        rules: a line for each include rule, in the order of the set.
    """

    replication_set: str
    state: CalculationState
    started: datetime
    files: int = 0
    directories: int = 0
    bytes: int = 0
    unreadable: int = 0
    looked: int = 0
    known: int = 0
    current: str = ""
    detail: str = ""
    rules: tuple[RuleSize, ...] = ()
