"""Scripts for Linux: systemd's units where there is systemd, init scripts otherwise."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from bodydouble.errors import InputError
from bodydouble.profiles.characters import refuse_characters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.profiles.profile import Profile, ProfileService, ScriptEvent

_SERVICE = re.compile(r"[A-Za-z0-9@._:-]")
_HOST = re.compile(r"[A-Za-z0-9.-]")
_LONGEST_NAME = 63
_FUNCTION = """\
{verb}_service() {{
    if command -v systemctl > /dev/null; then systemctl {verb} "$1"; else service "$1" {verb}; fi
}}
"""


def script(
    profile: Profile, event: ScriptEvent, services: Sequence[ProfileService], source: str, directory: str
) -> str:
    """The text of a script.

    Args:
        profile: the application.
        event: when it runs.
        services: those that it starts or stops, in the order in which they start.
        source: after a failover, run the services under this name; empty: they do not care.
        directory: where ``bodydouble`` is, which changes the name; empty: on the daemon's search path.

    Raises:
        InputError: a name cannot be written into a shell script; says which character.
    """
    for each in services:
        _refuse(each.name, _SERVICE, "service", "the name of a service has letters, digits and @ . _ : -")
    verb = "start" if event == "post-failover" else "stop"
    lines = [
        "#!/bin/sh",
        f"# {profile.script_files[event]}: the {event} script of {profile.title}. It {verb}s the services on the",
        "# target and may be run again. The exit code: 0 when every step succeeded, otherwise 1.",
        "failed=0",
        *_FUNCTION.format(verb=verb).splitlines(),
        "",
    ]
    steps = [f"{verb}_service {each.name} || failed=1" for each in (services if verb == "start" else services[::-1])]
    if source and verb == "start":
        name = checked_name(source)
        program = _program(directory)
        steps = [f"{program} chngname /s {name} || failed=1", *steps, f"{program} chngname /t || failed=1"]
    return "\n".join([*lines, *steps, "exit $failed"]) + "\n"


def _program(directory: str) -> str:
    if not directory:
        return "bodydouble"
    if not directory.startswith("/") or not directory.isprintable() or not directory.isascii():
        raise InputError(f"directory: expected one such as /usr/local/bin, in printable ASCII, got {directory!r}")
    return shlex.quote(f"{directory.rstrip('/')}/bodydouble")


def checked_name(name: str) -> str:
    """A host name as it can stand in a script.

    Raises:
        InputError: names the character.
    """
    if len(name) > _LONGEST_NAME or name.startswith(("-", ".")):
        raise InputError(f"source: {name!r} is not a host name: at most {_LONGEST_NAME} characters, first no . or -")
    _refuse(name, _HOST, "source", "a host name has letters, digits, . and -")
    return name


def _refuse(text: str, allowed: re.Pattern[str], what: str, why: str) -> None:
    if not text or text.startswith("-"):
        raise InputError(f"{what}: {text!r} is no name: {why}, and begins with no hyphen")
    refuse_characters(text, allowed, what, why)
