"""Running a few coroutines that belong together: when one ends, all end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


async def run_together(**parts: Coroutine[Any, Any, None]) -> None:
    """Run all parts as tasks until the first ends; cancel the others, wait for them, raise what the first raised.

    The order of the keywords decides which one counts as first when several end in the same step, so that identical
    runs behave identically.
    """
    name = getattr(asyncio.current_task(), "get_name", str)()
    tasks = [asyncio.create_task(part, name=f"{name}/{key}") for key, part in parts.items()]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finished = [task for task in tasks if task.done()]
    finally:
        await cancel(*tasks)
    for task in finished:
        task.result()


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended; what they raised is taken note of."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.gather(*tasks, return_exceptions=True)


async def to_the_end(part: Coroutine[Any, Any, T]) -> T:
    """Await ``part``, and when cancelled meanwhile let it end first: a change to a volume is not left half made.

    Cancelling more than once changes nothing: a session that lost its connection may be severed as well.
    """
    task = asyncio.create_task(part, name=f"{getattr(asyncio.current_task(), 'get_name', str)()}/to-the-end")
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # taken note of
        raise cancelled
    return task.result()
