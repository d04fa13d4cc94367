"""Documentation that lists what code defines is complete."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from bodydouble_labs.checkers import run_checkers
from bodydouble_labs.history import History
from bodydouble_labs.scenario import loader
from bodydouble_labs.scenario.model import Expectations, Scenario
from bodydouble_labs.scenario.steps import ACTIONS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "scenario-files.md").read_text()
README = (ROOT / "README.md").read_text()


def undocumented(words: list[str], page: str) -> list[str]:
    return [word for word in words if not re.search(rf"`{re.escape(word)}[`:]", page)]


def fields(struct: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(struct)]


def test_every_key_of_a_scenario_is_documented() -> None:
    known = [name for name in fields(Scenario) if name not in ("file", "files")]
    assert undocumented([*known, *fields(Expectations), *ACTIONS], PAGE) == []


def test_an_undocumented_key_is_seen() -> None:
    assert undocumented(["levitate"], PAGE) == ["levitate"]


def test_every_checker_is_documented() -> None:
    scenario = loader.load(loader.find("iis5-power-loss"))
    checks = run_checkers(History(), scenario)
    assert [check.name for check in checks if f"| {check.name} |" not in PAGE] == []


@pytest.mark.parametrize("name", loader.shipped_names())
def test_the_readme_names_every_shipped_scenario(name: str) -> None:
    assert name in README


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
