"""Two machines that pass every check, to break one thing at a time."""

from __future__ import annotations

from typing import Any

import msgspec

from bodydouble.preflight.findings import Situation
from bodydouble.preflight.scripts import read
from bodydouble.profiles.catalog import find_profile
from bodydouble.profiles.samples import Sample, sample
from bodydouble.vocabulary.applications import ApplicationDirectory
from bodydouble.vocabulary.inventory import (
    HostFacts,
    HostInventory,
    Installation,
    InstalledService,
    OperatingSystem,
    ScriptFacts,
    ScriptProgram,
)
from bodydouble.vocabulary.records import (
    ConnectionStatus,
    HostIdentity,
    InterfaceAddress,
    MonitorRequest,
    MonitorScripts,
    MonitorStatus,
)

ADAPTER = "Local Area Connection"
DIRECTORY = {"iis4": "C:/Bodydouble", "iis5": "C:/Bodydouble", "nginx": "/etc/bodydouble"}
SYSTEMS = {
    "iis4": OperatingSystem(key="windows-nt-4", title="Windows NT 4.0", version="4.0", service_pack=6),
    "iis5": OperatingSystem(key="windows-2000", title="Windows 2000", version="5.00", service_pack=4),
    "nginx": OperatingSystem(key="linux", title="Debian GNU/Linux", version="12"),
}


def facts(name: str, *, startup: str) -> HostFacts:
    profile = find_profile(name)
    services = [
        InstalledService(name=each.name, display_name=each.display_name, other_names=each.other_names, startup=startup)  # type: ignore[arg-type]
        for each in profile.services
    ]
    windows = profile.language == "batch"
    if windows:
        services.append(InstalledService(name="Bodydouble", startup="automatic", interactive=True))
    version = profile.title.partition(" ")[2]
    iis = Installation(application="IIS", version=version, set_up_as="SOURCE", directory="C:/InetPub")
    return HostFacts(
        system=SYSTEMS[name],
        domain_role="standalone" if windows else None,
        services=services,
        installations=[iis] if windows else [],
    )


def identity(name: str, number: int) -> HostIdentity:
    addresses = [InterfaceAddress("lo", "127.0.0.1/8"), InterfaceAddress(ADAPTER, f"10.0.0.{number}/24")]
    return HostIdentity(name, name, [], addresses)


def monitor(name: str) -> MonitorStatus:
    files = {event: f"{DIRECTORY[name]}/{file}" for event, file in find_profile(name).script_files.items()}
    request = MonitorRequest(
        source="SOURCE",
        addresses=[InterfaceAddress(ADAPTER, "10.0.0.10/24")],
        scripts=MonitorScripts(post_failover=files["post-failover"], pre_failback=files["pre-failback"]),
    )
    return MonitorStatus(request, "monitoring", 25.0, "green", "Monitoring SOURCE")


def _samples(name: str) -> list[Sample]:
    profile = find_profile(name)
    chosen = [each.name for each in profile.services]
    source = "SOURCE" if profile.name_sensitive else ""
    return [sample(profile, event, source=source, services=chosen) for event in profile.script_files]


def texts(name: str) -> list[str]:
    """The text of both scripts of the good machines."""
    return [each.text for each in _samples(name)]


def scripts(name: str) -> list[ScriptFacts]:
    program = ScriptProgram(path="C:\\Bodydouble\\chngname", there=True)
    return [
        msgspec.structs.replace(
            read(f"{DIRECTORY[name]}/{each.file}", each.text), programs=[program] if "chngname" in each.text else []
        )
        for each in _samples(name)
    ]


def good(name: str) -> Situation:
    root = "/var/www" if name == "nginx" else "C:\\InetPub\\wwwroot"
    directories = [ApplicationDirectory(root, "web site 1", "root")]
    source = HostInventory(
        version="1.0",
        identity=identity("SOURCE", 10),
        facts=facts(name, startup="automatic"),
        directories=directories,
        sets=["data"],
        connections=[
            ConnectionStatus(id=1, replication_set="data", target="10.0.0.20", port=6320, state="replicating")
        ],
    )
    target = HostInventory(
        version="1.0",
        identity=identity("TARGET", 20),
        facts=facts(name, startup="manual"),
        directories=directories,
        monitors=[monitor(name)],
        scripts=scripts(name),
        chngname=True,
    )
    return Situation(find_profile(name), source, target)


def changed(record: Any, path: str, value: Any) -> Any:
    """A record with one part replaced: ``facts.services.0.startup``."""
    head, _, rest = path.partition(".")
    if isinstance(record, list):
        number = int(head)
        return [*record[:number], changed(record[number], rest, value) if rest else value, *record[number + 1 :]]
    inner = changed(getattr(record, head), rest, value) if rest else value
    return msgspec.structs.replace(record, **{head: inner})
