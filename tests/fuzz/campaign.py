"""Runs mutations against the doors, each with a deadline, and counts what happened."""

from __future__ import annotations

import asyncio
import random
import resource
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.fuzz.corpus import collect
from tests.fuzz.doors import Doors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECONDS = 2.0
"""What one input may take. All of them together take less than a millisecond, on average."""
GROWTH_BYTES = 200 * 1024 * 1024
"""What the process may grow by after its first inputs."""
_WARM = 2000
_WEIGHTS = {"target": 6, "packed": 4, "source": 4, "journal": 2, "queue": 2, "state": 2, "peers": 1, "events": 1}


class HangError(BaseException):
    """An input took too long."""


class DefectError(AssertionError):
    """An input did what none may do; the text says how to repeat it."""


def _alarm(_number: int, _frame: object) -> None:
    raise HangError(f"an input took more than {SECONDS:g} s")


async def fuzz(
    seed: int,
    count: int,
    progress: Callable[[int], None] = lambda _done: None,
    doors: Sequence[str] = tuple(_WEIGHTS),
) -> Counter[str]:
    """Try ``count`` inputs that follow from ``seed``; how many came to each door.

    Raises:
        DefectError: one of them raised what it may not, took too long, or the process grows.
    """
    tried: Counter[str] = Counter()
    all_doors = Doors(await collect())
    names = random.Random(f"fuzz {seed}").choices(doors, [_WEIGHTS[door] for door in doors], k=count)
    size = 0
    signal.signal(signal.SIGALRM, _alarm)
    for number, name in enumerate(names):
        await _try(getattr(all_doors, name), seed, number)
        tried[name] += 1
        if number == min(_WARM, count - 1):
            size = _grown()
        if number % 1000 == 0:
            progress(number)
    if (grown := _grown() - size) > GROWTH_BYTES:
        raise DefectError(f"seed {seed}: the process grew by {grown} bytes")
    return tried


async def _try(door: Any, seed: int, number: int) -> None:
    signal.setitimer(signal.ITIMER_REAL, 2 * SECONDS)  # for what does not even let the loop go on
    try:
        async with asyncio.timeout(SECONDS):
            await door(random.Random(f"{seed}:{number}"))
    except (Exception, HangError) as error:
        what = "it hangs" if isinstance(error, HangError | TimeoutError) else f"{type(error).__name__}: {error}"
        raise DefectError(f"seed {seed}, input {number} at the door {door.__name__!r}: {what}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _grown() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(seed: int, count: int, progress: Callable[[int], None] = lambda _done: None) -> Counter[str]:
    """See `fuzz`."""
    return asyncio.run(fuzz(seed, count, progress))
