"""Checker 5: no name and no address is answered by two machines at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING

from bodydouble_labs.checkers.check import Check, count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bodydouble_labs.history import Answered, Claim, History, IdentitySample
    from bodydouble_labs.scenario.model import Expectations, Scenario

NAME = "one-owner"
SHOWN = 5
"""Clashes that the detail spells out."""
CLAIMED_WITHIN = 1.0
"""Seconds after its first answer within which a machine that was handed an identity may claim it: a question may come
between the two."""


@dataclass(frozen=True, slots=True)
class Clash:
    """Two machines that had one identity at once, from ``at`` until ``until`` (None: to the end of the run)."""

    identity: str
    owners: tuple[str, str]
    at: float
    until: float | None
    evidence: str


def check(history: History, expect: Expectations, scenario: Scenario) -> Check:
    """Check that each name and address of source and target had one owner at every moment.

    Claimed on ``pass``:

    - On the wire: whenever a machine was heard answering for an address or a name (replies to ARP and name queries,
      packets from the address) again after another one had been, it had claimed it in between, or the other one had
      given it up (a name's release). Two that answer in turn are two owners, whichever of them a client's cache sends
      it to; a machine that is handed an identity claims it first.
    - At the consoles: in no sample two machines with power and a cable held the same address or name.

    ``invalid``: nobody was heard answering for one of the source's addresses, or no console was looked at.
    """
    del expect
    identities = _identities(scenario)
    clashes = [*_on_the_wire(history, identities), *_at_the_consoles(history.identities, identities)]
    if clashes:
        listed = sorted(clashes, key=attrgetter("at", "identity"))
        more = f"; and {len(listed) - SHOWN:,} more" if len(listed) > SHOWN else ""
        return Check(NAME, "fail", "; ".join(map(_text, listed[:SHOWN])) + more)
    if reason := _unseen(history, scenario):
        return Check(NAME, "invalid", reason)
    runs = [run for run in history.answers if run.identity in identities]
    looks = count(len(history.identities), "different state")
    return Check(NAME, "pass", f"{_changes(runs)} on the wire; {looks} at the consoles; never two owners at once")


def _identities(scenario: Scenario) -> list[str]:
    """The addresses and names of source and target."""
    found = []
    for host in (scenario.source, scenario.target):
        found += [address.partition("/")[0] for adapter in host.adapters for address in adapter.addresses]
        found.append(host.computer_name)
    return found


def _on_the_wire(history: History, identities: Sequence[str]) -> Iterator[Clash]:
    for identity in identities:
        heard = [run for run in history.answers if run.identity == identity]
        claims = [claim for claim in history.claims if claim.identity == identity]
        yield from _joined(_interleaved(sorted(heard, key=attrgetter("at")), claims))


def _interleaved(heard: Sequence[Answered], claims: Sequence[Claim]) -> Iterator[Clash]:
    """Machines that answer again after another one had, without having claimed again since."""
    known: set[str] = set()
    for other, run in pairwise(heard):
        known.add(other.owner)
        claimed = any(
            claim.owner == (other.owner if claim.given_up else run.owner)
            and other.until < claim.at <= run.at + CLAIMED_WITHIN
            for claim in claims
        )
        if run.owner in known and not claimed:
            yield Clash(run.identity, (run.owner, other.owner), other.at, run.at, "they answered in turn")


def _joined(clashes: Iterable[Clash]) -> list[Clash]:
    """Clashes of the same two that follow each other, as one."""
    found: list[Clash] = []
    for clash in clashes:
        last = found[-1] if found else None
        if last is not None and set(last.owners) == set(clash.owners) and clash.at <= (last.until or 0.0):
            found[-1] = Clash(last.identity, last.owners, last.at, clash.until, last.evidence)
        else:
            found.append(clash)
    return found


def _at_the_consoles(samples: Sequence[IdentitySample], identities: Sequence[str]) -> list[Clash]:
    open_: dict[tuple[str, str, str], float] = {}
    found: list[Clash] = []
    for sample in samples:
        now = set(_held_twice(sample, identities))
        for key in sorted(open_.keys() - now):
            identity, one, other = key
            found.append(Clash(identity, (one, other), open_.pop(key), sample.at, "both held it"))
        for key in now:
            open_.setdefault(key, sample.at)
    found += [Clash(key[0], (key[1], key[2]), at, None, "both held it") for key, at in open_.items()]
    return found


def _held_twice(sample: IdentitySample, identities: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    held = {name: {*each.addresses, *(each.names or ())} for name, each in sample.hosts.items() if each.on_network}
    for one, other in combinations(sorted(held), 2):
        for identity in identities:
            if identity in held[one] and identity in held[other]:
                yield identity, one, other


def _unseen(history: History, scenario: Scenario) -> str:
    if not history.identities:
        return "no console was looked at"
    heard = {run.identity for run in history.answers}
    silent = [identity for identity in (scenario.source.ip, scenario.target.ip) if identity not in heard]
    return f"nobody was heard answering for {' and '.join(silent)} on the wire" if silent else ""


def _changes(runs: Sequence[Answered]) -> str:
    known = len({run.identity for run in runs})
    return f"{known:,} names and addresses changed hands {count(len(runs) - known, 'time')}"


def _text(clash: Clash) -> str:
    until = "the end" if clash.until is None else f"{clash.until:.3f} s"
    one, other = clash.owners
    return f"{clash.identity} belonged to {one} and {other} at once from {clash.at:.3f} s to {until}: {clash.evidence}"
