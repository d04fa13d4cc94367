from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from tests.product.control.fakes import CERTIFICATE, TOKEN, Served

from bodydouble.cli.main import cli
from bodydouble.security.certificate import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def run(served: Served, tmp_path: Path) -> Callable[..., Result]:
    (tmp_path / "admin").write_text(TOKEN)

    def run(*arguments: str, token: str = "admin") -> Result:
        shown = [
            "--port",
            str(served.port),
            "--pin",
            fingerprint_of(CERTIFICATE),
            "--token-file",
            str(tmp_path / token),
        ]
        return CliRunner().invoke(cli, [*shown, *arguments], catch_exceptions=False)

    return run


def test_a_new_token_is_all_that_is_printed_and_lets_its_holder_look(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    made = run("token", "create", "grafana")
    assert made.exit_code == 0
    (tmp_path / "grafana").write_text(made.stdout)
    assert run("status", token="grafana").exit_code == 0
    refused = run("token", "create", "more", token="grafana")
    assert (refused.exit_code, "may look, and change nothing" in refused.stderr) == (1, True)
    assert "shown this once" in made.stderr
    assert made.stdout.strip() not in run("token", "list").stdout


def test_tokens_are_listed_and_revoked(run: Callable[..., Result], tmp_path: Path) -> None:
    made = json.loads(run("token", "create", "alice", "--role", "admin", "--json").stdout)
    assert (made["name"], made["role"]) == ("alice", "admin")
    (tmp_path / "alice").write_text(made["secret"])
    assert "in the configuration" in run("token", "list", token="alice").stdout
    assert run("token", "revoke", "alice").exit_code == 0
    assert "does not know this token, or no more: name the file of a valid one" in run("status", token="alice").stderr
    assert [each["name"] for each in json.loads(run("token", "list", "--json").stdout)] == ["configured"]


def test_a_wrong_name_is_an_error_of_the_command_line(run: Callable[..., Result]) -> None:
    refused = run("token", "create", "a b")
    assert (refused.exit_code, "is no name of a token" in refused.stderr) == (2, True)
    assert run("token", "revoke", "nobody").exit_code == 1
