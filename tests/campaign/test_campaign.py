"""A slice of the campaign, and the defects that it has to see. The whole of it is ``make campaign``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.campaign.batches import focused, run_batch, totals
from tests.campaign.changes import CHANGES, kinds
from tests.campaign.plants import PLANTS
from tests.campaign.watch import ReplicaWatch

from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import Event

if TYPE_CHECKING:
    from tests.campaign.plants import Planted

SLICE = 40


def test_every_kind_of_operation_is_drawn() -> None:
    assert [kind.__name__ for kind in kinds() if kind not in CHANGES] == [], "give its fields a strategy in `FIELDS`"


def test_a_slice_of_workloads_keeps_the_order_and_converges() -> None:
    totals.clear()
    run_batch(1, count=SLICE)
    silent = [kind.__name__ for kind in CHANGES if not totals[kind.__name__]]
    assert silent == [], "no workload did such a thing: the campaign would not see what it breaks"
    assert totals["operations compared"] > 100
    faults = ("power cuts", "kills", "disconnects", "full disks", "edits on the target", "mirrors ordered")
    assert sum(totals[fault] > 0 for fault in faults) >= 4, totals


@pytest.mark.parametrize("planted", PLANTS.values(), ids=PLANTS)
def test_a_planted_defect_is_seen_for_what_it_is(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.plant(monkeypatch)
    with pytest.raises(AssertionError, match=planted.seen):
        run_batch(1, count=SLICE, machine=focused(planted.rules))


def told(*events: EventCode | str) -> list[Event | str]:
    return [
        each if isinstance(each, str) else Event(number=number, time=None, code=int(each), text=each.name)  # type: ignore[arg-type]
        for number, each in enumerate(events)
    ]


COMPLETE = [EventCode.MIRROR_STARTED, EventCode.MIRROR_COMPLETE]


@pytest.mark.parametrize(
    ("events", "fine"),
    [
        (COMPLETE, True),
        ([EventCode.MIRROR_STARTED, EventCode.MIRROR_STARTED], True),
        ([*COMPLETE, EventCode.MIRROR_STARTED], False),
        ([*COMPLETE, EventCode.AUTO_DISCONNECT, EventCode.MIRROR_STARTED], True),
        ([*COMPLETE, "power cut", EventCode.MIRROR_STARTED], True),
    ],
)
def test_a_mirror_without_a_cause_is_seen(events: list[EventCode | str], fine: bool) -> None:
    watch = ReplicaWatch.__new__(ReplicaWatch)
    watch._source, watch._target = (type("Told", (), {"told": each})() for each in (told(*events), []))
    if fine:
        watch.check_causes()
    else:
        with pytest.raises(AssertionError, match="nothing says why"):
            watch.check_causes()
