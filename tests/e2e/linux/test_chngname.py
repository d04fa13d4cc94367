"""Chngname on Linux: the kernel's host name, through the daemon and without it, across crashes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.uts import in_own_namespace

from bodydouble.adapters.linux import LinuxHostSettings, open_active_name, open_host
from bodydouble.adapters.network import active_name
from bodydouble.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.root

BODYDOUBLE = [sys.executable, "-c", "from bodydouble.cli.main import main; main()"]


class Machine:
    """A UTS namespace whose first process holds it open; the daemon and its consoles run inside."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "daemon.toml"
        self.config.write_text(
            f'state_directory = "{directory}/state"\n[control]\nport = 0\ntoken = "correct horse"\n'
            '[replication]\nport = 0\naddress = "127.0.0.1"\n'
        )
        self.holder = subprocess.Popen(
            ["unshare", "--uts", "sh", "-c", "hostname standby; echo held; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == b"held\n"
        self.daemon: subprocess.Popen[str] | None = None
        self.port = 0

    def enter(self, *command: str) -> list[str]:
        return ["nsenter", f"--uts=/proc/{self.holder.pid}/ns/uts", *command]

    def start(self) -> None:
        command = self.enter(*BODYDOUBLE, "daemon", "--config", str(self.config))
        self.daemon = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.daemon.stderr is not None
        ready = self.daemon.stderr.readline()
        assert "ready, control port" in ready, ready + self.daemon.stderr.read()
        self.port = int(ready.split()[-1])

    def crash(self) -> None:
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.communicate()
        self.daemon = None

    def chngname(self, *arguments: str) -> tuple[int, str]:
        environment = {**os.environ, "BODYDOUBLE_CONFIG": str(self.config), "BODYDOUBLE_PORT": str(self.port or 1)}
        command = self.enter(*BODYDOUBLE, "chngname", *arguments)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, (done.stdout + done.stderr).strip()

    def name(self) -> str:
        """The host name, by another judge."""
        return subprocess.run(self.enter("uname", "-n"), capture_output=True, text=True, check=True).stdout.strip()

    def close(self) -> None:
        if self.daemon is not None:
            self.crash()
        self.holder.communicate()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.program("nsenter")
def test_the_name_that_was_set_is_put_back_after_the_daemon_crashed(machine: Machine) -> None:
    machine.start()
    assert machine.chngname("/t") == (1, "bodydouble: no other name was set: this machine runs as standby")
    status, words = machine.chngname("/s", "WEB1")
    assert (status, machine.name()) == (0, "WEB1"), words
    assert words == "The active server name is WEB1; chngname /t puts standby back."
    machine.crash()
    machine.start()
    assert machine.chngname("--show")[1] == words
    shown = json.loads(machine.chngname("--show", "--json")[1])
    assert shown == {"active": "WEB1", "original": "standby"}
    assert machine.chngname("--reset") == (0, "The active server name is standby.")
    assert machine.name() == "standby"
    assert machine.chngname("--reset")[0] == 1


@pytest.mark.program("nsenter")
def test_without_a_daemon_the_configuration_leads_to_the_name(machine: Machine) -> None:
    machine.start()
    machine.crash()
    assert machine.chngname("--set", "WEB1")[0] == 0
    assert machine.name() == "WEB1"
    machine.start()
    assert machine.chngname("/t")[0] == 0
    assert machine.name() == "standby"
    machine.crash()
    assert machine.chngname("/t") == (1, "bodydouble: no other name was set: this machine runs as standby")


@pytest.mark.program("nsenter")
def test_wrong_names_and_switches_end_with_status_2(machine: Machine) -> None:
    machine.start()
    for arguments, words in (
        (["/s", "two words"], "'two words' is not a host name"),
        (["/s", ""], "'' is not a host name"),
        (["/s"], "expected one of"),
        (["/x", "A"], "expected one of"),
        (["/t", "--show"], "expected one of"),
        ([], "expected one of"),
    ):
        status, said = machine.chngname(*arguments)
        assert (status, words in said) == (2, True), said
    assert machine.name() == "standby"


# --- the adapter, interrupted at each step ---


def in_steps(directory: Path, *steps: Callable[[Any], Any]) -> list[Any]:
    """Each step by an adapter of its own, as after a crash; what each returned."""

    async def act(step: Callable[[Any], Any]) -> Any:
        with open_active_name(directory) as port:
            return await step(port)

    return [asyncio.run(act(step)) for step in steps]


def refuse(name: str) -> None:
    raise IdentityError(f"{name}: refused")


def test_a_crash_before_the_name_is_changed_leaves_nothing_to_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inside() -> None:
        socket.sethostname("standby")
        with monkeypatch.context() as patch:
            patch.setattr(active_name, "_set", refuse)
            with pytest.raises(IdentityError):
                in_steps(tmp_path, lambda port: port.change("WEB1"))
        assert in_steps(tmp_path, lambda port: port.original(), lambda port: port.restore()) == [None, None]
        assert socket.gethostname() == "standby"

    in_own_namespace(inside)


def test_a_name_that_something_else_gave_the_host_is_its_own_from_then_on(tmp_path: Path) -> None:
    def inside() -> None:
        socket.sethostname("standby")
        in_steps(tmp_path, lambda port: port.change("WEB1"))
        socket.sethostname("renamed")
        assert in_steps(tmp_path, lambda port: port.original()) == [None]
        in_steps(tmp_path, lambda port: port.change("WEB1"), lambda port: port.restore())
        assert socket.gethostname() == "renamed"

    in_own_namespace(inside)


def test_a_record_of_an_earlier_boot_is_void(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def inside() -> None:
        socket.sethostname("standby")
        in_steps(tmp_path, lambda port: port.change("WEB1"))
        monkeypatch.setattr(active_name, "_boot", lambda: "the next one")
        assert in_steps(tmp_path, lambda port: port.original()) == [None]

    in_own_namespace(inside)


def test_a_full_disk_changes_no_name(tmp_path: Path) -> None:
    def inside() -> None:
        socket.sethostname("standby")
        (tmp_path / "state").write_text("in the way")
        with pytest.raises(IdentityError, match="cannot be kept, so the name stays"):
            in_steps(tmp_path / "state", lambda port: port.change("WEB1"))
        assert socket.gethostname() == "standby"

    in_own_namespace(inside)


def test_a_daemon_that_starts_under_another_name_knows_its_own(tmp_path: Path) -> None:
    """Else it would answer for the source's name on the wire."""

    async def names() -> tuple[str, str]:
        async with open_host(LinuxHostSettings(), str(tmp_path)) as host:
            identity = await host.identity.query()
            return identity.primary_name, identity.permanent_name

    def inside() -> None:
        socket.sethostname("standby")
        in_steps(tmp_path, lambda port: port.change("WEB1"))
        assert asyncio.run(names()) == ("WEB1", "standby")

    in_own_namespace(inside)
