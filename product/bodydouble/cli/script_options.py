"""Options of a monitor's scripts on the command line: ``EVENT=...``, each as often as there are scripts."""

from __future__ import annotations

import functools
import shlex
from typing import TYPE_CHECKING, Any, get_args

import click

from bodydouble.vocabulary.standing_in import SCRIPT_EVENTS, ScriptOptions, ScriptPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bodydouble.vocabulary.standing_in import ScriptEvent

EVENTS = ", ".join(SCRIPT_EVENTS)


class OfScript(click.ParamType[tuple[str, str]]):
    """``EVENT=VALUE``, where the event names a script.

    Args:
        value: what the value is called in help and messages.
    """

    def __init__(self, value: str) -> None:
        self.name = f"EVENT={value}"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split at the first ``=``."""
        event, sign, rest = str(value).partition("=")
        if not sign or event not in SCRIPT_EVENTS:
            self.fail(f"expected {self.name} with one of {EVENTS}, got {value!r}", param, ctx)
        return event, rest


def script_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which gets them as ``options``, by event."""

    @click.option(
        "--on-failure", type=OfScript("POLICY"), multiple=True, help=f"{' | '.join(get_args(ScriptPolicy))}: see docs."
    )
    @click.option("--script-arguments", type=OfScript("WORDS"), multiple=True, help="Arguments, quoted as in a shell.")
    @click.option("--script-env", type=OfScript("NAME=VALUE"), multiple=True, help="A variable of its environment.")
    @click.option("--script-limit", type=OfScript("SECONDS"), multiple=True, help="Time limit of one script.")
    @functools.wraps(command)
    def wrapped(
        *arguments: Any,
        on_failure: Sequence[tuple[ScriptEvent, str]],
        script_arguments: Sequence[tuple[ScriptEvent, str]],
        script_env: Sequence[tuple[ScriptEvent, str]],
        script_limit: Sequence[tuple[ScriptEvent, str]],
        **rest: Any,
    ) -> None:
        fields: dict[ScriptEvent, dict[str, Any]] = {}
        for event, policy in on_failure:
            fields.setdefault(event, {})["on_failure"] = _policy(policy)
        for event, words in script_arguments:
            fields.setdefault(event, {})["arguments"] = _words(words)
        for event, pair in script_env:
            name, _, value = pair.partition("=")
            fields.setdefault(event, {}).setdefault("environment", {})[name] = value
        for event, seconds in script_limit:
            fields.setdefault(event, {})["timeout"] = _seconds(seconds)
        command(*arguments, options={event: ScriptOptions(**each) for event, each in fields.items()}, **rest)

    return wrapped


def _policy(text: str) -> str:
    if text not in get_args(ScriptPolicy):
        raise click.UsageError(f"--on-failure: expected one of {', '.join(get_args(ScriptPolicy))}, got {text!r}")
    return text


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise click.UsageError(f"--script-arguments: {text!r}: {error}") from error


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.UsageError(f"--script-limit: expected seconds, got {text!r}") from None
