"""Live hosts of both releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.windows.host import LiveHost, live

from bodydouble_sim.windows.version import NT_4, WINDOWS_2000

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module", params=[NT_4, WINDOWS_2000], ids=["nt4", "2000"])
def web(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHost]:
    """A host with IIS set up and running, shared by a module's tests."""
    with live(tmp_path_factory.mktemp(request.param.key), request.param) as host:
        host.install_iis()
        host.done("adsutil", "set", "W3SVC/1/ROOT/AccessWrite", "true")
        yield host


@pytest.fixture(params=[NT_4, WINDOWS_2000], ids=["nt4", "2000"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiveHost]:
    """A host of its own without IIS, with Chngname in its directory."""
    with live(tmp_path, request.param) as host:
        host.done("install-chngname", r"C:\DoubleTake")
        yield host
