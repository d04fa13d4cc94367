"""`bodydouble.ports.Scripts` over the batch interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.process import carry_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bodydouble.vocabulary.records import ScriptResult
    from bodydouble_sim.windows.machine import WindowsMachine


class SimScripts:
    """Runs ``.bat`` and ``.cmd`` files, each in a process of its own: it goes on when the daemon is killed."""

    def __init__(self, machine: WindowsMachine) -> None:
        self._machine = machine

    async def run(
        self,
        path: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109 - the port's signature
    ) -> ScriptResult:
        """See `bodydouble.ports.Scripts.run`."""
        run = self._machine.system.run_script(path, arguments, environment, timeout)
        return await carry_out(self._machine, run, name=f"script {path}")
