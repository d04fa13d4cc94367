"""Time to Fail and what an operator sees of it: pure rules, stepped by `bodydouble.failover.monitor`.

Source: the application note, "Monitoring Failover" (table of the four visual indicators and its footnote on the
yellow bullet). That a source has failed when *all* its monitored addresses are silent is the default trigger of later
Double-Take guides; the other one is *any*.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.vocabulary.records import Bullet, MonitorState
    from bodydouble.vocabulary.standing_in import Trigger

YELLOW_FRACTION = 0.25
"""Elapsed part of the time-out from which the bullet is yellow."""

RESOLUTION = 1e-6
"""Seconds below which nothing is left: a timer shorter than a clock's tick would never move the clock."""

RED_AND_GREEN = "red and green computers"
RED = "red computer"


@dataclass(slots=True)
class Countdown:
    """Counts a source's Time to Fail down from the last heartbeat that was answered.

    All instants are seconds on one steady clock, the event loop's.

    Args:
        interval: seconds between heartbeats.
        missed: heartbeats missed in a row that make a failure.
        addresses: the monitored addresses.
        started: the instant at which monitoring began; it counts as an answer.
        trigger: ``all``: one answer from any of them resets the countdown; ``any``: it counts from the last answer of
            the address that has been silent for the longest time.
    """

    interval: float
    missed: int
    addresses: Sequence[str]
    started: float
    trigger: Trigger = "all"
    _last: dict[str, float] = field(init=False)
    _answering: dict[str, bool | None] = field(init=False)

    def __post_init__(self) -> None:
        self._last = dict.fromkeys(self.addresses, self.started)
        self._answering = dict.fromkeys(self.addresses)

    @property
    def last_answer(self) -> float:
        """The instant from which Time to Fail counts."""
        return (max if self.trigger == "all" else min)(self._last.values())

    @property
    def timeout(self) -> float:
        """The entire time-out, seconds: ``interval * missed``."""
        return self.interval * self.missed

    def answered(self, address: str, at: float) -> bool:
        """Take note of a heartbeat answered at ``at``; True when the address had been silent before."""
        returned = self._answering[address] is False
        self._answering[address] = True
        self._last[address] = max(self._last[address], at)
        return returned

    def unanswered(self, address: str) -> bool:
        """Take note of a heartbeat that was not answered; True when the address had not been silent before."""
        lost = self._answering[address] is not False
        self._answering[address] = False
        return lost

    def answering(self) -> list[str]:
        """Addresses whose last heartbeat was answered, in the order in which they were configured."""
        return [address for address in self.addresses if self._answering[address]]

    def alive(self) -> bool:
        """Whether the latest heartbeats say that the source has not failed."""
        return len(self.answering()) >= (1 if self.trigger == "all" else len(self.addresses))

    def time_to_fail(self, now: float) -> float:
        """Seconds left before the source counts as failed, never below 0."""
        left = self.timeout - (now - self.last_answer)
        return min(left, self.timeout) if left > RESOLUTION else 0.0

    def expired(self, now: float) -> bool:
        """Whether Time to Fail has reached 0."""
        return self.time_to_fail(now) == 0.0

    def stalled(self, now: float) -> bool:
        """Whether zero was passed by more than an interval without anybody looking.

        The process itself stood still then (a paused virtual machine, SIGSTOP): no heartbeat was sent meanwhile, so
        the silence says nothing about the source.
        """
        return now - self.last_answer > self.timeout + self.interval

    def restart(self, now: float) -> None:
        """Begin a fresh time-out at ``now``."""
        self._last = {address: max(last, now) for address, last in self._last.items()}

    def bullet(self, now: float) -> Bullet:
        """Green; yellow once 25 % of the time-out has elapsed; red at 0."""
        left = self.time_to_fail(now)
        if left == 0.0:
            return "red"
        elapsed = self.timeout - left
        return "yellow" if elapsed >= YELLOW_FRACTION * self.timeout else "green"


@dataclass(frozen=True, slots=True)
class Indicators:
    """The note's four visual indicators.

    Attributes:
        time_to_fail: seconds left; None once failed over and when nothing is monitored.
        counter: what stands in the counter's place: the seconds, or the words that replace them.
        bullet: the coloured bullet.
        status_line: the status bar.
        tray: what the icon in the desktop tray shows.
    """

    time_to_fail: float | None
    counter: str
    bullet: Bullet
    status_line: str
    tray: str


def indicators(
    state: MonitorState,
    source: str,
    countdown: Countdown | None,
    now: float,
    *,
    assuming: str = "",
    held: str = "",
    waits: str = "",
) -> Indicators:
    """What an operator sees of one monitor.

    Args:
        state: the monitor's state.
        source: the source's name.
        countdown: the running countdown, None where no heartbeats are sent.
        now: the instant, on the countdown's clock.
        assuming: the identity that is just being assumed, for the status bar.
        held: why the procedure waits for an operator, empty: it does not.
        waits: whose script has to end before this monitor's runs, empty: it does not wait.
    """
    left = _time_to_fail(state, countdown, now)
    line = _status_line(state, source, assuming) + (f"; waiting for {waits}" if waits else "")
    return Indicators(
        time_to_fail=left,
        counter=counter_words(state, left),
        bullet=_bullet(state, countdown, now),
        status_line=f"Waiting for an operator: {held}" if held else line,
        tray=RED if state in ("failed-over", "failing-back") else RED_AND_GREEN,
    )


def _bullet(state: MonitorState, countdown: Countdown | None, now: float) -> Bullet:
    if state != "monitoring":
        return "red"
    return "green" if countdown is None else countdown.bullet(now)  # the first countdown is about to begin, and full


def _time_to_fail(state: MonitorState, countdown: Countdown | None, now: float) -> float | None:
    if state == "monitoring" and countdown is not None:
        return countdown.time_to_fail(now)
    return 0.0 if state in ("waiting-for-operator", "failing-over") else None


def counter_words(state: MonitorState, time_to_fail: float | None) -> str:
    """The words in the Time to Fail column: whole seconds, or the message that replaces them."""
    if time_to_fail is not None:
        return f"{time_to_fail:.0f}"
    words = {"failed-over": "Failed Over", "failing-back": "Failing Back", "failed-back": "Failed Back"}
    return words.get(state, "Stopped" if state == "stopped" else "-")


def _status_line(state: MonitorState, source: str, assuming: str) -> str:
    lines = {
        "monitoring": f"Monitoring {source}",
        "waiting-for-operator": f"{source} has failed; waiting for an operator to fail over",
        "failing-over": f"Assuming {assuming or 'the identity'} of {source}",
        "failed-over": f"Monitoring has continued; standing in for {source}",
        "failing-back": f"Failing back {source}",
        "failed-back": f"{source} failed back; continue or stop monitoring once it is online",
        "stopped": f"Not monitoring {source}",
    }
    return lines[state]
