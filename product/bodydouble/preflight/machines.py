"""Checks of the two machines: systems, roles, network, and how the application was set up on them."""

from __future__ import annotations

from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, Literal

from bodydouble.preflight.findings import Check, Found, passed
from bodydouble.vocabulary import paths

if TYPE_CHECKING:
    from bodydouble.preflight.findings import Need, Situation
    from bodydouble.vocabulary.inventory import HostInventory
    from bodydouble.vocabulary.records import InterfaceAddress

SIDES: tuple[Literal["source", "target"], ...] = ("source", "target")
PRODUCT_SERVICE = "Bodydouble"
_CONTROLLERS = {"primary-controller": "primary domain controller", "backup-controller": "backup domain controller"}


def same_system(situation: Situation) -> list[Found]:
    """Both run the same operating system."""
    source, target = (situation.facts(side).system for side in SIDES)
    if source.key != target.key:
        return [Found("fail", f"the source runs {source.title}, the target {target.title}")]
    if (source.version, source.service_pack) != (target.version, target.service_pack):
        words = [f"{each.title} {each.version}{_pack(each.service_pack)}".strip() for each in (source, target)]
        return [Found("warn", f"the source runs {words[0]}, the target {words[1]}")]
    return passed(f"both run {source.title}{_pack(source.service_pack)}")


def _pack(number: int | None) -> str:
    return f" Service Pack {number}" if number else ""


def application_system(situation: Situation) -> list[Found]:
    """Each runs the system that the application is for."""
    profile = situation.profile
    found = []
    for side in SIDES:
        system = situation.facts(side).system
        good = system.key == profile.system
        found.append(Found("pass" if good else "fail", f"the {side} runs {system.title}"))
    return found


def service_pack(situation: Situation) -> list[Found]:
    """The service pack is high enough."""
    least = situation.profile.service_pack
    if not least:
        return passed(f"{situation.profile.title} asks for none")
    found = []
    for side in SIDES:
        there = situation.facts(side).system.service_pack
        if there is None:
            found.append(Found("unknown", f"the {side} does not say which service pack it has"))
        else:
            text = f"the {side} has Service Pack {there}" if there else f"the {side} has none"
            found.append(Found("pass" if there >= least else "fail", f"{text}; {least} or higher is needed"))
    return found


def domain_role(situation: Situation) -> list[Found]:
    """Neither is a domain controller."""
    found = []
    for side in SIDES:
        role = situation.facts(side).domain_role
        if role is None:
            found.append(Found("pass", f"the {side} belongs to no domain"))
        elif role in _CONTROLLERS:
            found.append(Found("warn", f"the {side} is a {_CONTROLLERS[role]}"))
        else:
            found.append(Found("pass", f"the {side} is a {role} server"))
    return found


def same_network(situation: Situation) -> list[Found]:
    """Both have an address in one subnet."""
    ours, theirs = (_networks(situation.host(side)) for side in SIDES)
    common = [each for each in ours if each in theirs]
    if common:
        return passed(f"both have an address in {', '.join(common)}")
    lists = [", ".join(each) or "none" for each in (ours, theirs)]
    return [Found("fail", f"no subnet is common: the source is in {lists[0]}, the target in {lists[1]}")]


def _networks(host: HostInventory) -> list[str]:
    networks = [IPv4Interface(each.address).network for each in host.identity.addresses]
    return list(dict.fromkeys(str(each) for each in networks if not each.is_loopback))


def own_addresses(host: HostInventory) -> list[InterfaceAddress]:
    """The addresses that others can reach."""
    return [each for each in host.identity.addresses if not IPv4Interface(each.address).is_loopback]


def product(situation: Situation) -> list[Found]:
    """The same version of the product runs on both."""
    versions = [situation.host(side).version for side in SIDES]
    if versions[0] != versions[1]:
        return [Found("warn", f"the source runs version {versions[0]}, the target {versions[1]}")]
    return passed(f"both run version {versions[0]}")


def installed(situation: Situation) -> list[Found]:
    """The application is on both."""
    return [each for side in SIDES for each in _installed_on(situation, side)]


def _installed_on(situation: Situation, side: Literal["source", "target"]) -> list[Found]:
    profile = situation.profile
    installation = situation.installation(side)
    if installation is not None:
        words = f"{installation.application} {installation.version} is on the {side}"
        return [Found("pass" if words.startswith(profile.title + " ") else "fail", words)]
    needed = [each.name for each in profile.services if each.part == "always"]
    missing = [name for name in needed if situation.service(side, name) is None]
    if profile.name_sensitive or (missing and situation.facts(side).services_complete):
        return [Found("fail", f"{profile.title} is not on the {side}")]
    if missing:
        return [Found("unknown", f"the {side} knows no service {', '.join(missing)} and does not list them all")]
    return [Found("pass", f"{profile.title} is on the {side}")]


def same_directory(situation: Situation) -> list[Found]:
    """The application's data lies on the same drive and directory."""
    places = {}
    for side in SIDES:
        installation = situation.installation(side)
        if installation is None or not installation.directory:
            if not situation.profile.name_sensitive:
                return passed(f"{situation.profile.title} has no directory of its own")
            return [Found("unknown", f"the {side} does not say where {situation.profile.title} keeps its data")]
        places[side] = installation.directory
    if places["source"].casefold() != places["target"].casefold():
        return [Found("fail", f"it is {places['source']} on the source and {places['target']} on the target")]
    return passed(f"it is {places['source']} on both")


def set_up_name(situation: Situation) -> list[Found]:
    """The target's application was set up under the source's name."""
    if not situation.profile.name_sensitive:
        return passed(f"{situation.profile.title} does not care about names")
    installation = situation.installation("target")
    if installation is None:
        return [Found("unknown", f"the target does not say under which name {situation.profile.title} was set up")]
    name = installation.set_up_as
    verdict: Literal["pass", "fail"] = "pass" if name.casefold() == situation.source_name.casefold() else "fail"
    return [Found(verdict, f"on the target it was set up under the name {name}; the source is {situation.source_name}")]


def own_name(situation: Situation) -> list[Found]:
    """The target runs under its own name, which is not the source's."""
    target = situation.host("target").identity
    standing_in = situation.monitor is not None and situation.monitor.state in ("failing-over", "failed-over")
    if target.permanent_name.casefold() == situation.source_name.casefold():
        return [Found("fail", f"the target's own name is the source's, {target.permanent_name}")]
    if target.primary_name.casefold() != target.permanent_name.casefold():
        verdict: Literal["warn", "fail"] = "warn" if standing_in else "fail"
        return [Found(verdict, f"the target's active name is {target.primary_name}, its own {target.permanent_name}")]
    return passed(f"the target runs as {target.primary_name}")


def manual_services(situation: Situation) -> list[Found]:
    """None of the application's services starts on the target by itself; one result for each."""
    found = []
    for wanted in situation.profile.services:
        service = situation.service("target", wanted.name)
        if service is not None:
            words = f"{wanted.display_name} ({service.name}) starts: {service.startup}"
            verdict: dict[str, Literal["pass", "fail", "unknown"]] = {"manual": "pass", "unknown": "unknown"}
            found.append(Found(verdict.get(service.startup, "fail"), words))
        elif situation.service("source", wanted.name) is not None:
            complete = situation.facts("target").services_complete
            words = f"{wanted.display_name} ({wanted.name}) is on the source and not on the target"
            found.append(Found("fail" if complete else "unknown", words))
    if found:
        return found
    return [Found("unknown", f"neither machine lists a service of {situation.profile.title}")]


def same_sites(situation: Situation) -> list[Found]:
    """What is configured on the source is configured on the target."""
    lists = []
    for side in SIDES:
        host = situation.host(side)
        if host.directories is None:
            trouble = host.directories_trouble or "nobody says"
            return [Found("unknown", f"where the {side}'s sites keep their data is not known: {trouble}")]
        lists.append({(each.application, each.what): each.path for each in host.directories})
    ours, theirs = lists
    found = []
    for (application, what), path in ours.items():
        there = theirs.get((application, what))
        if there is None:
            found.append(Found("warn", f"{application}, {what}: {path} is not configured on the target"))
        elif _folded(there) != _folded(path):
            found.append(Found("warn", f"{application}, {what}: {path} on the source, {there} on the target"))
    return found or passed(f"{len(ours)} directories of sites are the same on both")


def _folded(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").casefold() if paths.has_drive(path.replace("\\", "/")) else path


def desktop(situation: Situation) -> list[Found]:
    """The product's service on the target may interact with the desktop."""
    if not situation.facts("target").system.key.startswith("windows"):
        return passed("the target has no such setting")
    service = situation.service("target", PRODUCT_SERVICE)
    if service is None or service.interactive is None:
        return [Found("unknown", "the target does not say how the product's service is registered")]
    if not service.interactive:
        return [Found("warn", f"the service {service.name} may not interact with the desktop")]
    return passed(f"the service {service.name} may interact with the desktop")


_BOTH: tuple[Need, ...] = ("source facts", "target facts")
_PAIR: tuple[Need, ...] = ("source", "target")
_TARGET = "Install and Configure Software on the Target"

CHECKS = (
    Check(
        "same-system", "Requirements", "The two servers should both be running the same operating system.",
        "Bring both to the same system, release and service pack.", _BOTH, same_system,
    ),
    Check(
        "application-system", "Requirements", "IIS 4.0 needs Windows NT 4.0, IIS 5.0 needs Windows 2000.",
        "Use the profile of the system that is there.", _BOTH, application_system,
    ),
    Check(
        "service-pack", "Requirements", "IIS 4.0 needs Service Pack 4 or higher.",
        "Install the service pack on the machine named.", _BOTH, service_pack,
    ),
    Check(
        "domain-role", "Requirements",
        "Promotion and demotion of domain controllers may be in the way of a failover; standalone servers are "
        "recommended.",
        "Protect a standalone server by another one, or try the failover out beforehand.", _BOTH, domain_role,
    ),
    Check(
        "same-network", "Requirements", "The target can answer to the source's address in the source's network only.",
        "Connect both to the same physical network.", _PAIR, same_network,
    ),
    Check(
        "product", "Install Software on the Source, 3", "The product has to run on both.",
        "Install the same version on both.", _PAIR, product,
    ),
    Check(
        "application", "Install Software on the Source, 1", "The stand-in needs the application, too.",
        "Install it where it is missing.", _BOTH, installed,
    ),
    Check(
        "same-directory", f"{_TARGET}, 3",
        "The replicated data has to lie where the target's application looks for it.",
        "Set the application up again on the target, on the drive and in the directory of the source.", _BOTH,
        same_directory,
    ),
    Check(
        "set-up-name", f"{_TARGET}, 2-3", "IIS runs only under the primary name that it was set up under.",
        "On the target: chngname /s with the source's name, set IIS up again, chngname /t.", _BOTH,
        set_up_name,
    ),
    Check(
        "own-name", f"{_TARGET}, 8-10", "The target has to run under its own name until a failover.",
        "On the target: chngname /t; if its own name is wrong, give it its name back and reboot it.",
        _PAIR, own_name,
    ),
    Check(
        "services-manual", f"{_TARGET}, 4", "The scripts start and stop the services, nobody else.",
        "Set the service to manual on the target; install it there if it is missing.", _BOTH, manual_services,
    ),
    Check(
        "same-sites", f"{_TARGET}, 5", "Sites have to be configured on the target by hand, and after each change.",
        "Configure the site on the target as on the source.", _PAIR, same_sites,
    ),
    Check(
        "desktop", f"{_TARGET}, 7", "Scripts and what they start may have to show themselves.",
        "Mark the check box Allow Service to Interact with Desktop of the product's service on the target.",
        ("target facts",), desktop,
    ),
)  # fmt: skip
"""Checks of the machines, in the order of the note."""
