"""Every check there is, and a whole preflight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from bodydouble.preflight import machines, protection, script_checks
from bodydouble.preflight.findings import Check, Finding, run

if TYPE_CHECKING:
    from bodydouble.preflight.findings import Situation, Verdict

CHECKS: tuple[Check, ...] = (*machines.CHECKS, *protection.CHECKS, *script_checks.CHECKS)
"""In the order of the application note, as far as that goes."""


class PreflightReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The results of all checks.

    Attributes:
        profile: the application's.
        verdict: ``fail`` when a requirement is not met; else ``unknown``, ``warn`` or ``pass``, the worst there is.
        findings: at least one for each check.
    """

    profile: str
    verdict: Literal["pass", "warn", "fail", "unknown"]
    findings: list[Finding]


def preflight(situation: Situation) -> PreflightReport:
    """Judge two machines."""
    findings = run(CHECKS, situation)
    order: tuple[Verdict, ...] = ("fail", "unknown", "warn", "pass")
    verdict = next(each for each in order if each in [found.verdict for found in findings])
    return PreflightReport(situation.profile.name, verdict, findings)
