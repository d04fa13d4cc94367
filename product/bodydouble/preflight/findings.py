"""What a check finds, and what it judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.profiles.profile import Profile
    from bodydouble.vocabulary.inventory import HostFacts, HostInventory, Installation, InstalledService
    from bodydouble.vocabulary.records import MonitorStatus

Verdict = Literal["pass", "warn", "fail", "unknown"]
Need = Literal["source", "target", "source facts", "target facts"]


@dataclass(frozen=True, slots=True)
class Found:
    """One result: ``detail`` says what is so."""

    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class Situation:
    """The facts.

    Attributes:
        profile: the application.
        source: None when its daemon could not be asked.
        target: likewise.
        source_trouble: why not.
        target_trouble: likewise.
    """

    profile: Profile
    source: HostInventory | None
    target: HostInventory | None
    source_trouble: str = ""
    target_trouble: str = ""

    def host(self, side: Literal["source", "target"]) -> HostInventory:
        """A side that a check needs, and therefore has."""
        found = self.source if side == "source" else self.target
        assert found is not None
        return found

    def facts(self, side: Literal["source", "target"]) -> HostFacts:
        """A side's facts that a check needs, and therefore has."""
        found = self.host(side).facts
        assert found is not None
        return found

    @property
    def source_name(self) -> str:
        """The source's own name."""
        return self.host("source").identity.permanent_name

    @property
    def monitor(self) -> MonitorStatus | None:
        """The target's monitor of the source."""
        names = [each.casefold() for each in (self.source_name, self.host("source").identity.primary_name)]
        return next((each for each in self.host("target").monitors if each.request.source.casefold() in names), None)

    def installation(self, side: Literal["source", "target"]) -> Installation | None:
        """The application on a side."""
        name = self.profile.title.partition(" ")[0]
        return next((each for each in self.facts(side).installations if each.application == name), None)

    def service(self, side: Literal["source", "target"], name: str) -> InstalledService | None:
        """An installed service by any of its names."""
        wanted = name.casefold()
        return next(
            (
                each
                for each in self.facts(side).services
                if wanted in [known.casefold() for known in (each.name, each.display_name, *each.other_names)]
            ),
            None,
        )


@dataclass(frozen=True, slots=True)
class Check:
    """One requirement.

    Attributes:
        name: what to call it.
        section: of the application note.
        reason: why it matters.
        remedy: what to do.
        needs: which facts it cannot do without.
        judge: its results, at least one.
    """

    name: str
    section: str
    reason: str
    remedy: str
    needs: tuple[Need, ...]
    judge: Callable[[Situation], list[Found]]


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One result of one check, with what the check is about.

    Attributes:
        check: its name.
        verdict: ``unknown``: nobody can tell; ``detail`` says why.
        detail: what is so.
        section: of the application note.
        reason: why it matters.
        remedy: what to do; empty when it passed.
    """

    check: str
    verdict: Verdict
    detail: str
    section: str
    reason: str
    remedy: str


def passed(detail: str) -> list[Found]:
    """Nothing to object to."""
    return [Found("pass", detail)]


def run(checks: tuple[Check, ...], situation: Situation) -> list[Finding]:
    """Every check's results, in order; none is left out."""
    return [
        Finding(
            check.name,
            found.verdict,
            found.detail,
            check.section,
            check.reason,
            "" if found.verdict == "pass" else check.remedy,
        )
        for check in checks
        for found in _judged(check, situation)
    ]


def _judged(check: Check, situation: Situation) -> list[Found]:
    lacking = [text for need in check.needs if (text := _lacking(need, situation))]
    if lacking:
        return [Found("unknown", "; ".join(dict.fromkeys(lacking)))]
    found = check.judge(situation)
    assert found, f"{check.name} said nothing"
    return found


def _lacking(need: Need, situation: Situation) -> str:
    side, _, facts = need.partition(" ")
    host = situation.source if side == "source" else situation.target
    if host is None:
        trouble = situation.source_trouble if side == "source" else situation.target_trouble
        return f"the {side} could not be asked: {trouble}"
    if facts and host.facts is None:
        return f"the {side} does not say what it is: {host.facts_trouble or 'its host has no inventory'}"
    return ""
