"""Tasks in the stream with real scripts, through the Linux host's own ports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.adapters.linux import LinuxHostSettings, open_host
from bodydouble.replication.context import Context
from bodydouble.replication.protocol import Task
from bodydouble.replication.settings import ReplicationSettings
from bodydouble.replication.task_runner import TaskRunner
from bodydouble.security.trust import Trust
from bodydouble.state.events import EventLog
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from pathlib import Path

    from bodydouble.replication.protocol import TaskEnded
    from bodydouble.vocabulary.records import Event


def ended(place: Path, *tasks: Task) -> tuple[list[TaskEnded], list[Event]]:
    """Run tasks as a target does."""

    async def run() -> tuple[list[TaskEnded], list[Event]]:
        async with open_host(LinuxHostSettings()) as host:
            store = StateStore(host.file_system, str(place / "state"), host.clock)
            events = EventLog(host.file_system, str(place / "state"), host.clock)
            settings = ReplicationSettings(task_directory=str(place / "tasks"))
            trust = Trust(host, store, events)  # nobody is met here
            context = Context(host, settings, events, [store.directory], trust)
            runner = TaskRunner(context, store, lambda part, name: asyncio.create_task(part, name=name))
            return [await runner.run_durably(task, 1, "web") for task in tasks], events.after(0)

    return asyncio.run(run())


def script(place: Path, name: str, text: str) -> None:
    (place / "tasks").mkdir(exist_ok=True)
    (place / "tasks" / name).write_text(text)


def test_arguments_reach_the_script_as_they_are_and_its_end_is_told(tmp_path: Path) -> None:
    script(
        tmp_path,
        "t.sh",
        'for each in "$@"; do echo "<$each>"; done; echo $BODYDOUBLE_TASK_ID $BODYDOUBLE_TASK_ON; exit 7',
    )
    hostile = ["a b", "$(touch /tmp/owned)", "; rm -rf /", "*"]
    (told,), (event,) = ended(tmp_path, Task("s/task-1", "execute", "t.sh", hostile, 10.0))
    assert told.exit_code == 7
    assert told.output.splitlines() == [*(f"<{each}>" for each in hostile), "s/task-1 execute"]
    assert event.code == EventCode.TASK_ENDED


def test_a_script_that_takes_too_long_is_killed_and_said_so(tmp_path: Path) -> None:
    script(tmp_path, "slow.sh", "echo begun; sleep 60")
    (told,), _ = ended(tmp_path, Task("s/task-1", "execute", "slow.sh", [], 0.3))
    assert "killed after 0.3 s" in told.output
    assert "begun" in told.output


def test_a_link_out_of_the_task_directory_is_no_script(tmp_path: Path) -> None:
    script(tmp_path, "t.sh", "true")
    (tmp_path / "outside.sh").write_text("echo evil")
    (tmp_path / "tasks" / "link.sh").symlink_to(tmp_path / "outside.sh")
    (tmp_path / "tasks" / "deeper").symlink_to(tmp_path)
    for command in ("link.sh", "deeper/outside.sh"):
        (told,), (event,) = ended(tmp_path, Task(f"s/{command}", "execute", command, [], 5.0))
        assert told.failed
        assert event.code == EventCode.TASK_REFUSED


def test_a_task_that_ended_is_not_run_again_by_the_daemon_that_was_restarted(tmp_path: Path) -> None:
    script(tmp_path, "t.sh", f"echo run >> {tmp_path}/runs")
    task = Task("s/task-1", "receive", "t.sh", [], 5.0)
    ended(tmp_path, task, task)
    (told,), _ = ended(tmp_path, task)
    assert "had ended before" in told.output
    assert (tmp_path / "runs").read_text() == "run\n"
