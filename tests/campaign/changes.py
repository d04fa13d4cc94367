"""What applications may do, drawn from the vocabulary: each kind of operation, field by field.

A kind whose fields are all known here is drawn without a line of code; one with a field of a new name is missing from
`CHANGES`, which `test_every_kind_of_operation_is_drawn` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec
from hypothesis import strategies as st

from bodydouble.vocabulary.operations import AnyOperation, Metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = "C:/data"
OUTSIDE = "C:/out"

_NAMES = ["a", "b", "C", "d", "A"]
_DEEP = st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3).map(lambda parts: "/".join([ROOT, *parts]))
_FLAT = st.sampled_from(_NAMES).map(lambda name: f"{ROOT}/{name}")
_PATHS = st.one_of(_FLAT, _FLAT, _DEEP, _DEEP, st.sampled_from([f"{OUTSIDE}/a", f"{OUTSIDE}/b"]))

_BYTES = st.builds(
    lambda size, fill: bytes([fill]) * size, st.sampled_from([1, 0, 700, 5000, 40_000]), st.integers(1, 250)
)
FIELDS: Mapping[str, st.SearchStrategy[Any]] = {
    "path": _PATHS,
    "new_path": _PATHS,
    "existing": _PATHS,
    "metadata": st.builds(Metadata, st.sampled_from([0, 1, 2, 32]), st.sampled_from([b"", b"D:(A)"])),
    "mtime_ns": st.integers(1, 5).map(lambda number: 1_038_819_600_000_000_000 + number * 1_000_000_000),
    "created_ns": st.sampled_from([0, 0, 1_000_000_000_000_000_000]),
    "offset": st.sampled_from([0, 3, 4096, 65_530, 140_000]),
    "data": _BYTES,
    "size": st.sampled_from([0, 2, 4096, 66_000]),
    "target": st.sampled_from([f"{ROOT}/a", "D:/elsewhere"]),
    "junction": st.just(True),
    "stream": st.sampled_from(["one", "one", "two"]),
}
"""What each field of an operation may hold, by its name, wherever it occurs."""


def kinds() -> tuple[type[Any], ...]:
    """Every kind of operation that the vocabulary has."""
    return get_args(AnyOperation)


def _drawn(kind: type[Any]) -> st.SearchStrategy[AnyOperation] | None:
    """How operations of a kind are drawn; None when one of its fields is unknown here."""
    names = [each.name for each in msgspec.structs.fields(kind)]
    if not set(names) <= set(FIELDS):
        return None
    return st.builds(kind, **{name: FIELDS[name] for name in names})


CHANGES: dict[type[Any], st.SearchStrategy[AnyOperation]] = {
    kind: drawn for kind in kinds() if (drawn := _drawn(kind)) is not None
}
