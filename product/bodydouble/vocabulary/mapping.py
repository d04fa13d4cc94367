"""Mapping: where a target keeps what a source has. Records only; the arithmetic is `bodydouble.replication.mapping`.

Source: Double-Take's guides, "One To One" (the same directory structure) and custom mappings.
"""

from __future__ import annotations

import msgspec


class PathMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the source has at and beneath ``source`` is at and beneath ``target`` on the target (product form)."""

    source: str
    target: str
