"""The application note's scenario on real daemons, a real file filter and real sockets, in some thirty seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.netns.conftest import Lab

pytestmark = [pytest.mark.root, pytest.mark.fuse]


@pytest.mark.parametrize("scenario", ["iis5-power-loss", "iis4-power-loss"])
def test_iis_source_that_loses_its_power_fails_over_and_comes_home(start: Callable[[str], Lab], scenario: str) -> None:
    lab = start(scenario)
    result = lab.line()["result"]
    assert result["verdict"] == "pass", f"{result}\n{lab.logs()}"
    assert 0 < result["rto_s"] < 15
    assert result["rpo_operations"] == 0
    assert all((lab.directory / name).is_file() for name in result["artifacts"])
