"""What a live body keeps between runs: its registry, as JSON in its state directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import StateError
from bodydouble_sim.windows.registry import Dump, Registry

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 2


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    registry: Dump


class RegistryFile:
    """Loads a registry and saves it when it has changed.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = b""

    def load(self) -> Registry:
        """The saved registry, or an empty one.

        Raises:
            StateError: the file is there and cannot be understood.
        """
        registry = Registry()
        if self._path.exists():
            self._written = self._path.read_bytes()
            try:
                saved = msgspec.json.decode(self._written, type=_Saved)
            except msgspec.MsgspecError as error:
                raise StateError(f"{self._path}: not a registry of this version: {error}") from error
            if saved.format != FORMAT:
                raise StateError(f"{self._path}: format {saved.format}, expected {FORMAT}")
            registry.load(saved.registry)
        return registry

    def save(self, registry: Registry) -> None:
        """Write the registry through to the disk, if anything in it has changed.

        Raises:
            OSError: the state directory cannot be written.
        """
        data = msgspec.json.encode(_Saved(FORMAT, registry.dump()))
        if data == self._written:
            return
        fresh = self._path.with_suffix(".tmp")
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        self._written = data
