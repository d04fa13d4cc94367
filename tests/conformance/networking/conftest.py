"""A case is an ``async def`` that takes ``net``: it runs on every arm, with the same expectations."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.networking.arms import ARMS, net_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.networking.arms import Net


@pytest.fixture(params=ARMS)
def net(request: pytest.FixtureRequest) -> Iterator[Net]:
    made = net_of(request.param)
    yield made
    assert made.unhandled == []


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in names}
    arguments["net"].run(pyfuncitem.obj(**arguments))
    return True
