"""``bodydouble dtcl``: scripts, exit statuses, JSON, typing, Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from tests.product.control.fakes import CERTIFICATE, TOKEN, Served

from bodydouble.cli import dtcl as command_module
from bodydouble.cli.main import cli
from bodydouble.cli.session import Session
from bodydouble.dtcl import shipped
from bodydouble.dtcl.interpreter import Interpreter
from bodydouble.security.certificate import fingerprint_of

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

HOST = "127.0.0.1"


class Console:
    def __init__(self, served: Served, directory: Path) -> None:
        self.served = served
        self.token_file = directory / "token"
        self.token_file.write_text(TOKEN)
        self.options = ["--host", HOST, "--port", str(served.port), "--token-file", str(self.token_file)]
        self.options += ["--pin", fingerprint_of(CERTIFICATE)]

    def run(self, *arguments: str, typed: str | None = None, options: list[str] | None = None) -> Result:
        given = self.options if options is None else options
        return CliRunner().invoke(cli, [*given, "dtcl", *arguments], input=typed, catch_exceptions=False)


@pytest.fixture
def console(served: Served, tmp_path: Path) -> Console:
    return Console(served, tmp_path)


def test_files_and_statements_share_variables_and_machines(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "first.dtcl"
    file.write_text(f'source {HOST};\nrepset create IIS;\nrepset rule add "C:\\InetPub";\nrepset save;\n$x = $name;')
    result = console.run(str(file), "-d", "name=web", "-c", "print $x [repset display IIS].rules.0.path; quit 7;")
    assert (result.exit_code, result.stderr) == (7, "")
    assert result.stdout.splitlines()[-1] == "web C:/InetPub"
    assert [each.name for each in console.served.replication.sets()] == ["IIS"]


def test_answers_are_tables_or_lines_of_json(console: Console) -> None:
    making = "repset create IIS; repset rule add /web; repset save; connect IIS to b; verify; wait on verify;"
    looking = "status; stats; events; service display W3SVC; monitor display; pause target for WEB1; print done;"
    told = console.run("-c", making, "-c", looking)
    assert told.exit_code == 0, told.stderr
    for word in ("Replication sets", "Connections", "bodydouble", "all", "W3SVC", "Monitors", "Verifications", "done"):
        assert word in told.stdout
    lines = [json.loads(line) for line in console.run("--json", "-c", "repset display; print a b;").stdout.splitlines()]
    assert lines[0]["command"] == "repset display"
    assert [each["name"] for each in lines[0]["result"]] == ["IIS"]
    assert lines[1] == {"print": "a b"}


def test_nothing_is_run_before_everything_is_dtcl(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "wrong.dtcl"
    file.write_text("print a;\n  mirror begin;\n")
    result = console.run("--json", "-c", "print first;", str(file))
    assert result.exit_code == 2
    assert f"{file}:2:10: 'begin' does not fit here" in result.stderr
    assert "\n    mirror begin;\n           ^" in result.stderr
    (line,) = result.stdout.splitlines()
    error = json.loads(line)["error"]
    assert (error["kind"], error["line"], error["column"]) == ("syntax", 2, 10)
    assert "'start'" in error["expected"]
    assert console.run("--check", str(file)).exit_code == 2
    assert console.run("--check", "-c", "shutdown;").exit_code == 0


def test_a_command_that_fails_ends_the_script_with_1_and_its_place(console: Console) -> None:
    result = console.run("--json", "-c", "print a;\nfailover WEB9;\nprint b;")
    assert result.exit_code == 1
    assert "-c:2:1: failover WEB9: no monitor of 'WEB9'" in result.stderr
    first, second = [json.loads(line) for line in result.stdout.splitlines()]
    assert first == {"print": "a"}
    assert (second["error"]["kind"], second["error"]["command"]) == ("command", "failover WEB9")


def test_wrong_options_end_with_2(console: Console) -> None:
    for arguments in (["-d", "3=x", "-c", "status;"], ["-d", "x", "-c", "status;"], ["/nowhere.dtcl"],
                      ["--example", "levitate"], ["--timeout", "0", "-c", "status;"]):  # fmt: skip
        assert console.run(*arguments).exit_code == 2, arguments


def test_a_script_has_its_time(console: Console) -> None:
    result = console.run("--timeout", "0.05", "-c", "while 1 { sleep 10ms; }")
    assert (result.exit_code, "not at its end after" in result.stderr) == (1, True)


def test_standard_input_is_a_script_where_no_terminal_is(console: Console) -> None:
    assert console.run(typed="print from stdin;").stdout == "from stdin\n"
    assert console.run("-", typed="quit 9;").exit_code == 9


def test_the_shipped_script_is_printed(console: Console) -> None:
    assert console.run("--example", "restore").stdout == shipped.example("restore")


def test_a_token_belongs_to_its_own_daemon(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """The console's own token is sent to no other machine, and no token is shown."""
    refused = console.run("-c", "source localhost; repset display;")
    assert (refused.exit_code, "no token for 'localhost'" in refused.stderr) == (1, True)
    monkeypatch.setenv("THE_TOKEN", TOKEN)
    pin = fingerprint_of(CERTIFICATE)
    for secret in (f"token file {console.token_file}", "token env THE_TOKEN", f'token "{TOKEN}"'):
        login = f"login localhost port {console.served.port} {secret} pin {pin}; source localhost;"
        told = console.run("--json", "-c", f"{login} repset display; login localhost token env NOTHING;")
        assert (told.exit_code, TOKEN in told.output) == (1, False)
        assert "the environment has no 'NOTHING'" in told.stderr
        assert json.loads(told.stdout.splitlines()[0])["result"] == []


# --- typing ---------------------------------------------------------------------------------------------------------


def converse(console: Console, lines: list[Any], monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    """Type lines; an exception among them is what the terminal raises. The history comes back, too."""
    prompts: list[str] = []

    def read(prompt: str) -> str:
        prompts.append(prompt)
        said = lines.pop(0)
        if isinstance(said, BaseException):
            raise said
        assert isinstance(said, str)
        return said

    monkeypatch.setattr("builtins.input", read)
    session = Session(
        host=HOST, port=console.served.port, token_file=console.token_file, pin=fingerprint_of(CERTIFICATE)
    )
    with asyncio.Runner() as runner:
        interpreter = Interpreter(command_module.Terminal(session, attended=True))
        status = command_module._converse(session, runner, interpreter)
        runner.run(interpreter.close())
    return status, prompts


def test_statements_are_typed_over_lines_and_errors_end_nothing(
    console: Console, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    lines = ["repset create", "  IIS;", "levitate;", "failover WEB9;", "if 1 {", KeyboardInterrupt(),
             f"login x token {TOKEN};", "print [repset display IIS].name;", EOFError()]  # fmt: skip
    status, prompts = converse(console, lines, monkeypatch)
    assert status == 0
    assert prompts[:3] == ["DTCL> ", "  ... ", "DTCL> "]
    told = capsys.readouterr()
    assert "a command ('help;' lists them)" in told.err
    assert "typed:1:1: failover WEB9" in told.err
    assert told.out.splitlines()[-2:] == ["IIS", ""]
    history = tmp_path / "bodydouble" / "dtcl-history"
    if sys.modules.get("readline") is not None:
        assert "repset create IIS;" in history.read_text()
        assert TOKEN not in history.read_text()
        assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_quit_ends_typing_with_its_status(console: Console, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert converse(console, ["quit 4;"], monkeypatch)[0] == 4


def test_ctrl_c_ends_a_script_in_order_with_130(console: Console) -> None:
    script = "print begun; while 1 { sleep 1h; }"
    process = subprocess.Popen(
        [sys.executable, "-c", "from bodydouble.cli.main import main; main()", *console.options, "dtcl", "-c", script],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (130, "bodydouble: interrupted; what daemons were ordered to do goes on\n")


def test_a_terminal_gets_a_prompt_and_a_hidden_question_for_the_token(console: Console, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "TERM": "dumb"}
    process = subprocess.Popen(
        [sys.executable, "-c", "from bodydouble.cli.main import main; main()", *console.options, "dtcl"],
        stdin=slave, stdout=slave, stderr=slave, env=environment, close_fds=True,
    )  # fmt: skip
    os.close(slave)
    seen = until_seen(master, b"DTCL> ")
    os.write(master, b"login elsewhere;\n")
    seen += until_seen(master, b"token for elsewhere: ")
    os.write(master, b"s3cr3t\n")
    seen += until_seen(master, b"DTCL> ")
    os.write(master, b"quit 5;\n")
    assert process.wait(30) == 5
    os.close(master)
    assert b"s3cr3t" not in seen


def until_seen(master: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        seen += os.read(master, 1024)
    return seen
