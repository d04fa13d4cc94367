"""Checks of the scripts that the target's monitor runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bodydouble.preflight.findings import Check, Found, passed

if TYPE_CHECKING:
    from bodydouble.preflight.findings import Need, Situation
    from bodydouble.profiles.profile import ProfileService, ScriptEvent
    from bodydouble.vocabulary.inventory import NameCall, ScriptFacts

EVENTS: tuple[ScriptEvent, ...] = ("post-failover", "pre-failback")


def _path(situation: Situation, event: ScriptEvent) -> str:
    monitor = situation.monitor
    if monitor is None:
        return ""
    return monitor.request.scripts.post_failover if event == "post-failover" else monitor.request.scripts.pre_failback


def _facts(situation: Situation, event: ScriptEvent) -> ScriptFacts | None:
    path = _path(situation, event)
    return next((each for each in situation.host("target").scripts if path and each.path == path), None)


def _scripts(situation: Situation) -> list[tuple[ScriptEvent, ScriptFacts]]:
    """Those that are set and can be read."""
    return [(event, found) for event in EVENTS if (found := _script(situation, event)) is not None]


def _script(situation: Situation, event: ScriptEvent) -> ScriptFacts | None:
    found = _facts(situation, event)
    return None if found is None or found.trouble else found


def _unread(event: ScriptEvent) -> Found:
    return Found("unknown", f"there is no {event} script that could be read")


def scripts_set(situation: Situation) -> list[Found]:
    """The monitor names both scripts."""
    if situation.monitor is None:
        return [Found("fail", f"the target has no monitor of {situation.source_name}")]
    return [
        Found("pass" if path else "fail", f"{event}: {path or 'none is set'}")
        for event, path in ((event, _path(situation, event)) for event in EVENTS)
    ]


def scripts_readable(situation: Situation) -> list[Found]:
    """Both are there and can be read."""
    found = []
    for event in EVENTS:
        path, facts = _path(situation, event), _facts(situation, event)
        if not path:
            found.append(Found("unknown", f"there is no {event} script"))
        elif facts is None:
            found.append(Found("unknown", f"{path}: the target does not say what is in it"))
        elif facts.trouble:
            found.append(Found("fail", f"{path}: {facts.trouble}"))
        else:
            found.append(Found("pass", f"{path}: {facts.lines} lines"))
    return found


def placeholders(situation: Situation) -> list[Found]:
    """Nothing of the sample is left to be filled in."""
    read = _scripts(situation)
    found = [
        Found("fail", f"{script.path}, line {each.line}: {each.text} was not replaced")
        for _, script in read
        for each in script.placeholders
    ]
    if found:
        return found
    return passed("nothing is left to be filled in") if read else [_unread("post-failover")]


def source_name(situation: Situation) -> list[Found]:
    """The post-failover script takes the source's name before the services start, and gives it back afterwards."""
    script = _script(situation, "post-failover")
    if script is None:
        return [_unread("post-failover")]
    calls = script.names
    if not calls and not situation.profile.name_sensitive:
        return passed(f"{situation.profile.title} does not care about names")
    trouble = [*_wrong_names(situation, calls), *_wrong_order(script)]
    if trouble:
        return [Found("fail", f"{script.path}{each}") for each in trouble]
    return passed(f"{script.path} runs the services under the name {calls[0].name}")


def _wrong_names(situation: Situation, calls: list[NameCall]) -> list[str]:
    taken = [each for each in calls if not each.back]
    if not taken:
        return [f": chngname /s {situation.source_name} is missing"]
    return [
        f", line {each.line}: the name is {each.name}, the source's {situation.source_name}"
        for each in taken
        if each.name.casefold() != situation.source_name.casefold()
    ]


def _wrong_order(script: ScriptFacts) -> list[str]:
    taken = [each.line for each in script.names if not each.back]
    given = [each.line for each in script.names if each.back]
    started = [each.line for each in script.active("start")]
    if not given:
        return [": chngname /t is missing, so the target keeps the source's name"]
    if taken and given and min(given) < max(taken):
        return [f", line {min(given)}: the own name is put back before the other one is taken"]
    trouble = []
    if taken and started and min(started) < min(taken):
        trouble.append(f", line {min(started)}: a service starts before the name is taken")
    if started and max(started) > max(given):
        trouble.append(f", line {max(started)}: a service starts after the name was put back")
    return trouble


def services_known(situation: Situation) -> list[Found]:
    """Every service that the scripts name is on the target."""
    read = _scripts(situation)
    found = []
    for _, script in read:
        for call in (*script.active("start"), *script.active("stop")):
            if "%" not in call.name and "$" not in call.name and situation.service("target", call.name) is not None:
                continue
            words = f"{script.path}, line {call.line}: the target has no service {call.name!r}"
            certain = situation.facts("target").services_complete and "%" not in call.name
            found.append(Found("fail" if certain else "unknown", words if certain else f"{words} that it lists"))
    if found:
        return found
    return passed("the target has every service that the scripts name") if read else [_unread("post-failover")]


def services_started(situation: Situation) -> list[Found]:
    """The post-failover script starts what runs on the source."""
    script = _script(situation, "post-failover")
    if script is None:
        return [_unread("post-failover")]
    started = [call.name for call in script.active("start")]
    found = []
    for wanted in _used(situation):
        if any(wanted.is_called(name) for name in started) or _comes_along(situation, wanted, started):
            continue
        verdict: Literal["fail", "warn"] = "warn" if wanted.part == "if chosen" else "fail"
        found.append(Found(verdict, f"{script.path} does not start {wanted.display_name} ({wanted.name})"))
    return found or passed(f"{script.path} starts {', '.join(started) or 'nothing'}")


def _used(situation: Situation) -> list[ProfileService]:
    """The application's services that are on the source and not disabled."""
    used = []
    for each in situation.profile.services:
        there = situation.service("source", each.name)
        if (there is None and each.part == "always") or (there is not None and there.startup != "disabled"):
            used.append(each)
    return used


def _comes_along(situation: Situation, wanted: ProfileService, started: list[str]) -> bool:
    """Whether something that is started depends on it."""
    profile = situation.profile
    known = [each for name in started if (each := profile.find(name)) is not None]
    return any(wanted.name in each.needs for each in known)


def services_stopped(situation: Situation) -> list[Found]:
    """The pre-failback script stops whatever the post-failover script started."""
    over, back = _script(situation, "post-failover"), _script(situation, "pre-failback")
    if over is None or back is None:
        return [_unread("post-failover" if over is None else "pre-failback")]
    stopped = [call.name.casefold() for call in back.active("stop")]
    found = []
    for call in over.active("start"):
        known = situation.profile.find(call.name)
        names = [call.name] if known is None else [known.name, known.display_name, *known.other_names]
        needs = () if known is None else known.needs
        below = [each for name in needs if (each := situation.profile.find(name)) is not None]
        if any(name.casefold() in stopped for name in names) or any(
            each.is_called(name) for each in below for name in stopped
        ):
            continue
        found.append(Found("fail", f"{back.path} does not stop {call.name}"))
    return found or passed(f"{back.path} stops {', '.join(stopped) or 'nothing'}")


def remarks(situation: Situation) -> list[Found]:
    """No line that is needed is still a comment."""
    read = _scripts(situation)
    used = _used(situation)
    found = []
    for event, script in read:
        verb: Literal["start", "stop"] = "start" if event == "post-failover" else "stop"
        active = [call.name for call in script.active(verb)]
        for call in script.remarked(verb):
            known = next((service for service in used if service.is_called(call.name)), None)
            if known is None or any(known.is_called(name) for name in active):
                continue
            found.append(Found("warn", f"{script.path}, line {call.line}: {verb} {call.name} is a comment"))
    if found:
        return found
    return passed("no line that is needed is a comment") if read else [_unread("post-failover")]


def chngname(situation: Situation) -> list[Found]:
    """Chngname is where the script calls it."""
    facts = _script(situation, "post-failover")
    if facts is None:
        if not situation.profile.name_sensitive:
            return passed(f"{situation.profile.title} does not care about names")
        return [_unread("post-failover")]
    calls = facts.names
    if not calls:
        if not situation.profile.name_sensitive:
            return passed(f"{facts.path} needs none")
        return [Found("fail", f"{facts.path} does not call it")]
    if any(_is_ours(each.program) for each in calls):
        there = situation.host("target").chngname
        return [Found("pass" if there else "fail", f"the target's name can{'' if there else 'not'} be changed")]
    return [_program(facts, path) for path in dict.fromkeys(each.program for each in calls)]


def _is_ours(program: str) -> bool:
    """Whether it is the product's own command, which asks the daemon."""
    return len(words := program.split()) > 1 and words[-2].strip("'\"").rpartition("/")[2] == "bodydouble"


def _program(facts: ScriptFacts, path: str) -> Found:
    there = next((each.there for each in facts.programs if each.path == path), None)
    if there is None:
        return Found("unknown", f"whether the target has {path} cannot be told")
    return Found("pass" if there else "fail", f"the target has {'' if there else 'no '}{path}")


_MONITORING = "Configure Failover and Begin Failure Monitoring"
_PAIR: tuple[Need, ...] = ("source", "target")

CHECKS = (
    Check(
        "scripts-set", f"{_MONITORING}, 7",
        "The services of the stand-in are started and stopped by the monitor's scripts.",
        "Name both scripts in the monitor.", _PAIR, scripts_set,
    ),
    Check(
        "scripts-readable", f"{_MONITORING}, 1-2", "The scripts have to lie on the target.",
        "Write them with 'bodydouble script sample' and save them on the target.", _PAIR, scripts_readable,
    ),
    Check(
        "script-placeholders", f"{_MONITORING}, 1",
        "`<drive>`, `<directory>` and `source_name` in the sample have to be replaced.",
        "Replace them, or write the script with 'bodydouble script sample'.", _PAIR, placeholders,
    ),
    Check(
        "script-name", f"{_MONITORING}, 1",
        "IIS starts only while the active name is the source's; then the target needs its own.",
        "Have the script call chngname /s with the source's name first and chngname /t last.", _PAIR, source_name,
    ),
    Check(
        "script-services", f"{_MONITORING}, 1-2",
        "A service that is not there is not started: Content Index is of 4.0 only.",
        "Take the line out, or install the service on the target.", (*_PAIR, "target facts"), services_known,
    ),
    Check(
        "script-starts", f"{_MONITORING}, 1", "What runs on the source has to run on its stand-in.",
        "Let the post-failover script start it (net start, systemctl start).",
        (*_PAIR, "source facts"), services_started,
    ),
    Check(
        "script-stops", f"{_MONITORING}, 2", "No more changes may be made on the target once failback has begun.",
        "Let the pre-failback script stop it (net stop, systemctl stop).", _PAIR, services_stopped,
    ),
    Check(
        "script-remarks", f"{_MONITORING}, 1-2", "With IIS 4.0 the lines of the Content Index have to be uncommented.",
        "Delete the rem, or the #, in front of the line.", (*_PAIR, "source facts"), remarks,
    ),
    Check(
        "chngname", "Requirements", "The script needs the Chngname utility.",
        "Put chngname into the directory that the script names.", _PAIR, chngname,
    ),
)  # fmt: skip
"""Checks of the scripts, in the order of the note."""
