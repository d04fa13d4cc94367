"""What preflight reads in scripts, line by line."""

from __future__ import annotations

import pytest

from bodydouble.preflight.scripts import LONGEST_LINE, read
from bodydouble.profiles.catalog import PROFILES
from bodydouble.profiles.samples import sample


@pytest.mark.parametrize(
    ("line", "verb", "name"),
    [
        ('net start "World Wide Web Publishing Service"', "start", "World Wide Web Publishing Service"),
        ("net start W3SVC", "start", "W3SVC"),
        ("NET STOP W3SVC /y", "stop", "W3SVC"),
        ("net.exe stop IIS Admin Service /y", "stop", "IIS Admin Service"),
        ("@net start W3SVC > nul", "start", "W3SVC"),
        ('if errorlevel 1 net start W3SVC 2>&1 | find "2182" > nul', "start", "W3SVC"),
        ("echo on & net stop W3SVC & echo done", "stop", "W3SVC"),
        ('(net start "W3SVC")', "start", "W3SVC"),
    ],
)  # fmt: skip
def test_services_of_batch_files_are_found_wherever_they_stand(line: str, verb: str, name: str) -> None:
    (call,) = read("x.BAT", f"@echo off\n{line}\n").services
    assert (call.line, call.verb, call.name, call.remark) == (2, verb, name, False)


@pytest.mark.parametrize("remark", ["rem ", ":: ", "@REM  ", "  rem "])
def test_a_remark_that_begins_with_a_command_is_a_command_taken_out(remark: str) -> None:
    (call,) = read("x.cmd", f"{remark}net start W3SVC").services
    assert (call.name, call.remark) == ("W3SVC", True)


@pytest.mark.parametrize(
    "line",
    [
        "rem the line net start W3SVC starts it",
        "echo planet start x",
        "if errorlevel 1 rem net start W3SVC",
        "net startle x",
        "rem replace source_name and <drive>",
    ],
)
def test_prose_is_no_command(line: str) -> None:
    reading = read("x.bat", line)
    assert (reading.services, reading.placeholders, reading.names) == ([], [], [])


@pytest.mark.parametrize(
    ("line", "program", "name"),
    [
        (r"C:\Bodydouble\chngname /s SOURCE", r"C:\Bodydouble\chngname", "SOURCE"),
        (r'"C:\Program Files\Body\chngname.exe" /s "SOURCE"', r"C:\Program Files\Body\chngname.exe", "SOURCE"),
        (r"@call C:\Body\CHNGNAME.EXE /S source>nul", r"C:\Body\CHNGNAME.EXE", "source"),
        ("chngname /t", "chngname", ""),
    ],
)
def test_calls_of_chngname_in_batch_files_are_found(line: str, program: str, name: str) -> None:
    (call,) = read("x.bat", line).names
    assert (call.program, call.name, call.back) == (program, name, not name)


@pytest.mark.parametrize(
    ("line", "verb", "name"),
    [
        ("systemctl start nginx", "start", "nginx"),
        ("systemctl --no-block stop nginx.service || true", "stop", "nginx"),
        ("service nginx start", "start", "nginx"),
        ("/etc/init.d/x; invoke-rc.d php8.2-fpm stop", "stop", "php8.2-fpm"),
        ("start_service nginx || failed=1", "start", "nginx"),
        ("if systemctl restart nginx; then", "start", "nginx"),
    ],
)
def test_services_of_shell_scripts_are_found(line: str, verb: str, name: str) -> None:
    (call,) = read("/x.sh", f"#!/bin/sh\n{line}\n").services
    assert (call.line, call.verb, call.name) == (2, verb, name)


@pytest.mark.parametrize(
    ("line", "program", "name"),
    [
        ("bodydouble chngname /s web1 || failed=1", "bodydouble chngname", "web1"),
        ("/usr/bin/bodydouble chngname --set=web1", "/usr/bin/bodydouble chngname", "web1"),
        ("bodydouble chngname /t", "bodydouble chngname", ""),
        ("'/opt/bd/bodydouble' chngname /t", "'/opt/bd/bodydouble' chngname", ""),
        ("bodydouble chngname --reset", "bodydouble chngname", ""),
    ],
)
def test_calls_of_chngname_in_shell_scripts_are_found(line: str, program: str, name: str) -> None:
    (call,) = read("/x.sh", line).names
    assert (call.program, call.name) == (program, name)


def test_a_shell_comment_is_read_as_a_remark() -> None:
    (call,) = read("/x.sh", "# systemctl start nginx\n# start it with systemctl start apache2").services
    assert (call.name, call.remark) == ("nginx", True)


def test_of_a_line_that_cmd_would_not_take_the_rest_is_not_read() -> None:
    reading = read("x.bat", f"net start W3SVC & echo {'x' * LONGEST_LINE} & net start Late\nnet stop W3SVC")
    assert [each.name for each in reading.services] == ["W3SVC", "W3SVC"]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_samples_are_read_as_they_were_meant(profile: object) -> None:
    made = sample(profile, "post-failover", source="SOURCE")  # type: ignore[arg-type]
    reading = read(made.file, made.text)
    assert [each.name for each in reading.active("start")] == [each.name for each in profile.choose()]  # type: ignore[attr-defined]
    assert [each.name for each in reading.names] == ["SOURCE", ""]
    assert (reading.placeholders, reading.remarked("start")) == ([], [])
