"""Shipped scenario files with one thing wrong, and what the loader says of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from bodydouble_labs.errors import ScenarioError
from bodydouble_labs.scenario.loader import load

if TYPE_CHECKING:
    from pathlib import Path

BROKEN = "broken.yaml"


def refused(shipped: Path, directory: Path, old: str, new: str) -> ScenarioError:
    """The error of a shipped file with its first ``old`` replaced."""
    text = shipped.read_text()
    assert old in text
    file = directory / BROKEN
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(ScenarioError) as caught:
        load(file)
    return caught.value


def unnumbered(error: ScenarioError) -> str:
    """Its key, with N for which step of the timeline it is."""
    return re.sub(r"timeline\[\d+\]", "timeline[N]", error.key)
