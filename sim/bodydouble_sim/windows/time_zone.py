"""Time zones as Windows keeps them: a bias, and two rules for the change to and from daylight time.

Source: Microsoft, TIME_ZONE_INFORMATION: UTC = local time + bias, in minutes; a change is given as month, day of the
week and which of them in the month (5: the last), in the local time that ends at that moment. The rules are those of
2002. They are in the registry, in the key TimeZoneInformation.
"""

from __future__ import annotations

import calendar
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from bodydouble.errors import InputError
from bodydouble_sim.windows.registry import CONTROL

if TYPE_CHECKING:
    from bodydouble_sim.windows.registry import Registry

KEY = rf"{CONTROL}\TimeZoneInformation"
_SYSTEMTIME = struct.Struct("<8H")
_LAST = 5
_SUNDAY = 0


@dataclass(frozen=True, slots=True)
class Change:
    """When daylight time begins or ends each year: month 0 is never.

    Attributes:
        month: 1 to 12.
        week: which such weekday of the month; 5 is the last.
        hour: of the local time that ends then.
        weekday: 0 is Sunday.
    """

    month: int = 0
    week: int = 0
    hour: int = 0
    weekday: int = _SUNDAY

    def moment(self, year: int) -> datetime:
        """The change in a year, in naive local time."""
        first, days = calendar.monthrange(year, self.month)
        offset = (self.weekday - 1 - first) % 7
        dates = list(range(1 + offset, days + 1, 7))
        day = dates[-1] if self.week >= _LAST else dates[self.week - 1]
        return datetime(year, self.month, day, self.hour, tzinfo=UTC).replace(tzinfo=None)

    def packed(self) -> bytes:
        """As SYSTEMTIME in a binary value of the registry."""
        return _SYSTEMTIME.pack(0, self.month, self.weekday, self.week, self.hour, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class TimeZone:
    """A zone: ``bias`` minutes from local standard time to UTC, one hour less in daylight time.

    Attributes:
        name: its standard name, which is also its key.
        bias: minutes.
        daylight: its name in summer, empty: it has no daylight time.
        begins: of daylight time.
        ends: of daylight time.
    """

    name: str
    bias: int
    daylight: str = ""
    begins: Change = Change()
    ends: Change = Change()

    def local(self, instant: datetime, *, adjust: bool = True) -> datetime:
        """``instant`` in this zone; without ``adjust`` in standard time all the year."""
        summer = adjust and self._in_summer(instant)
        offset = timedelta(minutes=-self.bias + (60 if summer else 0))
        return instant.astimezone(timezone(offset, self.daylight if summer else self.name))

    def _in_summer(self, instant: datetime) -> bool:
        if not self.begins.month:
            return False
        utc = instant.astimezone(UTC).replace(tzinfo=None)
        standard = timedelta(minutes=self.bias)
        year = (utc - standard).year
        begin = self.begins.moment(year) + standard
        end = self.ends.moment(year) + standard - timedelta(hours=1)
        return begin <= utc < end if begin < end else not end <= utc < begin


_US = (Change(4, 1, 2), Change(10, _LAST, 2))
GREENWICH = TimeZone("Greenwich Standard Time", 0)
ZONES = {
    zone.name: zone
    for zone in (
        GREENWICH,
        TimeZone("GMT Standard Time", 0, "GMT Daylight Time", Change(3, _LAST, 1), Change(10, _LAST, 2)),
        TimeZone("W. Europe Standard Time", -60, "W. Europe Daylight Time", Change(3, _LAST, 2), Change(10, _LAST, 3)),
        TimeZone("Eastern Standard Time", 300, "Eastern Daylight Time", *_US),
        TimeZone("Central Standard Time", 360, "Central Daylight Time", *_US),
        TimeZone("Mountain Standard Time", 420, "Mountain Daylight Time", *_US),
        TimeZone("Pacific Standard Time", 480, "Pacific Daylight Time", *_US),
        TimeZone("Tokyo Standard Time", -540),
        TimeZone(
            "AUS Eastern Standard Time", -600, "AUS Eastern Daylight Time", Change(10, _LAST, 2), Change(3, _LAST, 3)
        ),
    )
}


def zone_in(registry: Registry) -> TimeZone:
    """The zone that a registry names; Greenwich when it names none."""
    return ZONES.get(registry.text(KEY, "StandardName"), GREENWICH)


def adjusts(registry: Registry) -> bool:
    """Whether the clock follows daylight time; an administrator may switch that off."""
    return not registry.number(KEY, "DisableAutoDaylightTimeSet")


def put_zone(registry: Registry, name: str) -> TimeZone:
    """Set the zone.

    Raises:
        InputError: there is no such zone.
    """
    zone = ZONES.get(name)
    if zone is None:
        raise InputError(f"there is no time zone {name!r}; there are {', '.join(ZONES)}")
    registry.set(KEY, "Bias", zone.bias % 2**32)
    registry.set(KEY, "StandardName", zone.name)
    registry.set(KEY, "DaylightName", zone.daylight or zone.name)
    registry.set(KEY, "StandardBias", 0)
    registry.set(KEY, "DaylightBias", -60 % 2**32)
    registry.set(KEY, "StandardStart", zone.ends.packed())
    registry.set(KEY, "DaylightStart", zone.begins.packed())
    return zone
