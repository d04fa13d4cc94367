"""What a machine must have before hosts can be namespaces, each with what to do about its absence."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bodydouble.adapters.fuse.program import executable
from bodydouble.errors import FilterError
from bodydouble_labs.providers.netns.plan import MOUNT_POINT
from bodydouble_labs.scenario.steps import FaultStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble_labs.scenario.model import Scenario

FUSE_DEVICE: Final = Path("/dev/fuse")
BINARIES: Final = {"unshare": "util-linux", "nsenter": "util-linux", "setpriv": "util-linux"}
CAPABILITIES: Final = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21}
"""Names and bits (linux/capability.h) of what root needs here and does not have in an ordinary container."""
MODULES: Final = {"pyroute2": "linux"}
FAULTS: Final = frozenset({"power-loss"})
SYSTEMS: Final = frozenset({"windows-nt-4", "windows-2000"})


def missing(scenario: Scenario) -> str | None:
    """The first reason why ``scenario`` cannot run on this machine, None when it can."""
    return next(_of_machine(), None) or next(of_scenario(scenario), None)


def _of_machine() -> Iterator[str]:
    if sys.platform != "linux":
        yield f"the netns provider needs Linux, this is {sys.platform}: use --on sim"
        return
    if os.geteuid() != 0:
        yield "the netns provider makes namespaces and mounts, which needs root: run it with sudo, or use --on sim"
    elif lacking := [name for name, bit in CAPABILITIES.items() if not _effective() >> bit & 1]:
        yield f"this root lacks {' and '.join(lacking)}: in a container run it with --privileged, or use --on sim"
    if not FUSE_DEVICE.exists():
        yield f"{FUSE_DEVICE} is missing: load the fuse module (modprobe fuse), in a container pass --device /dev/fuse"
    for binary, package in BINARIES.items():
        if shutil.which(binary, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            yield f"the program {binary} is missing: install the package {package}"
    for module, extra in MODULES.items():
        if importlib.util.find_spec(module) is None:
            yield f"the Python module {module} is missing: install bodydouble[{extra}]"
    try:
        executable()
    except FilterError as error:
        yield str(error)
    yield from _hidden_code()


def _effective() -> int:
    """This process's effective capabilities (proc(5), CapEff)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("CapEff:")), 16)


def _hidden_code() -> Iterator[str]:
    for place in sorted({sys.prefix, sys.base_prefix, str(Path(__file__).resolve())}):
        if Path(place).is_relative_to(MOUNT_POINT):
            yield f"{place} lies beneath {MOUNT_POINT}, where hosts see their own drives: install it elsewhere"


def of_scenario(scenario: Scenario) -> Iterator[str]:
    """What of the scenario this body does not have."""
    yield from _of_network(scenario)
    for step in (step for step in scenario.timeline if isinstance(step, FaultStep)):
        if step.fault not in FAULTS:
            yield f"the netns provider cannot inject the fault {step.fault}: use --on sim"
        elif step.on in {each.connection.target for each in scenario.protections.values()}:
            # A pass would claim that what the target acknowledged was durable, and nothing here could have lost it.
            yield f"host {step.on}: a power cut on the netns provider loses no un-flushed data: use --on sim"
    for name, host in scenario.servers.items():
        if host.operating_system not in SYSTEMS:
            yield f"host {name}: the netns provider has no {host.operating_system}: use --on sim"
        if other := sorted(set(host.drives) - {"C"}):
            yield f"host {name}: the netns provider has drive C only, not {', '.join(other)}: use --on sim"
        if host.drives.get("C", "ntfs") != "ntfs":
            yield f"host {name}: the netns provider has no {host.drives['C']}: use --on sim"


def _of_network(scenario: Scenario) -> Iterator[str]:
    """One bridge carries everything here, as fast as this machine can; its hosts have one adapter with one address."""
    segments = scenario.network.all_segments
    if len(segments) > 1:
        yield f"the netns provider has one segment, the scenario has {', '.join(segments)}: use --on sim"
    for name, segment in segments.items():
        if not segment.plain:
            yield f"segment {name}: the netns provider cannot limit or delay its cables: use --on sim"
    for name, host in scenario.hosts.items():
        for key in ("more_adapters", "more_addresses", "mac", "gateway", "hosts_file"):
            if getattr(host, key):
                yield f"host {name}: the netns provider has no '{key}': use --on sim"
