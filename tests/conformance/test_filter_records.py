"""What a filter keeps of what it has reported: records that can be told again, and notes that last as long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.conformance.test_file_filter import do_a_bit_of_everything

from bodydouble.errors import FilterError

if TYPE_CHECKING:
    from tests.conformance.conftest import Body

    from bodydouble.ports import Host
    from bodydouble.vocabulary.operations import AnyOperation

MOST_KEPT = 80
"""Mebibytes; no filter here keeps so much."""


def never(why: str) -> None:
    raise AssertionError(why)


def test_position_grows_with_what_is_reported_and_is_its_end_meanwhile(filtered: Body) -> None:
    async def case(host: Host) -> None:
        positions: list[int] = []
        attachment = await host.file_filter.attach(filtered.root, lambda _: positions.append(attachment.position))
        before = attachment.position
        await do_a_bit_of_everything(filtered.application, filtered.root)
        await host.file_filter.settled()
        assert [before, *positions] == sorted({before, *positions})
        assert all(each % 8 == 0 for each in positions)
        assert attachment.position == positions[-1]

    filtered.run(case)


def test_every_position_can_be_gone_on_from_and_what_follows_it_is_told_once_in_order(filtered: Body) -> None:
    async def case(host: Host) -> None:
        seen: list[tuple[int, AnyOperation]] = []
        first = await host.file_filter.attach(filtered.root, lambda each: seen.append((first.position, each)))
        begin = first.position
        await do_a_bit_of_everything(filtered.application, filtered.root)
        await host.file_filter.settled()
        for number, position in enumerate([begin, *(at for at, _ in seen)]):
            assert await told_from(host, filtered.root, position) == seen[number:]

    filtered.run(case)


async def told_from(host: Host, root: str, position: int) -> list[tuple[int, AnyOperation]]:
    told: list[tuple[int, AnyOperation]] = []
    resumed = host.file_filter.resume(position, {root: lambda each: told.append((resumed.position, each))}, never)
    assert resumed.position == position
    await resumed.caught_up()
    resumed.detach()
    return told


def test_who_has_caught_up_is_told_of_what_happens_until_it_is_detached(filtered: Body) -> None:
    async def case(host: Host) -> None:
        application, root = filtered.application, filtered.root
        first = await host.file_filter.attach(root, lambda _operation: None)
        begin = first.position
        first.detach()
        again: list[AnyOperation] = []
        await application.create(f"{root}/while-nobody-was-attached")
        resumed = host.file_filter.resume(begin, {root: again.append}, never)
        await resumed.caught_up()
        await application.create(f"{root}/afterwards")
        await host.file_filter.settled()
        resumed.detach()
        await application.create(f"{root}/unseen")
        await host.file_filter.settled()
        assert [each.path for each in again] == [f"{root}/while-nobody-was-attached", f"{root}/afterwards"]

    filtered.run(case)


def test_several_roots_are_told_in_one_order(filtered: Body) -> None:
    async def case(host: Host) -> None:
        application, root = filtered.application, filtered.root
        await application.mkdir(f"{root}/a")
        await application.mkdir(f"{root}/b")
        begin = (await host.file_filter.attach(root, lambda _operation: None)).position
        for number in range(4):
            await application.create(f"{root}/{'ab'[number % 2]}/{number}")
        told: list[AnyOperation] = []
        await host.file_filter.settled()
        await host.file_filter.resume(begin, {f"{root}/a": told.append, f"{root}/b": told.append}, never).caught_up()
        assert [each.path for each in told] == [f"{root}/{'ab'[number % 2]}/{number}" for number in range(4)]

    filtered.run(case)


def test_what_was_written_over_is_refused_with_the_reason(filtered: Body) -> None:
    async def case(host: Host) -> None:
        application, root = filtered.application, filtered.root
        attachment = await host.file_filter.attach(root, lambda _operation: None)
        begin = attachment.position
        await application.create(f"{root}/f")
        for number in range(MOST_KEPT):
            await application.write(f"{root}/f", 0, bytes([number]) * (1 << 20))
            await host.file_filter.settled()
        told: list[AnyOperation] = []
        with pytest.raises(FilterError, match="bytes"):
            await host.file_filter.resume(begin, {root: told.append}, never).caught_up()
        await application.create(f"{root}/g")
        await host.file_filter.settled()
        assert told == []

    filtered.run(case)


def test_root_outside_every_watched_volume_cannot_be_resumed(body: Body) -> None:
    async def elsewhere(host: Host) -> None:
        with pytest.raises(FilterError):
            host.file_filter.resume(0, {"Z:/elsewhere": lambda _operation: None}, never)

    body.run(elsewhere)


def test_notes_are_zeros_at_first_and_the_same_for_the_same_name(filtered: Body) -> None:
    async def case(host: Host) -> None:
        notes, others = host.file_filter.notes("one"), host.file_filter.notes("two")
        assert notes is not None
        assert others is not None
        assert not any(notes)
        notes[0], notes[len(notes) - 1] = 7, 1 << 63
        again = host.file_filter.notes("one")
        assert again is not None
        assert (again[0], again[len(again) - 1], others[0]) == (7, 1 << 63, 0)

    filtered.run(case)


def test_notes_of_names_that_are_not_kept_are_free_and_zeros_again(filtered: Body) -> None:
    async def case(host: Host) -> None:
        for name in ("one", "two"):
            notes = host.file_filter.notes(name)
            assert notes is not None
            notes[0] = 7
        host.file_filter.keep_notes(["two"])
        one, two = host.file_filter.notes("one"), host.file_filter.notes("two")
        assert one is not None
        assert two is not None
        assert (one[0], two[0]) == (0, 7)

    filtered.run(case)
