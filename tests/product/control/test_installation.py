"""What makes the product start with a machine, and shells complete its commands."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from bodydouble.cli.main import cli

CONFIG = "/etc/bodydouble/daemon.toml"
ROOT = Path(__file__).parents[3]


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_systemd_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    program = shutil.which("true")
    assert program is not None
    unit = tmp_path / "bodydouble.service"
    unit.write_text(printed("unit", "systemd", "--config", CONFIG, "--command", program))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "bodydouble.service" not in done.stderr, done.stderr


def test_systemd_kills_the_daemon_only_and_waits_until_it_is_ready() -> None:
    lines = printed("unit", "systemd", "--config", CONFIG, "--command", "/opt/bin/bodydouble").splitlines()
    assert "KillMode=process" in lines
    assert "Type=notify" in lines
    assert f"ExecStart=/opt/bin/bodydouble daemon --config {CONFIG}" in lines


@pytest.mark.parametrize(
    ("path", "word"),
    [("/etc/a b.toml", '"/etc/a b.toml"'), ("/etc/100%.toml", "/etc/100%%.toml"), ("/etc/$x.toml", "/etc/$$x.toml")],
)
def test_systemd_reads_a_path_as_it_is(path: str, word: str) -> None:
    assert f"daemon --config {word}\n" in printed("unit", "systemd", "--config", path, "--command", "/b")


def test_wrapper_configuration_is_well_formed_whatever_the_paths() -> None:
    text = printed("unit", "winsw", "--config", r"C:\R&D\daemon.toml", "--command", r"C:\R&D\bodydouble.exe")
    service = ET.fromstring(text)
    assert service.findtext("executable") == r"C:\R&D\bodydouble.exe"
    assert service.findtext("arguments") == r'daemon --config "C:\R&D\daemon.toml"'


@pytest.mark.parametrize("path", ['/etc/"x".toml', "/etc/x\nExecStart=/bin/sh", "daemon.toml"])
def test_path_that_would_become_something_else_is_refused(path: str) -> None:
    result = CliRunner().invoke(cli, ["unit", "systemd", "--config", path, "--command", "/b"])
    assert result.exit_code == 2
    assert "--config" in result.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_given_a_completion(shell: str) -> None:
    assert "_BODYDOUBLE_COMPLETE" in printed("completion", shell)


def test_shell_completes_a_command() -> None:
    environment = {
        **os.environ,
        "_BODYDOUBLE_COMPLETE": "bash_complete",
        "COMP_WORDS": "bodydouble fail",
        "COMP_CWORD": "1",
    }
    command = [sys.executable, "-c", "from bodydouble.cli.main import main; main()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["plain,failback", "plain,failover"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs Unix sockets")
def test_daemon_tells_systemd_when_it_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    (tmp_path / "daemon.toml").write_text(
        f'state_directory = "{tmp_path}/state"\n[control]\naddress = "127.0.0.1"\nport = 0\n'
        'token = "a token of its own"\n'
        '[replication]\naddress = "127.0.0.1"\nport = 0\n'
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(tmp_path / "notify"))
        notices.settimeout(60)
        command = [sys.executable, "-c", "from bodydouble.cli.main import main; main()", "daemon"]
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen([*command, "--config", str(tmp_path / "daemon.toml")], env=environment) as daemon:
            try:
                assert notices.recv(100) == b"READY=1"
                daemon.terminate()
                assert notices.recv(100) == b"STOPPING=1"
            finally:
                daemon.terminate()
                assert daemon.wait(60) == 0
