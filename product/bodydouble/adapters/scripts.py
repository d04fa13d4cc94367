"""The `Scripts` port: script files through the interpreter that their suffix selects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.adapters import processes
from bodydouble.errors import FileSystemError, PathError, ScriptError
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.records import ScriptResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bodydouble.ports import FileSystem
    from bodydouble.vocabulary.operations import Entry

#: Suffixes that need no settings.
_BUILT_IN = {".sh": ["/bin/sh"]}
_ANY_EXECUTE = 0o111


class ScriptRunner:
    """Runs ``.sh`` with /bin/sh, suffixes of the table with their interpreter, other files by themselves if executable.

    Args:
        file_system: for looking at the script before it is run.
        interpreters: suffix (``.bat``) to the command that is given the script's path and its arguments.
    """

    def __init__(self, file_system: FileSystem, interpreters: Mapping[str, Sequence[str]]) -> None:
        self._file_system = file_system
        table = {**_BUILT_IN, **interpreters}
        self._interpreters = {suffix.lower(): list(command) for suffix, command in table.items()}

    async def run(
        self,
        path: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109 - the port's signature
    ) -> ScriptResult:
        """See the port."""
        command = [*self._interpreter(path, await self._entry(path)), path, *arguments]
        completed = await processes.run(command, timeout=timeout, environment=environment)
        return ScriptResult(exit_code=completed.exit_code, output=completed.output, timed_out=completed.timed_out)

    async def _entry(self, path: str) -> Entry:
        try:
            entry = await self._file_system.stat(path)
        except (FileSystemError, PathError) as error:
            raise ScriptError(f"{path}: cannot be run: {error}") from error
        if entry is None or entry.directory:
            raise ScriptError(f"{path}: no such script file")
        return entry

    def _interpreter(self, path: str, entry: Entry) -> list[str]:
        name = paths.name(path)
        suffix = "." + name.rpartition(".")[2].lower() if "." in name else ""
        if suffix in self._interpreters:
            return self._interpreters[suffix]
        if int(entry.metadata.security.rpartition(b":")[2], 8) & _ANY_EXECUTE:
            return []
        known = ", ".join(sorted(self._interpreters))
        raise ScriptError(
            f"{path}: not executable, and no interpreter is set for {suffix or 'files without a suffix'} "
            f"(known: {known}); add one to [host.scripts.interpreters]"
        )
