"""What a checker says."""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["pass", "fail", "invalid", "skipped"]
"""``invalid``: the run proves nothing either way; ``skipped``: the run could not be made here."""


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """One checker's verdict on one run.

    Attributes:
        detail: what was compared, or what is wrong, in a line or a few.
        protection: the protection that was judged, where a scenario has several.
    """

    name: str
    verdict: Verdict
    detail: str
    protection: str = ""

    @property
    def title(self) -> str:
        """The check's name, with the protection that it judges."""
        return f"{self.name} of {self.protection}" if self.protection else self.name


def count(number: int, noun: str) -> str:
    """``1 record``, ``1,204 records``: a count as it reads in a detail."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
