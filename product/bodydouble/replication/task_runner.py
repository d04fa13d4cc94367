"""TaskRunner: runs tasks of a stream, each once as far as that can be.

Only scripts in the directory that this machine's own configuration names are run, so that a peer, or whoever speaks to
the control API, chooses among them and brings none. On a target each run is noted durably before it begins and after it
has ended: a power loss during the run repeats it (its environment says so), one before or after does not.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from bodydouble.errors import BodydoubleError, FileSystemError, PathError, ScriptError, StateError
from bodydouble.replication.protocol import Task, TaskEnded
from bodydouble.replication.tasks import cancel
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bodydouble.replication.context import Context
    from bodydouble.replication.queue import Queued
    from bodydouble.state.store import StateStore

    Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]

MAX_OUTPUT = 4096
MAX_REMEMBERED = 1000


class TaskRefusedError(BodydoubleError):
    """A task asks for what this machine does not run."""


class TaskRecord(msgspec.Struct, frozen=True):
    """The last task of one replica and stage."""

    id: str
    ended: bool


class TaskRunner:
    """Runs tasks for every connection and replica of this machine.

    Args:
        context: the daemon's surroundings.
        store: where targets note what ran; None: nowhere.
        spawn: runs a coroutine for as long as the service lives.
    """

    def __init__(self, context: Context, store: StateStore | None, spawn: Spawn) -> None:
        self._context = context
        self._store = store
        self._spawn = spawn
        self._running: dict[str, asyncio.Future[None]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, TaskEnded] = {}

    async def close(self) -> None:
        """Kill what runs; nothing is noted as ended."""
        await cancel(*self._tasks.values())

    # --- on the source --------------------------------------------------------------------------------------------

    async def run(self, task: Task, where: str) -> None:
        """Run a task here; one that runs already, or has ended, is not run again.

        Whoever waits may be cancelled: the task runs on.

        Args:
            task: what to run.
            where: the connection, for events.
        """
        await self._once(task, lambda: self._tell(task, where, {}))

    def begin(self, task: Task, where: str) -> None:
        """Run a task here, and wait for nothing; how it ends is an event."""
        self._spawn(self.run(task, where), f"bodydouble-task-{task.id}-begun")

    # --- on the target --------------------------------------------------------------------------------------------

    async def run_durably(self, task: Task, number: int, where: str) -> TaskEnded:
        """Run a task for the replica ``number``; one that had ended before this machine was restarted is not repeated.

        Raises:
            FileSystemError: it could not be noted; it did not begin.
        """
        name = f"target-task-{task.on}-{number}"
        await self._once(task, lambda: self._noted(task, name, where))
        return self._ended[task.id]

    async def _noted(self, task: Task, name: str, where: str) -> TaskEnded:
        assert self._store is not None, "only a target's tasks are noted, and it has a store"
        try:
            earlier = await self._store.load(name, TaskRecord)
        except StateError:
            earlier = TaskRecord(task.id, ended=False)  # what it says nobody knows: the script is told to expect it
        repeated = earlier is not None and earlier.id == task.id
        if repeated and earlier is not None and earlier.ended:
            return TaskEnded(task.id, 0, "it had ended before this machine was restarted", failed=False)
        await self._store.save(name, TaskRecord(task.id, ended=False))
        ended = await self._tell(task, where, {"BODYDOUBLE_TASK_REPEATED": "1" if repeated else "0"})
        await self._store.save(name, TaskRecord(task.id, ended=True))
        return ended

    # --- both -----------------------------------------------------------------------------------------------------

    async def _once(self, task: Task, part: Callable[[], Coroutine[Any, Any, TaskEnded]]) -> None:
        if task.id in self._ended:
            return
        outcome = self._running.get(task.id)
        if outcome is None:
            outcome = self._running[task.id] = asyncio.get_running_loop().create_future()
            self._tasks[task.id] = self._spawn(self._keep(task.id, part, outcome), f"bodydouble-task-{task.id}")
        await asyncio.shield(outcome)

    async def _keep(
        self, id_: str, part: Callable[[], Coroutine[Any, Any, TaskEnded]], outcome: asyncio.Future[None]
    ) -> None:
        """Run on even when whoever waited has been cancelled; the outcome is for whoever waits then."""
        try:
            self._ended[id_] = await part()
            while len(self._ended) > MAX_REMEMBERED:
                self._ended.pop(next(iter(self._ended)))
            outcome.set_result(None)
        except FileSystemError as error:
            outcome.set_exception(error)
            outcome.exception()  # taken note of, should nobody wait
        finally:
            outcome.cancel()
            del self._running[id_], self._tasks[id_]

    async def _tell(self, task: Task, where: str, more: dict[str, str]) -> TaskEnded:
        """Run it and put it into the events log."""
        try:
            ended = await self._execute(task, more)
        except (TaskRefusedError, ScriptError) as error:
            ended = TaskEnded(task.id, -1, str(error)[:MAX_OUTPUT], failed=True)
        code = EventCode.TASK_REFUSED if ended.failed else EventCode.TASK_ENDED
        self._context.events.record(code, f"{where}: {words(task, ended)}")
        return ended

    async def _execute(self, task: Task, more: dict[str, str]) -> TaskEnded:
        path = await self._script(task.command)
        environment = {"BODYDOUBLE_TASK_ID": task.id, "BODYDOUBLE_TASK_ON": task.on, **more}
        result = await self._context.host.scripts.run(path, task.arguments, environment, task.timeout)
        late = f"killed after {task.timeout:g} s; " if result.timed_out else ""
        return TaskEnded(task.id, result.exit_code, (late + result.output)[:MAX_OUTPUT], failed=False)

    async def _script(self, command: str) -> str:
        """The script's path.

        Raises:
            TaskRefusedError: there is no task directory, or nothing of that name in it.
        """
        directory = self._context.settings.task_directory
        if not directory:
            raise TaskRefusedError("refused: no task_directory under [replication] names scripts that may run here")
        try:
            path = script_path(directory, command)
            entry = await self._context.host.file_system.stat(path)
        except (PathError, FileSystemError) as error:
            raise TaskRefusedError(f"refused: {error}") from error
        if entry is None or entry.kind != "file":
            raise TaskRefusedError(f"refused: no script {command!r} in this machine's task directory")
        return path


def script_path(directory: str, command: str) -> str:
    """Where ``command`` is in the task directory.

    Raises:
        PathError: it would be outside.
    """
    directory = paths.normalise(directory)
    inside = command.replace("\\", "/") if paths.has_drive(directory) else command
    path = paths.join(directory, inside)
    paths.check(path)
    return path


def at_tasks(taken: list[Queued]) -> list[list[Queued]]:
    """Cut so that a task which runs when its turn to be sent has come is the first of its part."""
    parts: list[list[Queued]] = [[]]
    for queued in taken:
        if isinstance(queued.body, Task) and queued.body.on == "transmit":
            parts.append([])
        parts[-1].append(queued)
    return [part for part in parts if part]


def ended_there(ended: TaskEnded) -> str:
    """What became of a task on the target, for the source's events log."""
    return _words(f"task {ended.id} on the target", ended)


def words(task: Task, ended: TaskEnded) -> str:
    """What became of a task, for the events log."""
    return _words(f"task {task.id} ({task.command}, on {task.on})", ended)


def _words(what: str, ended: TaskEnded) -> str:
    said = ended.output if ended.failed else f"ended with {ended.exit_code}: {ended.output}"
    return f"{what} {said}".rstrip().rstrip(":")
