"""The modelled behaviours of Windows and IIS: each a claim, each with its source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def sources(text: str) -> dict[str, list[str]]:
    """Sources of the tests that are marked as behaviours, by the test's name."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = [mark for mark in node.decorator_list if isinstance(mark, ast.Call) and _is_behaviour(mark.func)]
            for mark in marks:
                given = [argument.value for argument in mark.args if isinstance(argument, ast.Constant)]
                found.setdefault(node.name, []).extend(str(value) for value in given)
    return found


def _is_behaviour(function: ast.expr) -> bool:
    """``pytest.mark.behaviour``, or the short name that a module gives it."""
    if isinstance(function, ast.Name):
        return function.id == "behaviour"
    return isinstance(function, ast.Attribute) and function.attr == "behaviour"


def test_each_behaviour_names_its_source() -> None:
    """An empty or missing source says nothing to whoever doubts the model."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, given in sources(path.read_text(encoding="utf-8")).items():
            assert all(source.strip() for source in given), f"{path}: {name}"
            assert given, f"{path}: {name}"


@pytest.mark.parametrize("text", ["@pytest.mark.behaviour()\ndef test_a(): ...\n", "@behaviour()\ndef test_a(): ...\n"])
def test_a_behaviour_without_a_source_is_seen(text: str) -> None:
    """The guard above can fail."""
    assert sources(text) == {"test_a": []}
