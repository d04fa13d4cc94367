"""Dates and times as the US English console shows them.

NT 4.0 shows two digits of the year in listings (``12/02/02``) and 2000 four, both ``09:00a`` for the time: this model's
choice, after listings as they were printed at the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def long_date(moment: datetime) -> str:
    """``12/02/2002``."""
    return f"{moment:%m/%d/%Y}"


def short_date(moment: datetime) -> str:
    """``12/02/02``."""
    return f"{moment:%m/%d/%y}"


def clock_time(moment: datetime) -> str:
    """``09:00a``."""
    return f"{moment:%I:%M}{'a' if moment.hour < 12 else 'p'}"  # noqa: PLR2004 - noon


def date_text(moment: datetime) -> str:
    """``Mon 12/02/2002``."""
    return f"{moment:%a %m/%d/%Y}"


def time_text(moment: datetime) -> str:
    """``%TIME%``: `` 9:00:00.00``."""
    return f"{moment.hour:2d}:{moment:%M:%S}.{moment.microsecond // 10_000:02d}"
