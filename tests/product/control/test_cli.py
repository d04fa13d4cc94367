from __future__ import annotations

import io
import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner
from tests.product.control.fakes import CERTIFICATE, TOKEN, Served

from bodydouble.cli import failover as failover_commands
from bodydouble.cli import main as main_module
from bodydouble.cli import replication as replication_commands
from bodydouble.cli import restoration as restoration_commands
from bodydouble.cli.main import cli
from bodydouble.cli.output import plain, progress_bar
from bodydouble.security.certificate import fingerprint_of
from bodydouble.vocabulary.records import Progress
from bodydouble.vocabulary.shares import Share

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

ADDRESS = "Local Area Connection=10.0.0.10/24"
OWN = ("daemon", "status", "events", "repset", "connect", "disconnect", "connections", "mirror", "orphans", "monitor",
       "failover", "failback", "restore", "service", "verify", "verification", "connection", "transmission", "target",
       "queue-task", "pair", "trust", "set", "statistics", "replication", "unit", "completion", "guard")  # fmt: skip


class Console:
    def __init__(self, served: Served, token_file: Path) -> None:
        self.served = served
        self.token_file = token_file

    def run(self, *arguments: str) -> Result:
        environment = {
            "BODYDOUBLE_PORT": str(self.served.port),
            "BODYDOUBLE_TOKEN_FILE": str(self.token_file),
            "BODYDOUBLE_PIN": fingerprint_of(CERTIFICATE),
        }
        return CliRunner().invoke(cli, arguments, env=environment, catch_exceptions=False)

    def ok(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout


@pytest.fixture
def console(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Console:
    for module in (failover_commands, replication_commands, restoration_commands):
        monkeypatch.setattr(module, "POLL", 0.01)
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN + "\n")
    return Console(served, token_file)


# --- help and plug-ins ----------------------------------------------------------------------------------------------


def paths_of_commands(group: click.Group, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += paths_of_commands(command, (*prefix, name))
        else:
            found.append((*prefix, name))
    return found


def groups_of_commands(group: click.Group, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += [(*prefix, name), *groups_of_commands(command, (*prefix, name))]
    return found


@pytest.mark.parametrize("path", groups_of_commands(cli), ids=" ".join)
def test_every_group_of_commands_has_examples_of_them(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.stdout


@pytest.mark.parametrize("path", paths_of_commands(cli), ids=" ".join)
def test_every_command_has_help_with_examples_and_json(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"bodydouble {path[0]}" in result.stdout or path[0] in result.stdout
    assert "--json" in result.stdout


def test_the_command_lists_its_own_commands_and_the_plug_ins() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    for name in OWN:
        assert f"  {name} " in result.stdout


def plant(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = EntryPoint("extra", value, main_module.PLUGINS)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_group: [point])


def test_a_plug_in_is_called_like_an_own_command(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "bodydouble.cli.services:service")
    assert "Services of the daemon's machine" in CliRunner().invoke(cli, ["extra", "--help"]).stdout


@pytest.mark.parametrize(
    "value", ["no_such_package:x", "bodydouble.cli.services:nothing", "bodydouble.errors:InputError"]
)
def test_a_broken_plug_in_says_so_and_spoils_nothing_else(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    plant(monkeypatch, value)
    assert CliRunner().invoke(cli, ["--help"]).exit_code == 0
    result = CliRunner().invoke(cli, ["extra", "run", "--fast"])
    assert result.exit_code == 1
    assert "'extra run --fast' is not available" in result.stderr
    assert value.partition(":")[0] in result.stderr


# --- exit statuses and errors ---------------------------------------------------------------------------------------


def test_settings_of_a_monitor_reach_the_daemon(console: Console) -> None:
    create = ["monitor", "create", "WEB1", "--address", ADDRESS, "--trigger", "any", "--watch", "10.0.9.10"]
    create += ["--no-name", "--no-shares", "--pre-failback", "/stop.sh", "--on-failure", "pre-failback=hold", "--json"]
    create += ["--script-arguments", "pre-failback=--site 'the shop'", "--script-limit", "pre-failback=7"]
    create += ["--script-env", "pre-failback=SITE=www=1", "--script-env", "pre-failback=EMPTY="]
    request = json.loads(console.ok(*create))["request"]
    assert request["missed"] == 5
    assert [request[key] for key in ("trigger", "watched", "name", "shares")] == ["any", ["10.0.9.10"], False, False]
    assert request["script_options"] == {
        "pre-failback": {
            "arguments": ["--site", "the shop"],
            "environment": {"SITE": "www=1", "EMPTY": ""},
            "timeout": 7.0,
            "on_failure": "hold",
        }
    }


def test_the_table_of_monitors_names_the_first_shares_beneath_the_addresses(console: Console) -> None:
    target = console.served.target
    target.told_shares = [Share(f"s{number}", f"/replica/{number}") for number in range(7)]
    console.ok("monitor", "create", "WEB1", "--address", ADDRESS)
    assert "shares s0, s1, s2, s3, s4 and 2 more" in console.ok("monitor", "list")
    assert [each["name"] for each in json.loads(console.ok("monitor", "list", "--json"))[0]["shares"]][-1] == "s6"


def test_a_refusal_of_the_daemon_ends_with_1_and_one_line(console: Console) -> None:
    result = console.run("failover", "WEB9")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "bodydouble: no monitor of 'WEB9'\n"


def test_wrong_input_ends_with_2_wherever_it_is_found_out(console: Console) -> None:
    for arguments in (
        ["no-such-command"],
        ["monitor", "create", "WEB1", "--address", "10.0.0.10/24"],
        ["monitor", "create", "WEB1", "--address", ADDRESS, "--missed", "0"],
        ["repset", "save", "IIS", "--include", "InetPub"],
        ["monitor", "create", "WEB1", "--address", ADDRESS, "--pre-failback", "preback.bat"],
        ["monitor", "create", "WEB1", "--address", ADDRESS, "--on-failure", "hold"],
        ["monitor", "create", "WEB1", "--address", ADDRESS, "--on-failure", "pre-failback=levitate"],
        ["monitor", "create", "WEB1", "--address", ADDRESS, "--script-arguments", "pre-failback='"],
        ["monitor", "create", "WEB1", "--address", ADDRESS, "--script-limit", "pre-failback=long"],
        ["monitor", "create", "WEB1", "--address", ADDRESS, "--script-limit", "pre-failback=5"],
        ["--token-file", "/nowhere", "status"],
        ["--host", "bad host\n", "status"],
    ):
        result = console.run(*arguments)
        assert (result.exit_code, result.stdout) == (2, ""), arguments
        assert "Traceback" not in result.stderr


def test_no_daemon_ends_with_1_and_says_where(console: Console) -> None:
    result = console.run("--port", "1", "status")
    assert result.exit_code == 1
    assert "no answer from the daemon at 127.0.0.1 port 1" in result.stderr


def test_no_token_is_explained() -> None:
    result = CliRunner().invoke(cli, ["status"], env={"BODYDOUBLE_TOKEN_FILE": ""})
    assert result.exit_code == 2
    assert "--token-file or BODYDOUBLE_TOKEN_FILE" in result.stderr


def test_an_empty_token_file_is_explained(console: Console) -> None:
    console.token_file.write_text("\n")
    assert "the file is empty" in console.run("status").stderr


COSTLY = ["uvicorn", "starlette", "importlib.metadata", "lark", "bodydouble.daemon", "bodydouble_labs"]
"""What takes longer to load than most commands take to run."""

LOADED = f"""
import contextlib, io, sys
from bodydouble.cli.main import cli
with contextlib.redirect_stdout(io.StringIO()):
    cli.main(sys.argv[1:], standalone_mode=False)
print(*(each for each in {COSTLY} if each in sys.modules))
"""


def loaded_by(*arguments: str) -> list[str]:
    """Which of `COSTLY` a process has loaded at the end of a command."""
    command = [sys.executable, "-c", LOADED, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("command", ["status", "dtcl", "daemon", "preflight"])
def test_a_command_loads_the_server_plug_ins_and_the_parser_only_when_it_needs_them(command: str) -> None:
    assert loaded_by(command, "--help") == []


def test_a_command_that_needs_the_server_or_a_plug_in_is_seen_to_load_it() -> None:
    assert "starlette" in loaded_by("openapi")
    assert loaded_by("lab", "--help")[-1] == "bodydouble_labs"


# --- commands -------------------------------------------------------------------------------------------------------


def test_status_shows_name_addresses_and_tables(console: Console) -> None:
    shown = console.ok("status")
    assert "on TARGET" in shown
    assert "10.0.0.20/24 on Local Area Connection" in shown
    assert "Restore required" in shown


@pytest.mark.parametrize("arguments", [("--json", "status"), ("status", "--json")])
def test_json_may_stand_before_or_after_the_command(console: Console, arguments: tuple[str, ...]) -> None:
    assert json.loads(console.ok(*arguments))["identity"]["primary_name"] == "TARGET"


def test_replication_sets_are_saved_with_their_rules_listed_and_deleted(console: Console) -> None:
    console.ok("repset", "save", "IIS", "--include", r"C:\InetPub", "--exclude-flat", "C:/InetPub/temp")
    listed = console.ok("repset", "list")
    assert "C:/InetPub inc, rec" in listed
    assert "C:/InetPub/temp exc" in listed
    (saved,) = json.loads(console.ok("repset", "list", "--json"))
    assert saved["rules"][0] == {"path": "C:/InetPub", "include": True, "recursive": True}
    console.ok("repset", "delete", "IIS")
    assert json.loads(console.ok("repset", "list", "--json")) == []


def test_connect_waits_for_the_mirror_when_asked(console: Console) -> None:
    console.ok("repset", "save", "IIS", "--include", "C:/InetPub")
    console.served.replication.polls_until_mirrored = 3
    assert "replicating" in console.ok("connect", "IIS", "10.0.0.20", "--wait")
    assert "replicating" in console.ok("mirror", "1", "--wait")
    assert "10.0.0.20:6320" in console.ok("connections")
    console.ok("disconnect", "1")


def test_a_mirror_that_cannot_complete_ends_with_1(console: Console) -> None:
    console.ok("repset", "save", "IIS", "--include", "C:/InetPub")
    console.served.replication.end_state = "restore-required"
    result = console.run("connect", "IIS", "10.0.0.20", "--wait")
    assert result.exit_code == 1
    assert "connection 1 is restore-required" in result.stderr


def test_a_monitor_goes_the_whole_way_on_the_command_line(console: Console) -> None:
    target = console.served.target
    create = ["monitor", "create", "WEB1", "--address", ADDRESS, "--interval", "0.05", "--missed", "3"]
    create += ["--post-failover", r"C:\bodydouble\postover.bat"]
    assert json.loads(console.ok(*create, "--manual", "--json"))["state"] == "monitoring"
    assert "Monitoring WEB1" in console.ok("monitor", "list")
    target.wire.cut()
    assert "Failed Over" in console.ok("failover", "WEB1")
    assert target.identity.names == ["WEB1"]
    assert "script C:/bodydouble/postover.bat" in target.log
    assert "--continue | --stop" in console.ok("failback", "WEB1")
    refused = console.run("failback", "WEB1", "--continue")
    assert (refused.exit_code, "bring the source back online" in refused.stderr) == (1, True)
    target.wire.heal()
    assert "Monitoring WEB1" in console.ok("failback", "WEB1", "--continue")
    console.ok("monitor", "delete", "WEB1")


def test_events_are_printed_a_line_each(console: Console) -> None:
    console.ok("monitor", "create", "WEB1", "--address", ADDRESS)
    console.ok("monitor", "delete", "WEB1")
    lines = console.ok("events").splitlines()
    assert [line.split()[3] for line in lines] == ["9100", "9200", "9101", "9200"]
    later = [json.loads(line) for line in console.ok("events", "--after", "2", "--json").splitlines()]
    assert [each["code"] for each in later] == [9101, 9200]


def test_restore_waits_until_complete(console: Console) -> None:
    assert "complete" in console.ok("restore", "WEB1", "IIS", "--to", "10.0.0.10", "--wait")


def test_a_failed_restoration_ends_with_1_and_its_reason(console: Console) -> None:
    console.served.restoration.end_state = "failed"
    result = console.run("restore", "WEB1", "IIS", "--to", "10.0.0.10", "--wait")
    assert (result.exit_code, "no room" in result.stderr) == (1, True)


def test_services_are_commanded(console: Console) -> None:
    assert "stopped" in console.ok("service", "query", "W3SVC")
    assert "running" in console.ok("service", "start", "W3SVC")
    assert "stopped" in console.ok("service", "stop", "W3SVC")
    assert console.run("service", "query", "none").exit_code == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_long_work_shows_a_bar_on_a_terminal_and_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress_bar("Mirroring IIS") as update:
            update(Progress(files_done=1, files_total=2, bytes_done=512, bytes_total=1024))
        shown.append(stream.getvalue())
    assert "Mirroring IIS" in shown[0]
    assert shown[1] == ""


def test_text_from_elsewhere_cannot_drive_the_terminal() -> None:
    assert plain("a\x1b[2Jb\tc\r\nd") == "a\ufffd[2Jb\tc\nd"
