from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble.errors import ServiceError

if TYPE_CHECKING:
    from tests.conformance.conftest import Body

    from bodydouble.ports import Host


def test_service_starts_and_stops(plain: Body) -> None:
    async def case(host: Host) -> None:
        before = await host.services.query("Clock")
        assert (before.name, before.display_name, before.state) == ("Clock", "Clock Service", "stopped")
        assert before.startup == "manual"
        await host.services.start("Clock")
        assert (await host.services.query("Clock")).state == "running"
        await host.services.stop("Clock")
        assert (await host.services.query("Clock")).state == "stopped"

    plain.run(case)


def test_service_answers_to_its_display_name_in_any_case(plain: Body) -> None:
    async def case(host: Host) -> None:
        await host.services.start("clock service")
        assert (await host.services.query("CLOCK")).state == "running"

    plain.run(case)


def test_starting_what_runs_and_stopping_what_is_stopped_do_nothing(plain: Body) -> None:
    async def case(host: Host) -> None:
        await host.services.stop("Clock")
        await host.services.start("Clock")
        await host.services.start("Clock")
        assert (await host.services.query("Clock")).state == "running"

    plain.run(case)


def test_unknown_service_is_refused(plain: Body) -> None:
    async def case(host: Host) -> None:
        for call in (host.services.query, host.services.start, host.services.stop):
            with pytest.raises(ServiceError, match="Nobody"):
                await call("Nobody")

    plain.run(case)


def test_service_that_ends_at_once_does_not_count_as_running(plain: Body) -> None:
    async def case(host: Host) -> None:
        with pytest.raises(ServiceError, match="Broken"):
            await host.services.start("Broken")
        assert (await host.services.query("Broken")).state == "stopped"

    plain.run(case)
