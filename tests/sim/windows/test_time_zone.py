"""Local time by zone, daylight time included."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodydouble.errors import InputError
from bodydouble_sim.windows.registry import Registry
from bodydouble_sim.windows.time_zone import KEY, ZONES, put_zone, zone_in

if TYPE_CHECKING:
    from bodydouble_sim.windows.system import WindowsSystem

IANA = {
    "GMT Standard Time": "Europe/London",
    "W. Europe Standard Time": "Europe/Berlin",
    "Eastern Standard Time": "America/New_York",
    "Central Standard Time": "America/Chicago",
    "Mountain Standard Time": "America/Denver",
    "Pacific Standard Time": "America/Los_Angeles",
    "Tokyo Standard Time": "Asia/Tokyo",
    "AUS Eastern Standard Time": "Australia/Sydney",
}
YEARS = st.datetimes(datetime(2001, 4, 2), datetime(2005, 12, 31))  # noqa: DTZ001 - given its zone below


@pytest.mark.behaviour("Microsoft, TIME_ZONE_INFORMATION: day-in-month format, the rules of 2002")
@given(YEARS, st.sampled_from(sorted(IANA)))
def test_local_time_is_that_of_the_zone_all_the_year(moment: datetime, name: str) -> None:
    instant = moment.replace(tzinfo=UTC)
    local = ZONES[name].local(instant)
    assert local == instant
    assert local.utcoffset() == instant.astimezone(ZoneInfo(IANA[name])).utcoffset()


@pytest.mark.behaviour("Microsoft, TIME_ZONE_INFORMATION: UTC = local time + bias")
def test_daylight_time_begins_in_the_second_at_which_it_does(system: WindowsSystem) -> None:
    system.set_time_zone("Eastern Standard Time")
    seen = []
    for second in (0, 1):
        system.set_clock(datetime(2003, 4, 6, 6, 59, 59, tzinfo=UTC) + timedelta(seconds=second))
        seen.append(f"{system.local_time():%H:%M:%S %Z}")
    assert seen == ["01:59:59 Eastern Standard Time", "03:00:00 Eastern Daylight Time"]


@pytest.mark.behaviour("Microsoft: DisableAutoDaylightTimeSet keeps standard time")
def test_daylight_time_can_be_switched_off(system: WindowsSystem) -> None:
    system.set_time_zone("W. Europe Standard Time")
    system.registry.set(KEY, "DisableAutoDaylightTimeSet", 1)
    system.set_clock(datetime(2003, 7, 1, 12, tzinfo=UTC))
    assert system.local_time().utcoffset() == timedelta(hours=1)


@pytest.mark.behaviour("Microsoft, TimeZoneInformation: Bias, StandardName, StandardStart")
def test_the_zone_is_in_the_registry() -> None:
    registry = Registry()
    put_zone(registry, "W. Europe Standard Time")
    assert registry.number(KEY, "Bias") == 2**32 - 60
    assert registry.get(KEY, "DaylightStart") == bytes([0, 0, 3, 0, 0, 0, 5, 0, 2, 0, 0, 0, 0, 0, 0, 0])
    assert zone_in(registry).daylight == "W. Europe Daylight Time"
    with pytest.raises(InputError, match="no time zone"):
        put_zone(registry, "Lunar Standard Time")


def test_a_machine_is_set_up_on_greenwich_time(system: WindowsSystem) -> None:
    assert system.local_time().utcoffset() == timedelta(0)
