"""What a connection's figures say, and that they go on over streams and connections that end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from tests.product.replication.site import ROOT, WEB, Site, mirrored, protect, running, until

from bodydouble.replication.lag import LagMarks
from bodydouble.vocabulary.transmission import TransmissionOptions

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble.vocabulary.statistics import ConnectionFigures, Figures

INTERVAL = 0.01


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def pair(**settings: Any) -> tuple[Site, Site]:
    source, target = Site("WEB1", **settings), Site("WEB2")
    source.mkdir(ROOT)
    source.put(f"{ROOT}/index.htm", b"x" * 10_000)
    return source, target


def of(source: Site) -> ConnectionFigures:
    (figures,) = source.service.figures()[1]
    return figures


def total(source: Site) -> Figures:
    return source.service.figures()[0]


def staged(source: Site) -> int:
    """Bytes on the way to the disk; the queue takes no more than so many at once."""
    stream = source.service.connection(1).stream
    assert stream is not None
    return stream.queue.staged_bytes


def test_every_operation_is_counted_at_each_station_of_its_way() -> None:
    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await until(lambda: of(source).operations_queued == 0)
            before = of(source)
            assert before.mirror_bytes == 10_000
            for number in range(20):
                source.put(f"{ROOT}/{number}", b"y" * 100)
            assert of(source).operations_generated == before.operations_generated + 60  # create, cut, write
            assert of(source).operations_queued == 60
            assert of(source).queue_memory_bytes > 20 * 100
            assert of(source).lag_s >= 0
            await until(lambda: of(source).operations_applied == of(source).operations_generated)
            after = of(source)
            assert after.operations_sent == after.operations_acknowledged == after.operations_generated
            assert (after.operations_queued, after.queue_memory_bytes, after.lag_s) == (0, 0, 0.0)
            assert after.generated_bytes > before.generated_bytes + 20 * 100
            assert after.mirror_bytes == before.mirror_bytes
            assert min(after.sent_bytes, after.plain_bytes) > 10_000 + 20 * 100
            (replica,) = target.service.figures()[2]
            assert (replica.applied, replica.operations_queued, replica.state) == (after.operations_applied, 0, "ok")

    run(scenario())


def test_what_may_not_be_sent_grows_old_in_memory_and_on_disk() -> None:
    async def scenario() -> None:
        source, target = pair(queue_bytes=40_000, queue_floor_bytes=0)
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await until(lambda: of(source).operations_queued == 0)
            await source.service.orders.order_transmission(1, "pause")
            for number in range(20):
                source.put(f"{ROOT}/{number}", b"z" * 4_000)
                await until(lambda: not staged(source))
            assert of(source).queue_disk_bytes > 0
            figures = of(source)
            assert figures.queue_memory_bytes > 0
            assert figures.queue_memory_bytes + figures.queue_disk_bytes >= 80_000
            await until(lambda: of(source).lag_s > 0.05)
            await source.service.orders.order_transmission(1, "resume")
            await until(lambda: of(source).operations_queued == 0)
            assert of(source).lag_s == 0.0

    run(scenario())


def test_compression_shows_in_bytes_before_and_after() -> None:
    async def scenario() -> None:
        source, target = pair()
        source.put(f"{ROOT}/long", b"abcd" * 100_000)
        async with running(source, target):
            await protect(source, target.service.port, transmission=TransmissionOptions(compression=1))
            await mirrored(source, target)
            figures = of(source)
            assert figures.plain_bytes > 400_000 > 10 * figures.sent_bytes

    run(scenario())


def test_counts_go_on_when_a_stream_ends_and_stay_in_the_total_when_a_connection_does() -> None:
    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await until(lambda: of(source).operations_applied == of(source).operations_generated)
            first = of(source)
            await source.service.home.save(type(WEB)(name="web", rules=[*WEB.rules, type(WEB.rules[0])(path="/more")]))
            await until(lambda: of(source).operations_generated > first.operations_generated)
            await mirrored(source, target)
            await until(lambda: of(source).operations_applied == of(source).operations_generated)
            second = of(source)
            assert second.operations_acknowledged == second.operations_generated > first.operations_generated
            await source.service.disconnect(1)
            assert source.service.figures()[1] == []
            assert total(source).operations_generated == second.operations_generated
            assert total(source).sent_bytes >= second.sent_bytes
            assert total(source).operations_queued == 0

    run(scenario())


# --- lag ------------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(0, 0.2), st.integers(0, 3)), min_size=1, max_size=200),
    st.integers(2, 5000),
)
def test_lag_is_never_too_small_and_too_large_by_no_more_than_it_says(
    steps: list[tuple[float, int]], limit: int
) -> None:
    marks, made, now, acknowledged = LagMarks(INTERVAL, limit), [0.0], 1.0, 0
    for pause, acknowledgements in steps:
        now += pause
        marks.note(len(made), now)
        made.append(now)
        acknowledged = min(acknowledged + acknowledgements, len(made) - 1)
        behind = acknowledged < len(made) - 1
        true = now - made[acknowledged + 1] if behind else 0.0
        told = marks.age(acknowledged, len(made) - 1, now)
        assert told >= true - 1e-9
        assert behind or told == 0.0
        if limit > len(steps):
            assert told <= true + INTERVAL + 1e-9


def test_a_queue_of_days_costs_no_more_marks_than_one_of_minutes() -> None:
    marks = LagMarks(INTERVAL, 100)
    for number in range(1, 20_001):
        marks.note(number, float(number))
    assert len(marks._marks) <= 100
    assert 19_999 <= marks.age(0, 20_000, 20_000.0) <= 20_000
    middle = marks.age(10_000, 20_000, 20_000.0)
    assert 9_999 <= middle <= 9_999 + 2 * marks._interval
