"""Scripts for Windows NT 4.0 and 2000, from the application note's POSTOVER.BAT and PREBACK.BAT.

What they have beyond the note's samples: short names, which no release and language changes; a service that runs (or
has stopped) already is no failure, so that a script may run again; the name is put back whatever failed; and the exit
code says whether every step succeeded. NT 4.0 has neither ``exit /b`` nor ``goto :eof``, so the last command's exit
code is the script's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bodydouble.errors import InputError
from bodydouble.profiles.characters import refuse_characters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bodydouble.profiles.profile import Profile, ProfileService, ScriptEvent

ALREADY_STARTED = 2182
NOT_STARTED = 3521
_LONGEST_NAME = 15
_PLAIN_NAME = re.compile(r"[A-Za-z0-9@#$_~-]")
_PLAIN_IN_QUOTES = re.compile(r"[ #-$&-)+-.0-9;=@-Z\[\]^-{}~\\]")
_DRIVE = re.compile(r"[A-Za-z]:\\")
_FAILED = "if errorlevel 1 set FAILED=1"


def script(
    profile: Profile, event: ScriptEvent, services: Sequence[ProfileService], source: str, directory: str
) -> str:
    """The text of a script, its lines ended by LF.

    Args:
        profile: the application.
        event: when it runs.
        services: those that it starts or stops, in the order in which they start.
        source: the source's computer name; needed where the application is sensitive to it, after a failover.
        directory: where the script and Chngname lie.

    Raises:
        InputError: ``source`` or ``directory`` cannot be written into a batch file; says which character.
    """
    place = _checked_directory(directory)
    lines = ["@echo off", *_heading(profile, event), "setlocal", "set FAILED=0", ""]
    if event == "post-failover":
        lines += _post_failover(profile, services, source, place)
    else:
        lines += [line for each in reversed(services) for line in _stop(each)]
    lines += ["rem The exit code: 0 when every step succeeded, otherwise 1.", 'echo %FAILED% | find "0" > nul']
    return "".join(f"{line}\n" for line in lines)


def _heading(profile: Profile, event: ScriptEvent) -> Iterable[str]:
    does = "starts" if event == "post-failover" else "stops"
    yield f"rem {profile.script_files[event]}: the {event} script of {profile.title}. It {does} the services on the"
    yield "rem target and may be run again."


def _post_failover(profile: Profile, services: Sequence[ProfileService], source: str, place: str) -> list[str]:
    named = profile.name_sensitive or source != ""
    lines = [line for each in services for line in _start(each)]
    if not named:
        return lines
    return [
        f"rem {profile.title} starts only while the active name is the one that it was set up under.",
        f'"{place}\\chngname" /s {checked_name(source)}',
        _FAILED,
        "",
        *lines,
        "rem The target's own name again, whatever failed: what runs keeps running.",
        f'"{place}\\chngname" /t',
        _FAILED,
        "",
    ]


def _start(service: ProfileService) -> list[str]:
    """Start a service; that it runs already shows in the number of the message, in every language."""
    again = f'net start {service.name} 2>&1 | find "{ALREADY_STARTED}" > nul'
    return [f"rem {service.display_name}", f"net start {service.name}", f"if errorlevel 1 {again}", _FAILED, ""]


def _stop(service: ProfileService) -> list[str]:
    """Stop a service and whatever depends on it."""
    again = f'net stop {service.name} /y 2>&1 | find "{NOT_STARTED}" > nul'
    return [f"rem {service.display_name}", f"net stop {service.name} /y", f"if errorlevel 1 {again}", _FAILED, ""]


def checked_name(name: str) -> str:
    """A computer name as it can stand in a batch file.

    Raises:
        InputError: names the character.
    """
    if not name:
        raise InputError("source: expected the source's computer name: its services run only under that name")
    if len(name) > _LONGEST_NAME:
        raise InputError(f"source: {name!r} has {len(name)} characters; a computer name has at most {_LONGEST_NAME}")
    refuse_characters(
        name, _PLAIN_NAME, "source", "a computer name that cmd.exe takes as it is has letters, digits, @ # $ _ ~ -"
    )
    return name.upper()


def _checked_directory(directory: str) -> str:
    place = directory.replace("/", "\\").rstrip("\\")
    if not _DRIVE.match(place + "\\"):
        raise InputError(f"directory: expected a drive and a directory such as C:\\Bodydouble, got {directory!r}")
    refuse_characters(place, _PLAIN_IN_QUOTES, "directory", "a batch file could not name it", begin=2)
    return place[:1].upper() + place[1:]
