"""What a setting may be, in words for whoever wrote the file: read off the types that msgspec checks it by."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from msgspec import inspect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bodydouble.cli.toml_lines import Key

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")


def explain(type_: Any, key: Key, value: Any, refusal: str, besides: Iterable[str]) -> tuple[Key, str]:
    """The key that a refusal of msgspec's is about, and what is wrong with it.

    Args:
        type_: what was expected of the whole.
        key: where msgspec found the mistake.
        value: what is there; it is left out where it may be a secret.
        refusal: msgspec's words.
        besides: keys that the table at ``key`` may hold as well, because they are read apart.
    """
    kind = _at(inspect.type_info(type_), key)
    if unknown := _UNKNOWN.fullmatch(refusal):
        return (*key, unknown[1]), _unknown(unknown[1], [*_fields(kind), *besides])
    if missing := _MISSING.fullmatch(refusal):
        needed = (*key, missing[1])
        return needed, f"is missing; expected {_words(_at(kind, needed[-1:]))}; add it"
    what = "" if "token" in key else f"is {value!r}; "
    return key, f"{what}expected {_words(kind)}"


def _unknown(name: str, known: list[str]) -> str:
    alike = get_close_matches(name, known, 1)
    remedy = f"did you mean {alike[0]}?" if alike else "take it out, or correct its spelling"
    return f"is not known; expected one of {', '.join(known)}; {remedy}"


def _at(kind: inspect.Type, key: Key) -> inspect.Type:
    """The type of what is at ``key`` in something of type ``kind``."""
    for part in key:
        kind = _present(kind)
        if isinstance(kind, inspect.StructType):
            kind = next((each.type for each in kind.fields if each.encode_name == part), inspect.AnyType())
        elif isinstance(kind, inspect.ListType):
            kind = kind.item_type
        elif isinstance(kind, inspect.DictType):
            kind = kind.value_type
    return _present(kind)


def _present(kind: inspect.Type) -> inspect.Type:
    """Without the "or nothing" of a setting that may be left out: TOML has no word for nothing."""
    kind = kind.type if isinstance(kind, inspect.Metadata) else kind
    if not isinstance(kind, inspect.UnionType):
        return kind
    kinds = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
    return kinds[0] if len(kinds) == 1 else inspect.UnionType(tuple(kinds))


def _fields(kind: inspect.Type) -> list[str]:
    return [each.encode_name for each in kind.fields] if isinstance(kind, inspect.StructType) else []


def _words(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.UnionType):
        return " or ".join(_words(each) for each in kind.types)
    if isinstance(kind, inspect.LiteralType):
        return "one of " + ", ".join(repr(each) for each in kind.values)
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return ("a whole number" if isinstance(kind, inspect.IntType) else "a number") + _bounds(kind)
    if isinstance(kind, inspect.ListType):
        return f"a list, each of it {_words(_present(kind.item_type))}"
    if isinstance(kind, inspect.StructType | inspect.DictType):
        return "a table"
    return {"StrType": "text in quotation marks", "BoolType": "true or false"}.get(type(kind).__name__, "another value")


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge:.15g} to {kind.le:.15g}"
    bounds = (("of at least", kind.ge), ("above", kind.gt), ("of at most", kind.le), ("below", kind.lt))
    return "".join(f" {word} {bound:.15g}" for word, bound in bounds if bound is not None)
