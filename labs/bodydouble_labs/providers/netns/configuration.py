"""The product's configuration file on a netns host: every port bound to what this body offers."""

from __future__ import annotations

import json
import random
import sys
from typing import Final

from bodydouble_labs.providers.netns.plan import INSIDE
from bodydouble_sim.iis.installation import COMPONENTS, services_of
from bodydouble_sim.windows.version import VERSIONS

CONTROL_PORT: Final = 6330
REPLICATION_PORT: Final = 6320
DISPLAY_NAMES: Final = {
    version.key: {service.name: service.display_name for service in services_of(version.iis, COMPONENTS)}
    for version in VERSIONS.values()
}
"""By operating system: short to display names of the services that set-up registers there."""

_DOOR = ("--socket", str(INSIDE.door))


def tokens(seed: int) -> random.Random:
    """The stream from which each host draws its control token."""
    return random.Random(f"{seed}:tokens")  # noqa: S311 - a lab's secrets must repeat with its seed


def draw_token(stream: random.Random) -> str:
    """32 hexadecimal digits."""
    return f"{stream.getrandbits(128):032x}"


def configuration(control_token: str, services: dict[str, str]) -> str:
    """The text of ``config.toml``.

    Args:
        control_token: secret of the host's control API.
        services: short to display names of the services that the product may be asked about.
    """
    lines = [
        f"state_directory = {_toml(str(INSIDE.state))}",
        *_table("control", address="0.0.0.0", port=CONTROL_PORT, token=control_token),  # noqa: S104 - the host's own lan
        *_table("replication", address="0.0.0.0", port=REPLICATION_PORT),  # noqa: S104 - same
        *_table("host.filter", kind="fuse", roots=[str(INSIDE.drives / "C")]),
        *_table("host.identity", netbios=True),
        "[host.scripts.interpreters]",
        f'".bat" = {_toml(_live("batch"))}',
    ]
    for name, display_name in services.items():
        lines += ["[[host.services]]", *_service(name, display_name)]
    return "\n".join(lines) + "\n"


def _service(name: str, display_name: str) -> list[str]:
    values = {
        "name": name,
        "display_name": display_name,
        "query": [*_live("query"), name],
        "start": [*_live("command"), "--", "net", "start", name],
        "stop": [*_live("command"), "--", "net", "stop", name, "/y"],
    }
    return [f"{key} = {_toml(value)}" for key, value in values.items()]


def _table(name: str, **values: object) -> list[str]:
    return [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]


def _live(verb: str) -> list[str]:
    return [sys.executable, "-m", "bodydouble_sim.live", verb, *_DOOR]


def _toml(value: object) -> str:
    """A TOML value: JSON spells strings, integers, booleans and lists of strings alike."""
    return json.dumps(value)
