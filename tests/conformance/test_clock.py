from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conformance.conftest import Body

    from bodydouble.ports import Host


def test_now_is_aware_utc_and_does_not_go_back(plain: Body) -> None:
    async def case(host: Host) -> None:
        first, second = host.clock.now(), host.clock.now()
        assert first.utcoffset() == timedelta(0)
        assert first <= second

    plain.run(case)
