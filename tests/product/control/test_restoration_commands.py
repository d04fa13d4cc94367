"""``restore`` and ``restorations``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from tests.product.control.fakes import CERTIFICATE, TOKEN, Served

from bodydouble.cli import reconnection, replication, restoration
from bodydouble.cli.main import cli
from bodydouble.security.certificate import fingerprint_of

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

HOST = "127.0.0.1"
RESTORE = ("restore", "WEB1", "IIS", "--to", HOST)


class Console:
    def __init__(self, served: Served, directory: Path) -> None:
        self.served = served
        self.token_file = directory / "token"
        self.token_file.write_text(TOKEN)

    def run(self, *arguments: str) -> Result:
        options = ["--host", HOST, "--port", str(self.served.port), "--token-file", str(self.token_file)]
        options += ["--pin", fingerprint_of(CERTIFICATE)]
        return CliRunner().invoke(cli, [*options, *arguments], catch_exceptions=False)

    @property
    def there(self) -> list[str]:
        """How the restored machine's daemon is reached: here, the same one."""
        port, token = str(self.served.port), str(self.token_file)
        return ["--reconnect", "--to-control-port", port, "--to-token-file", token, "--to-pin",
                fingerprint_of(CERTIFICATE)]  # fmt: skip


@pytest.fixture
def console(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Console:
    for module in (reconnection, replication, restoration):
        monkeypatch.setattr(module, "POLL", 0.01)
    return Console(served, tmp_path)


def test_every_field_of_the_restoration_manager_is_an_option(console: Console) -> None:
    options = ("--missing-only", "--mirror", "full", "--orphans", "log", "--orphan-age", "2h", "--no-calculate",
               "--map", "C:/InetPub=E:/InetPub", "--base", "F:/rest")  # fmt: skip
    assert console.run(*RESTORE, *options).exit_code == 0
    (begun,) = console.served.restoration.begun
    asked = begun.request
    assert (asked.original_source, asked.replication_set, asked.restore_to) == ("WEB1", "IIS", HOST)
    assert (asked.missing_only, asked.newer_only, asked.mirror, asked.calculate) == (True, False, "full", False)
    assert (asked.orphans, asked.orphan_age, asked.base) == ("log", 7200.0, "F:/rest")
    assert [(each.source, each.target) for each in asked.mapping] == [("C:/InetPub", "E:/InetPub")]


def test_restorations_are_listed_stopped_and_offered(console: Console) -> None:
    console.run(*RESTORE)
    assert "complete" in console.run("restorations").stdout
    assert "required" in console.run("restorations", "--available").stdout
    (offered,) = json.loads(console.run("restorations", "--available", "--json").stdout)
    assert offered["replication_set"]["rules"][0]["path"] == "C:/InetPub"
    assert "stopped" in console.run("restorations", "--stop", "1").stdout
    assert console.run("restorations", "--stop", "9").exit_code == 1
    assert console.run("restorations", "--stop", "1", "--available").exit_code == 2


def test_the_mark_is_cleared_only_by_somebody_who_was_asked_and_means_it(console: Console) -> None:
    refused = console.run("restorations", "--clear", "WEB1", "IIS")
    assert (refused.exit_code, console.served.restoration.required) == (1, True)
    assert "WEB1 may then mirror its 'IIS' over what this machine has of it" in refused.stderr
    cleared = console.run("restorations", "--clear", "WEB1", "IIS", "--yes")
    assert (cleared.exit_code, console.served.restoration.required) == (0, False)
    assert "possible" in cleared.stdout
    assert console.run("restorations", "--clear", "WEB9", "IIS", "--yes").exit_code == 2
    assert console.run("restorations", "--clear", "WEB1", "IIS", "--available").exit_code == 2


def test_one_that_leaves_the_mark_is_complete_and_not_connected_again(console: Console) -> None:
    console.served.restoration.stays_required = "the data goes to WEB3, not to WEB1"
    assert console.run(*RESTORE, "--wait").exit_code == 0
    result = console.run(*RESTORE, *console.there)
    assert (result.exit_code, "complete" in result.stdout) == (1, True)
    assert "not connected again: the stand-in would refuse (the data goes to WEB3, not to WEB1)" in result.stderr
    assert console.served.replication.asked == []


def test_one_that_was_stopped_ends_the_wait_with_1(console: Console) -> None:
    console.served.restoration.end_state = "stopped"
    result = console.run(*RESTORE, "--wait")
    assert (result.exit_code, "the restoration was stopped" in result.stderr) == (1, True)


def test_a_rebuilt_source_gets_its_set_and_a_connection(console: Console) -> None:
    console.served.replication.end_state = "replicating"
    result = console.run(*RESTORE, *console.there)
    assert result.exit_code == 0, result.stderr
    assert [each.name for each in console.served.replication.sets()] == ["IIS"]
    (asked,) = console.served.replication.asked
    assert (asked.replication_set, asked.target) == ("IIS", HOST)
    assert "replicating" in result.stdout


def test_a_source_that_has_its_connection_is_given_no_other_one(console: Console) -> None:
    console.run("repset", "save", "IIS", "--include", "C:/InetPub")
    console.run("connect", "IIS", "10.0.0.20")
    assert console.run(*RESTORE, *console.there).exit_code == 0
    assert [each.target for each in console.served.replication.asked] == ["10.0.0.20"]


def test_what_is_missing_to_reconnect_is_said_before_anything_is_restored(console: Console) -> None:
    result = console.run(*RESTORE, "--reconnect")
    assert (result.exit_code, "say --to-token-file FILE" in result.stderr) == (2, True)
    assert console.served.restoration.begun == []
