"""The JSON Schema of scenario files, derived from the model so that the two cannot drift apart.

The same text ships as ``scenario.schema.json`` beside this module, for editors; a test holds them equal.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import msgspec

from bodydouble_labs.scenario.model import SINGLE_KEYS, ScenarioHead
from bodydouble_labs.scenario.steps import ACTIONS

IDENTIFIER = "https://bodydouble.invalid/schemas/scenario-1.json"


@cache
def scenario_schema() -> dict[str, Any]:
    """The schema (JSON Schema 2020-12) of a whole scenario file."""
    parts = [ScenarioHead, *ACTIONS.values()]
    _, definitions = msgspec.json.schema_components(parts, ref_template="#/$defs/{name}")
    definitions = {name: _tidy(definition) for name, definition in sorted(definitions.items())}
    top = definitions.pop("ScenarioHead")
    top["description"] = "A scenario of Bodydouble's failover lab."
    top["properties"]["timeline"] = {"type": "array", "minItems": 1, "items": _any_step()}
    top["required"] = [*top["required"], "timeline"]
    top |= _one_or_several()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": IDENTIFIER, **top, "$defs": definitions}


def _one_or_several() -> dict[str, Any]:
    """A file has one protection, which needs no name, or several with names."""
    other = {
        "not": {"enum": list(SINGLE_KEYS)},
        "description": "beside 'protections' it belongs into each of them",
    }
    return {
        "if": {"required": ["protections"]},
        "then": {"propertyNames": other},
        "else": {"required": list(SINGLE_KEYS)},
    }


def step_reference(action: str) -> dict[str, str]:
    """A schema that refers to the step of one action."""
    return {"$ref": f"#/$defs/{ACTIONS[action].__name__}"}


def _any_step() -> dict[str, Any]:
    """Exactly one action key; the key selects the step's schema, so that a validator's message is about that step."""
    return {
        "type": "object",
        "oneOf": [{"required": [action]} for action in ACTIONS],
        "allOf": [{"if": {"required": [action]}, "then": step_reference(action)} for action in ACTIONS],
    }


def _tidy(node: Any) -> Any:
    """No ``null`` for absent keys, no class names as titles, docstrings without their indentation."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    choices = [choice for choice in node.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        node = {**{key: value for key, value in node.items() if key not in ("anyOf", "default")}, **choices[0]}
    if isinstance(node.get("title"), str):
        node = {key: value for key, value in node.items() if key != "title"}
    if isinstance(node.get("description"), str):
        node = {**node, "description": inspect.cleandoc(node["description"])}
    return {key: _tidy(value) for key, value in node.items()}
