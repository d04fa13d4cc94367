"""The limit: no burst of more than a second's worth, nothing starves, and it may change at any time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bodydouble.replication.bandwidth import BURST_SECONDS, MAX_PART_BYTES, MIN_PART_BYTES, TokenBucket

RATES = st.integers(1024, 10_000_000)


def send_all(bucket: TokenBucket, sizes: list[int], start: float = 0.0) -> list[tuple[float, int]]:
    """Send as fast as the bucket allows; when each went."""
    now, sent = start, []
    for size in sizes:
        while wait := bucket.missing(size, now):
            now += wait
        bucket.spend(size, now)
        sent.append((now, size))
    return sent


@given(RATES, st.lists(st.integers(1, 100), min_size=1, max_size=300))
def test_no_second_holds_more_than_a_seconds_worth_and_a_burst(rate: int, shares: list[int]) -> None:
    bucket = TokenBucket(rate, 0.0)
    sent = send_all(bucket, [max(1, share * bucket.part_bytes // 100) for share in shares])
    for at, _ in sent:
        within = sum(size for time, size in sent if at <= time < at + 1.0)
        assert within <= rate * (1.0 + BURST_SECONDS) * 1.001 + 1


@given(RATES)
def test_over_a_long_time_the_rate_is_kept_and_used(rate: int) -> None:
    bucket = TokenBucket(rate, 0.0)
    sent = send_all(bucket, [bucket.part_bytes] * 400)
    total = sum(size for _, size in sent)
    expected = (total - rate * BURST_SECONDS) / rate
    assert abs(sent[-1][0] - expected) <= 0.01 * expected + 0.3


@given(RATES, st.integers(1, 50))
def test_what_may_not_wait_is_paid_by_what_comes_later(rate: int, pings: int) -> None:
    bucket = TokenBucket(rate, 0.0)
    bucket.missing(1, 0.0)
    for _ in range(pings):
        bucket.spend(20, 0.0)
    (at, _), *_ = send_all(bucket, [bucket.part_bytes])
    assert at * rate >= pings * 20 + bucket.part_bytes - rate * BURST_SECONDS - 1


def test_parts_are_short_enough_for_others_to_get_in_between() -> None:
    assert TokenBucket(1024, 0.0).part_bytes == MIN_PART_BYTES
    assert TokenBucket(80_000, 0.0).part_bytes == 10_000
    assert TokenBucket(10**9, 0.0).part_bytes == MAX_PART_BYTES
    assert TokenBucket(None, 0.0).part_bytes == 0


def test_another_limit_holds_at_once_and_forgives_no_debt() -> None:
    bucket = TokenBucket(1_000_000, 0.0)
    bucket.spend(500_000, 0.0)
    assert bucket.missing(1000, 0.0) > 0.2
    bucket.limit(10_000_000, 0.0)
    assert 0.0 < bucket.missing(1000, 0.0) < 0.1
    bucket.limit(None, 0.1)
    assert bucket.missing(10**9, 0.1) == 0.0


def test_a_long_silence_saves_up_no_more_than_a_burst() -> None:
    bucket = TokenBucket(100_000, 0.0)
    sent = send_all(bucket, [bucket.part_bytes] * 50, start=3600.0)
    first_second = sum(size for at, size in sent if at < 3601.0)
    assert first_second <= 125_000
