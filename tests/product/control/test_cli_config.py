from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from bodydouble.cli.config import load_config
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
        ("port = 7000", 'port = "7000"', "control.port: Expected `int`, got `str`"),
        ("port = 7000", "ports = 7000", "control: Object contains unknown field `ports`"),
        ("port = 7000", "port = ", "not valid TOML: Invalid value"),
        ('token = "control secret"', "", "control: Object missing required field `token`"),
        (
            'token = "control secret"',
            'token = "x"\ntoken_file = "y"',
            "control: expected token or token_file, not both",
        ),
        ('token = "control secret"', 'token_file = "missing"', "missing: cannot read the token"),
        ('token = "control secret"', "token_file = 7", "control.token_file: expected a file name, got 7"),
        ('state_directory = "/var/lib/bodydouble"', "", "top level: Object missing required field `state_directory`"),
        ('colour = "red"', "colour = 7", "host.colour: Expected `str`, got `int`"),
        ("[control]", "[control", "not valid TOML"),
        ("[control]", "[contrl]", "top level"),
    ],
)
def test_a_wrong_file_is_refused_with_file_and_key(file: Path, old: str, new: str, expected: str) -> None:
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
    with pytest.raises(InputError, match=re.escape(f"{file}: {key}: ")):
        load_config(file, HostSettings)
