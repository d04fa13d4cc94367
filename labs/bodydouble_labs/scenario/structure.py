"""Checks a document against the JSON Schema and says in plain words what is wrong first.

Each step of the timeline is checked against the schema of its own action, so that a message speaks of that step and
not of seventeen alternatives.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from bodydouble_labs.scenario.phrases import TYPE_WORDS, listed, shown, suggestion
from bodydouble_labs.scenario.schema import scenario_schema, step_reference
from bodydouble_labs.scenario.steps import ACTIONS, StepBase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.exceptions import ValidationError

    from bodydouble_labs.errors import ScenarioError
    from bodydouble_labs.scenario.document import Document, Path


def check_structure(document: Document) -> None:
    """Refuse unknown and missing keys, wrong types, values outside their limits, steps without exactly one action.

    Raises:
        ScenarioError: the problem that comes first in the file.
    """
    problems = list(_problems(document))
    if problems:  # a key that is missing is often there, misspelt: the misspelling says more
        raise min(problems, key=lambda problem: ("is missing" in str(problem), problem.line))


def action_keys(step: dict[str, Any]) -> list[str]:
    """The action keys that a step has (exactly one, when it is right)."""
    return [key for key in step if key in ACTIONS]


def _problems(document: Document) -> Iterator[ScenarioError]:
    for error in _validator("").iter_errors(document.value):
        yield _worded(document, (), error)
    if not isinstance(document.value, dict) or not isinstance(document.value.get("timeline"), list):
        return
    for index, step in enumerate(document.value["timeline"]):
        yield from _step_problems(document, ("timeline", index), step)


def _step_problems(document: Document, path: Path, step: Any) -> Iterator[ScenarioError]:
    if not isinstance(step, dict):
        yield document.error(path, f"expected a mapping with one action, found {shown(step)}")
        return
    actions = action_keys(step)
    if len(actions) > 1:
        yield document.error((*path, actions[1]), f"a step has one action; this one has {' and '.join(actions)}")
    elif not actions:
        yield _no_action(document, path, step)
    else:
        for error in _validator(actions[0]).iter_errors(step):
            yield _worded(document, path, error)


def _no_action(document: Document, path: Path, step: dict[str, Any]) -> ScenarioError:
    base = {*StepBase.__struct_fields__, "on"}
    strange = [key for key in step if key not in base]
    expected = f"expected one of {listed(ACTIONS)}"
    if strange:
        return document.error(
            (*path, strange[0]), f"unknown action {strange[0]!r}{suggestion(strange[0], ACTIONS)}; {expected}"
        )
    return document.error(path, f"the step has no action; {expected}")


@cache
def _validator(action: str) -> Draft202012Validator:
    """A validator of the whole file with its steps left open, or of one action's step."""
    schema = dict(scenario_schema())
    if action:
        schema = {"$schema": schema["$schema"], **step_reference(action), "$defs": schema["$defs"]}
    else:
        timeline = {**schema["properties"]["timeline"], "items": True}
        schema["properties"] = {**schema["properties"], "timeline": timeline}
    return Draft202012Validator(schema)


def _worded(document: Document, prefix: Path, error: ValidationError) -> ScenarioError:
    """A validator's error in the words of this file format, at the line of what is wrong."""
    path: Path = (*prefix, *error.absolute_path)
    keyword = str(error.validator)
    limit, found = _value(error), _instance(error)
    if keyword == "additionalProperties" and limit is False:
        known = _schema(error)["properties"]
        unknown = next(key for key in found if key not in known)
        hint = suggestion(unknown, known) or f"; known here: {', '.join(known)}"
        return document.error((*path, unknown), f"unknown key {unknown!r}{hint}")
    if keyword == "required":
        missing = next(key for key in limit if key not in found)
        return document.error(path, f"the key {missing!r} is missing")
    if keyword in ("propertyNames", "not"):
        return document.error((*path, str(found)), _expected(error))
    return document.error(path, _expected(error))


def _value(error: ValidationError) -> Any:
    """What the violated keyword says."""
    return error.validator_value


def _instance(error: ValidationError) -> Any:
    """The offending value."""
    return error.instance


def _schema(error: ValidationError) -> dict[str, Any]:
    """The schema object that the violated keyword stands in."""
    return dict(error.schema) if isinstance(error.schema, dict) else {}


def _expected(error: ValidationError) -> str:
    keyword, limit, instance = str(error.validator), _value(error), _instance(error)
    size = len(instance) if isinstance(instance, str | list | dict) else 0
    found = shown(instance)
    description = _schema(error).get("description", "")
    wordings = {
        "type": lambda: f"expected {TYPE_WORDS.get(str(limit), limit)}, found {found}",
        "enum": lambda: f"expected {listed(limit)}, found {found}{suggestion(str(instance), map(str, limit))}",
        "pattern": lambda: f"expected {description or 'text matching ' + str(limit)}, found {found}",
        "not": lambda: str(description),
        "minimum": lambda: f"expected at least {limit}, found {found}",
        "maximum": lambda: f"expected at most {limit}, found {found}",
        "exclusiveMinimum": lambda: f"expected more than {limit}, found {found}",
        "minLength": lambda: f"expected at least {limit} characters, found {found}",
        "maxLength": lambda: f"expected at most {limit} characters, found {size}",
        "minItems": lambda: f"expected at least {limit} item(s), found {size}",
        "minProperties": lambda: f"expected at least {limit} entries, found {size}",
    }
    return wordings[keyword]() if keyword in wordings else error.message
