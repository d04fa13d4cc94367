from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, TypeVar

import pytest
from click.testing import CliRunner
from tests.product.control.fakes import CERTIFICATE, TOKEN, Served

from bodydouble.cli import verification as commands
from bodydouble.cli.main import cli
from bodydouble.control.client import ControlClient
from bodydouble.errors import ControlError
from bodydouble.security.certificate import fingerprint_of
from bodydouble.vocabulary.records import ConnectRequest, ReplicationSet, Rule
from bodydouble.vocabulary.verification import VerificationOptions, VerificationSchedule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from click.testing import Result

T = TypeVar("T")
SCHEDULE = VerificationSchedule(interval=3600.0, options=VerificationOptions(checksum=True))


@pytest.fixture
def run(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setattr(commands, "POLL", 0.01)
    (tmp_path / "token").write_text(TOKEN)
    ask(served, _connected)
    environment = {
        "BODYDOUBLE_PORT": str(served.port),
        "BODYDOUBLE_TOKEN_FILE": str(tmp_path / "token"),
        "BODYDOUBLE_PIN": fingerprint_of(CERTIFICATE),
    }
    return lambda *arguments: CliRunner().invoke(cli, arguments, env=environment, catch_exceptions=False)


def ask(served: Served, action: Callable[[ControlClient], Awaitable[T]]) -> T:
    async def main() -> T:
        async with ControlClient("127.0.0.1", served.port, TOKEN, CERTIFICATE) as client:
            return await action(client)

    return asyncio.run(main())


async def _connected(client: ControlClient) -> None:
    await client.save_set(ReplicationSet(name="IIS", rules=[Rule(path="C:/InetPub")]))
    await client.connect(ConnectRequest(replication_set="IIS", target="t", port=1))


def test_a_verification_is_begun_listed_and_read(served: Served) -> None:
    async def action(client: ControlClient) -> None:
        await _connected(client)
        options = VerificationOptions(repair=True, newer_only=True)
        begun = await client.verify(1, options)
        assert (begun.state, begun.options) == ("running", options)
        assert await client.verifications() == [begun]
        assert (await client.verification(1)).report.state == "complete"

    ask(served, action)


def test_a_schedule_is_set_shown_and_taken_away(served: Served) -> None:
    async def action(client: ControlClient) -> None:
        await _connected(client)
        assert await client.verification_schedule(1) is None
        await client.schedule_verification(1, SCHEDULE)
        assert await client.verification_schedule(1) == SCHEDULE
        await client.schedule_verification(1, None)
        assert await client.verification_schedule(1) is None

    ask(served, action)


@pytest.mark.parametrize(
    ("action", "status"),
    [
        (lambda client: client.verify(7, VerificationOptions()), 404),
        (lambda client: client.stop_verification(7), 404),
        (lambda client: client.stop_verification(1), 409),
        (lambda client: client.verification(7), 404),
        (lambda client: client.schedule_verification(7, SCHEDULE), 404),
        (lambda client: client.schedule_verification(1, VerificationSchedule(interval=0)), 400),
    ],
)
def test_what_does_not_exist_or_fit_is_refused(
    served: Served, action: Callable[[ControlClient], Awaitable[object]], status: int
) -> None:
    ask(served, _connected)
    with pytest.raises(ControlError) as refused:
        ask(served, action)
    assert refused.value.status == status


def test_verify_waits_and_shows_the_report(run: Callable[..., Result]) -> None:
    result = run("verify", "1", "--checksum", "--wait")
    assert result.exit_code == 0
    assert "complete" in result.stdout
    assert "2 files" in result.stdout


def test_verify_fails_while_something_differs(served: Served, run: Callable[..., Result]) -> None:
    served.replication.verifier.found = 1
    result = run("verify", "1", "--wait", "--json")
    assert result.exit_code == 1
    shown = json.loads(result.stdout)
    assert shown["differences"] == [{"path": "C:/InetPub/gone.htm", "kind": "missing", "detail": ""}]
    assert "gone.htm" in run("verification", "show", "1").stdout


def test_an_interrupted_verification_is_a_failure(served: Served, run: Callable[..., Result]) -> None:
    served.replication.verifier.end_state = "interrupted"
    result = run("verify", "1", "--wait")
    assert result.exit_code == 1
    assert "verification 1 was interrupted" in result.stderr


def test_without_waiting_it_is_only_begun(run: Callable[..., Result]) -> None:
    assert "running" in run("verify", "1").stdout
    assert "running" in run("verification", "list").stdout
    assert run("verification", "stop", "1").exit_code == 1


def test_schedules_by_command(run: Callable[..., Result]) -> None:
    assert (
        "verified every 60 s (checksum)" in run("verification", "schedule", "1", "--every", "60", "--checksum").stdout
    )
    assert json.loads(run("verification", "schedule", "1", "--json").stdout)["interval"] == 60
    assert "by order only" in run("verification", "schedule", "1", "--off").stdout
    assert run("verification", "schedule", "1", "--off", "--every", "5").exit_code == 2


@pytest.mark.parametrize(("text", "words"), [("soon", "no age: expected a number and s, m"), ("0.5", "at least 1 s")])
def test_a_schedule_takes_a_time_with_its_unit_and_refuses_what_is_none(
    run: Callable[..., Result], text: str, words: str
) -> None:
    assert "every 43200 s" in run("verification", "schedule", "1", "--every", "12h").stdout
    refused = run("verification", "schedule", "1", "--every", text)
    assert (refused.exit_code, words in refused.stderr) == (2, True)
