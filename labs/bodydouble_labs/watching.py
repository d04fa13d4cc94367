"""Shows on standard error where a run is: the step, the time in the scenario, the time on the wall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console

    from bodydouble_labs.runner import Progress


class Watching:
    """On a terminal one line that is drawn over; elsewhere a line for each step. Draws only when told: no thread.

    Args:
        console: where to.
        wall_clock: steady seconds of this machine.
    """

    def __init__(self, console: Console, wall_clock: Callable[[], float]) -> None:
        self._console = console
        self._wall_clock = wall_clock
        self._began = wall_clock()
        self._shown = 0
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(Text(text))

    def progress(self, progress: Progress) -> None:
        """Show where the run is."""
        line = Text(self._line(progress))
        if self._live is not None:
            self._live.update(line, refresh=True)
        elif progress.number != self._shown:
            self._console.print(line, soft_wrap=True)
        self._shown = progress.number

    def _line(self, progress: Progress) -> str:
        wall = self._wall_clock() - self._began
        place = f"{progress.number:>3}/{progress.total}"
        return f"{place}  {progress.title}  [{progress.elapsed:,.0f} s in the scenario, {wall:,.1f} s on the wall]"
