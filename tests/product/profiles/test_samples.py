"""Samples of scripts: which services, in which order, and what cannot be written into a script."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from bodydouble.cli.main import cli
from bodydouble.errors import InputError
from bodydouble.profiles.catalog import IIS_4, IIS_5, NGINX, PROFILES, find_profile
from bodydouble.profiles.samples import sample

if TYPE_CHECKING:
    from pathlib import Path

    from bodydouble.profiles.profile import Profile, ScriptEvent

MAIL_AND_NEWS = ("IISADMIN", "MSFTPSVC", "SMTPSVC", "NNTPSVC", "W3SVC")


def named(profile: Profile, event: ScriptEvent, **options: Any) -> list[str]:
    """The services of a sample, in its order."""
    text = sample(profile, event, **{"source": "WEB1", **options}).text
    verb = "start" if event == "post-failover" else "stop"
    return re.findall(rf"^(?:net )?{verb}(?:_service)? (\S+)", text, re.MULTILINE)


def test_content_index_is_in_the_scripts_of_4_0_only() -> None:
    assert named(IIS_4, "post-failover") == ["IISADMIN", "cisvc", "MSFTPSVC", "W3SVC"]
    assert named(IIS_5, "post-failover") == ["IISADMIN", "MSFTPSVC", "W3SVC"]


def test_mail_and_news_are_started_only_when_they_are_chosen() -> None:
    assert named(IIS_5, "post-failover", services=MAIL_AND_NEWS) == list(MAIL_AND_NEWS)
    chosen = named(IIS_4, "post-failover", services=["Microsoft SMTP Service"])
    assert chosen == ["IISADMIN", "SMTPSVC"]


def test_services_are_chosen_by_any_name_and_start_in_the_order_of_their_dependencies() -> None:
    names = ["World Wide Web Publishing Service", "microsoft nntp service", "msftpsvc"]
    assert named(IIS_5, "post-failover", services=names) == ["IISADMIN", "MSFTPSVC", "NNTPSVC", "W3SVC"]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_services_stop_in_the_opposite_order(profile: Profile) -> None:
    assert named(profile, "pre-failback") == named(profile, "post-failover")[::-1]


@pytest.mark.parametrize("profile", [IIS_4, IIS_5], ids=lambda profile: profile.name)
def test_services_start_between_taking_and_giving_back_the_name(profile: Profile) -> None:
    text = sample(profile, "post-failover", source="web1", directory="d:/Body Double/").text
    taken, given = text.index('"D:\\Body Double\\chngname" /s WEB1\n'), text.index('"D:\\Body Double\\chngname" /t\n')
    started = [match.start() for match in re.finditer("^net start", text, re.MULTILINE)]
    assert taken < min(started) <= max(started) < given
    assert "chngname" not in sample(profile, "pre-failback").text


def test_a_name_is_a_must_where_the_application_runs_only_under_it() -> None:
    with pytest.raises(InputError, match="source: expected the source's computer name"):
        sample(IIS_5, "post-failover")
    assert "chngname" not in sample(NGINX, "post-failover").text


def test_an_unknown_service_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match=r"IIS 5.0 has no service 'Content Index'; it has IISADMIN \(IIS Admin"):
        sample(IIS_5, "post-failover", source="WEB1", services=["Content Index"])


@pytest.mark.parametrize(
    ("name", "character"),
    [(name, name[3]) for name in ["WEB%1", "WEB^1", "WEB&1", "WEB|1", "WEB 1", 'WEB"1', "WEB(1", "WEB!1", "WEB=1"]],
)
def test_a_source_that_cmd_would_read_otherwise_is_refused_with_the_character(name: str, character: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"source: {name!r}: character 4, {character!r}, is not allowed")):
        sample(IIS_4, "post-failover", source=name)


def test_a_source_that_is_too_long_for_a_computer_is_refused() -> None:
    with pytest.raises(InputError, match="has 16 characters; a computer name has at most 15"):
        sample(IIS_4, "post-failover", source="A" * 16)


@pytest.mark.parametrize("directory", ["C:\\100%", 'C:\\a"b', "C:\\a!b", "C:\\a|b", "C:\\a*", "C:\\é", "C:\\a\nb"])
def test_a_directory_that_cmd_would_read_otherwise_is_refused_with_the_character(directory: str) -> None:
    with pytest.raises(InputError, match=r"directory: .*: character \d+, .* is not allowed"):
        sample(IIS_4, "post-failover", source="WEB1", directory=directory)


@pytest.mark.parametrize("directory", ["Bodydouble", "\\\\SERVER\\share", "/etc"])
def test_a_directory_without_a_drive_is_refused(directory: str) -> None:
    with pytest.raises(InputError, match="expected a drive and a directory"):
        sample(IIS_4, "post-failover", source="WEB1", directory=directory)


@pytest.mark.parametrize("name", ["php fpm", "php;reboot", "$(reboot)", "`reboot`", "a'b", "-n", "a\nb", ""])
def test_a_service_that_the_shell_would_read_otherwise_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="service: "):
        sample(NGINX, "post-failover", services=[name])


def test_bodydouble_is_called_where_it_is() -> None:
    text = sample(NGINX, "post-failover", source="web1", directory="/opt/body double/bin/").text
    assert "'/opt/body double/bin/bodydouble' chngname /s web1 ||" in text
    assert "\nbodydouble chngname /t ||" in sample(NGINX, "post-failover", source="web1").text
    with pytest.raises(InputError, match="directory: expected one such as"):
        sample(NGINX, "post-failover", source="web1", directory="bin")


@pytest.mark.parametrize("name", ["web 1", "web1;", "$HOME", "-t", "a" * 64])
def test_a_host_name_that_the_shell_would_read_otherwise_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="source: "):
        sample(NGINX, "post-failover", source=name)


def test_batch_files_have_the_line_ends_of_their_system() -> None:
    assert sample(IIS_4, "pre-failback").encode().count(b"\r\n") == sample(IIS_4, "pre-failback").text.count("\n")
    assert b"\r" not in sample(NGINX, "pre-failback").encode()


def test_an_unknown_profile_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match="there are iis4, iis5, nginx"):
        find_profile("iis6")


# --- the shell script, by a shell ---


def run_shell(text: str, directory: Path, *, systemd: bool, failing: str = "") -> tuple[int, list[str]]:
    """Run a script where every program only writes down how it was called."""
    log = directory / "log"
    log.touch()
    for program in ["service", "bodydouble", *(["systemctl"] if systemd else [])]:
        (directory / program).write_text(
            f'#!/bin/sh\necho "{program} $*" >> {log}\ncase "$*" in *{failing or "@@"}*) exit 1;; esac\n'
        )
        (directory / program).chmod(0o755)
    (directory / "script.sh").write_text(text)
    done = subprocess.run(["/bin/sh", "script.sh"], cwd=directory, env={"PATH": str(directory)}, check=False)
    return done.returncode, log.read_text().splitlines()


@pytest.mark.parametrize("systemd", [True, False])
def test_nginx_is_started_by_systemd_or_by_its_init_script(tmp_path: Path, systemd: bool) -> None:
    text = sample(NGINX, "post-failover", services=["php8.2-fpm", "nginx"]).text
    calls = [f"systemctl start {name}" if systemd else f"service {name} start" for name in ("nginx", "php8.2-fpm")]
    assert run_shell(text, tmp_path, systemd=systemd) == (0, calls)


def test_the_name_is_put_back_though_a_service_does_not_start(tmp_path: Path) -> None:
    text = sample(NGINX, "post-failover", source="web1").text
    expected = ["bodydouble chngname /s web1", "systemctl start nginx", "bodydouble chngname /t"]
    assert run_shell(text, tmp_path, systemd=True, failing="nginx") == (1, expected)


# --- the command ---


def test_the_command_prints_and_writes_the_sample(tmp_path: Path) -> None:
    printed = CliRunner().invoke(
        cli, ["script", "sample", "iis5", "--event", "post-failover", "--source", "WEB1"], catch_exceptions=False
    )
    expected = sample(IIS_5, "post-failover", source="WEB1")
    assert (printed.exit_code, printed.stdout) == (0, expected.text)
    command = ["script", "sample", "iis5", "--source", "WEB1", "--output", str(tmp_path)]
    assert CliRunner().invoke(cli, command).exit_code == 0
    assert (tmp_path / "POSTOVER.BAT").read_bytes() == expected.encode()
    assert (tmp_path / "PREBACK.BAT").read_bytes() == sample(IIS_5, "pre-failback").encode()
    again = CliRunner().invoke(cli, command)
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)
    assert CliRunner().invoke(cli, [*command, "--force"]).exit_code == 0


def test_a_shell_script_is_written_executable(tmp_path: Path) -> None:
    file = tmp_path / "up.sh"
    command = ["script", "sample", "nginx", "--event", "post-failover", "--output", str(file)]
    assert CliRunner().invoke(cli, command).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "--event: expected"),
        (["--event", "post-failover", "--source", "A&B"], "character 2, '&'"),
        (["--event", "post-failover", "--source", "W", "--service", "x"], "has no service 'x'"),
        (["--event", "post-failover", "--source", "W", "--output", "/nowhere/x"], "cannot be written"),
    ],
)
def test_a_wrong_command_line_ends_with_status_2(options: list[str], expected: str) -> None:
    done = CliRunner().invoke(cli, ["script", "sample", "iis4", *options])
    assert (done.exit_code, expected in done.stderr) == (2, True), done.stderr
