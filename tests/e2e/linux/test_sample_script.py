"""The sample scripts of nginx in a real failover and failback, as children of the daemon that changes the name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.root, pytest.mark.program("ip"), pytest.mark.program("nsenter")]

PORT = 6330
BODYDOUBLE = Path(sys.executable).with_name("bodydouble")
SYSTEMCTL = """#!/bin/sh
echo "$1 $2 as $(uname -n)" >> {log}
"""


class Target:
    """A machine (namespaces for names and network) with one adapter, a daemon, and a systemctl that takes notes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log"
        self.log.touch()
        programs = directory / "bin"
        programs.mkdir()
        (programs / "systemctl").write_text(SYSTEMCTL.format(log=self.log))
        (programs / "systemctl").chmod(0o755)
        self.config = directory / "daemon.toml"
        self.config.write_text(
            f'state_directory = "{directory}/state"\n[control]\nport = {PORT}\ntoken = "correct horse"\n'
            '[replication]\nport = 0\naddress = "127.0.0.1"\n'
        )
        self.environment = {**os.environ, "PATH": f"{programs}:{BODYDOUBLE.parent}:{os.environ['PATH']}"}
        self.holder = subprocess.Popen(
            ["unshare", "--uts", "--net", "sh", "-c", "hostname standby; echo held; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == b"held\n"
        self.daemon: subprocess.Popen[str] | None = None

    def open(self) -> None:
        for words in (
            "link set lo up",
            "link add lan type veth peer name far",
            "addr add 10.9.0.20/24 dev lan",
            "link set far arp off up",
            "link set lan up",
        ):
            self.run("ip", *words.split())
        self.daemon = subprocess.Popen(
            self.enter(str(BODYDOUBLE), "daemon", "--config", str(self.config)),
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.daemon.stderr is not None
        ready = self.daemon.stderr.readline()
        assert "ready" in ready, ready

    def enter(self, *command: str) -> list[str]:
        spaces = [f"--{kind}=/proc/{self.holder.pid}/ns/{kind}" for kind in ("uts", "net")]
        return ["nsenter", *spaces, *command]

    def run(self, *command: str) -> str:
        done = subprocess.run(self.enter(*command), env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def console(self, *command: str) -> str:
        return self.run(str(BODYDOUBLE), "--config", str(self.config), *command)

    def close(self) -> None:
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.communicate()
        self.holder.communicate()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    made = Target(tmp_path)
    try:
        made.open()
        yield made
    finally:
        made.close()


def test_services_start_under_the_sources_name_and_stop_before_the_failback(target: Target) -> None:
    scripts = str(target.directory)
    target.console("script", "sample", "nginx", "--source", "web1", "--service", "php8.2-fpm", "--output", scripts)
    target.console(
        "monitor", "create", "web1", "--address", "lan=10.9.0.10/24", "--manual", "--no-name", "--interval", "0.2",
        "--post-failover", f"{scripts}/postover.sh", "--pre-failback", f"{scripts}/preback.sh",
    )  # fmt: skip
    target.console("failover", "web1")
    assert "10.9.0.10/24" in target.run("ip", "-4", "-br", "addr", "show", "lan")
    assert target.log.read_text().splitlines() == ["start nginx as web1", "start php8.2-fpm as web1"]
    assert target.run("uname", "-n") == "standby\n"
    target.console("failback", "web1")
    assert target.log.read_text().splitlines()[2:] == ["stop php8.2-fpm as standby", "stop nginx as standby"]
    events = target.console("events")
    assert f"post-failover script {scripts}/postover.sh ended with exit code 0" in events
    assert f"pre-failback script {scripts}/preback.sh ended with exit code 0" in events
