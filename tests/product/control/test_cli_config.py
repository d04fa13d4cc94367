from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from bodydouble.cli.config import load_config
from bodydouble.cli.tables import located
from bodydouble.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
state_directory = "/var/lib/bodydouble"
[control]
token = "control secret"
port = 7000
[replication]
retry_interval = 3.0
[host]
colour = "red"
"""


class HostSettings(msgspec.Struct, forbid_unknown_fields=True):
    colour: str = "blue"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "daemon.toml"
    path.write_text(GOOD)
    return path


def test_a_good_file_is_read_whole(file: Path) -> None:
    settings, host = load_config(file, HostSettings)
    assert (settings.control.port, settings.control.address) == (7000, "127.0.0.1")
    assert settings.replication.retry_interval == 3.0
    assert host.colour == "red"


def test_the_host_table_may_be_left_out(file: Path) -> None:
    file.write_text(GOOD.partition("[host]")[0])
    assert load_config(file, HostSettings)[1].colour == "blue"


def test_a_token_file_is_looked_for_beside_the_configuration(file: Path) -> None:
    file.write_text(GOOD.replace('token = "control secret"', 'token_file = "secret"'))
    (file.parent / "secret").write_text("from a file\n")
    assert load_config(file, HostSettings)[0].control.token == "from a file"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("port = 7000", 'port = "7000"', "line 5: control.port: is '7000'; expected a whole number from 0 to 65535"),
        ("port = 7000", "ports = 7000", "line 5: control.ports: is not known; expected one of token, address, port"),
        ("port = 7000", "ports = 7000", "token_file; did you mean port?"),
        ("port = 7000", "port = ", "not valid TOML: Invalid value (at line 5, column 8); correct the line"),
        (
            'token = "control secret"',
            "",
            "line 3: control.token: is missing; expected text in quotation marks; add it",
        ),
        ('token = "control secret"', "token = 12345678", "line 4: control.token: expected text in quotation marks"),
        (
            'token = "control secret"',
            'token = "x"\ntoken_file = "y"',
            "line 5: control.token_file: expected token or token_file, not both; take one of them out",
        ),
        ('token = "control secret"', 'token_file = "missing"', "missing: cannot read the token"),
        ('token = "control secret"', "token_file = 7", "line 4: control.token_file: expected the name of a file"),
        ('state_directory = "/var/lib/bodydouble"', "", "line 1: state_directory: is missing; expected text"),
        ("/var/lib/bodydouble", "bodydouble", "line 2: state_directory: 'bodydouble': expected an absolute path"),
        ('colour = "red"', "colour = 7", "line 9: host.colour: is 7; expected text in quotation marks"),
        ("[control]", "[control", "not valid TOML"),
        ("[control]", "[contrl]", "line 3: contrl: is not known; expected one of state_directory, control"),
        ("retry_interval = 3.0", "queue_full = 'wait'", "line 7: replication.queue_full: is 'wait'; expected one of"),
        ("retry_interval = 3.0", "disk_queue_bytes = 'x'", "disk_queue_bytes: is 'x'; expected a whole number of at"),
        ("retry_interval = 3.0", "accepted_roots = ['/a', 2]", "line 7: replication.accepted_roots[1]: is 2; expected"),
        ("[host]", "[[guard.addresses]]\nnam = 'x'\n[host]", "line 9: guard.addresses[0].nam: is not known"),
    ],
)
def test_a_wrong_file_is_refused_with_file_line_and_key_and_what_was_expected(
    file: Path, old: str, new: str, expected: str
) -> None:
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as refused:
        load_config(file, HostSettings)
    assert str(file.parent) in str(refused.value)
    assert expected in str(refused.value)


@pytest.mark.parametrize("line", ['token = "replication secret"', 'token_file = "replication.token"'])
def test_a_shared_token_of_earlier_versions_is_refused_with_what_to_do(file: Path, line: str) -> None:
    file.write_text(GOOD.replace("retry_interval = 3.0", line))
    with pytest.raises(
        InputError, match=r"replication\.token(_file)?: machines no longer share .*'bodydouble pair offer'"
    ):
        load_config(file, HostSettings)


@pytest.mark.parametrize(
    ("key", "line"),
    [("control.port", 5), ("control", 3), ("replication.accepted_roots", 6), ("host.filter.roots", 8), ("nowhere", 1)],
)
def test_what_turns_out_wrong_later_is_told_with_file_and_line_too(file: Path, key: str, line: int) -> None:
    error = located(file, InputError(f"{key}: expected something else"))
    assert str(error) == f"{file}, line {line}: {key}: expected something else"


def test_an_error_about_no_setting_is_told_as_it_is(file: Path) -> None:
    error = InputError("/srv/www: expected a directory")
    assert located(file, error) is error


def test_a_missing_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.toml: cannot read the configuration: No such file"):
        load_config(tmp_path / "nothing.toml", HostSettings)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("[control]\ntoken = 'control secret'\nport = 70000", "control.port"),
        ("[replication]\nport = -1", "replication.port"),
        ("[replication]\nretry_interval = -1.0", "replication.retry_interval"),
        ("[replication]\nmax_sessions = 0", "replication.max_sessions"),
    ],
)
def test_numbers_and_secrets_that_cannot_be_are_refused_with_their_key(file: Path, line: str, key: str) -> None:
    table = line.partition("\n")[0]
    head, _, _ = GOOD.partition(table)
    file.write_text(f"{head}{line}\n")
    with pytest.raises(InputError, match=re.escape(str(file)) + f", line [567]: {re.escape(key)}: is .*; expected "):
        load_config(file, HostSettings)
