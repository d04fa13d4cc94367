"""Checks of what protects the source: replication set, connection, monitor."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import TYPE_CHECKING

from bodydouble.preflight.findings import Check, Found, passed
from bodydouble.preflight.machines import own_addresses

if TYPE_CHECKING:
    from bodydouble.preflight.findings import Need, Situation
    from bodydouble.vocabulary.records import ConnectionStatus, InterfaceAddress

_STANDING_IN = ("failing-over", "failed-over", "failing-back")
_BROKEN = ("stopped", "error", "disconnected")


def sites_in_set(situation: Situation) -> list[Found]:
    """The replication set holds every directory of a site."""
    source = situation.host("source")
    if source.directories is None:
        trouble = source.directories_trouble or "nobody says"
        return [Found("unknown", f"where the source's sites keep their data is not known: {trouble}")]
    if not source.sets:
        return [Found("fail", "the source has no replication set")]
    missing = [Found("fail", each.words) for each in source.uncovered]
    return missing or passed(f"all {len(source.directories)} directories are in {', '.join(source.sets)}")


def _connections(situation: Situation) -> list[ConnectionStatus]:
    """The source's connections to this target; where none is plainly so, those to a name that may be its own."""
    everything = situation.host("source").connections
    if situation.target is None:
        return everything
    identity = situation.target.identity
    places = {each.address.partition("/")[0] for each in identity.addresses}
    places |= {each.casefold() for each in (identity.primary_name, identity.permanent_name, *identity.added_names)}
    here = [each for each in everything if (each.route or each.target).casefold() in places]
    return here or [each for each in everything if not _is_address(each.route or each.target)]


def _no_connection(situation: Situation) -> Found:
    there = [
        f"connection {each.id} goes to {each.route or each.target}" for each in situation.host("source").connections
    ]
    return Found("fail", f"the source has no connection to the target; {', '.join(there) or 'it has none at all'}")


def connection(situation: Situation) -> list[Found]:
    """A connection to the target replicates."""
    found = []
    for each in _connections(situation):
        words = f"connection {each.id} ({each.replication_set} to {each.target}) is {each.state}"
        words += f": {each.detail}" if each.detail else ""
        if each.state in _BROKEN:
            found.append(Found("fail", words))
        else:
            found.append(Found("pass" if each.state == "replicating" else "warn", words))
    return found or [_no_connection(situation)]


def route(situation: Situation) -> list[Found]:
    """The address that a connection uses is one of the target's."""
    owned = {each.address.partition("/")[0]: each.interface for each in own_addresses(situation.host("target"))}
    near = [IPv4Interface(each.address).network for each in own_addresses(situation.host("source"))]
    return [_route(each, owned, near) for each in _connections(situation)] or [_no_connection(situation)]


def _route(each: ConnectionStatus, owned: dict[str, str], near: list[IPv4Network]) -> Found:
    address = each.route or each.target
    if not _is_address(address):
        return Found("unknown", f"connection {each.id} goes to {address}, a name: which address that is changes")
    if address not in owned:
        return Found("warn", f"connection {each.id} goes to {address}, which only the target itself can reach")
    words = f"connection {each.id} goes to {address} on the target's {owned[address]}"
    if not any(IPv4Address(address) in network for network in near):
        return Found("warn", f"{words}, which is in no network of the source's")
    return Found("pass", words)


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def mapping(situation: Situation) -> list[Found]:
    """The target keeps everything in the same place."""
    found = []
    for each in _connections(situation):
        if each.base or each.mapping:
            place = each.base or ", ".join(f"{item.source} to {item.target}" for item in each.mapping)
            found.append(Found("fail", f"connection {each.id} maps: {place}"))
        else:
            found.append(Found("pass", f"connection {each.id} is One To One"))
    return found or [_no_connection(situation)]


def remirror(situation: Situation) -> list[Found]:
    """No source of 4.1 or earlier mirrors over the newer data of its stand-in."""
    found = []
    for each in _connections(situation):
        words = f"connection {each.id}: compatibility {each.compatibility}, remirror after auto-reconnect: "
        words += each.auto_remirror
        bad = each.compatibility == "4.1" and each.auto_remirror != "none"
        found.append(Found("fail" if bad else "pass", words))
    return found or [_no_connection(situation)]


def monitor(situation: Situation) -> list[Found]:
    """The target monitors the source."""
    there = situation.monitor
    if there is None:
        watched = ", ".join(each.request.source for each in situation.host("target").monitors) or "none"
        return [Found("fail", f"the target has no monitor of {situation.source_name}; it has {watched}")]
    words = f"{there.state}: {there.status_line}"
    if there.state == "stopped":
        return [Found("fail", words)]
    return [Found("pass" if there.state == "monitoring" else "warn", words)]


def failover_address(situation: Situation) -> list[Found]:
    """Each monitored address is the source's, is not on the target yet, and fits the target's adapter."""
    there = situation.monitor
    if there is None:
        return [Found("fail", f"the target has no monitor of {situation.source_name}")]
    return [
        found
        for each in there.request.addresses
        for found in _address(situation, each, standing_in=there.state in _STANDING_IN)
    ]


def _address(situation: Situation, wanted: InterfaceAddress, *, standing_in: bool) -> list[Found]:
    address = IPv4Interface(wanted.address)
    source, target = (own_addresses(situation.host(side)) for side in ("source", "target"))
    trouble = []
    if not standing_in and str(address.ip) in [each.address.partition("/")[0] for each in target]:
        trouble.append("is on the target already")
    if str(address.ip) not in [each.address.partition("/")[0] for each in source]:
        trouble.append("is not the source's")
    adapters = sorted({each.interface for each in situation.host("target").identity.addresses})
    if wanted.interface not in adapters:
        trouble.append(f"is for the adapter {wanted.interface!r}, which the target has not: {', '.join(adapters)}")
    elif not any(address.ip in IPv4Interface(each.address).network for each in target
                 if each.interface == wanted.interface):  # fmt: skip
        trouble.append(f"is not in the network of the target's {wanted.interface}")
    if trouble:
        return [Found("fail", f"{wanted.address} {each}") for each in trouble]
    return passed(f"{wanted.address} can be assumed by {wanted.interface}")


def failover_identity(situation: Situation) -> list[Found]:
    """The target will answer for the source's name beside its own."""
    there = situation.monitor
    if there is None:
        return [Found("fail", f"the target has no monitor of {situation.source_name}")]
    if not there.request.name:
        return [Found("warn", f"the monitor leaves the name {there.request.source} alone")]
    if there.request.identity == "replace":
        words = f"the identity of {there.request.source} replaces the target's own"
        if (facts := situation.host("target").facts) is not None and facts.system.key == "windows-2000":
            words += "; Windows 2000 runs under that name only after it is renamed and booted"
        return [Found("warn", words)]
    return passed(f"the target will answer for {there.request.source} beside its own name")


_MIRRORING = "Configure and Begin Mirroring and Replication"
_MONITORING = "Configure Failover and Begin Failure Monitoring"
_PAIR: tuple[Need, ...] = ("source", "target")

CHECKS = (
    Check(
        "sites-in-set", f"{_MIRRORING}, 5-6", "The replication set must include all directories that sites use.",
        "Include the directory, save the set and mirror.", ("source",), sites_in_set,
    ),
    Check(
        "connection", f"{_MIRRORING}, 8-11", "Only what is replicated can be served by the stand-in.",
        "Connect the replication set to the target; wait until its mirror is complete.", ("source",), connection,
    ),
    Check(
        "route", f"{_MIRRORING}, 9", "With several addresses on the target the route must be the right network path.",
        "Set the connection's route to an address of the target.", _PAIR, route,
    ),
    Check(
        "one-to-one", f"{_MIRRORING}, 10", "The stand-in's application looks for the data where the source keeps it.",
        "Connect with the One To One mapping.", ("source",), mapping,
    ),
    Check(
        "remirror", f"{_MIRRORING}, 4",
        "A source of version 4.1 or earlier remirrors after failback over the newer data of its stand-in.",
        "Connect with --remirror none, or leave --compatibility at 4.2.", ("source",), remirror,
    ),
    Check(
        "monitor", f"{_MONITORING}, 3-5", "Without a monitor nobody notices that the source failed.",
        "Create the monitor of the source on the target.", _PAIR, monitor,
    ),
    Check(
        "failover-address", f"{_MONITORING}, 6",
        "The address that fails over must be the source's, and the target must be able to take it.",
        "Create the monitor with the source's address and the target's adapter in the same network.", _PAIR,
        failover_address,
    ),
    Check(
        "failover-identity", f"{_MONITORING}, 6",
        "Clients that look for the source by its name have to find the stand-in, which goes on answering for its own.",
        "Create the monitor anew, without --no-name and --replace.", _PAIR, failover_identity,
    ),
)  # fmt: skip
"""Checks of the protection, in the order of the note."""
