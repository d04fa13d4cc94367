"""The ``netns`` provider: hosts are namespaces on this machine, running the real daemon and the live Windows body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_labs.errors import LabError
from bodydouble_labs.providers.base import RunOutcome, capture_name
from bodydouble_labs.providers.netns import requirements
from bodydouble_labs.providers.netns.plan import MOUNT_POINT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bodydouble_labs.providers.base import Stage
    from bodydouble_labs.scenario.model import Scenario


class NetnsProvider:
    """Runs a scenario on Linux namespaces. A process that ran one stays outside its old network for good.

    Args:
        pcap: write the frames of the network to a pcapng file named by its segment.
    """

    name = "netns"
    explores = False

    def __init__(self, *, pcap: bool = False) -> None:
        self._pcap = pcap

    def missing(self, scenario: Scenario) -> str | None:
        """Why the scenario cannot run on this machine, with what to do about it, or None."""
        return requirements.missing(scenario)

    def run(
        self, scenario: Scenario, seed: int, directory: Path, main: Callable[[Stage], Awaitable[None]]
    ) -> RunOutcome:
        """See `bodydouble_labs.providers.base.Provider.run`; artifacts are relative to ``directory``.

        Raises:
            LabError: a host did not come up, or ``directory`` is one that the hosts' drives hide.
            KeyboardInterrupt: Ctrl-C or SIGTERM.
        """
        from bodydouble_labs.providers.netns.play import LOGS, play  # noqa: PLC0415 - `missing` must work without it

        directory = directory.resolve()
        if directory.is_relative_to(MOUNT_POINT):
            raise LabError(f"{directory}: results cannot lie beneath {MOUNT_POINT}, where the hosts' drives are put")
        directory.mkdir(parents=True, exist_ok=True)
        frames = directory / capture_name(next(iter(scenario.network.all_segments))) if self._pcap else None
        seconds = play(scenario, seed, directory, main, frames=frames)
        kept = [*filter(None, [frames]), *sorted((directory / LOGS).glob("*/*.log"))]
        return RunOutcome("", seconds, [str(path.relative_to(directory)) for path in kept])
