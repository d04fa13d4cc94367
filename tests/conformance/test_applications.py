from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.paths import normalise

if TYPE_CHECKING:
    from tests.conformance.conftest import Body

    from bodydouble.ports import Host


def test_the_directories_of_applications_are_told_as_they_are_configured(plain: Body) -> None:
    async def case(host: Host) -> None:
        assert host.applications is not None
        (found,) = await host.applications.directories()
        assert normalise(found.path) == plain.outside
        assert found.application
        assert found.what
        assert await host.applications.directories() == [found]

    plain.configure_application(plain.outside)
    plain.run(case)


def test_where_no_application_is_configured_none_is_told(plain: Body) -> None:
    async def case(host: Host) -> None:
        assert host.applications is not None
        assert await host.applications.directories() == []

    plain.run(case)
