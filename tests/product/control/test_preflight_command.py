"""``preflight`` at the console: two daemons asked, results printed, exit status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from tests.product.control.fakes import CERTIFICATE, TOKEN, Served
from tests.product.preflight.machines import changed, good

from bodydouble.cli import preflight as command
from bodydouble.cli.main import cli
from bodydouble.security.certificate import fingerprint_of

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from bodydouble.cli.session import Session
    from bodydouble.vocabulary.inventory import HostInventory


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, HostInventory]:
    """What the daemons of good machines say, by host."""
    situation = good("iis5")
    said = {"web1": situation.host("source"), "standby": situation.host("target")}

    def asked(session: Session) -> tuple[HostInventory | None, str]:
        return (said[str(session.host)], "") if session.host in said else (None, f"no answer from {session.host}")

    monkeypatch.setattr(command, "_asked", asked)
    return said


def test_good_machines_end_with_status_0(answers: dict[str, HostInventory]) -> None:
    assert set(answers) == {"web1", "standby"}
    done = run("preflight", "iis5", "--source", "web1", "--target", "standby")
    assert (done.exit_code, done.stdout) == (0, "IIS 5.0: 39 pass\n")
    assert "services-manual" in run("preflight", "iis5", "--source", "web1", "--target", "standby", "--all").stdout


def test_a_requirement_that_fails_ends_with_status_1_and_says_what_to_do(answers: dict[str, HostInventory]) -> None:
    answers["standby"] = changed(answers["standby"], "facts.services.0.startup", "automatic")
    done = run("preflight", "iis5", "--source", "web1", "--target", "standby")
    assert done.exit_code == 1
    assert "FAIL" in done.stdout
    assert "IIS Admin Service (IISADMIN) starts: automatic" in done.stdout
    assert "Set the service to manual on the target" in done.stdout
    assert "(Install and Configure Software on the Target, 4)" in done.stdout
    report = json.loads(run("preflight", "iis5", "--source", "web1", "--target", "standby", "--json").stdout)
    (failed,) = [each for each in report["findings"] if each["verdict"] == "fail"]
    assert (report["verdict"], failed["check"]) == ("fail", "services-manual")


def test_a_warning_does_not_fail(answers: dict[str, HostInventory]) -> None:
    answers["standby"] = changed(answers["standby"], "version", "0.9")
    done = run("preflight", "iis5", "--source", "web1", "--target", "standby")
    assert (done.exit_code, "WARNING" in done.stdout, "1 WARNING" in done.stdout) == (0, True, True)


def test_a_daemon_that_does_not_answer_leaves_checks_not_known(answers: dict[str, HostInventory]) -> None:
    del answers["web1"]
    done = run("preflight", "iis5", "--source", "web1", "--target", "standby")
    assert done.exit_code == 0
    assert "the source could not be asked: no answer from web1" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["iis5"], "expected --source or --target"),
        (["iis5", "--source", "web1:0", "--target", "t"], "expected a host, or HOST:PORT"),
        (["iis5", "--source", "web1:http", "--target", "t"], "expected a host, or HOST:PORT"),
        (["iis6", "--source", "web1"], "is not one of 'iis4', 'iis5', 'nginx'"),
    ],
)
def test_a_wrong_command_line_ends_with_status_2(arguments: list[str], words: str) -> None:
    done = run("preflight", *arguments)
    assert (done.exit_code, words in done.stderr) == (2, True), done.stderr


def test_daemons_are_asked_over_the_control_api(served: Served, tmp_path: Path) -> None:
    """The fakes say neither what they are nor what they have: that is told, and nothing is made up."""
    token, wrong = tmp_path / "token", tmp_path / "wrong"
    token.write_text(TOKEN)
    wrong.write_text("another one")
    place, pin = f"127.0.0.1:{served.port}", fingerprint_of(CERTIFICATE)
    done = run(
        "preflight", "nginx", "--source", place, "--source-token-file", str(token), "--source-pin", pin,
        "--target", place, "--target-token-file", str(wrong), "--target-pin", pin, "--json",
    )  # fmt: skip
    findings = json.loads(done.stdout)["findings"]
    details = {each["check"]: each["detail"] for each in findings}
    assert details["desktop"].startswith("the target could not be asked: the daemon at 127.0.0.1 does not know this")
    assert details["service-pack"].startswith("the source does not say what it is")
    assert (done.exit_code, details["connection"]) == (
        1,
        "the source has no connection to the target; it has none at all",
    )
