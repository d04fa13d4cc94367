"""Tasks in the stream: run at their point of the order, on the side that they name, once as far as that can be."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.product.replication.cuts import CuttableVolume, PowerLost
from tests.product.replication.site import ROOT, Relay, Site, mirrored, protect, request, running, same, until
from tests.product.replication.test_target_queue import START, TargetMachine

from bodydouble.errors import ConnectionStateError, InputError, PathError
from bodydouble.replication.groups import Group
from bodydouble.replication.protocol import Task
from bodydouble.replication.task_runner import TaskRunner, script_path
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import AnyOperation, CreateFile, MakeDirectory, Metadata, Rename, Write
from bodydouble.vocabulary.records import ReplicationSet, Rule, ScriptResult
from bodydouble.vocabulary.tasks import TaskRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

TASKS = "/tasks"


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


class FakeScripts:
    """Notes what ran, and what it could see."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, list[str], dict[str, str]]] = []
        self.seen: list[Any] = []
        self.look: Callable[[], Any] = lambda: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.result = ScriptResult(exit_code=3, output="said something")

    async def run(
        self,
        path: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109 - the port's signature
    ) -> ScriptResult:
        self.ran.append((path, list(arguments), dict(environment)))
        self.seen.append(self.look())
        await self.gate.wait()
        return self.result if timeout else ScriptResult(exit_code=0, output="")


def site(name: str, *, allowed: bool = True, **settings: Any) -> Site:
    made = Site(name, task_directory=TASKS if allowed else "", **settings)
    made.host = dataclasses.replace(made.host, scripts=FakeScripts())
    made.mkdir(TASKS)
    made.put(f"{TASKS}/flush.sh", b"#!/bin/sh")
    return made


def scripts(made: Site) -> FakeScripts:
    found = made.host.scripts
    assert isinstance(found, FakeScripts)
    return found


def seeded(**settings: Any) -> Site:
    made = site("WEB1", **settings)
    made.mkdir(ROOT)
    made.put(f"{ROOT}/index.htm", b"hello")
    return made


async def queue(source: Site, on: Any, *arguments: str, command: str = "flush.sh", seconds: float = 60.0) -> str:
    wanted = TaskRequest(on=on, command=command, arguments=list(arguments), timeout=seconds)
    return (await source.service.orders.queue_task(1, wanted)).id


def texts(made: Site, code: EventCode) -> list[str]:
    return [event.text for event in made.events.after(0) if event.code == code]


@pytest.mark.parametrize("on", ["queue", "transmit", "receive", "execute"])
def test_a_task_runs_at_its_point_of_the_order_on_the_side_that_it_names(on: str) -> None:
    async def scenario() -> None:
        source, target = seeded(), site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await until(lambda: not source.service.connections()[0].queue_operations)
            here, there = scripts(source), scripts(target)
            here.look = there.look = lambda: sorted(target.volume.picture(ROOT))
            await source.service.orders.order_transmission(1, "pause")
            target.volume.gate.clear()
            source.put(f"{ROOT}/before", b"x")
            id_ = await queue(source, on, "an argument", "$HOME; rm -rf /")
            source.put(f"{ROOT}/behind", b"x")
            runner = here if on in ("queue", "transmit") else there
            if on == "queue":
                await until(lambda: runner.ran)
            await asyncio.sleep(0.02)
            assert bool(runner.ran) == (on == "queue")
            await source.service.orders.order_transmission(1, "resume")
            if on in ("transmit", "receive"):
                await until(lambda: runner.ran)
            await asyncio.sleep(0.02)
            assert bool(runner.ran) == (on != "execute")
            target.volume.gate.set()
            await until(lambda: same(source, target) and runner.ran)
            assert len(here.ran) + len(there.ran) == 1
            path, arguments, environment = runner.ran[0]
            assert (path, arguments) == (f"{TASKS}/flush.sh", ["an argument", "$HOME; rm -rf /"])
            assert (environment["BODYDOUBLE_TASK_ID"], environment["BODYDOUBLE_TASK_ON"]) == (id_, on)
            if on == "execute":
                assert f"{ROOT}/before" in runner.seen[0]
                assert f"{ROOT}/behind" not in runner.seen[0]
            sides = [source] if runner is here else [source, target]
            await until(lambda: all(any(id_ in text for text in texts(each, EventCode.TASK_ENDED)) for each in sides))
            assert all("ended with 3: said something" in texts(each, EventCode.TASK_ENDED)[0] for each in sides)

    run(scenario())


def test_transmission_waits_for_a_task_whose_turn_has_come() -> None:
    async def scenario() -> None:
        source, target = seeded(), site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            scripts(source).gate.clear()
            await queue(source, "transmit")
            source.put(f"{ROOT}/behind", b"x")
            await until(lambda: scripts(source).ran)
            await asyncio.sleep(0.05)
            assert target.volume.get(f"{ROOT}/behind") is None
            scripts(source).gate.set()
            await until(lambda: same(source, target))

    run(scenario())


@pytest.mark.parametrize("on", ["transmit", "receive"])
def test_a_broken_connection_repeats_no_task(on: str) -> None:
    async def scenario() -> None:
        source, target = seeded(), site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await mirrored(source, target)
            runner = scripts(source if on == "transmit" else target)
            runner.gate.clear()
            await queue(source, on)
            source.put(f"{ROOT}/behind", b"x")
            await until(lambda: runner.ran)
            for _ in range(2):
                relay.cut()
                await until(lambda: source.state() == "retrying")
                await until(lambda: source.state() == "replicating")
            runner.gate.set()
            await until(lambda: same(source, target))
            assert len(runner.ran) == 1

    run(scenario())


@pytest.mark.parametrize(
    ("allowed", "command", "words"),
    [
        (False, "flush.sh", "no task_directory"),
        (True, "other.sh", "no script 'other.sh'"),
        (True, "../web/index.htm", "are not allowed"),
        (True, "/etc/passwd", "are not allowed"),
        (True, "", "no script"),
    ],
)
@pytest.mark.parametrize("on", ["transmit", "execute"])
def test_only_scripts_of_the_own_task_directory_run(on: str, *, allowed: bool, command: str, words: str) -> None:
    async def scenario() -> None:
        source, target = seeded(allowed=allowed), site("WEB2", allowed=allowed)
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await queue(source, on, command=command or ".")
            source.put(f"{ROOT}/behind", b"x")
            await until(lambda: same(source, target))
            assert scripts(source).ran == scripts(target).ran == []
            where = source if on == "transmit" else target
            assert words in texts(where, EventCode.TASK_REFUSED)[0] or command == ""
            await until(lambda: on == "transmit" or "refused" in texts(source, EventCode.TASK_ENDED)[0])

    run(scenario())


def test_the_task_directory_is_neither_sent_nor_written() -> None:
    """A source that could write there would choose what the target runs."""

    async def scenario() -> None:
        source, target = seeded(allowed=False), site("WEB2")
        source.put(f"{TASKS}/evil.sh", b"#!/bin/sh")
        async with running(source, target):
            whole = [Rule(path="/"), Rule(path="/state", include=False)]
            await source.service.save_set(ReplicationSet(name="web", rules=whole))
            await source.service.connect(request(target.service.port))
            await until(lambda: source.state() == "replicating")
            assert target.volume.get(f"{TASKS}/evil.sh") is None
            assert target.volume.get(f"{ROOT}/index.htm") is not None

    run(scenario())


def test_a_task_without_a_stream_is_refused() -> None:
    async def scenario() -> None:
        source = seeded()
        async with running(source):
            await protect(source, 1)
            with pytest.raises(ConnectionStateError, match="no stream"):
                await queue(source, "execute")

    run(scenario())


def test_tasks_that_are_dropped_with_the_queue_are_told() -> None:
    async def scenario() -> None:
        source, target = seeded(), site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.orders.order_transmission(1, "stop")
            id_ = await queue(source, "execute")
            await source.service.disconnect(1)
            assert any(id_ in text and "dropped" in text for text in texts(source, EventCode.TASK_REFUSED))

    run(scenario())


@pytest.mark.parametrize("on", ["receive", "execute"])
def test_a_task_of_a_paused_target_waits_only_to_be_executed(on: str) -> None:
    async def scenario() -> None:
        source, target = seeded(), site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await target.service.orders.pause_target("WEB1", "web", paused=True)
            await queue(source, on)
            await until(lambda: not source.service.connections()[0].queue_operations)
            assert len(scripts(target).ran) == (on == "receive")
            await target.service.orders.pause_target("WEB1", "web", paused=False)
            await until(lambda: scripts(target).ran)

    run(scenario())


def test_a_stopped_target_kills_what_runs_and_runs_it_again() -> None:
    async def scenario() -> None:
        source, target = seeded(), site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            scripts(target).gate.clear()
            await queue(source, "execute")
            source.put(f"{ROOT}/behind", b"x")
            await until(lambda: scripts(target).ran)
            await target.stop()
            scripts(target).gate.set()
            await target.start()
            await until(lambda: target.volume.get(f"{ROOT}/behind") is not None)
            assert [ran[2]["BODYDOUBLE_TASK_REPEATED"] for ran in scripts(target).ran] == ["0", "1"]

    run(scenario())


# --- power cuts -----------------------------------------------------------------------------------------------------


class TaskMachine(TargetMachine):
    """A target that runs tasks, on a volume that can lose its power."""

    def __init__(self, volume: Any, fake: FakeScripts) -> None:
        super().__init__(volume)
        self.host = dataclasses.replace(self.host, scripts=fake)
        self.context.host = self.host
        self.context.settings = msgspec_replace(self.context.settings)
        self.context.tasks = TaskRunner(
            self.context, self.store, lambda part, name: asyncio.create_task(part, name=name)
        )


def msgspec_replace(settings: Any) -> Any:

    return msgspec.structs.replace(settings, task_directory="C:/tasks")


TASK = Task("stream/task-1", "execute", "t.bat", [], 5.0)
BEHIND: list[AnyOperation] = [Rename("C:/w/a", "C:/w/b"), Write("C:/w/b", 0, b"new", 5_000_000_000)]


async def first_run(machine: TaskMachine) -> None:
    made = [MakeDirectory(path, Metadata()) for path in ("C:/w", "C:/tasks")]
    machine.volume.volume.apply([*made, CreateFile("C:/tasks/t.bat", Metadata(), 1), *START], durable=True)
    await machine.applier.begin("stream")
    await machine.receive([TASK, *BEHIND])
    machine.volume.steps = 0


def steps_of_a_run() -> int:
    async def scenario() -> int:
        machine = TaskMachine(CuttableVolume(), FakeScripts())
        await first_run(machine)
        await machine.apply()
        return int(machine.volume.steps)

    return asyncio.run(scenario())


def test_power_lost_at_any_step_repeats_a_task_only_if_it_was_being_run() -> None:
    """A cut before it began, or after it had ended, leaves it at one run; its environment tells it of another one."""
    total = steps_of_a_run()
    counts = [runs_when_cut_at(step) for step in range(1, total + 1)]
    assert {len(flags) for flags in counts} <= {1, 2}
    assert all(flags == ["0"] or flags[-1] == "1" for flags in counts), counts
    # Only while the note that it ended is being written, which takes a file and a rename, a run may happen twice.
    assert 0 < sum(len(flags) == 2 for flags in counts) <= 8 < total


def runs_when_cut_at(step: int) -> list[str]:
    fake = FakeScripts()
    volume = CuttableVolume(seed=step)

    async def before() -> None:
        machine = TaskMachine(volume, fake)
        await first_run(machine)
        volume.cut_at = step
        try:
            await machine.apply()
        except (PowerLost, asyncio.CancelledError):
            volume.lose_power()

    async def after() -> None:
        machine = TaskMachine(volume, fake)
        await machine.applier.load()
        await machine.apply()
        assert volume.volume.read("C:/w/b")[:3] == b"new"

    for part in (before, after):
        asyncio.run(part())
    return [ran[2]["BODYDOUBLE_TASK_REPEATED"] for ran in fake.ran]


def test_a_task_is_alone_in_its_group() -> None:
    group = Group(lambda path: path)
    assert group.take(BEHIND[1])
    assert not group.take(TASK)
    alone = Group(lambda path: path)
    assert alone.take(TASK)
    assert not alone.take(BEHIND[1])


def test_a_task_directory_that_is_no_path_is_named() -> None:
    with pytest.raises(InputError, match=r"replication\.task_directory: .*absolute"):
        run(Site("WEB1", task_directory="tasks").start())


@pytest.mark.parametrize("command", ["../x", "a/../../x", "/etc/x", "a\x00b", "."])
def test_a_command_never_leaves_the_directory(command: str) -> None:
    with pytest.raises(PathError):
        script_path("/tasks", command)


def test_a_command_may_name_a_subdirectory_as_people_write_it() -> None:
    assert script_path("C:/tasks", "backup\\nightly.bat") == "C:/tasks/backup/nightly.bat"
    assert script_path("/tasks/", "backup/nightly.sh") == "/tasks/backup/nightly.sh"
