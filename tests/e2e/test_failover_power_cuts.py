"""The target loses its power, or its daemon, at every boundary of a failover and a failback, one run for each.

Every run ends with one owner of the source's identity, the site running on exactly one machine, and the order that a
client left on the stand-in on the source; and no script that came to its end runs again for no reason.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.e2e.standing_in import Boundaries, Story

from bodydouble.failover.journal import Journal
from bodydouble.failover.monitor import Monitor
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.standing_in import SCRIPT_EVENTS
from bodydouble_sim.windows.version import NT_4, WINDOWS_2000

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.standing_in import ScriptEvent
    from bodydouble_sim.windows.version import WindowsVersion

    Plant = Callable[[pytest.MonkeyPatch], None]

PARTS = 8
FEWEST = 80
"""A run has more boundaries than that; fewer mean that the proxies see nothing any more."""
FEWEST_OF_UNDOING = 20
"""The same of the part of a run in which a failed script is undone."""


@cache
def boundaries_of_a_run(replaces: WindowsVersion | None = None) -> list[int]:
    """Those of a run in which nothing goes wrong."""
    return boundaries_of(Story(replaces=replaces).run().labels)


def boundaries_of(labels: list[str]) -> list[int]:
    """Every boundary, save for one after a call that is at once the boundary before the next call."""
    following = [*labels[1:], ""]
    return [
        number
        for number, (label, then) in enumerate(zip(labels, following, strict=True))
        if not (label.startswith("after") and then.startswith("before"))
    ]


def without_the_middle_of_saves(labels: list[str], numbers: list[int]) -> list[int]:
    """Leave out the boundary between a state file's writing and its renaming.

    Who is cut there finds the same as who is cut before the writing, because nobody reads a file that was not renamed:
    `tests/product/replication/test_state.py` holds that, and the runs without a failing script are cut there too.
    """
    return [number for number in numbers if not labels[number].startswith("before Rename ")]


def check_scripts(seen: Boundaries) -> None:
    """A script runs again only when its end is not known, or when the machine was booted since (failover's)."""
    latest: dict[str, tuple[int, str, bool]] = {}
    for event, attempt, boot, ended in seen.scripts:
        if event in latest:
            before, earlier_boot, came_to_its_end = latest[event]
            booted = boot != earlier_boot and event.endswith("failover")
            assert booted or not came_to_its_end or end_was_not_durable(seen), f"{event} ran again: {seen.scripts}"
            assert attempt > before, f"{event} was not told that it runs again: {seen.scripts}"
        latest[event] = attempt, boot, ended
    assert sorted(latest) == ["post-failback", "post-failover", "pre-failback", "pre-failover"]
    assert all(ended for _, _, ended in latest.values())


def end_was_not_durable(seen: Boundaries) -> bool:
    """Whether the cut came between a script's end and the journal's word of it."""
    assert seen.chosen is not None
    passed = seen.labels[: seen.chosen + 1]
    ends = [index for index, label in enumerate(passed) if label.startswith("after script")]
    return bool(ends) and "after Rename monitors.json.new" not in passed[ends[-1] :]


def cut_at(number: int, *, kill: bool, replaces: WindowsVersion | None = None) -> None:
    story = Story(number, kill=kill, replaces=replaces)
    try:
        check_scripts(story.run())
    except AssertionError as error:
        where = story.boundaries.labels[number] if number < len(story.boundaries.labels) else "nowhere"
        raise AssertionError(f"cut at boundary {number}, {where}: {error}") from error


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kill", [False, True], ids=["power cut", "daemon killed"])
def test_no_boundary_of_failover_and_failback_leaves_two_owners_or_loses_anything(part: int, *, kill: bool) -> None:
    numbers = boundaries_of_a_run()
    assert len(numbers) > FEWEST
    for number in numbers[part::PARTS]:
        cut_at(number, kill=kill)


def test_the_boundaries_around_shares_are_among_them() -> None:
    labels = Story().run().labels
    for call in ("share.query", "share.add", "share.remove"):
        assert sum(label.startswith(f"before {call}") for label in labels) >= 1, call


@pytest.mark.parametrize("part", range(PARTS))
def test_no_boundary_leaves_a_replaced_machine_without_its_own_identity(part: int) -> None:
    """Windows NT 4.0, whose services are started again because of the name, and an own address that is given up."""
    for number in boundaries_of_a_run(NT_4)[part::PARTS]:
        cut_at(number, kill=False, replaces=NT_4)


def test_a_killed_daemon_finishes_what_is_special_about_a_replaced_machine() -> None:
    labels = Story(replaces=NT_4).run().labels
    special = [
        number for number in boundaries_of_a_run(NT_4) if "own name" in labels[number] or "service" in labels[number]
    ]
    assert special
    for number in special:
        cut_at(number, kill=True, replaces=NT_4)


@cache
def boundaries_of_undoing(aborts: ScriptEvent) -> list[int]:
    """From the script that fails to the operator's next try, with its cause put right."""
    labels = Story(aborts=aborts).run().labels
    script = f"before script.run C:/{aborts}.bat"
    first, again = [number for number, label in enumerate(labels) if label == script]
    numbers = without_the_middle_of_saves(labels, boundaries_of(labels))
    return [number for number in numbers if first <= number <= again]


@pytest.mark.parametrize("aborts", SCRIPT_EVENTS)
@pytest.mark.parametrize("part", range(2))
def test_a_power_cut_while_a_failed_script_is_undone_leaves_the_state_before_or_what_leads_to_it(
    part: int, aborts: ScriptEvent
) -> None:
    undoing = boundaries_of_undoing(aborts)
    assert len(undoing) > FEWEST_OF_UNDOING
    cut_while_undoing(aborts, undoing[part::2])


def test_windows_2000_says_that_it_needs_a_boot_to_run_under_the_other_name() -> None:
    story = Story(replaces=WINDOWS_2000)
    story.run()
    assert story.target.daemon is not None
    codes = [event.code for event in story.target.daemon.events.after(0)]
    assert codes.count(EventCode.REBOOT_NEEDED) == 1
    assert EventCode.SERVICES_RESTARTED not in codes


def no_journal(patch: pytest.MonkeyPatch) -> None:
    async def nothing(_self: Monitor) -> None:
        """The defect: a step is not written down."""

    patch.setattr(Monitor, "_keep_journal", nothing)


def boots_are_not_told_apart(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Journal, "booted_since", lambda _self: False)
    patch.setattr(Journal, "added_addresses", lambda _self: False)


def what_is_gone_is_not_done_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Journal, "due_again", lambda _self, _steps: None)


def shares_are_not_in_the_journal(patch: pytest.MonkeyPatch) -> None:
    record = Journal.record
    patch.setattr(Journal, "record", lambda self: msgspec.structs.replace(record(self), shares=[]))


@pytest.mark.parametrize(
    ("plant", "kill"),
    [
        (no_journal, False),
        (no_journal, True),
        (boots_are_not_told_apart, False),  # addresses, names and services outlive the daemon
        (what_is_gone_is_not_done_again, False),
        (shares_are_not_in_the_journal, True),
    ],
)
def test_a_defect_of_the_journal_is_seen_by_the_enumeration(
    plant: Plant, *, kill: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError, match="cut at boundary"):
        cut_everywhere(kill=kill)


def what_is_undone_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    plain = Journal.record
    patch.setattr(Journal, "record", lambda self: msgspec.structs.replace(plain(self), undoing=None))


@pytest.mark.parametrize(
    ("aborts", "plant"),
    [("pre-failover", what_is_undone_is_forgotten), ("post-failback", what_is_gone_is_not_done_again)],
)
def test_a_defect_of_undoing_is_seen_by_its_enumeration(
    aborts: ScriptEvent, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = boundaries_of_undoing(aborts)
    plant(monkeypatch)
    with pytest.raises((AssertionError, TimeoutError)):
        cut_while_undoing(aborts, [*numbers[::PARTS], *numbers])


def cut_while_undoing(aborts: ScriptEvent, numbers: list[int]) -> None:
    for number in numbers:
        Story(number, aborts=aborts).run()


def cut_everywhere(*, kill: bool) -> None:
    """One boundary of each stretch first: a defect that shows in a stretch of its own is then seen early."""
    numbers = boundaries_of_a_run()
    for part in range(PARTS):
        for number in numbers[part::PARTS]:
            cut_at(number, kill=kill)


def test_a_source_whose_service_is_asked_fails_over_and_back_and_hears_of_no_stranger() -> None:
    story = Story(heartbeat="service")
    seen = story.run()
    assert not any(label.startswith("before heartbeat") for label in seen.labels), "ICMP was asked"
    assert story.source.daemon is not None
    assert EventCode.UNPAIRED_ATTEMPT not in [event.code for event in story.source.daemon.events.after(0)]
    assert EventCode.REPLICATION_ERROR not in [event.code for event in story.source.daemon.events.after(0)]
