"""One served set of fakes a test; lets the tests import the fakes, however pytest was started."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.product.control.fakes import Served

ROOT = str(Path(__file__).resolve().parents[3])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)


@pytest.fixture
def served() -> Iterator[Served]:
    from tests.product.control.fakes import serving  # noqa: PLC0415 - after the path is set

    with serving() as running:
        yield running
