"""`bodydouble.ports.Scripts` over the batch interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bodydouble.vocabulary.records import ScriptResult
    from bodydouble_sim.windows.system import WindowsSystem


class SimScripts:
    """Runs ``.bat`` and ``.cmd`` files."""

    def __init__(self, system: WindowsSystem) -> None:
        self._system = system

    async def run(
        self,
        path: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109 - the port's signature
    ) -> ScriptResult:
        """See `bodydouble.ports.Scripts.run`."""
        return await self._system.run_script(path, arguments, environment, timeout)
