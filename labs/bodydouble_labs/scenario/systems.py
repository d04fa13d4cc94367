"""Checks that what a scenario asks of its servers exists: releases of Windows, their file systems, the IIS that fits.

What cannot work is refused with its line; what the application note advises against works here, because finding out is
what the lab is for, and is told as a remark with the result.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble.errors import InputError
from bodydouble_labs.scenario.phrases import listed
from bodydouble_labs.scenario.steps import CommandStep
from bodydouble_sim.iis.installation import OPTION_PACK_SERVICE_PACK
from bodydouble_sim.windows.version import VERSIONS, checked_service_pack

if TYPE_CHECKING:
    from bodydouble_labs.scenario.document import Document
    from bodydouble_labs.scenario.model import Scenario
    from bodydouble_labs.scenario.network import HostSpec
    from bodydouble_sim.windows.version import WindowsVersion

NOTE_SERVICE_PACK = 4
"""The service pack of NT 4.0 from which on the note supports IIS 4.0."""
_INSTALL = re.compile(r"\s*install-iis(?:\.exe)?(?=\s|$)", re.IGNORECASE)
_VERSION = re.compile(r"/version:(\S*)", re.IGNORECASE)


def system_of(host: HostSpec) -> tuple[WindowsVersion, int]:
    """A server's release of Windows and its service pack."""
    version = VERSIONS[host.operating_system or "windows-2000"]
    return version, version.service_packs if host.service_pack is None else host.service_pack


def check_systems(document: Document, scenario: Scenario) -> None:
    """Refuse releases, service packs, file systems and versions of IIS that do not exist together.

    Raises:
        ScenarioError: the first one.
    """
    for name, host in scenario.servers.items():
        version, service_pack = system_of(host)
        try:
            checked_service_pack(version, service_pack)
        except InputError as error:
            raise document.error(("hosts", name, "service_pack"), str(error)) from None
        for letter, file_system in host.drives.items():
            if file_system not in version.file_systems:
                problem = f"{_title(version)} cannot mount {file_system}; it mounts {listed(version.file_systems)}"
                raise document.error(("hosts", name, "drives", letter), problem)
        if "C" not in host.drives:
            raise document.error(("hosts", name, "drives"), "the drive C is missing: Windows is on it")
    _check_set_ups(document, scenario)


def _check_set_ups(document: Document, scenario: Scenario) -> None:
    for index, step in enumerate(scenario.timeline):
        # A step that expects another exit code wants to see set-up refuse.
        if not isinstance(step, CommandStep) or step.exit_code or not _INSTALL.match(step.command):
            continue
        if step.on not in scenario.servers:
            continue  # told elsewhere
        version, service_pack = system_of(scenario.hosts[step.on])
        path = ("timeline", index, "command")
        asked = _VERSION.search(step.command)
        if asked is not None and asked[1] != version.iis:
            problem = f"IIS {asked[1]} does not run on {_title(version)}, which {step.on} has; IIS {version.iis} does"
            raise document.error(path, problem)
        if version.is_nt4 and service_pack < OPTION_PACK_SERVICE_PACK:
            problem = f"IIS 4.0 needs Service Pack {OPTION_PACK_SERVICE_PACK} or higher; {step.on} has {service_pack}"
            raise document.error(path, problem)


def remarks(scenario: Scenario) -> list[str]:
    """What the note advises against in a scenario's servers, in sentences. Source: the note, "Requirements"."""
    found = []
    for protection in scenario.protections.values():
        (source, _), (target, _) = (system_of(scenario.hosts[host]) for host in protection.hosts)
        if source is not target:
            text = f"the source runs {_title(source)}, the target {_title(target)}"
            found.append(f"{text}: the note wants both to run the same operating system")
    found = list(dict.fromkeys(found))
    for name, host in scenario.servers.items():
        version, service_pack = system_of(host)
        if version.is_nt4 and service_pack < NOTE_SERVICE_PACK:
            text = f"{name} has Service Pack {service_pack} of {_title(version)}"
            found.append(f"{text}: the note wants {NOTE_SERVICE_PACK} or higher")
    return found


def _title(version: WindowsVersion) -> str:
    return f"{version.title} {version.number}" if version.is_nt4 else version.title
