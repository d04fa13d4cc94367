from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from tests.product.control.fakes import TOKEN
from tests.product.failover.fakes import SOURCE, Target, request

from bodydouble.control.client import ControlClient
from bodydouble.control.settings import ControlSettings
from bodydouble.daemon import Daemon, DaemonSettings
from bodydouble.errors import InputError, StateError
from bodydouble.failover.service import FailoverService
from bodydouble.replication.settings import ReplicationSettings
from bodydouble.state.events import EventLog
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

PROGRAM = [sys.executable, "-c", "from bodydouble.cli.main import main; main()"]


def settings(port: int = 0) -> DaemonSettings:
    return DaemonSettings(
        state_directory="/state",
        control=ControlSettings(token=TOKEN, port=port),
        replication=ReplicationSettings(address="127.0.0.1", port=0),
    )


async def ready(daemon: Daemon, running: asyncio.Task[None]) -> None:
    waiting = asyncio.create_task(daemon.ready.wait())
    await asyncio.wait([waiting, running], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if running.done():
        running.result()


def while_running(
    target: Target, action: Callable[[Daemon], Coroutine[Any, Any, None]], options: DaemonSettings | None = None
) -> None:
    """Run a daemon on the real loop for as long as ``action`` takes, then cancel it."""

    async def main() -> None:
        daemon = Daemon(target.host, options or settings())
        running = asyncio.create_task(daemon.run(), name="daemon")
        try:
            await ready(daemon, running)
            await action(daemon)
        finally:
            running.cancel()
            await asyncio.wait([running])
        assert running.cancelled()

    asyncio.run(main())


async def nothing(_daemon: Daemon) -> None:
    """Only start and stop."""


def logged(target: Target) -> list[int]:
    """Codes of the events on the disk, as the next run reads them."""

    async def main() -> list[int]:
        log = EventLog(target.files, "/state", target.clock)
        await log.open()
        return [event.code for event in log.after(0)]

    return asyncio.run(main())


def test_a_daemon_serves_its_api_and_ends_when_cancelled() -> None:
    async def action(daemon: Daemon) -> None:
        async with ControlClient(
            "127.0.0.1", daemon.control.port, TOKEN, daemon.trust.credential.certificate
        ) as client:
            status = await client.status()
            assert (status.identity.primary_name, status.connections, status.monitors) == ("TARGET", [], [])
            assert [event.code for event in await client.events()] == [EventCode.SERVICE_STARTED]

    while_running(Target(), action)


def test_start_and_stop_are_in_the_durable_events_log() -> None:
    target = Target()
    while_running(target, nothing)
    assert logged(target) == [EventCode.SERVICE_STARTED, EventCode.SERVICE_STOPPED]


def test_failover_marks_the_restore_in_the_replication_service() -> None:
    target = Target()
    marked: list[str] = []

    async def action(daemon: Daemon) -> None:
        original = daemon.replication.standing_in.stand_in

        async def noting(source: str) -> list[str]:
            sets = await original(source)
            marked.append(source)
            return sets

        daemon.replication.standing_in.stand_in = noting  # type: ignore[method-assign] # notes that it was called
        await daemon.failover.create_monitor(request(interval=0.05, missed=2))
        target.wire.cut()
        async with asyncio.timeout(10):
            while daemon.failover.monitors()[0].state != "failed-over":  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.01)

    while_running(target, action)
    assert marked == [SOURCE]


def test_a_daemon_that_stood_in_resumes_after_its_restart() -> None:
    target = Target()
    test_after: list[str] = []

    async def fail_over(daemon: Daemon) -> None:
        await daemon.failover.create_monitor(request(interval=0.05, missed=2))
        target.wire.cut()
        await standing_in(daemon)

    async def standing_in(daemon: Daemon) -> None:
        async with asyncio.timeout(10):
            while daemon.failover.monitors()[0].state != "failed-over":  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.01)
        test_after.append(daemon.failover.monitors()[0].request.source)

    while_running(target, fail_over)
    target.identity.reboot()
    while_running(target, standing_in)
    assert test_after == [SOURCE, SOURCE]
    assert target.identity.names == [SOURCE]


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_port_in_use_stops_the_daemon_with_the_reason() -> None:
    target, second = Target(), Target()

    async def action(daemon: Daemon) -> None:
        with pytest.raises(InputError, match="control: cannot listen"):
            await Daemon(second.host, settings(daemon.control.port)).run()

    while_running(target, action)
    assert logged(second) == [EventCode.SERVICE_STARTED, EventCode.SERVICE_STOPPED]


def test_state_that_cannot_be_understood_stops_the_daemon_with_the_files_name() -> None:
    target = Target()
    target.files.files["/state/monitors.json"] = b"torn"
    with pytest.raises(StateError, match=r"/state/monitors\.json"):
        while_running(target, nothing)
    assert logged(target)[-1] == EventCode.SERVICE_STOPPED


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_component_that_fails_stops_the_daemon_with_its_own_error(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    async def broken(self: FailoverService) -> NoReturn:
        if when == "later":
            self.ready.set()
            await asyncio.sleep(0.05)
        raise RuntimeError("planted")

    monkeypatch.setattr(FailoverService, "run", broken)
    target = Target()

    async def forever(_daemon: Daemon) -> None:
        await asyncio.sleep(0.2)

    async def main() -> None:
        await asyncio.wait_for(Daemon(target.host, settings()).run(), 10)

    with pytest.raises(RuntimeError, match="planted"):
        asyncio.run(main())
    assert logged(target)[-1] == EventCode.SERVICE_STOPPED


# --- the real process -------------------------------------------------------------------------------------------------


@contextmanager
def process(config: Path) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen([*PROGRAM, "daemon", "--config", str(config)], stderr=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        started.communicate()


def write_config(directory: Path, port: int = 0) -> Path:
    (directory / "token").write_text(TOKEN)
    config = directory / "daemon.toml"
    config.write_text(
        f'state_directory = "{directory}/state"\n'
        f'[control]\ntoken_file = "token"\nport = {port}\n'
        '[replication]\naddress = "127.0.0.1"\nport = 0\n'
    )
    return config


def listening_port(started: subprocess.Popen[str]) -> str:
    assert started.stderr is not None
    line = started.stderr.readline()
    assert line.startswith("bodydouble: ready, control port "), line
    return line.split()[-1]


def command(directory: Path, port: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    place = ["--port", port, "--config", str(directory / "daemon.toml")]
    return subprocess.run([*PROGRAM, *place, *arguments], capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_real_daemon_answers_the_real_command_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with process(write_config(tmp_path)) as daemon:
        port = listening_port(daemon)
        answer = command(tmp_path, port, "status", "--json")
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout)["identity"]["primary_name"]
        daemon.send_signal(number)
        _, errors = daemon.communicate(timeout=20)
        assert (daemon.returncode, errors) == (0, "")
    codes = [json.loads(line).get("code") for line in (tmp_path / "state" / "events.jsonl").read_text().splitlines()]
    assert codes[:2] == [EventCode.SERVICE_STARTED, EventCode.SERVICE_STOPPED]


def test_following_the_events_ends_at_an_interrupt_without_complaint(tmp_path: Path) -> None:
    with process(write_config(tmp_path)) as daemon:
        port = listening_port(daemon)
        place = ["--port", port, "--config", str(tmp_path / "daemon.toml")]
        arguments = [*PROGRAM, *place, "events", "--follow"]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
            assert follower.stdout is not None
            assert " 4000 " in follower.stdout.readline()
            follower.send_signal(signal.SIGINT)
            _, errors = follower.communicate(timeout=20)
        assert (follower.returncode, errors) == (0, "")


def test_who_waits_for_a_target_that_is_not_there_is_told_why_and_may_leave(tmp_path: Path) -> None:
    with process(write_config(tmp_path)) as daemon:
        port = listening_port(daemon)
        root = tmp_path / "data"
        root.mkdir()
        assert command(tmp_path, port, "set", "save", "web", "--include", str(root)).returncode == 0
        place = ["--port", port, "--config", str(tmp_path / "daemon.toml")]
        arguments = [*PROGRAM, *place, "connect", "web", "127.0.0.1", "--port", "1", "--wait"]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
            assert waiting.stderr is not None
            assert waiting.stderr.readline().startswith("bodydouble: connection 1 is ")
            waiting.send_signal(signal.SIGINT)
            _, errors = waiting.communicate(timeout=20)
        assert waiting.returncode == 130
        assert "bodydouble: interrupted; the connection goes on" in errors
        assert "Traceback" not in errors


def test_a_fingerprint_counts_also_where_the_configuration_leads_to_the_daemon(tmp_path: Path) -> None:
    with process(write_config(tmp_path)) as daemon:
        port = listening_port(daemon)
        place = ["--port", port, "--config", str(tmp_path / "daemon.toml"), "--pin", "0" * 64]
        ended = subprocess.run([*PROGRAM, *place, "status"], capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 2
    assert "nothing was sent to it" in ended.stderr


def test_a_daemon_of_this_machine_that_does_not_answer_is_told_with_how_it_is_started(tmp_path: Path) -> None:
    with process(write_config(tmp_path)) as daemon:
        port = listening_port(daemon)
    ended = command(tmp_path, port, "status")
    assert ended.returncode == 1
    assert f"no answer from the daemon at 127.0.0.1 port {port}" in ended.stderr
    assert "is it running? It is started by 'bodydouble daemon --config FILE'" in ended.stderr


def test_a_second_daemon_on_the_same_port_ends_with_2_and_one_line(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with process(write_config(tmp_path)) as daemon:
        port = listening_port(daemon)
        config = write_config(other, int(port))
        second = subprocess.run(
            [*PROGRAM, "daemon", "--config", str(config)], capture_output=True, text=True, check=False, timeout=30
        )
    assert second.returncode == 2
    assert second.stderr.startswith(f"bodydouble: {config}, line 2: control: cannot listen on 127.0.0.1 port {port}")
    assert "Traceback" not in second.stderr


def test_a_wrong_configuration_ends_with_2_and_the_key(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text() + '[host]\nfilter = { kind = "magic" }\n')
    ended = subprocess.run(
        [*PROGRAM, "daemon", "--config", str(config)], capture_output=True, text=True, check=False, timeout=30
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"bodydouble: {config}, line 9: host.filter.kind: is 'magic'; ")


def test_the_statistics_log_is_written_and_read_by_the_command(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text() + "[statistics]\nlog_interval = 0.5\n")
    log = tmp_path / "state" / "statistics.jsonl"
    with process(config) as daemon:
        listening_port(daemon)
        passed = threading.Event()
        for _ in range(1000):
            if log.exists() and log.read_bytes().endswith(b"\n"):
                break
            passed.wait(0.01)
        shown = subprocess.run(
            [*PROGRAM, "statistics", "--file", str(log), "--count", "1"], capture_output=True, text=True, check=True
        )
    assert shown.stdout.splitlines()[1].split()[2] == "all"
