from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conformance.conftest import Body

    from bodydouble.ports import Host


def test_random_bytes_have_the_length_asked_for_and_do_not_repeat(plain: Body) -> None:
    async def case(host: Host) -> None:
        drawn = [host.entropy.random_bytes(32) for _ in range(100)]
        assert {len(each) for each in drawn} == {32}
        assert len(set(drawn)) == len(drawn)
        assert host.entropy.random_bytes(0) == b""

    plain.run(case)
