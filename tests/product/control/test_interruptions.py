"""Ctrl-C while a command waits: exit status 130, one line that says what becomes of the work, and no traceback."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from tests.product.control.test_cli import Console

from bodydouble.cli import orphans, replication, restoration, verification

if TYPE_CHECKING:
    from pathlib import Path

    from tests.product.control.fakes import Served


async def interrupted(_seconds: float) -> None:
    raise asyncio.CancelledError


@pytest.fixture
def console(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Console:
    (tmp_path / "token").write_text("correct horse\n")
    made = Console(served, tmp_path / "token")
    made.ok("set", "save", "IIS", "--include", "C:/InetPub")
    made.ok("connect", "IIS", "10.0.0.20")
    served.replication.end_state = "mirroring"
    for module in (orphans, replication, restoration, verification):
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=interrupted))
    return made


@pytest.mark.parametrize(
    ("arguments", "goes_on"),
    [
        (["connect", "IIS", "10.0.0.20", "--wait"], "'bodydouble mirror stop 2' ends a mirror"),
        (["mirror", "start", "1", "--wait"], "the connection goes on"),
        (["verify", "1", "--wait"], "verification 1 goes on"),
        (["orphans", "list", "1"], "the search goes on: 'bodydouble orphans stop 1' ends it"),
        (["restore", "SRC", "IIS", "--to", "b", "--wait"], "'bodydouble restorations --stop 1' ends it"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_interrupted_wait_ends_with_130_and_says_what_goes_on(
    console: Console, arguments: list[str], goes_on: str
) -> None:
    result = console.run(*arguments)
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.startswith("\nbodydouble: interrupted; ")
    assert goes_on in result.stderr
